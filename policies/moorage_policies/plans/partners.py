"""What falls away with a move that cannot be made, and what goes on without it."""

from __future__ import annotations

from collections.abc import Mapping

from moorage_policies.plans.checks import Problem
from moorage_policies.plans.records import PlanRecord

PARTNER_FAILED = "PartnerFailed"


def failures_of(record: PlanRecord) -> dict[int, Problem]:
    """Return why moves failed."""
    failed = (m for m in record.progress.moves if m.phase == "Failed")
    return {m.index: Problem(m.reason, m.message) for m in failed}


def find_first_loss(record: PlanRecord) -> tuple[int, Problem] | None:
    """Return the first move that fell away by itself, and why; ``None`` when none did."""
    for move, progress in record.pairs():
        if progress.phase in ("Failed", "Skipped") and progress.reason != PARTNER_FAILED:
            return move.index, Problem(progress.reason, progress.message)
    return None


def is_whole(record: PlanRecord, failed: Mapping[int, Problem]) -> bool:
    """Return whether the plan makes no sense without these moves."""
    return any(move.group is None for move in record.plan.moves if move.index in failed)


def partners_of(record: PlanRecord, failed: Mapping[int, Problem]) -> dict[int, Problem]:
    """Return the moves that have not begun and make no sense without these, and why."""
    groups = {
        move.group: move.index
        for move in record.plan.moves
        if move.index in failed and move.group is not None
    }
    return {
        move.index: Problem(
            PARTNER_FAILED, f"makes no sense without move {groups[move.group]}, which fell away"
        )
        for move, progress in record.pairs()
        if move.group in groups and move.index not in failed and progress.phase == "Waiting"
    }
