"""The first answer: best fit by priority, moving running pods away where that helps."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from moorage_policies.packing.instance import Instance
from moorage_policies.packing.search import Answer, score_of
from moorage_policies.types import BoolArray, FloatArray, IntArray


def place_pending(instance: Instance, start: Answer, *, go_on: Callable[[], bool]) -> Answer:
    """Return ``start`` with more pods placed, the pods of one node moved away where that helps.

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
            node = _by_ejections(instance, placement, free, scale, pod, tied)
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


def _by_ejections(
    instance: Instance,
    placement: IntArray,
    free: IntArray,
    scale: FloatArray,
    pod: int,
    tied: BoolArray,
) -> int:
    """Make room by moving pods of one node to their best fits elsewhere; return that node.

    Nodes that lack the least are tried first: the pod of 8 GPUs goes where the fewest must leave.
    """
    lacks = (np.maximum(instance.requests[pod] - free, 0) * scale).sum(axis=1)
    whole = (instance.requests[pod] <= instance.capacity).all(axis=1) & instance.accepts(pod)
    candidates = np.flatnonzero(whole)
    candidates = candidates[np.argsort(lacks[candidates], kind="stable")][:NODES_TRIED]
    for node in candidates.tolist():
        moves = _clear(instance, placement, free, scale, pod, node, tied)
        if moves is None:
            continue
        for other, target in moves:
            placement[other] = target
            free[target] -= instance.requests[other]
            free[node] += instance.requests[other]
        return int(node)
    return -1


def _clear(
    instance: Instance,
    placement: IntArray,
    free: IntArray,
    scale: FloatArray,
    pod: int,
    node: int,
    tied: BoolArray,
) -> list[tuple[int, int]] | None:
    """Return which pods of the node go where so that the pod fits, ``None`` if they cannot."""
    here = np.flatnonzero((placement == node) & instance.movable & ~tied)
    here = here[np.argsort((instance.requests[here] * scale).sum(axis=1), kind="stable")]
    tentative = free.copy()
    moves: list[tuple[int, int]] = []
    for other in here.tolist():
        lacking = tentative[node] < instance.requests[pod]
        if not lacking.any():
            break
        if not instance.requests[other][lacking].any():
            continue
        target = _best_fit(instance, tentative, scale, other, avoid=node)
        if target >= 0:
            tentative[target] -= instance.requests[other]
            tentative[node] += instance.requests[other]
            moves.append((other, target))
    return moves if (tentative[node] >= instance.requests[pod]).all() else None


NODES_TRIED = 24
