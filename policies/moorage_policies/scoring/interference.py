"""Interference: how much longer workloads take beside each other on one node."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

import numpy as np

from moorage_policies.feasibility.domains import add_counts
from moorage_policies.scoring.mix import changed_rows
from moorage_policies.scoring.slowdowns import Pair, SlowdownLearner
from moorage_policies.state import PodGroup, Snapshot
from moorage_policies.types import FloatArray, IntArray, Pod

WORKLOAD_CLASS_LABEL = "moorage.dev/workload-class"
ROLE_LABEL = "moorage.dev/role"

PERFORMANCE_ANNOTATION = "moorage.dev/seconds-per-unit"
"""Seconds that a running pod takes for a unit of its work; whoever measures it writes it."""


class Observed:
    """Reads what running pods report, and learns slow-downs from it.

    A report is an annotation of a pod; each new text of it is one observation beside the
    neighbours that the pod has then. Only nodes whose pods changed are looked at.
    """

    def __init__(self) -> None:
        self.learner = SlowdownLearner()
        self._rows: tuple[tuple[Pod, ...], ...] = ()

    def learn(self, snapshot: Snapshot, now_s: float) -> None:
        """Take in what was reported since the last call."""
        for old, new in changed_rows(self._rows, snapshot.node_pods):
            known = {pod.uid: pod.annotations.get(PERFORMANCE_ANNOTATION) for pod in old}
            for pod in new:
                text = pod.annotations.get(PERFORMANCE_ANNOTATION)
                if text is not None and known.get(pod.uid) != text:
                    self._observe(pod, new, _to_seconds(text), now_s)
        self._rows = snapshot.node_pods

    def slowdowns(self, now_s: float) -> dict[Pair, float]:
        """Return what was learned by now, see :class:`SlowdownLearner`."""
        return self.learner.slowdowns(now_s)

    def _observe(self, pod: Pod, there: tuple[Pod, ...], seconds: float, now_s: float) -> None:
        own = workload_class(pod.labels)
        others = (workload_class(other.labels) for other in there if other.uid != pod.uid)
        self.learner.observe(own, Counter(filter(None, others)), seconds, now_s)


def _to_seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


class Interference:
    """Scores nodes by what a pod and its neighbours would lose to each other.

    Args:
        slowdowns: how many times as long the first class takes for each neighbour of the second,
            at least 1; a pair that is named here is not learned.
        observed: learns the other pairs; nothing is learned without.
    """

    name = "interference"

    def __init__(self, slowdowns: Mapping[Pair, float], observed: Observed | None = None) -> None:
        self._given = slowdowns
        self._slowdowns = slowdowns
        self._observed = observed
        self._counts: dict[str, IntArray] = {}
        self._names: tuple[str, ...] = ()

    def learn(self, snapshot: Snapshot, now_s: float = 0.0) -> None:
        """Take in reports, and count the pods of each class by node, until the next call.

        Args:
            snapshot: the cluster.
            now_s: seconds on any clock that only goes forward; what was learned fades with it.
        """
        if self._observed is not None:
            self._observed.learn(snapshot, now_s)
            self._slowdowns = {**self._observed.slowdowns(now_s), **self._given}
        self._count_pods(snapshot)

    def _count_pods(self, snapshot: Snapshot) -> None:
        self._names = snapshot.node_names
        self._counts = {name: _count(name, snapshot) for pair in self._slowdowns for name in pair}

    def score(self, pod: Pod, snapshot: Snapshot, rows: IntArray) -> FloatArray | None:
        """Return 0 to 1 per candidate; ``None`` when nothing is known about the pod's class."""
        own = workload_class(pod.labels)
        lost = self._lost_beside(own) if own else {}
        if not lost:
            return None
        if self._names is not snapshot.node_names:
            self._count_pods(snapshot)
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
