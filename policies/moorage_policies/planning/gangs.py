"""Pods that make sense only together: all of them get a place, or none."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from moorage_policies.types import Pod

GANG_LABEL = "moorage.dev/gang"
"""Name of the pod's gang, unique within its namespace."""
GANG_SIZE_ANNOTATION = "moorage.dev/gang-size"
"""How many pods the gang has; it waits until all of them exist."""
GANG_TOPOLOGY_ANNOTATION = "moorage.dev/gang-topology"
"""Node label whose value all pods of the gang must share."""

POOL_LABEL = "moorage.dev/pool"
LWS_NAME_LABEL = "leaderworkerset.sigs.k8s.io/name"
LWS_GROUP_LABEL = "leaderworkerset.sigs.k8s.io/group-index"
LWS_SIZE_ANNOTATION = "leaderworkerset.sigs.k8s.io/size"
LWS_TOPOLOGY_ANNOTATION = "leaderworkerset.sigs.k8s.io/exclusive-topology"


@dataclass(frozen=True, slots=True)
class GangMark:
    """What a pod says about its gang.

    Args:
        name: the gang, unique in the cluster.
        size: how many pods it has, 1 when the pod does not tell.
        topology_key: node label that all share, ``None`` for any place.
    """

    name: str
    size: int = 1
    topology_key: str | None = None


def gang_of(pod: Pod) -> GangMark | None:
    """Return the gang of a pod, ``None`` for a pod that stands for itself.

    Groups of a LeaderWorkerSet are gangs where a pool made it: in others, workers may be made only
    after their leader runs, so that waiting for all of them would never end.
    """
    name = pod.labels.get(GANG_LABEL)
    if name:
        size = _count(pod.annotations.get(GANG_SIZE_ANNOTATION))
        key = pod.annotations.get(GANG_TOPOLOGY_ANNOTATION) or None
        return GangMark(f"{pod.namespace}/{name}", size, key)
    group = pod.labels.get(LWS_GROUP_LABEL)
    if group is None or not {LWS_NAME_LABEL, POOL_LABEL} <= pod.labels.keys():
        return None
    size = _count(pod.annotations.get(LWS_SIZE_ANNOTATION))
    key = pod.annotations.get(LWS_TOPOLOGY_ANNOTATION) or None
    full = f"{pod.namespace}/{pod.labels[LWS_NAME_LABEL]}/{group}"
    return GangMark(full, size, key) if size > 1 else None


def marks_of(pods: Iterable[Pod]) -> Mapping[str, GangMark]:
    """Return the gang of each pod that has one, by UID."""
    marks = ((pod.uid, gang_of(pod)) for pod in pods)
    return {uid: mark for uid, mark in marks if mark is not None}


def incomplete_gangs(pods: Iterable[Pod], marks: Mapping[str, GangMark]) -> Mapping[str, str]:
    """Return the gangs of which not all pods exist yet, and how many do.

    Args:
        pods: all live pods.
        marks: gang by UID.
    """
    counts: defaultdict[str, int] = defaultdict(int)
    sizes: defaultdict[str, int] = defaultdict(int)
    for pod in pods:
        mark = marks.get(pod.uid)
        if mark is not None and not pod.terminating:
            counts[mark.name] += 1
            sizes[mark.name] = max(sizes[mark.name], mark.size)
    return {
        name: f"{counts[name]} of {size} pods exist"
        for name, size in sizes.items()
        if counts[name] < size
    }


def _count(text: str | None) -> int:
    return int(text) if text is not None and text.isdecimal() and int(text) > 0 else 1
