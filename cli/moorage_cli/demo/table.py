"""The demo's picture: one row a pod, one bar a node."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from moorage_cli.control_plane.simulated_nodes import NodeSpec
from moorage_cli.demo.view import Berth, View

COLOURS = {"chat": "bright_green", "batch": "bright_blue", "giant": "bright_magenta"}
MARKS = {"chat": "C", "batch": "b", "giant": "G"}
_FREE = "·"
_WHY_CHARACTERS = 70


def render(view: View, nodes: Iterable[NodeSpec], chapter: str) -> RenderableType:
    """Return the whole picture under the chapter's title."""
    return Group(
        Text(chapter, style="bold"),
        _quays(view, nodes),
        _pods(view),
        _made_room(view.preempted),
        *(Text(f"plan: {plan.reason}: {plan.phase}", style="magenta") for plan in view.plans),
    )


def _quays(view: View, nodes: Iterable[NodeSpec]) -> Table:
    """Return the nodes by zone, each with one character per GPU."""
    berths = defaultdict(list)
    for berth in view.berths:
        berths[berth.node].append(berth)
    table = Table(title="GPUs (C chat, b batch, G giant, · free)", title_justify="left")
    by_zone = defaultdict(list)
    for node in nodes:
        by_zone[node.zone].append(node)
    for zone in by_zone:
        table.add_column(zone)
    for row in zip(*by_zone.values(), strict=True):
        table.add_row(*(_quay(node, berths[node.name]) for node in row))
    return table


def _quay(node: NodeSpec, berths: Iterable[Berth]) -> Text:
    text = Text(f"{node.gpu.product.split('-')[1]:<5}")
    used = 0
    for berth in berths:
        mark = MARKS.get(berth.pool, "?") * berth.gpus
        text.append(mark, style=COLOURS.get(berth.pool, "white"))
        used += berth.gpus
    return text.append(_FREE * (node.gpus - used), style="dim")


def _pods(view: View) -> Table:
    table = Table(title="Pods", title_justify="left")
    for column in ("pool", "role", "pod", "GPUs", "node", "why"):
        table.add_column(column, no_wrap=column != "why", max_width=_WHY_CHARACTERS)
    for berth in view.berths:
        style = COLOURS.get(berth.pool, "white") if berth.node else "yellow"
        table.add_row(
            berth.pool,
            berth.role,
            berth.pod[-11:],
            str(berth.gpus),
            berth.node or "waits",
            berth.why,
            style=style,
        )
    return table


def _made_room(preempted: tuple[str, ...]) -> Text:
    if not preempted:
        return Text("nobody had to make room", style="dim")
    return Text(f"made room: {', '.join(preempted)}", style="magenta")
