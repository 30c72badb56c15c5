"""The first answer: best fit by priority, moving one running pod away where that helps."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from moorage_policies.packing.instance import Instance
from moorage_policies.packing.search import Answer, score_of
from moorage_policies.types import BoolArray, FloatArray, IntArray


def place_pending(instance: Instance, start: Answer, *, go_on: Callable[[], bool]) -> Answer:
    """Return ``start`` with more pods placed, running ones moved at most one at a time.

    Pods that are tied to others (gangs, spread, affinity, limits, budgets) are left alone.

    Args:
        instance: the problem.
        start: the answer to build on.
        go_on: asked before every pod.
    """
    placement = start.placement.copy()
    free = instance.free(placement)
    if not instance.nodes:
        return start
    scale = 1.0 / np.maximum(instance.capacity.mean(axis=0), 1.0)
    tied = _tied(instance)
    waiting = np.flatnonzero((placement < 0) & (instance.current < 0) & ~tied)
    size = (instance.requests * scale).sum(axis=1)
    for pod in waiting[np.lexsort((size[waiting], instance.tier[waiting]))].tolist():
        if not go_on():
            break
        node = _best_fit(instance, free, scale, pod)
        if node < 0:
            node = _by_one_ejection(instance, placement, free, scale, pod, tied)
        if node >= 0:
            placement[pod] = node
            free[node] -= instance.requests[pod]
    found = Answer(placement, score_of(instance, placement))
    return found if found.beats(start) else start


def _tied(instance: Instance) -> BoolArray:
    mask = instance.entangled()
    for limit in instance.limits:
        mask[limit.members] = True
    for budget in instance.budgets:
        mask[budget.members] = True
    return mask


def _best_fit(
    instance: Instance, free: IntArray, scale: FloatArray, pod: int, avoid: int = -1
) -> int:
    """Return the accepting node that is left with the least room, -1 for none."""
    room = free - instance.requests[pod]
    fits = (room >= 0).all(axis=1) & instance.accepts(pod)
    if avoid >= 0:
        fits[avoid] = False
    rows = np.flatnonzero(fits)
    if not len(rows):
        return -1
    return int(rows[(room[rows] * scale).sum(axis=1).argmin()])


def _by_one_ejection(
    instance: Instance,
    placement: IntArray,
    free: IntArray,
    scale: FloatArray,
    pod: int,
    tied: BoolArray,
) -> int:
    """Make room by moving one running pod to its best fit elsewhere; return the freed node."""
    placed = np.flatnonzero((placement >= 0) & instance.movable & ~tied)
    nodes = placement[placed]
    room = free[nodes] + instance.requests[placed] - instance.requests[pod]
    helps = (room >= 0).all(axis=1) & instance.accepts(pod)[nodes]
    candidates = placed[helps]
    order = np.argsort((instance.requests[candidates] * scale).sum(axis=1), kind="stable")
    for other in candidates[order][:EJECTIONS_TRIED].tolist():
        node = int(placement[other])
        target = _best_fit(instance, free, scale, other, avoid=node)
        if target >= 0:
            placement[other] = target
            free[target] -= instance.requests[other]
            free[node] += instance.requests[other]
            return node
    return -1


EJECTIONS_TRIED = 16
