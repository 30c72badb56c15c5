"""``moorage plan``: what the planner would do; look at plans, let them run, stop them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from moorage_cli.plan.plans import change_mode, read_plan, read_plans
from moorage_cli.plan.tables import render_plan, render_plans
from moorage_cluster.session import ApiSession
from moorage_crds.plan import PlacementPlan
from moorage_policies.errors import BadInputError
from moorage_policies.plans.records import ENDED

app = typer.Typer(no_args_is_help=True)

Kubeconfig = Annotated[
    Path | None, typer.Option(help="Default: $KUBECONFIG, then ~/.kube/config.", exists=True)
]
Name = Annotated[str, typer.Argument(help="Name of the plan.", metavar="PLAN")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.callback(invoke_without_command=True)
def plans(
    ctx: typer.Context,
    file: Annotated[
        Path | None,
        typer.Option(help="Snapshot that `moorage snapshot` wrote.", exists=True, dir_okay=False),
    ] = None,
    kubeconfig: Kubeconfig = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the search.", min=0)] = None,
    work_s: Annotated[
        float | None,
        typer.Option(help="Effort of the search, in seconds of one core, about.", min=0.01),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what the planner would do, from a snapshot or a live cluster; nothing is changed.

    The sub-commands look at plans that were written, let them run and stop them.
    """
    if ctx.invoked_subcommand is not None:
        return
    from moorage_cli.plan.make import load_snapshot, make_answer, render_answer, to_json

    snapshot = load_snapshot(file, kubeconfig)
    given = make_answer(snapshot, seed=seed, work_s=work_s)
    if as_json:
        typer.echo(to_json(given, snapshot.facts))
    else:
        Console().print(render_answer(given, snapshot.facts))


@app.command("list")
def list_plans(kubeconfig: Kubeconfig = None, as_json: AsJson = False) -> None:
    """List all plans, the newest first."""
    found = asyncio.run(_with_session(kubeconfig, None, None))
    if as_json:
        typer.echo("[" + ",\n".join(_to_json(plan) for plan in found) + "]")
    else:
        Console().print(render_plans(found))


@app.command()
def show(name: Name, kubeconfig: Kubeconfig = None, as_json: AsJson = False) -> None:
    """Show one plan: its moves, how far each got, and what is known about its quality."""
    [plan] = asyncio.run(_with_session(kubeconfig, name, None))
    if as_json:
        typer.echo(_to_json(plan))
    else:
        Console().print(render_plan(plan))


@app.command()
def approve(name: Name, kubeconfig: Kubeconfig = None) -> None:
    """Let a recommended plan run."""
    [plan] = asyncio.run(_with_session(kubeconfig, name, "Auto"))
    typer.echo(f"{plan.metadata.name} is approved; `moorage plan show {name}` tells how far it is")


@app.command()
def abort(name: Name, kubeconfig: Kubeconfig = None) -> None:
    """Stop a plan: what can be undone is undone, and kept room is given back."""
    [plan] = asyncio.run(_with_session(kubeconfig, name, "Off"))
    typer.echo(
        f"{plan.metadata.name} is told to stop; `moorage plan show {name}` tells when it has"
    )


async def _with_session(
    kubeconfig: Path | None, name: str | None, mode: Literal["Auto", "Off"] | None
) -> tuple[PlacementPlan, ...]:
    async with await ApiSession.connect(kubeconfig, user_agent="moorage-plan") as session:
        if name is None:
            return await read_plans(session)
        plan = await read_plan(session, name)
        if mode is None:
            return (plan,)
        _refuse_ended(plan, mode)
        return (await change_mode(session, plan, mode),)


def _refuse_ended(plan: PlacementPlan, mode: str) -> None:
    phase, name = plan.status.phase, plan.metadata.name
    if phase in ENDED:
        verb = "approved" if mode == "Auto" else "stopped"
        raise BadInputError(f"{name} is {phase} and cannot be {verb}", field="PLAN")
    if mode == "Auto" and plan.spec.mode == "Off":
        raise BadInputError(f"{name} was stopped; make a new plan", field="PLAN")


def _to_json(plan: PlacementPlan) -> str:
    return plan.model_dump_json(by_alias=True, exclude_none=True, indent=2)
