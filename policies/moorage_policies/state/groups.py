"""Placed pods counted by node, in groups that no neighbour rule can tell apart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from moorage_policies.state.shards import FrozenShards, Shards
from moorage_policies.types import NO_AFFINITY, Affinity, LabelSelector, Pod

Label = tuple[str, str]
GroupKey = tuple[str, frozenset[Label], bool, Affinity]


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


class FrozenGroups(NamedTuple):
    """All groups at one moment.

    Args:
        every: all groups.
        with_terms: those whose pods have inter-pod terms.
        by_label: keys of the groups that carry a label, by key and value.
    """

    every: FrozenShards[GroupKey, PodGroup]
    with_terms: FrozenShards[GroupKey, PodGroup]
    by_label: FrozenShards[Label, Mapping[GroupKey, None]]

    def worth_matching(self, selector: LabelSelector | None) -> Iterable[PodGroup]:
        """Return every group that the selector can match, and few others."""
        if selector is None:
            return ()
        asked = [
            self.by_label.get((requirement.key, requirement.values[0]), {})
            for requirement in selector.requirements
            if requirement.operator == "In" and len(requirement.values) == 1
        ]
        if not asked:
            return self.every.values()
        return [self.every[key] for key in min(asked, key=len)]


def group_key(pod: Pod) -> GroupKey:
    """Return what neighbour rules see of a pod."""
    affinity = pod.affinity if _has_pod_terms(pod.affinity) else NO_AFFINITY
    return pod.namespace, frozenset(pod.labels.items()), pod.terminating, affinity


class Groups:
    """All groups with one writer; ``freeze`` shares everything that did not change."""

    __slots__ = ("_by_label", "_counts", "_groups", "_labelled", "_with_terms")

    def __init__(self) -> None:
        self._groups: Shards[GroupKey, PodGroup] = Shards(hash)  # sums do not depend on the order
        self._with_terms: Shards[GroupKey, PodGroup] = Shards(hash)
        self._by_label: Shards[Label, Mapping[GroupKey, None]] = Shards(hash)
        # what no reader has seen yet and may be written to
        self._counts: dict[GroupKey, dict[str, int]] = {}
        self._labelled: dict[Label, dict[GroupKey, None]] = {}

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
            self._drop(key)

    def freeze(self) -> FrozenGroups:
        """Return the groups as they are now."""
        self._counts.clear()
        self._labelled.clear()
        return FrozenGroups(
            self._groups.freeze(), self._with_terms.freeze(), self._by_label.freeze()
        )

    def _put(self, key: GroupKey, group: PodGroup) -> None:
        if key not in self._groups:
            for label in key[1]:
                self._keys_of(label)[key] = None
        self._groups.put(key, group)
        if group.affinity is not NO_AFFINITY:
            self._with_terms.put(key, group)

    def _drop(self, key: GroupKey) -> None:
        self._groups.drop(key)
        self._with_terms.drop(key)
        for label in key[1]:
            keys = self._keys_of(label)
            del keys[key]
            if not keys:
                del self._labelled[label]
                self._by_label.drop(label)

    def _keys_of(self, label: Label) -> dict[GroupKey, None]:
        keys = self._labelled.get(label)
        if keys is None:
            keys = self._labelled[label] = dict(self._by_label.get(label, {}))
            self._by_label.put(label, keys)
        return keys


def _has_pod_terms(affinity: Affinity) -> bool:
    return affinity is not NO_AFFINITY and bool(
        affinity.required_pod_affinity
        or affinity.required_pod_anti_affinity
        or affinity.preferred_pod_affinity
        or affinity.preferred_pod_anti_affinity
    )
