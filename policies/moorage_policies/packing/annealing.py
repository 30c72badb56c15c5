"""The search kernel: simulated annealing over inserts, ejections, swaps, moves and home-comings.

Compiled, allocation-free in the loop. Energy guides (weights by tier, a bonus for free room that is
concentrated, a small cost per disruption); what is kept is decided by the exact score, compared
from the left.

Functions here take plain arrays and integers only: a tuple of arrays as an argument makes the
compiled code count references on every call, which was 30 times slower when measured. ``pods`` is
the table of integers per pod whose columns are named below.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from moorage_policies.packing.compiled import compiled, merged
from moorage_policies.packing.draws import draw_below
from moorage_policies.types import BoolArray, FloatArray, IntArray

CURRENT: Final = 0
MOVABLE: Final = 1
EVICTABLE: Final = 2
KIND: Final = 3
KEPT_SLOT: Final = 4  # score index, -1 when not counted
PLACED_SLOT: Final = 5
COST_SLOT: Final = 6
MOVE_COST: Final = 7
EVICT_COST: Final = 8
LIMITS_FROM: Final = 9  # range in ``tie_list``
LIMITS_TO: Final = 10
BUDGETS_FROM: Final = 11
BUDGETS_TO: Final = 12
POD_COLUMNS: Final = 13

PLACE: Final = 0  # columns of ``weights``
MOVE: Final = 1
EVICT: Final = 2

REINSERT_TRIES: Final = 24

INSERTS_BELOW: Final = 4  # of a draw from 0 to 9: inserts, then swaps, then moves
SWAPS_BELOW: Final = 8


class Problem(NamedTuple):
    """What does not change during a search.

    ``limit_slots`` has shape ``(limits, nodes)`` and points into ``tie_room`` (-1: unlimited);
    budgets are listed in ``tie_list`` by their index in ``tie_room``.
    """

    requests: IntArray
    pods: IntArray
    weights: FloatArray
    scale: FloatArray
    eligible: BoolArray
    tie_list: IntArray
    limit_slots: IntArray
    tie_room: IntArray


class State(NamedTuple):
    """What a search changes; ``places`` is each pod's position on its node or in the pool.

    The last element of ``pool`` is the number of unplaced pods listed before it.
    """

    placement: IntArray
    free: IntArray
    on_node: IntArray
    load: IntArray
    places: IntArray
    pool: IntArray
    tie_count: IntArray
    score: IntArray


class Schedule(NamedTuple):
    """How to search: steps, temperature from ``hot`` to ``cold``, weight of concentrated room."""

    steps: int
    hot: float
    cold: float
    room_weight: float


@merged
def _fits(requests: IntArray, free: IntArray, pod: int, node: int, without: int) -> bool:
    """Return whether the pod has room on the node, once pod ``without`` (or -1) has left it."""
    for column in range(free.shape[1]):
        room = free[node, column] - requests[pod, column]
        if without >= 0:
            room += requests[without, column]
        if room < 0:
            return False
    return True


@merged
def _accepts(pods: IntArray, eligible: BoolArray, pod: int, node: int) -> bool:
    here = pods[pod, CURRENT]
    if here == node:
        return True
    if here >= 0 and pods[pod, MOVABLE] == 0:
        return False
    return bool(eligible[pods[pod, KIND], node])


@merged
def _room_value(free: IntArray, scale: FloatArray, node: int) -> float:
    """Return how useful the node's free room is: large when it is in one place and balanced."""
    total = 0.0
    least = 1e18
    scarce = 0
    for column in range(free.shape[1]):
        if scale[column] > 0.0:
            share = free[node, column] * scale[column]
            total += share
            least = min(least, share)
            scarce += 1
    total /= scarce
    return 0.5 * total * total + 0.5 * least * least


@merged
def _disruption(pods: IntArray, weights: FloatArray, pod: int, node: int) -> float:
    here = pods[pod, CURRENT]
    if here < 0 or here == node:
        return 0.0
    return float(weights[pod, MOVE] if node >= 0 else weights[pod, EVICT])


@merged
def _count_score(pods: IntArray, score: IntArray, pod: int, node: int, sign: int) -> None:
    here = pods[pod, CURRENT]
    if node >= 0:
        score[pods[pod, PLACED_SLOT]] += sign
        if pods[pod, KEPT_SLOT] >= 0:
            score[pods[pod, KEPT_SLOT]] += sign
        if here >= 0 and here != node:
            score[pods[pod, COST_SLOT]] -= sign * pods[pod, MOVE_COST]
    elif here >= 0:
        score[pods[pod, COST_SLOT]] -= sign * pods[pod, EVICT_COST]


