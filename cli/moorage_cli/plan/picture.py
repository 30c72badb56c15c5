"""Nodes before and after a plan, one cell an accelerator."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rich.table import Table
from rich.text import Text

from moorage_policies.planning.answer import PlanDraft
from moorage_policies.planning.facts import Facts
from moorage_policies.plans import Move, join_stages
from moorage_policies.types import NVIDIA_GPU

STAYS, GOES, COMES, FREE = "█", "▒", "▓", "·"
STYLES = {STAYS: "dim", GOES: "yellow", COMES: "green", FREE: ""}
WIDEST = 32


def render_picture(facts: Facts, drafts: Iterable[PlanDraft]) -> Table:
    """The nodes that the plans change; █ stays, ▒ goes, ▓ comes, · is free."""
    moves = [move for draft in drafts for move in join_stages(draft.moves)]
    touched = sorted({node for move in moves for node in (move.source, move.target)} - {""})
    size = {node.name: node.allocatable.get(NVIDIA_GPU, 0) for node in facts.nodes}
    table = Table(title=f"{STAYS} stays  {GOES} goes  {COMES} comes  {FREE} free")
    for title in ("node", "before", "after"):
        table.add_column(title)
    for node in touched:
        before, after = cells_of(node, size.get(node, 0), facts, moves)
        table.add_row(node, _colour(before), _colour(after))
    return table


def cells_of(node: str, size: int, facts: Facts, moves: Sequence[Move]) -> tuple[str, str]:
    """Return the node's accelerators before and after, a character each.

    Nodes with more than ``WIDEST`` are shown as numbers: used before and after.
    """
    held = {
        pod.uid: pod.requests.get(NVIDIA_GPU, 0)
        for pod in facts.pods
        if pod.node == node and not pod.terminating
    }
    goes = sum(held.get(move.uid, 0) for move in moves if move.source == node)
    stays = sum(held.values()) - goes
    comes = sum(_gpus(move, facts) for move in moves if move.target == node)
    if size > WIDEST:
        return f"{stays + goes} of {size}", f"{stays + comes} of {size}"
    return (
        STAYS * stays + GOES * goes + FREE * (size - stays - goes),
        STAYS * stays + COMES * comes + FREE * (size - stays - comes),
    )


def _gpus(move: Move, facts: Facts) -> int:
    requests: Mapping[str, int] = next((p.requests for p in facts.pods if p.uid == move.uid), {})
    return requests.get(NVIDIA_GPU, 0)


def _colour(cells: str) -> Text:
    text = Text()
    for cell in cells:
        text.append(cell, STYLES.get(cell, ""))
    return text
