"""kube-scheduler's preferences about neighbours: preferred (anti-)affinity and soft spread.

Each scorer gives what the in-tree plugin of the same purpose gives, divided by 100.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from moorage_policies.feasibility.domains import add_counts, count_domains
from moorage_policies.feasibility.spread import counted_domains
from moorage_policies.matching import term_selects
from moorage_policies.state import ABSENT, FrozenGroups, PodGroup, Snapshot
from moorage_policies.types import (
    BoolArray,
    FloatArray,
    IntArray,
    Pod,
    PodAffinityTerm,
    TopologySpread,
)

REQUIRED_AFFINITY_WEIGHT = 1
"""kube-scheduler's default ``hardPodAffinityWeight``: placed pods that require company like it."""

HOSTNAME = "kubernetes.io/hostname"


class PreferredNeighbours:
    """Preferred inter-pod terms, the pod's own and those of placed pods that select it."""

    name = "preferred-neighbours"

    def score(self, pod: Pod, snapshot: Snapshot, rows: IntArray) -> FloatArray | None:
        """Return 0 to 1 per candidate; ``None`` when no placed pod is liked, disliked or likes."""
        liking = _liking_by_node(pod, snapshot)
        if not liking:
            return None
        points = np.zeros(len(rows), dtype=np.float64)
        for key, by_node in liking.items():
            domains = count_domains(snapshot, key, by_node)
            points += domains.counts[domains.codes[rows]]
        return _between_extremes(points)


def _liking_by_node(pod: Pod, snapshot: Snapshot) -> dict[str, IntArray]:
    """Return by topology key the weight that placed pods bring to their node, ``(nodes,)``."""
    liking: dict[str, IntArray] = {}
    for key, weight, group in _opinions(pod, snapshot.groups):
        by_node = liking.setdefault(key, np.zeros(len(snapshot.nodes), dtype=np.int64))
        add_counts(by_node, group.counts, weight, snapshot.node_index)
    return liking


def _opinions(pod: Pod, groups: FrozenGroups) -> Iterator[tuple[str, int, PodGroup]]:
    """Yield topology key, weight and group for every term that ties the pod to placed pods."""
    for weight, term in _own_terms(pod):
        for group in groups.worth_matching(term.selector):
            if term_selects(term, pod.namespace, group.namespace, group.labels):
                yield term.topology_key, weight, group
    if not groups.with_terms:  # the common case, much quicker than walking an empty mapping
        return
    for group in groups.with_terms.values():
        for weight, term in _standing_terms(group):
            if term_selects(term, group.namespace, pod.namespace, pod.labels):
                yield term.topology_key, weight, group


def _own_terms(pod: Pod) -> Iterator[tuple[int, PodAffinityTerm]]:
    for near in pod.affinity.preferred_pod_affinity:
        yield near.weight, near.term
    for far in pod.affinity.preferred_pod_anti_affinity:
        yield -far.weight, far.term


def _standing_terms(group: PodGroup) -> Iterator[tuple[int, PodAffinityTerm]]:
    for required in group.affinity.required_pod_affinity:
        yield REQUIRED_AFFINITY_WEIGHT, required
    for near in group.affinity.preferred_pod_affinity:
        yield near.weight, near.term
    for far in group.affinity.preferred_pod_anti_affinity:
        yield -far.weight, far.term


class SoftSpread:
    """Topology spread constraints that say ``ScheduleAnyway``."""

    name = "soft-spread"

    def score(self, pod: Pod, snapshot: Snapshot, rows: IntArray) -> FloatArray | None:
        """Return 0 to 1 per candidate; ``None`` when the pod has no such constraint.

        A candidate without one of the topology labels gets 0.
        """
        soft = [constraint for constraint in pod.spread if not constraint.hard]
        if not soft:
            return None
        labelled = np.all(
            [snapshot.table.label(c.topology_key).codes != ABSENT for c in soft], axis=0
        )
        inside = labelled[rows]
        crowd = np.zeros(len(rows), dtype=np.float64)
        for constraint in soft:
            counted = counted_domains(pod, constraint, labelled, snapshot).domains
            codes = counted.codes[rows]
            crowd += counted.counts[codes] * _spread_weight(constraint, codes[inside])
            crowd += constraint.max_skew - 1
        return np.where(inside, _less_is_better(np.rint(crowd), inside), 0.0)


def _spread_weight(constraint: TopologySpread, codes: IntArray) -> float:
    """Return more for keys with many domains, which otherwise count few pods each."""
    domains = len(codes) if constraint.topology_key == HOSTNAME else len(np.unique(codes))
    return math.log(domains + 2)


def _less_is_better(crowd: FloatArray, inside: BoolArray) -> FloatArray:
    most, least = crowd[inside].max(initial=0.0), crowd[inside].min(initial=np.inf)
    return np.ones_like(crowd) if most == 0 else (most + least - crowd) / most


def _between_extremes(points: FloatArray) -> FloatArray:
    span = np.ptp(points) if len(points) else 0.0
    return (points - points.min()) / span if span else np.zeros_like(points)
