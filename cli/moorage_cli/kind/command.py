"""``moorage kind``: a real cluster on this machine, for trying the chart and for the stories."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Annotated, Final, NoReturn

import typer

from moorage_cli.control_plane.download import Hosts
from moorage_cli.control_plane.progress import shown_progress
from moorage_cli.kind.cluster import KindCluster, bring_up, take_down
from moorage_cli.kind.dump import write_dump
from moorage_cli.kind.engine import find_engine, ready_engine, try_engine
from moorage_cli.kind.errors import MachineUnfitError
from moorage_cli.kind.node_image import ready_node_image
from moorage_cli.kind.places import kubeconfig, state
from moorage_cli.kind.program_images import program_images

_TERMINATED: Final = 128 + signal.SIGTERM
KUBECONFIG: Final = "E2E_KUBECONFIG"
AUDIT_LOG: Final = "E2E_AUDIT_LOG"

app = typer.Typer(
    no_args_is_help=True,
    help="Run a real kind cluster on this machine, also without a container registry.",
)

Source = Annotated[Path, typer.Option(help="Checkout that our images are made from.")]
Download = Annotated[
    bool, typer.Option(help="Download released programs and images where the network allows it.")
]
HERE: Final = Path()


@app.command()
def check(
    start: Annotated[bool, typer.Option("--start", help="Start the engine and end it.")] = False,
) -> None:
    """Say in one line whether a cluster can run on this machine; the exit code is 1 where not."""
    try:
        found = find_engine()
        if start:
            with shown_progress() as report:
                try_engine(report)
        typer.echo(f"kind: a cluster can run here, in {found}")
    except MachineUnfitError as error:
        typer.echo(f"kind: {error}")
        raise typer.Exit(1) from error


@app.command()
def image(source: Source = HERE, download: Download = True) -> None:
    """Make the image of the nodes and those of our programs; they are kept in the cache."""
    with shown_progress() as report:
        engine = ready_engine(report)
        node = ready_node_image(engine, report, _hosts(download))
        programs = program_images(source, report)
    typer.echo(f"{node}\n{programs.file}: {', '.join(programs.images)}")


@app.command()
def up(source: Source = HERE, download: Download = True) -> None:
    """Bring a cluster up: 1 control plane, 3 workers, our images in every worker."""
    with shown_progress() as report:
        bring_up(source, report, _hosts(download))
    typer.echo(f"export KUBECONFIG={kubeconfig()}")


@app.command()
def down(
    keep_engine: Annotated[bool, typer.Option(help="Leave a started engine running.")] = False,
) -> None:
    """Remove the cluster, and the container engine if `up` started it."""
    with shown_progress() as report:
        found = take_down(report, None, keep_engine=keep_engine)
    typer.echo("the cluster is removed" if found else "no container engine runs: nothing to remove")


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def run(
    context: typer.Context,
    source: Source = HERE,
    download: Download = True,
    keep: Annotated[bool, typer.Option(help="Leave the cluster there afterwards.")] = False,
    dump: Annotated[
        Path, typer.Option(help="Folder for logs, events and objects when the command fails.")
    ] = Path("e2e-dump"),
) -> None:
    """Run a command against a cluster that is there only for it: `moorage kind run -- COMMAND`.

    The command finds the kubeconfig in E2E_KUBECONFIG. Where that is set already it is run against
    that cluster, and nothing is brought up or removed.
    """
    if not context.args:
        raise typer.BadParameter("give the command after --", param_hint="COMMAND")
    if os.environ.get(KUBECONFIG):
        sys.exit(_run(context.args))
    signal.signal(signal.SIGTERM, _end)
    with shown_progress() as report:
        cluster = bring_up(source, report, _hosts(download))
    try:
        code = _run_in(cluster, context.args, dump)
    finally:
        if not keep:
            with shown_progress() as report:
                take_down(report, None)
    sys.exit(code)


def _run_in(cluster: KindCluster, command: Sequence[str], dump: Path) -> int:
    environment = {
        KUBECONFIG: str(kubeconfig()),
        AUDIT_LOG: str(state() / "audit/log/audit.jsonl"),
        **cluster.engine.environment,
    }
    try:
        code = _run(command, environment)
    except BaseException:
        write_dump(cluster, dump)
        raise
    if code:
        write_dump(cluster, dump)
        typer.echo(f"logs, events and objects: {dump}", err=True)
    return code


def _run(command: Sequence[str], environment: dict[str, str] | None = None) -> int:
    try:
        return subprocess.run(
            command, env={**os.environ, **(environment or {})}, check=False
        ).returncode
    except FileNotFoundError as error:
        raise typer.BadParameter(f"no program {command[0]}", param_hint="COMMAND") from error


def _hosts(download: bool) -> Hosts | None:
    return Hosts() if download else None


def _end(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(_TERMINATED)
