"""Command groups that show every sub-command but import only the one that is run."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, NamedTuple, TypeAlias

import typer
from typer.core import TyperCommand, TyperGroup

# typer carries its own copy of click, whose types have no public name.
ClickContext: TypeAlias = Any
ClickCommand: TypeAlias = Any


class SubCommand(NamedTuple):
    """Where a sub-command's ``app`` lives, and what the overview says about it."""

    module: str
    summary: str


def lazy_group(table: Mapping[str, SubCommand]) -> type[TyperGroup]:
    """Return a group class for ``typer.Typer(cls=...)`` with the commands of the table."""

    class LazyGroup(TyperGroup):
        def list_commands(self, ctx: ClickContext) -> list[str]:
            """Names in the order of the table, those defined in the group itself last."""
            return [*table, *super().list_commands(ctx)]

        def get_command(self, ctx: ClickContext, cmd_name: str) -> ClickCommand | None:
            """A stand-in with the summary, good for the overview."""
            entry = table.get(cmd_name)
            if entry is None:
                return super().get_command(ctx, cmd_name)
            return TyperCommand(cmd_name, help=entry.summary)

        def resolve_command(
            self, ctx: ClickContext, args: list[str]
        ) -> tuple[str | None, ClickCommand, list[str]]:
            """The real command, imported now."""
            name, command, rest = super().resolve_command(ctx, args)
            if name is None or name not in table:
                return name, command, rest
            module = import_module(table[name].module)
            return name, typer.main.get_command(module.app), rest

    return LazyGroup
