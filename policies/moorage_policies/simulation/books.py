"""What the stock scheduler's formulas need beside a snapshot, kept up to date bind by bind."""

from __future__ import annotations

import numpy as np

from moorage_policies.state import Snapshot
from moorage_policies.types import CPU, MEMORY, IntArray, Pod

UNREQUESTED = {CPU: 100, MEMORY: 200 * 1024 * 1024}
"""What kube-scheduler's scores assume of a pod that requests nothing: 100 m and 200 MiB."""


class Books:
    """Requests by priority and assumed requests of best-effort pods, by row.

    Args:
        snapshot: the cluster to start from.
    """

    __slots__ = ("_assumed", "_by_priority", "_names", "_resources")

    def __init__(self, snapshot: Snapshot) -> None:
        self._start(snapshot)

    def follow(self, snapshot: Snapshot) -> None:
        """Start over if nodes or resources are not those of before."""
        if self._names is not snapshot.node_names or self._resources != snapshot.resources:
            self._start(snapshot)

    def count(self, pod: Pod, snapshot: Snapshot, row: int, change: int) -> None:
        """Count a pod in (``+1``) or out (``-1``) on the row."""
        of_priority = self._by_priority.get(pod.priority)
        if of_priority is None:
            of_priority = self._by_priority[pod.priority] = np.zeros_like(snapshot.requested)
        of_priority[row] += change * snapshot.known_demand_of(pod)
        for position, resource in enumerate(UNREQUESTED):
            self._assumed[row, position] += change * assumed_request(pod, resource)

    def assumed(self, resource: str) -> IntArray:
        """Return what scores assume for pods that request none of it, shape ``(nodes,)``."""
        column: IntArray = self._assumed[:, list(UNREQUESTED).index(resource)]
        return column

    def below(self, priority: int) -> IntArray | None:
        """Return what pods of lower priority request, shape ``(nodes, resources)``.

        ``None`` when there are no such pods.
        """
        lower = [amounts for level, amounts in self._by_priority.items() if level < priority]
        return np.sum(lower, axis=0) if lower else None

    def _start(self, snapshot: Snapshot) -> None:
        self._names = snapshot.node_names
        self._resources = snapshot.resources
        self._by_priority: dict[int, IntArray] = {}
        self._assumed: IntArray = np.zeros((len(snapshot.nodes), len(UNREQUESTED)), dtype=np.int64)
        for row, pods in enumerate(snapshot.node_pods):
            for pod in pods:
                self.count(pod, snapshot, row, +1)


def assumed_request(pod: Pod, resource: str) -> int:
    """Return what scores assume of the pod beyond what it requests."""
    return 0 if pod.requests.get(resource, 0) else UNREQUESTED[resource]
