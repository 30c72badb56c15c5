"""Replicas of a workload counted from its pods."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from moorage_operator.manifests.names import LWS_GROUP_INDEX_LABEL
from moorage_policies.types import Pod


@dataclass(frozen=True, slots=True)
class ReplicaCount:
    """How far the replicas of one workload are.

    Args:
        existing: replicas of which at least one pod exists.
        placed: replicas whose pods all have a node.
        ready: replicas whose pods are all ready.
        stuck: replicas that the scheduler has refused for longer than the patience.
        patience_ends_s: when the next refused replica becomes stuck, ``None`` if none will.
    """

    existing: int
    placed: int
    ready: int
    stuck: int
    patience_ends_s: float | None


def count_replicas(
    pods: Iterable[Pod], pods_per_replica: int, *, now_s: float, patience_s: float
) -> ReplicaCount:
    """Return the counts; pods that are going away belong to no replica any more."""
    groups = _group((pod for pod in pods if not pod.terminating), pods_per_replica)
    refused = [_refused_since_s(group) for group in groups]
    ends_s = [since_s + patience_s for since_s in refused if since_s is not None]

    def complete(holds: Callable[[Pod], bool]) -> int:
        return sum(sum(map(holds, group)) >= pods_per_replica for group in groups)

    return ReplicaCount(
        existing=len(groups),
        placed=complete(lambda pod: pod.node is not None),
        ready=complete(lambda pod: pod.node is not None and pod.ready),
        stuck=sum(end_s <= now_s for end_s in ends_s),
        patience_ends_s=min((end_s for end_s in ends_s if end_s > now_s), default=None),
    )


def _group(pods: Iterable[Pod], pods_per_replica: int) -> list[list[Pod]]:
    if pods_per_replica == 1:
        return [[pod] for pod in pods]
    groups: defaultdict[str, list[Pod]] = defaultdict(list)
    for pod in pods:
        groups[pod.labels.get(LWS_GROUP_INDEX_LABEL, pod.uid)].append(pod)
    return list(groups.values())


def _refused_since_s(group: Iterable[Pod]) -> float | None:
    """Return when the oldest refused pod was made: the start of its wait."""
    return min(
        (pod.created_s for pod in group if pod.unschedulable and pod.node is None), default=None
    )
