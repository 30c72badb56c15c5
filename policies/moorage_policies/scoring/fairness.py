"""Fairness over disruptions: whoever was moved often gets a place that is left alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from moorage_policies.plans.records import PlanRecord
from moorage_policies.scoring.fragmentation import accelerators_in
from moorage_policies.scoring.row_memory import RowMemory
from moorage_policies.state import Snapshot
from moorage_policies.types import NVIDIA_GPU, FloatArray, IntArray, Pod

HALF_LIFE_S = 86_400.0
"""Seconds after which a disruption weighs half."""

DisruptionsOf = Callable[[Pod], float]
"""Tells how often the pod's owner lost a running pod to plans, old times weighing less."""


class Fairness:
    """Scores nodes by how likely they are to be emptied again.

    Defragmentation empties the nodes with the least on them. A workload that has been disrupted
    ``d`` times heeds that with ``d / (1 + d)``; one that never was does not.

    Args:
        disruptions_of: see :data:`DisruptionsOf`.
    """

    name = "fairness"

    def __init__(self, disruptions_of: DisruptionsOf) -> None:
        self._disruptions_of = disruptions_of
        self._empty = RowMemory()

    def score(self, pod: Pod, snapshot: Snapshot, rows: IntArray) -> FloatArray | None:
        """Return 0 to 1 per candidate; ``None`` for a workload that was left alone so far."""
        disruptions = self._disruptions_of(pod)
        if disruptions <= 0 or not len(rows):
            return None
        names = tuple(
            name for name in accelerators_in(snapshot, (NVIDIA_GPU,)) if name in snapshot.columns
        )
        asked = {name: pod.requests.get(name, 0) for name in names}
        empty = self._empty.recall(
            tuple(asked.items()), snapshot, rows, lambda stale: _empty_ratio(asked, snapshot, stale)
        )
        score: FloatArray = 1.0 - disruptions / (1.0 + disruptions) * empty
        return score


def _empty_ratio(asked: Mapping[str, int], snapshot: Snapshot, rows: IntArray) -> FloatArray:
    """Return which share of each node's accelerators is free once the pod is there."""
    offered, taken = np.zeros(len(rows)), np.zeros(len(rows))
    for name, amount in asked.items():
        column = snapshot.columns[name]
        offered += snapshot.allocatable[rows, column]
        taken += snapshot.requested[rows, column] + amount
    empty: FloatArray = 1.0 - np.clip(taken / np.maximum(offered, 1.0), 0.0, 1.0)
    return empty


@dataclass(frozen=True, slots=True)
class Disruption:
    """One running pod that ended for a plan: its owner's UID and Unix seconds."""

    owner: str
    at_s: float


def disruptions_in(plans: Iterable[PlanRecord]) -> tuple[Disruption, ...]:
    """Return every move of the plans that ended a running pod."""
    return tuple(
        Disruption(move.owner.uid, progress.finished_s)
        for record in plans
        for move, progress in record.pairs()
        if move.disrupts and move.owner is not None and progress.finished_s is not None
        if progress.phase == "Done"
    )


def weigh_disruptions(
    disruptions: Iterable[Disruption], now_s: float, half_life_s: float = HALF_LIFE_S
) -> dict[str, float]:
    """Return disruptions by owner's UID, each weighing half after a half-life."""
    weighed: dict[str, float] = {}
    for one in disruptions:
        weight = 0.5 ** (max(0.0, now_s - one.at_s) / half_life_s)
        weighed[one.owner] = weighed.get(one.owner, 0.0) + weight
    return weighed
