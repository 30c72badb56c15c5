"""Which pods a hint's words mean, and how many of them each node or domain holds."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import repeat

import numpy as np

from moorage_policies.hints.canonical import name_words
from moorage_policies.hints.intent import ANY, SELF
from moorage_policies.hints.memory import HintMemory
from moorage_policies.hints.node_match import domain_codes
from moorage_policies.state import ABSENT, NodeTable, PodGroup, Snapshot
from moorage_policies.state.groups import GroupKey
from moorage_policies.types import PODS, FloatArray, IntArray, Pod

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


def counts_of(target: str, pod: Pod, snapshot: Snapshot, memory: HintMemory) -> FloatArray | None:
    """Return how many pods of the target each node holds; ``None`` when none runs anywhere.

    Pods of the pod's own namespace are meant first, pods elsewhere only if none is there.
    """
    if target == ANY:
        column = snapshot.resources.index(PODS)
        return snapshot.requested[:, column].astype(np.float64)
    if target == SELF:
        counts = _counted(_siblings_of(pod), snapshot, memory)
        return counts if counts.any() else None
    for namespace in (pod.namespace, None):
        counts = _counted(_named(target, namespace), snapshot, memory)
        if counts.any():
            return counts
    return None


def by_domain(counts: FloatArray, key: str, table: NodeTable) -> FloatArray:
    """Return per node how many its whole domain holds; nodes of no domain stand alone."""
    codes = domain_codes(table, key)
    if codes is None or key == "hostname":
        return counts
    inside = codes != ABSENT
    sums = np.bincount(codes[inside], weights=counts[inside], minlength=int(codes.max()) + 1)
    return np.where(inside, sums[codes], counts)


@dataclass(frozen=True, slots=True)
class _Meant:
    """Which pods are meant.

    Args:
        key: tells it from others.
        holds: whether a pod of this namespace and these labels is one.
        groups: gives the groups that may hold some.
    """

    key: Hashable
    holds: Callable[[str, Mapping[str, str]], bool]
    groups: Callable[[Snapshot], Iterable[PodGroup]]


def _counted(meant: _Meant, snapshot: Snapshot, memory: HintMemory) -> FloatArray:
    """Return how many of the meant pods each node holds, shape ``(nodes,)``."""

    def work_out(rows: IntArray | None) -> FloatArray:
        if rows is None:
            groups = (group for group in meant.groups(snapshot) if not group.terminating)
            return _counts((g for g in groups if meant.holds(g.namespace, g.labels)), snapshot)
        return np.array([_count(meant, snapshot.pods_on(row)) for row in rows.tolist()], np.float64)

    return memory.by_row(("pods", meant.key), snapshot, work_out)


def _count(meant: _Meant, pods: Iterable[Pod]) -> int:
    return sum(not pod.terminating and meant.holds(pod.namespace, pod.labels) for pod in pods)


def _counts(groups: Iterable[PodGroup], snapshot: Snapshot) -> FloatArray:
    size, index = len(snapshot.nodes), snapshot.node_index
    total = np.zeros(size + 1, dtype=np.float64)
    for group in groups:
        rows = np.fromiter(map(index.get, group.counts, repeat(size)), np.int64, len(group.counts))
        total[rows] += np.fromiter(group.counts.values(), np.float64, len(group.counts))
    return total[:size].copy()  # behind them: nodes that nobody knows


def _siblings_of(pod: Pod) -> _Meant:
    """Return the pods of the pod's own workload: the same labels but for what replicas own."""
    wanted = frozenset((k, v) for k, v in pod.labels.items() if k not in _OWN_TO_EACH)

    def groups(snapshot: Snapshot) -> Iterable[PodGroup]:
        by_label = snapshot.groups.by_label
        held: list[Mapping[GroupKey, None]] = [by_label.get(label, {}) for label in wanted]
        return map(snapshot.groups.every.__getitem__, min(held, key=len) if held else ())

    def holds(namespace: str, labels: Mapping[str, str]) -> bool:
        return bool(wanted) and namespace == pod.namespace and wanted <= labels.items()

    return _Meant((SELF, pod.namespace, wanted), holds, groups)


def _named(target: str, within: str | None) -> _Meant:
    """Return the pods that a target names, of one namespace or, for ``None``, of all."""
    namespace, slash, name = target.rpartition("/")
    if "=" in target or not slash:
        namespace, name = within or "", target
    elif within not in {None, namespace}:
        namespace, name = "", ""
    is_meant = _label_test(name)

    def holds(of: str, labels: Mapping[str, str]) -> bool:
        if namespace and of != namespace:
            return False
        if name.startswith("namespace="):
            return of == name.removeprefix("namespace=")
        return bool(name) and any(is_meant(key, value) for key, value in labels.items())

    def groups(snapshot: Snapshot) -> Iterable[PodGroup]:
        if name.startswith("namespace="):
            return snapshot.groups.every.values()
        return _carrying(is_meant, snapshot) if name else ()

    return _Meant((target, within), holds, groups)


def _label_test(name: str) -> Callable[[str, str], bool]:
    """Return what tells labels that a name or ``key=value`` means."""
    if "=" in name:
        key, _, value = name.partition("=")
        return lambda k, v: k == key and v.casefold() == value.lstrip("=")
    wanted = _words(name)
    return lambda k, v: k in _NAMING and wanted <= _words(v)


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
