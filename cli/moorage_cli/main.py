"""The `moorage` program: a table of sub-commands, each imported only when it is run."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.metadata import version
from typing import Annotated, Any, Final, NamedTuple, TypeAlias

import typer
from typer.core import TyperCommand, TyperGroup

from moorage_policies.errors import BadInputError, MoorageError

BAD_INPUT_EXIT_CODE: Final = 2
FAILURE_EXIT_CODE: Final = 1


class SubCommand(NamedTuple):
    """Where a sub-command's ``app`` lives, and what the overview says about it."""

    module: str
    summary: str


SUB_COMMANDS: Final[dict[str, SubCommand]] = {
    "control-plane": SubCommand(
        "moorage_cli.control_plane.command", "Run a real Kubernetes control plane on this machine."
    ),
}


# typer carries its own copy of click, whose types have no public name.
ClickContext: TypeAlias = Any
ClickCommand: TypeAlias = Any


class LazyGroup(TyperGroup):
    """Shows every sub-command, but imports only the one that is run."""

    def list_commands(self, ctx: ClickContext) -> list[str]:  # noqa: ARG002 - click's signature
        """Names in the order of the table."""
        return list(SUB_COMMANDS)

    def get_command(self, ctx: ClickContext, cmd_name: str) -> TyperCommand | None:  # noqa: ARG002
        """A stand-in with the summary, good for the overview."""
        entry = SUB_COMMANDS.get(cmd_name)
        return TyperCommand(cmd_name, help=entry.summary) if entry else None

    def resolve_command(
        self, ctx: ClickContext, args: list[str]
    ) -> tuple[str | None, ClickCommand, list[str]]:
        """The real command, imported now."""
        name, stand_in, rest = super().resolve_command(ctx, args)
        if name is None:
            return name, stand_in, rest
        module = import_module(SUB_COMMANDS[name].module)
        return name, typer.main.get_command(module.app), rest


app = typer.Typer(cls=LazyGroup, no_args_is_help=True, pretty_exceptions_enable=False)


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
