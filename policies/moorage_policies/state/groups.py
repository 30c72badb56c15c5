"""Placed pods counted by node, in groups that no neighbour rule can tell apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from moorage_policies.state.shards import FrozenShards, Shards
from moorage_policies.types import NO_AFFINITY, Affinity, Pod

GroupKey = tuple[str, frozenset[tuple[str, str]], bool, Affinity]


@dataclass(frozen=True, slots=True)
class PodGroup:
    """Live pods of one namespace with equal labels and inter-pod terms.

    Replicas of a workload fall into one group, so affinity and spread are matched once per group
    instead of once per pod.

    Args:
        namespace: their namespace.
        labels: their labels.
        terminating: whether they are on their way out.
        affinity: their affinity; ``NO_AFFINITY`` when it holds no inter-pod term.
        counts: how many of them each node holds, by node name; unknown nodes included.
    """

    namespace: str
    labels: Mapping[str, str]
    terminating: bool
    affinity: Affinity
    counts: Mapping[str, int]


def group_key(pod: Pod) -> GroupKey:
    """Return what neighbour rules see of a pod."""
    affinity = pod.affinity if _has_pod_terms(pod.affinity) else NO_AFFINITY
    return pod.namespace, frozenset(pod.labels.items()), pod.terminating, affinity


class Groups:
    """All groups with one writer; ``freeze`` shares everything that did not change."""

    __slots__ = ("_counts", "_groups", "_with_terms")

    def __init__(self) -> None:
        self._groups: Shards[GroupKey, PodGroup] = Shards(hash)  # sums do not depend on the order
        self._with_terms: Shards[GroupKey, PodGroup] = Shards(hash)
        self._counts: dict[GroupKey, dict[str, int]] = {}  # not yet seen by any reader

    def count(self, pod: Pod, node: str, change: int) -> None:
        """Count the pod in (``+1``) or out (``-1``) on the node."""
        key = group_key(pod)
        counts = self._counts.get(key)
        if counts is None:
            group = self._groups.get(key)
            counts = self._counts[key] = dict(group.counts) if group else {}
            self._put(key, PodGroup(pod.namespace, pod.labels, pod.terminating, key[-1], counts))
        counts[node] = counts.get(node, 0) + change
        if counts[node] == 0:
            del counts[node]
        if not counts:
            del self._counts[key]
            self._groups.drop(key)
            self._with_terms.drop(key)

    def freeze(
        self,
    ) -> tuple[FrozenShards[GroupKey, PodGroup], FrozenShards[GroupKey, PodGroup]]:
        """Return all groups as they are now, and those of them with inter-pod terms."""
        self._counts.clear()
        return self._groups.freeze(), self._with_terms.freeze()

    def _put(self, key: GroupKey, group: PodGroup) -> None:
        self._groups.put(key, group)
        if group.affinity is not NO_AFFINITY:
            self._with_terms.put(key, group)


def _has_pod_terms(affinity: Affinity) -> bool:
    return affinity is not NO_AFFINITY and bool(
        affinity.required_pod_affinity
        or affinity.required_pod_anti_affinity
        or affinity.preferred_pod_affinity
        or affinity.preferred_pod_anti_affinity
    )
