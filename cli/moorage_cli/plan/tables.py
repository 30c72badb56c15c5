"""Plans as tables for people."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group
from rich.table import Table
from rich.text import Text

from moorage_crds.plan import Certificate, PlacementPlan, PlannedMove
from moorage_crds.plan_status import MoveStatus

_STYLES = {
    "Completed": "green",
    "Done": "green",
    "Executing": "cyan",
    "Aborted": "bold red",
    "Failed": "bold red",
    "Superseded": "yellow",
    "Skipped": "yellow",
}


def render_plans(plans: Sequence[PlacementPlan]) -> Table:
    """The plans, one a line."""
    table = Table()
    for title in ("plan", "trigger", "mode", "phase", "moves", "why", "created"):
        table.add_column(title, overflow="fold")
    for plan in plans:
        spec, status = plan.spec, plan.status
        phase = status.phase or "New"
        table.add_row(
            plan.metadata.name,
            spec.trigger,
            spec.mode,
            Text(phase, _STYLES.get(phase, "")),
            status.progress or f"0/{len(spec.moves)}",
            Text(_why(plan)),
            plan.metadata.creation_timestamp or "",
        )
    return table


def render_plan(plan: PlacementPlan) -> Group:
    """One plan: what it is, then its moves in the order in which they run."""
    phase = plan.status.phase or "New"
    head = Text.assemble(
        (plan.metadata.name, "bold"),
        f"  {plan.spec.trigger}, mode {plan.spec.mode}, ",
        (phase, _STYLES.get(phase, "")),
    )
    lines = [head, Text(_why(plan)), Text(_certificate(plan.spec.certificate))]
    return Group(*(line for line in lines if line.plain), _moves(plan))


def _moves(plan: PlacementPlan) -> Table:
    table = Table()
    for title in ("step", "move", "pod", "from", "to", "GPUs", "phase", "replacement", "why"):
        table.add_column(title, overflow="fold")
    progress = {move.index: move for move in plan.status.moves}
    for move in sorted(plan.spec.moves, key=lambda move: (move.step, move.index)):
        state = progress.get(move.index, MoveStatus(index=move.index))
        table.add_row(
            str(move.step),
            _kind(move),
            Text(f"{move.pod.namespace}/{move.pod.name}"),
            move.from_ or "",
            move.to or "",
            str(move.gpus),
            Text(state.phase, _STYLES.get(state.phase, "")),
            state.replacement_name,
            Text(state.message or move.reason),
        )
    return table


def _kind(move: PlannedMove) -> str:
    return f"{move.kind} ({move.strategy})" if move.strategy else move.kind


def _why(plan: PlacementPlan) -> str:
    condition = next(iter(plan.status.conditions), None)
    if condition is None or condition.reason == plan.status.phase:
        return condition.message if condition is not None else ""
    return f"{condition.reason}: {condition.message}"


def _certificate(certificate: Certificate) -> str:
    tiers = ", ".join(
        f"priority {tier.priority}: {tier.placed} placed"
        + (f" of at most {tier.bound}" if tier.bound is not None else "")
        for tier in certificate.tiers
    )
    parts = [certificate.status, tiers, certificate.reason]
    return "certificate: " + "; ".join(part for part in parts if part)