@merged
def _count_ties(
    pods: IntArray,
    tie_list: IntArray,
    limit_slots: IntArray,
    tie_count: IntArray,
    pod: int,
    node: int,
    sign: int,
) -> None:
    """Add the pod on the node to (or take it from) limits and budgets."""
    if node >= 0:
        for at in range(pods[pod, LIMITS_FROM], pods[pod, LIMITS_TO]):
            slot = limit_slots[tie_list[at], node]
            if slot >= 0:
                tie_count[slot] += sign
    here = pods[pod, CURRENT]
    if here >= 0 and here != node:
        for at in range(pods[pod, BUDGETS_FROM], pods[pod, BUDGETS_TO]):
            tie_count[tie_list[at]] += sign


@merged
def _ties_hold(
    pods: IntArray,
    tie_list: IntArray,
    limit_slots: IntArray,
    tie_room: IntArray,
    tie_count: IntArray,
    pod: int,
    node: int,
) -> bool:
    if node >= 0:
        for at in range(pods[pod, LIMITS_FROM], pods[pod, LIMITS_TO]):
            slot = limit_slots[tie_list[at], node]
            if slot >= 0 and tie_count[slot] > tie_room[slot]:
                return False
    here = pods[pod, CURRENT]
    if here >= 0 and here != node:
        for at in range(pods[pod, BUDGETS_FROM], pods[pod, BUDGETS_TO]):
            if tie_count[tie_list[at]] > tie_room[tie_list[at]]:
                return False
    return True


@merged
def _shift(requests: IntArray, free: IntArray, pod: int, old: int, new: int) -> None:
    for column in range(free.shape[1]):
        if old >= 0:
            free[old, column] += requests[pod, column]
        if new >= 0:
            free[new, column] -= requests[pod, column]


@merged
def _relist(
    placement: IntArray,
    on_node: IntArray,
    count: IntArray,
    places: IntArray,
    pool: IntArray,
    pod: int,
    new: int,
) -> None:
    """Record in the lists that the pod is now on ``new``."""
    old = placement[pod]
    at = places[pod]
    size = pool.size - 1
    if old >= 0:
        count[old] -= 1
        last = on_node[old, count[old]]
        on_node[old, at] = last
    else:
        pool[size] -= 1
        last = pool[pool[size]]
        pool[at] = last
    places[last] = at
    if new >= 0:
        on_node[new, count[new]] = pod
        places[pod] = count[new]
        count[new] += 1
    else:
        pool[pool[size]] = pod
        places[pod] = pool[size]
        pool[size] += 1
    placement[pod] = new


@merged
def _size(requests: IntArray, scale: FloatArray, pod: int) -> float:
    total = 0.0
    for column in range(requests.shape[1]):
        total += requests[pod, column] * scale[column]
    return total


@merged
def _find_room(
    requests: IntArray,
    pods: IntArray,
    eligible: BoolArray,
    free: IntArray,
    rows: IntArray,
    seed: IntArray,
    pod: int,
    avoid: int,
) -> int:
    start = draw_below(seed, rows.size)
    columns = free.shape[1]
    for offset in range(min(rows.size, REINSERT_TRIES)):
        at = start + offset
        node = rows[at if at < rows.size else at - rows.size]
        column = 0
        while column < columns and free[node, column] >= requests[pod, column]:
            column += 1
        if column == columns and node != avoid and _accepts(pods, eligible, pod, node):
            return int(node)
    return -1


