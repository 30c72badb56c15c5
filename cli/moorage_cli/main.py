"""The `moorage` program: a table of sub-commands, each imported only when it is run."""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import Annotated, Final

import typer

from moorage_cli.lazy import SubCommand, lazy_group
from moorage_policies.errors import BadInputError, MoorageError

BAD_INPUT_EXIT_CODE: Final = 2
FAILURE_EXIT_CODE: Final = 1


SUB_COMMANDS: Final[dict[str, SubCommand]] = {
    "control-plane": SubCommand(
        "moorage_cli.control_plane.command", "Run a real Kubernetes control plane on this machine."
    ),
    "kind": SubCommand("moorage_cli.kind.command", "Run a real kind cluster on this machine."),
    "demo": SubCommand("moorage_cli.demo.command", "Play the main job live, or simulated."),
    "doctor": SubCommand(
        "moorage_cli.doctor.command", "Check a cluster, and say what to do about each finding."
    ),
    "plan": SubCommand(
        "moorage_cli.plan.command", "Show what the planner would do; look at plans, run, stop them."
    ),
    "snapshot": SubCommand(
        "moorage_cli.snapshot.command", "Write what the planner sees to a file."
    ),
    "audit": SubCommand(
        "moorage_cli.audit.command", "Check that a running cluster keeps the promises."
    ),
    "why": SubCommand("moorage_cli.why.command", "Show why a pod was sent to its node."),
    "hints": SubCommand("moorage_cli.hints", "Show what a natural-language hint means."),
    "train": SubCommand(
        "moorage_cli.train.command", "Fit models and weights offline, with a report."
    ),
    "bench": SubCommand(
        "moorage_cli.bench", "Run the benchmark protocols, peers and ours in one run."
    ),
}

app = typer.Typer(
    cls=lazy_group(SUB_COMMANDS), no_args_is_help=True, pretty_exceptions_enable=False
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"moorage {version('moorage')}")
        raise typer.Exit


@app.callback()
def moorage(
    _version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", callback=_print_version, is_eager=True),
    ] = False,
) -> None:
    """GPU inference pools on Kubernetes: a berth for every pod."""


def run() -> None:
    """Run the program; errors that Moorage foresaw end in one message instead of a traceback."""
    try:
        app()
    except MoorageError as error:
        typer.secho(f"error: {error}", fg=typer.colors.RED, err=True)
        bad_input = isinstance(error, BadInputError)
        sys.exit(BAD_INPUT_EXIT_CODE if bad_input else FAILURE_EXIT_CODE)
