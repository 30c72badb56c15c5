"""The extender's place in the simulated cycle, and ours in that place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from moorage_policies.preemption import PreemptionParams, Victims, choose_victims
from moorage_policies.scoring import Ranker
from moorage_policies.state import Snapshot
from moorage_policies.types import NVIDIA_GPU, DisruptionBudget, IntArray, Pod

DECIDING_WEIGHT = 100


class Extender(Protocol):
    """What a scheduler asks outside itself, in the order of the verbs."""

    @property
    def weight(self) -> int:
        """Return what a score is multiplied by, beside the scheduler's own factor of 10."""
        ...

    def is_interested(self, pod: Pod) -> bool:
        """Return whether the extender is asked about the pod at all."""
        ...

    def filter(self, pod: Pod, snapshot: Snapshot, rows: IntArray) -> IntArray:
        """Return the candidate rows that remain."""
        ...

    def prioritize(self, pod: Pod, snapshot: Snapshot, rows: IntArray) -> IntArray:
        """Return 0 to 10 per candidate row."""
        ...

    def preempt(
        self,
        pod: Pod,
        candidates: Mapping[str, tuple[str, ...]],
        snapshot: Snapshot,
        budgets: Sequence[DisruptionBudget],
        now_s: float,
    ) -> Mapping[str, Victims]:
        """Return whom to evict on which node; nothing vetoes."""
        ...


@dataclass(frozen=True, slots=True)
class RankingExtender:
    """Our ranking and our choice of victims inside the stock cycle.

    Args:
        ranker: ranks candidates; its form says whether scores or a filter decide.
        preemption: how victims are chosen; the planner counts as having declined.
        deciding_filter: whether the filter already answers the chosen node alone.
        weight: as in the scheduler's configuration.
        resources: pods that request one of these are ours; empty means every pod.
    """

    ranker: Ranker
    preemption: PreemptionParams = field(default_factory=PreemptionParams)
    deciding_filter: bool = False
    weight: int = DECIDING_WEIGHT
    resources: tuple[str, ...] = (NVIDIA_GPU,)

    def is_interested(self, pod: Pod) -> bool:
        """Return whether the pod requests a managed resource."""
        return not self.resources or any(pod.requests.get(name, 0) for name in self.resources)

    def filter(self, pod: Pod, snapshot: Snapshot, rows: IntArray) -> IntArray:
        """Return the chosen row alone, or all of them where scores decide."""
        if not self.deciding_filter:
            return rows
        ranking = self.ranker.rank(pod, snapshot, rows).value
        return rows if ranking.chosen is None else rows[[ranking.chosen]]

    def prioritize(self, pod: Pod, snapshot: Snapshot, rows: IntArray) -> IntArray:
        """Return the ranking's scores."""
        return self.ranker.rank(pod, snapshot, rows).value.scores

    def preempt(
        self,
        pod: Pod,
        candidates: Mapping[str, tuple[str, ...]],
        snapshot: Snapshot,
        budgets: Sequence[DisruptionBudget],
        now_s: float,
    ) -> Mapping[str, Victims]:
        """Return the least harmful legal victims."""
        return choose_victims(
            pod, candidates, snapshot, budgets, self.preemption, now_s, planner="declined"
        ).value