@merged
def _propose_insert(
    requests: IntArray,
    pods: IntArray,
    scale: FloatArray,
    eligible: BoolArray,
    free: IntArray,
    on_node: IntArray,
    count: IntArray,
    pool: IntArray,
    rows: IntArray,
    seed: IntArray,
    change: IntArray,
) -> int:
    """Bring in an unplaced pod, throwing out at most one pod, which may find another node."""
    waiting = pool[pool.size - 1]
    pod = pool[draw_below(seed, waiting)]
    if draw_below(seed, 2) == 0:  # small pods are more often the ones that can be brought in
        other = pool[draw_below(seed, waiting)]
        if _size(requests, scale, other) < _size(requests, scale, pod):
            pod = other
    node = rows[draw_below(seed, rows.size)]
    if not _accepts(pods, eligible, pod, node):
        return 0
    if _fits(requests, free, pod, node, -1):
        change[0, 0] = pod
        change[0, 1] = node
        return 1
    listed = count[node]
    if listed == 0:
        return 0
    start = draw_below(seed, listed)
    columns = free.shape[1]
    for offset in range(listed):
        at = start + offset
        out = on_node[node, at if at < listed else at - listed]
        column = 0
        while (
            column < columns and free[node, column] + requests[out, column] >= requests[pod, column]
        ):
            column += 1
        if column == columns:
            change[0, 0] = out
            change[0, 1] = _find_room(requests, pods, eligible, free, rows, seed, out, node)
            change[1, 0] = pod
            change[1, 1] = node
            return 2
    return 0


@merged
def _propose_swap(
    requests: IntArray,
    pods: IntArray,
    eligible: BoolArray,
    free: IntArray,
    on_node: IntArray,
    count: IntArray,
    rows: IntArray,
    seed: IntArray,
    change: IntArray,
) -> int:
    left = rows[draw_below(seed, rows.size)]
    right = rows[draw_below(seed, rows.size)]
    if left == right or count[left] == 0 or count[right] == 0:
        return 0
    pod = on_node[left, draw_below(seed, count[left])]
    other = on_node[right, draw_below(seed, count[right])]
    if not _fits(requests, free, pod, right, other):
        return 0
    if not _fits(requests, free, other, left, pod):
        return 0
    if not _accepts(pods, eligible, pod, right) or not _accepts(pods, eligible, other, left):
        return 0
    change[0, 0] = pod
    change[0, 1] = right
    change[1, 0] = other
    change[1, 1] = left
    return 2


@merged
def _propose_move(
    requests: IntArray,
    pods: IntArray,
    eligible: BoolArray,
    free: IntArray,
    on_node: IntArray,
    count: IntArray,
    rows: IntArray,
    in_scope: BoolArray,
    seed: IntArray,
    change: IntArray,
) -> int:
    """Move a pod, every second time to the node where it runs today, by a swap where needed."""
    node = rows[draw_below(seed, rows.size)]
    if count[node] == 0:
        return 0
    pod = on_node[node, draw_below(seed, count[node])]
    target = rows[draw_below(seed, rows.size)]
    here = pods[pod, CURRENT]
    homing = here >= 0 and here != node and in_scope[here] and draw_below(seed, 2) == 0
    if homing:
        target = here
    if target == node or not _accepts(pods, eligible, pod, target):
        return 0
    change[0, 0] = pod
    change[0, 1] = target
    if _fits(requests, free, pod, target, -1):
        return 1
    if not homing or count[target] == 0:
        return 0
    other = on_node[target, draw_below(seed, count[target])]
    if not _fits(requests, free, pod, target, other):
        return 0
    change[1, 0] = other
    if _accepts(pods, eligible, other, node) and _fits(requests, free, other, node, pod):
        change[1, 1] = node
    else:
        change[1, 1] = _find_room(requests, pods, eligible, free, rows, seed, other, target)
    return 2


@merged
def _is_better(score: IntArray, best: IntArray) -> bool:
    for index in range(score.size):
        if score[index] != best[index]:
            return bool(score[index] > best[index])
    return False


@merged
def _gain(
    pods: IntArray, weights: FloatArray, placement: IntArray, change: IntArray, size: int
) -> float:
    """Return what placing more or disturbing less would gain, room aside."""
    gain = 0.0
    for at in range(size):
        pod, new = change[at, 0], change[at, 1]
        old = placement[pod]
        if old < 0:
            gain += weights[pod, PLACE]
        if new < 0:
            gain -= weights[pod, PLACE]
        gain += _disruption(pods, weights, pod, old) - _disruption(pods, weights, pod, new)
    return gain


@merged
def _is_allowed(pods: IntArray, count: IntArray, width: int, change: IntArray, size: int) -> bool:
    for at in range(size):
        pod, new = change[at, 0], change[at, 1]
        if new < 0 and pods[pod, CURRENT] >= 0 and pods[pod, EVICTABLE] == 0:
            return False
        if new >= 0 and count[new] + 1 >= width:
            return False
    return True


