"""Interference: how much longer workloads take beside each other on one node."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from moorage_policies.feasibility.domains import add_counts
from moorage_policies.state import PodGroup, Snapshot
from moorage_policies.types import FloatArray, IntArray, Pod

WORKLOAD_CLASS_LABEL = "moorage.dev/workload-class"
ROLE_LABEL = "moorage.dev/role"

Pair = tuple[str, str]
"""Who suffers, and from whom."""


class Interference:
    """Scores nodes by what a pod and its neighbours would lose to each other.

    Args:
        slowdowns: how many times as long the first class takes for each neighbour of the second,
            at least 1; pairs that are left out do not disturb each other.
    """

    name = "interference"

    def __init__(self, slowdowns: Mapping[Pair, float]) -> None:
        self._slowdowns = slowdowns
        self._counts: dict[str, IntArray] = {}
        self._names: tuple[str, ...] = ()

    def learn(self, snapshot: Snapshot) -> None:
        """Count the pods of each class by node; until the next call, or new nodes, it stays so."""
        self._names = snapshot.node_names
        self._counts = {name: _count(name, snapshot) for pair in self._slowdowns for name in pair}

    def score(self, pod: Pod, snapshot: Snapshot, rows: IntArray) -> FloatArray | None:
        """Return 0 to 1 per candidate; ``None`` when nothing is known about the pod's class."""
        own = workload_class(pod.labels)
        lost = self._lost_beside(own) if own else {}
        if not lost:
            return None
        if self._names is not snapshot.node_names:
            self.learn(snapshot)
        cost = np.zeros(len(rows))
        for neighbour, each in lost.items():
            cost += each * self._counts[neighbour][rows]
        score: FloatArray = 1.0 / (1.0 + cost)
        return score

    def _lost_beside(self, own: str) -> dict[str, float]:
        """Return what one neighbour of each class costs, both ways."""
        lost: dict[str, float] = {}
        for (victim, neighbour), slowdown in self._slowdowns.items():
            for one, other in ((victim, neighbour), (neighbour, victim)):
                if one == own:
                    lost[other] = lost.get(other, 0.0) + slowdown - 1.0
        return lost


def workload_class(labels: Mapping[str, str]) -> str:
    """Return the class that a pod's labels name: its own label, else its role in a pool."""
    return labels.get(WORKLOAD_CLASS_LABEL) or labels.get(ROLE_LABEL, "")


def _count(name: str, snapshot: Snapshot) -> IntArray:
    counts = np.zeros(len(snapshot.nodes), dtype=np.int64)
    for group in _groups_of(name, snapshot):
        add_counts(counts, group.counts, 1, snapshot.node_index)
    return counts


def _groups_of(name: str, snapshot: Snapshot) -> Iterator[PodGroup]:
    groups = snapshot.groups
    for label in (WORKLOAD_CLASS_LABEL, ROLE_LABEL):
        for key in groups.by_label.get((label, name), {}):
            group = groups.every[key]
            if label == WORKLOAD_CLASS_LABEL or WORKLOAD_CLASS_LABEL not in group.labels:
                yield group
