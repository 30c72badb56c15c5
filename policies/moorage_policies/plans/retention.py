"""Which ended plans need not be kept any longer."""

from __future__ import annotations

from collections.abc import Iterable

from moorage_policies.plans.records import PlanRecord


def choose_outdated(
    records: Iterable[PlanRecord], *, keep: int, ttl_s: float, now_s: float
) -> tuple[str, ...]:
    """Return the names of ended plans that are too old, or older than the newest ``keep``.

    Args:
        records: all plans; those that have not ended are always kept.
        keep: how many ended ones stay.
        ttl_s: seconds after its end when a plan goes even if it is among them.
        now_s: Unix seconds.
    """
    ended = [record for record in records if record.progress.has_ended]
    newest_first = sorted(ended, key=lambda r: (-_end_s(r), r.plan.name))
    return tuple(
        record.plan.name
        for place, record in enumerate(newest_first)
        if place >= keep or now_s - _end_s(record) >= ttl_s
    )


def _end_s(record: PlanRecord) -> float:
    ended_s = record.progress.finished_s
    return record.plan.created_s if ended_s is None else ended_s
