"""kube-scheduler's default scores: every plugin 0 to 100, times its default weight."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np

from moorage_policies.scoring.neighbours import PreferredNeighbours, SoftSpread
from moorage_policies.scoring.soft import LocalImages, PreferredNodes, SoftTaints
from moorage_policies.simulation.books import Books, assumed_request
from moorage_policies.state import ABSENT, Snapshot
from moorage_policies.types import (
    CPU,
    MEMORY,
    FloatArray,
    IntArray,
    LabelSelector,
    Pod,
    Requirement,
    TopologySpread,
)

Balance = Literal["change", "level"]

FULL = 100
HOSTNAME, ZONE = "kubernetes.io/hostname", "topology.kubernetes.io/zone"
DEFAULT_SPREAD = ((HOSTNAME, 3), (ZONE, 5))
OWN_LABELS = (
    "statefulset.kubernetes.io/pod-name",
    "apps.kubernetes.io/pod-index",
    ZONE,  # newer API servers copy the node's topology onto a pod when it is bound
    "topology.kubernetes.io/region",
)
"""Labels in which replicas of one workload differ."""


class StockScores:
    """The default profile's scores.

    Args:
        balance: how NodeResourcesBalancedAllocation judges: by the node's balance after the pod
            (``level``, as in 1.34) or by what the pod changes in it (``change``, as in 1.37).
        default_spread: whether pods of a workload spread by the built-in default constraints.
    """

    __slots__ = ("_balance", "_default_spread", "_spread", "_weighted")

    def __init__(self, *, balance: Balance, default_spread: bool) -> None:
        self._balance = balance
        self._default_spread = default_spread
        self._spread = SoftSpread()
        self._weighted = (
            (3, SoftTaints()),
            (2, PreferredNodes()),
            (2, PreferredNeighbours()),
            (1, LocalImages()),
        )

    def total(self, pod: Pod, snapshot: Snapshot, rows: IntArray, books: Books) -> IntArray:
        """Return the weighted sum of all plugins per candidate row, shape ``(candidates,)``."""
        total = least_allocated(pod, snapshot, rows, books)
        total += balanced_allocation(pod, snapshot, rows, self._balance)
        for weight, scorer in self._weighted:
            values = scorer.score(pod, snapshot, rows)
            if values is not None:
                total += weight * _points(values)
        spreading = self._with_default_spread(pod, snapshot)
        values = self._spread.score(spreading, snapshot, rows)
        return total if values is None else total + 2 * _points(values)

    def _with_default_spread(self, pod: Pod, snapshot: Snapshot) -> Pod:
        """Return the pod with the constraints that the scheduler adds to pods of a workload."""
        if pod.spread or pod.owner is None or not self._default_spread or not pod.labels:
            return pod
        selector = LabelSelector(
            tuple(Requirement(k, "In", (v,)) for k, v in pod.labels.items() if k not in OWN_LABELS)
        )
        constraints = tuple(
            TopologySpread(key, max_skew, hard=False, selector=selector)
            for key, max_skew in DEFAULT_SPREAD
            if not (snapshot.table.label(key).codes == ABSENT).any()
        )
        return replace(pod, spread=constraints)


def least_allocated(pod: Pod, snapshot: Snapshot, rows: IntArray, books: Books) -> IntArray:
    """Return NodeResourcesFit's LeastAllocated over CPU and memory: free share after the pod."""
    score = np.zeros(len(rows), dtype=np.int64)
    offered = np.zeros(len(rows), dtype=np.int64)
    for resource in (CPU, MEMORY):
        column = snapshot.columns[resource]
        capacity = snapshot.allocatable[rows, column]
        asked = pod.requests.get(resource, 0) + assumed_request(pod, resource)
        taken = snapshot.requested[rows, column] + books.assumed(resource)[rows] + asked
        left = np.maximum(capacity - taken, 0) * FULL // np.maximum(capacity, 1)
        score += np.where(capacity > 0, left, 0)
        offered += capacity > 0
    return score // np.maximum(offered, 1)


def balanced_allocation(pod: Pod, snapshot: Snapshot, rows: IntArray, balance: Balance) -> IntArray:
    """Return NodeResourcesBalancedAllocation over CPU and memory; zeros for a best-effort pod."""
    asked = {resource: pod.requests.get(resource, 0) for resource in (CPU, MEMORY)}
    if not any(asked.values()):
        return np.zeros(len(rows), dtype=np.int64)
    after = _balance_of(snapshot, rows, asked)
    if balance == "level":
        return after
    before = _balance_of(snapshot, rows, {})
    return FULL // 2 + (FULL // 2 + after - before) // 2


def _balance_of(snapshot: Snapshot, rows: IntArray, asked: dict[str, int]) -> IntArray:
    shares = []
    for resource in (CPU, MEMORY):
        column = snapshot.columns[resource]
        capacity = snapshot.allocatable[rows, column]
        taken = snapshot.requested[rows, column] + asked.get(resource, 0)
        share = np.minimum(taken / np.maximum(capacity, 1), 1.0)
        shares.append(np.where(capacity > 0, share, np.nan))
    deviation = np.nan_to_num(np.abs(shares[0] - shares[1]) / 2)  # one resource alone: balanced
    points: IntArray = ((1 - deviation) * FULL).astype(np.int64)
    return points


def _points(values: FloatArray) -> IntArray:
    """Return 0 to 1 as the whole points that a plugin gives; exact steps are not rounded down."""
    points: IntArray = (values * FULL + 1e-9).astype(np.int64)
    return points
