"""Which pods a hint's words mean, and how many of them each node or domain holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from itertools import repeat

import numpy as np

from moorage_policies.hints.canonical import name_words
from moorage_policies.hints.intent import ANY, SELF
from moorage_policies.hints.node_match import domain_codes
from moorage_policies.state import ABSENT, NodeTable, PodGroup, Snapshot
from moorage_policies.state.groups import GroupKey
from moorage_policies.types import PODS, FloatArray, Pod

NAMING_KEYS = (
    "app",
    "app.kubernetes.io/name",
    "app.kubernetes.io/instance",
    "app.kubernetes.io/component",
    "app.kubernetes.io/part-of",
    "k8s-app",
    "component",
    "role",
    "tier",
    "team",
    "tenant",
    "name",
    "service",
    "workload",
    "job-name",
    "batch.kubernetes.io/job-name",
    "moorage.dev/pool",
    "moorage.dev/role",
)
"""Labels of a pod that say what people would call it."""

_NAMING = frozenset(NAMING_KEYS)
_OWN_TO_EACH = {"pod-template-hash", "controller-revision-hash", "pod-template-generation"}
_OWN_TO_EACH |= {"statefulset.kubernetes.io/pod-name", "apps.kubernetes.io/pod-index"}
"""Labels in which replicas of one workload differ."""


def counts_of(target: str, pod: Pod, snapshot: Snapshot) -> FloatArray | None:
    """Return how many pods of the target each node holds; ``None`` when none runs anywhere.

    Pods of the pod's own namespace are meant first, pods elsewhere only if none is there.
    """
    if target == ANY:
        column = snapshot.resources.index(PODS)
        return snapshot.requested[:, column].astype(np.float64)
    if target == SELF:
        return _counts(_siblings(pod, snapshot), snapshot)
    meant = [group for group in _groups_meant(target, snapshot) if not group.terminating]
    own = [group for group in meant if group.namespace == pod.namespace]
    return _counts(own or meant, snapshot)


def by_domain(counts: FloatArray, key: str, table: NodeTable) -> FloatArray:
    """Return per node how many its whole domain holds; nodes of no domain stand alone."""
    codes = domain_codes(table, key)
    if codes is None or key == "hostname":
        return counts
    inside = codes != ABSENT
    sums = np.bincount(codes[inside], weights=counts[inside], minlength=int(codes.max()) + 1)
    return np.where(inside, sums[codes], counts)


def _counts(groups: Iterable[PodGroup], snapshot: Snapshot) -> FloatArray | None:
    size, index = len(snapshot.nodes), snapshot.node_index
    total = np.zeros(size + 1, dtype=np.float64)
    for group in groups:
        rows = np.fromiter(map(index.get, group.counts, repeat(size)), np.int64, len(group.counts))
        total[rows] += np.fromiter(group.counts.values(), np.float64, len(group.counts))
    counts = total[:size]  # behind them: nodes that nobody knows
    return counts if counts.any() else None


def _siblings(pod: Pod, snapshot: Snapshot) -> list[PodGroup]:
    """Return the groups of the pod's own workload: the same labels but for what replicas own."""
    wanted = {(k, v) for k, v in pod.labels.items() if k not in _OWN_TO_EACH}
    if not wanted:
        return []
    groups = snapshot.groups
    held: list[Mapping[GroupKey, None]] = [groups.by_label.get(label, {}) for label in wanted]
    fewest = min(held, key=len)
    return [
        group
        for group in map(groups.every.__getitem__, fewest)
        if group.namespace == pod.namespace
        and not group.terminating
        and wanted <= group.labels.items()
    ]


def _groups_meant(target: str, snapshot: Snapshot) -> Iterable[PodGroup]:
    """Return the groups that a target names, those on their way out included."""
    every = snapshot.groups.every
    if target.startswith("namespace="):
        namespace = target.removeprefix("namespace=")
        return [group for group in every.values() if group.namespace == namespace]
    if "=" in target:
        key, _, value = target.partition("=")
        return _carrying(lambda k, v: k == key and v.casefold() == value.lstrip("="), snapshot)
    namespace, slash, name = target.rpartition("/")
    wanted = _words(name)
    found = _carrying(lambda k, v: k in _NAMING and wanted <= _words(v), snapshot)
    return [group for group in found if group.namespace == namespace] if slash else found


def _carrying(is_meant: Callable[[str, str], bool], snapshot: Snapshot) -> list[PodGroup]:
    """Return the groups with a label of that sort; labels are fewer than groups."""
    groups = snapshot.groups
    keys = {
        group: None
        for (key, value), held in groups.by_label.items()
        if is_meant(key, value)
        for group in held
    }
    return [groups.every[key] for key in keys]


@lru_cache(maxsize=8192)
def _words(name: str) -> frozenset[str]:
    return frozenset(name_words(name.casefold()).split("-"))
