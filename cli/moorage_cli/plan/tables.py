"""Plans as tables for people."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group
from rich.table import Table
from rich.text import Text

from moorage_crds.plan import Certificate, Outlook, PlacementPlan, PlannedMove
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
    outlook = plan.spec.outlook
    picture: list[Text | Table] = (
        [] if outlook is None else [Text(_tell_outlook(outlook)), _picture(outlook)]
    )
    return Group(*(line for line in lines if line.plain), *picture, _moves(plan))


def _tell_outlook(outlook: Outlook) -> str:
    return (
        f"fragment rate {outlook.fragment_rate_before} -> {outlook.fragment_rate_after}; "
        f"gain {outlook.gain} GPUs in wanted pieces of at most {outlook.bound}; "
        f"cost about {outlook.cost_seconds} s of restarts"
    )


def _picture(outlook: Outlook) -> Table:
    """Used and free accelerators of each node that changes: # is used, . is free."""
    table = Table()
    for title in ("node", "before", "after", "free"):
        table.add_column(title, overflow="fold")
    for node in outlook.nodes:
        table.add_row(
            node.name,
            Text(_bar(node.devices, node.free_before)),
            Text(_bar(node.devices, node.free_after), "green" * (node.free_after > 0)),
            f"{node.free_before} -> {node.free_after}",
        )
    return table


def _bar(devices: int, free: int) -> str:
    return "#" * max(0, devices - free) + "." * free


def _moves(plan: PlacementPlan) -> Table:
    table = Table()
    priced = plan.spec.outlook is not None
    titles = ("step", "move", "pod", "from", "to", "GPUs", "phase", "replacement")
    for title in (*titles, *(("gain", "cost s") if priced else ()), "why"):
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
            *((move.gain or "", move.cost_seconds or "") if priced else ()),
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
