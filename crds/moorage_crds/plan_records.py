"""Plans as the executor's decisions see them, and their progress as a status."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from moorage_crds.conditions import PROGRESSING, Condition
from moorage_crds.plan import PlacementPlan, PlannedMove
from moorage_crds.plan_status import MoveStatus, PlanStatus
from moorage_policies.plans import Move, MoveProgress, Plan, PlanProgress, PlanRecord
from moorage_policies.types import Owner

MESSAGE_LIMIT = 4096


def to_plan_record(plan: PlacementPlan) -> PlanRecord:
    """Return the plan and its progress."""
    spec, meta = plan.spec, plan.metadata
    moves = tuple(sorted((_to_move(move) for move in spec.moves), key=lambda move: move.index))
    return PlanRecord(
        Plan(
            name=meta.name,
            uid=meta.uid,
            moves=moves,
            mode=spec.mode,
            created_s=to_seconds(meta.creation_timestamp) or 0.0,
            ttl_s=float(spec.ttl_seconds),
        ),
        _to_progress(plan.status),
    )


def write_plan_status(
    record: PlanRecord, live: PlanStatus, *, generation: int, executor: dict[str, Any], now_s: float
) -> dict[str, Any]:
    """Return the status that says what ``record.progress`` says.

    Args:
        record: the plan and its progress.
        live: the status as stored, for times that only move with a change.
        generation: generation of the spec that was looked at.
        executor: who writes, as ``Executor``.
        now_s: Unix seconds.
    """
    progress = record.progress
    done = sum(move.phase == "Done" for move in progress.moves)
    status = {
        "observedGeneration": generation,
        "phase": progress.phase,
        "step": progress.step,
        "progress": f"{done}/{len(record.plan.moves)}",
        "moves": [_write_move(move) for move in progress.moves],
        "executor": executor,
        "phaseSince": to_timestamp(progress.since_s),
        "startedAt": to_timestamp(progress.started_s),
        "finishedAt": to_timestamp(progress.finished_s),
        "conditions": [_write_condition(progress, live, generation, now_s)],
    }
    return {key: value for key, value in status.items() if value is not None}


def to_seconds(timestamp: str | None) -> float | None:
    """Return a timestamp as Unix seconds."""
    return None if timestamp is None else datetime.fromisoformat(timestamp).timestamp()


def to_timestamp(moment_s: float | None) -> str | None:
    """Return Unix seconds as a timestamp with microseconds."""
    if moment_s is None:
        return None
    return datetime.fromtimestamp(moment_s, UTC).isoformat().replace("+00:00", "Z")


def _to_move(move: PlannedMove) -> Move:
    owner = move.owner
    return Move(
        index=move.index,
        step=move.step,
        kind=move.kind,
        uid=move.pod.uid,
        namespace=move.pod.namespace,
        name=move.pod.name,
        owner=Owner(owner.kind, owner.name, owner.uid) if owner is not None else None,
        source=move.from_ or "",
        target=move.to or "",
        strategy=move.strategy or "SurgeFirst",
        priority=move.priority,
        gpus=move.gpus,
        follows=move.follows,
        group=move.group,
    )


def _to_progress(status: PlanStatus) -> PlanProgress:
    told = next((c for c in status.conditions if c.type == PROGRESSING), None)
    return PlanProgress(
        phase=status.phase,
        step=status.step,
        moves=tuple(_to_move_progress(m) for m in sorted(status.moves, key=lambda m: m.index)),
        since_s=to_seconds(status.phase_since),
        started_s=to_seconds(status.started_at),
        finished_s=to_seconds(status.finished_at),
        reason=told.reason if told and told.reason != status.phase else "",
        message=told.message if told else "",
    )


def _to_move_progress(move: MoveStatus) -> MoveProgress:
    return MoveProgress(
        index=move.index,
        phase=move.phase,
        replacement_name=move.replacement_name,
        replacement_uid=move.replacement_uid,
        siblings=move.siblings,
        started_s=to_seconds(move.started_at),
        phase_s=to_seconds(move.phase_since),
        finished_s=to_seconds(move.finished_at),
        reason=move.reason,
        message=move.message,
    )


def _write_move(move: MoveProgress) -> dict[str, Any]:
    fields = {
        "index": move.index,
        "phase": move.phase,
        "replacementName": move.replacement_name,
        "replacementUid": move.replacement_uid,
        "siblings": list(move.siblings),
        "startedAt": to_timestamp(move.started_s),
        "phaseSince": to_timestamp(move.phase_s),
        "finishedAt": to_timestamp(move.finished_s),
        "reason": move.reason,
        "message": move.message[:MESSAGE_LIMIT],
    }
    kept = ("index", "phase")
    return {key: value for key, value in fields.items() if value or key in kept}


def _write_condition(
    progress: PlanProgress, live: PlanStatus, generation: int, now_s: float
) -> dict[str, Any]:
    """Say in one condition whether the plan gets on, and why not."""
    gets_on = progress.phase in ("Approved", "Executing") and not progress.reason
    status = "True" if gets_on else "False"
    old: Condition | None = next((c for c in live.conditions if c.type == PROGRESSING), None)
    since = old.last_transition_time if old and old.status == status else to_timestamp(now_s)
    return {
        "type": PROGRESSING,
        "status": status,
        "reason": progress.reason or progress.phase,
        "message": progress.message[:MESSAGE_LIMIT],
        "observedGeneration": generation,
        "lastTransitionTime": since,
    }
