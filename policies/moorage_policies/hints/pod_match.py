"""Which pods a hint's words mean, and how many of them each node or domain holds."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import numpy as np

from moorage_policies.hints.canonical import name_words
from moorage_policies.hints.intent import ANY, SELF
from moorage_policies.hints.node_match import domain_codes
from moorage_policies.state import ABSENT, NodeTable, PodGroup, Snapshot
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
    groups = [group for group in snapshot.groups.every.values() if not group.terminating]
    if target == SELF:
        return _counts(_siblings(pod, groups), snapshot)
    meant = [group for group in groups if _is_meant(target, group)]
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
    counts = np.zeros(len(snapshot.nodes), dtype=np.float64)
    index = snapshot.node_index
    for group in groups:
        for name, count in group.counts.items():
            row = index.get(name)
            if row is not None:
                counts[row] += count
    return counts if counts.any() else None


def _siblings(pod: Pod, groups: Iterable[PodGroup]) -> list[PodGroup]:
    """Return the groups of the pod's own workload: the same labels but for what replicas own."""
    wanted = {(k, v) for k, v in pod.labels.items() if k not in _OWN_TO_EACH}
    if not wanted:
        return []
    return [
        group
        for group in groups
        if group.namespace == pod.namespace and wanted <= group.labels.items()
    ]


def _is_meant(target: str, group: PodGroup) -> bool:
    if target.startswith("namespace="):
        return group.namespace == target.removeprefix("namespace=")
    if "=" in target:
        key, _, value = target.partition("=")
        return group.labels.get(key, "").casefold() == value.lstrip("=")
    namespace, slash, name = target.rpartition("/")
    if slash and group.namespace != namespace:
        return False
    wanted = _words(name)
    labels = group.labels
    return any(wanted <= _words(labels[key]) for key in NAMING_KEYS if key in labels)


@lru_cache(maxsize=8192)
def _words(name: str) -> frozenset[str]:
    return frozenset(name_words(name.casefold()).split("-"))