@merged
def _touched(placement: IntArray, change: IntArray, size: int, nodes: IntArray) -> int:
    """List the distinct nodes that a change touches, at most four."""
    found = 0
    for at in range(size):
        for side in range(2):
            node = placement[change[at, 0]] if side == 0 else change[at, 1]
            known = node < 0
            for index in range(found):
                known = known or nodes[index] == node
            if not known:
                nodes[found] = node
                found += 1
    return found


@merged
def _rooms(free: IntArray, scale: FloatArray, nodes: IntArray, found: int) -> float:
    total = 0.0
    for index in range(found):
        total += _room_value(free, scale, nodes[index])
    return total


@compiled
def _run(  # noqa: C901, PLR0917 - one loop; its parts would pass twenty arrays around
    requests: IntArray,
    pods: IntArray,
    weights: FloatArray,
    scale: FloatArray,
    eligible: BoolArray,
    tie_list: IntArray,
    limit_slots: IntArray,
    tie_room: IntArray,
    placement: IntArray,
    free: IntArray,
    on_node: IntArray,
    count: IntArray,
    places: IntArray,
    pool: IntArray,
    tie_count: IntArray,
    score: IntArray,
    steps: int,
    hot: float,
    cold: float,
    room_weight: float,
    rows: IntArray,
    in_scope: BoolArray,
    seed: IntArray,
    best: IntArray,
    best_score: IntArray,
) -> int:
    change = np.empty((2, 2), dtype=np.int64)
    nodes = np.empty(4, dtype=np.int64)
    improved = 0
    cooling = np.log(cold / hot) / steps
    width = on_node.shape[1]
    temperature = hot
    for step in range(steps):
        if step % 64 == 0:
            temperature = hot * np.exp(cooling * step)
        kind = draw_below(seed, 10)
        if kind < INSERTS_BELOW and pool[pool.size - 1] > 0:
            size = _propose_insert(
                requests, pods, scale, eligible, free, on_node, count, pool, rows, seed, change
            )
        elif kind < SWAPS_BELOW:
            size = _propose_swap(requests, pods, eligible, free, on_node, count, rows, seed, change)
        else:
            size = _propose_move(
                requests, pods, eligible, free, on_node, count, rows, in_scope, seed, change
            )
        if size == 0 or not _is_allowed(pods, count, width, change, size):
            continue
        found = _touched(placement, change, size, nodes)
        gain = _gain(pods, weights, placement, change, size)
        gain -= room_weight * _rooms(free, scale, nodes, found)
        for at in range(size):
            pod = change[at, 0]
            _shift(requests, free, pod, placement[pod], change[at, 1])
            _count_ties(pods, tie_list, limit_slots, tie_count, pod, placement[pod], -1)
            _count_ties(pods, tie_list, limit_slots, tie_count, pod, change[at, 1], 1)
        gain += room_weight * _rooms(free, scale, nodes, found)
        # A loss passes with probability exp(gain / temperature).
        holds = gain >= 0.0 or draw_below(seed, 1 << 30) < np.exp(gain / temperature) * (1 << 30)
        for at in range(size):
            holds = holds and _ties_hold(
                pods, tie_list, limit_slots, tie_room, tie_count, change[at, 0], change[at, 1]
            )
        for at in range(size):
            pod, new = change[at, 0], change[at, 1]
            if holds:
                _count_score(pods, score, pod, placement[pod], -1)
                _count_score(pods, score, pod, new, 1)
                _relist(placement, on_node, count, places, pool, pod, new)
            else:
                _shift(requests, free, pod, new, placement[pod])
                _count_ties(pods, tie_list, limit_slots, tie_count, pod, new, -1)
                _count_ties(pods, tie_list, limit_slots, tie_count, pod, placement[pod], 1)
        if holds and _is_better(score, best_score):
            best[:] = placement
            best_score[:] = score
            improved += 1
    return improved


def anneal(
    problem: Problem,
    state: State,
    schedule: Schedule,
    rows: IntArray,
    in_scope: BoolArray,
    seed: IntArray,
    best: IntArray,
    best_score: IntArray,
) -> int:
    """Search from ``state`` inside ``rows``; leave the best placement seen in ``best``.

    ``best`` and ``best_score`` are read as the answer to beat and overwritten when it is.
    ``in_scope`` marks the same nodes as ``rows``. Returns how often the best was improved.
    """
    return _run(*problem, *state, *schedule, rows, in_scope, seed, best, best_score)
