"""How much plans may disturb: moves per window, per owner, cool-downs, one plan per node."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from moorage_policies.plans.checks import Problem
from moorage_policies.plans.observation import Observation, PastMove, PlanParams
from moorage_policies.plans.records import Move, PlanRecord


def disruptions(records: Iterable[PlanRecord]) -> tuple[PastMove, ...]:
    """Return every disruption that these plans began."""
    return tuple(
        PastMove(move.owner.uid if move.owner else "", progress.replacement_uid, started_s)
        for record in records
        for move, progress in record.pairs()
        if move.disrupts
        and (started_s := progress.started_s) is not None
        and progress.phase != "Skipped"
    )


def rivals_of(record: PlanRecord, others: Iterable[PlanRecord]) -> tuple[str, ...]:
    """Return the plans that go before this one because they change the same nodes or owners."""
    plan = record.plan
    mine = (plan.created_s, plan.name)
    return tuple(
        sorted(
            other.plan.name
            for other in others
            if other.plan.name != plan.name
            and (other.plan.nodes & plan.nodes or other.plan.owners & plan.owners)
            and (
                other.progress.phase == "Executing"
                or (
                    other.progress.phase == "Approved"
                    and (other.plan.created_s, other.plan.name) < mine
                )
            )
        )
    )


def why_over_budget(
    record: PlanRecord, seen: Observation, params: PlanParams, now_s: float
) -> Problem | None:
    """Return which budget the whole plan would break if it began now."""
    return next(_breaches(record, seen, params, now_s), None)


def cool_down_left_s(
    move: Move, record: PlanRecord, seen: Observation, params: PlanParams, now_s: float
) -> float:
    """Return for how long the move's owner has to be left alone, 0 when it need not be."""
    if move.owner is None or not move.disrupts:
        return 0.0
    begun = (*seen.past, *disruptions([record]))
    ends = [p.started_s + params.owner_cool_down_s for p in begun if p.owner_uid == move.owner.uid]
    return max(0.0, max(ends, default=0.0) - now_s)


def _breaches(
    record: PlanRecord, seen: Observation, params: PlanParams, now_s: float
) -> Iterator[Problem]:
    wanted = [move for move in record.plan.moves if move.disrupts]
    recent = [past for past in seen.past if now_s - past.started_s < params.window_s]
    window = f"{params.max_moves} moves in {params.window_s:g} s"
    if wanted and len(recent) + len(wanted) > params.max_moves:
        message = f"{len(recent)} of {window} are used and the plan has {len(wanted)}"
        yield Problem("MoveBudgetUsed", message, passes=True)
    owners = Counter(move.owner.uid for move in wanted if move.owner is not None)
    for uid, count in owners.items():
        used = sum(past.owner_uid == uid for past in recent)
        if used + count > params.max_moves_per_owner:
            message = (
                f"{used} of {params.max_moves_per_owner} moves of one workload in "
                f"{params.window_s:g} s are used and the plan has {count}"
            )
            yield Problem("OwnerBudgetUsed", message, passes=True)
    cooling = {
        past.replacement_uid
        for past in seen.past
        if past.replacement_uid and now_s - past.started_s < params.pod_cool_down_s
    }
    for move in wanted:
        if move.uid in cooling:
            message = f"{move.key} was moved less than {params.pod_cool_down_s:g} s ago"
            yield Problem("PodCoolsDown", message, passes=True)
