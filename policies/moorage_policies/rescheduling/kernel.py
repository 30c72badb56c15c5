"""The search kernel: simulated annealing over the final places of at most so many moved items.

Compiled, allocation-free in the loop. Energy is the worth of the holes, less prices, plus a bonus
for rooms that are nearly a hole; what is kept is decided by the exact worth, and only where the
moves can be carried out one after the other. Functions take plain arrays: a tuple of arrays as an
argument makes the compiled code count references on every call.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from moorage_policies.packing.compiled import compiled, merged
from moorage_policies.packing.draws import draw_below
from moorage_policies.types import BoolArray, FloatArray, IntArray

WIDE: Final = 0  # columns of ``items``
HOME: Final = 1
KIND: Final = 2
OWNER: Final = 3
LIMITS_FROM: Final = 4
LIMITS_TO: Final = 5
ITEM_COLUMNS: Final = 6

MAX_CHANGES: Final = 20
IMMOVABLE: Final = -2  # in ``moved_at``
AMONG_MOVED: Final = 3  # of 8 moves
MAX_DRAINED: Final = 8
ROOM_TRIES: Final = 24
TINY: Final = 1e-9


class Static(NamedTuple):
    """What does not change during a search; see ``Instance`` for the meaning."""

    requests: IntArray
    items: IntArray
    price: FloatArray
    owner_room: IntArray
    eligible: BoolArray
    tie_list: IntArray
    limit_slots: IntArray
    tie_room: IntArray
    hole_requests: IntArray
    hole_weight: FloatArray
    host_of: IntArray
    host_worth: FloatArray
    domain_of: IntArray
    domain_worth: FloatArray
    candidates: IntArray
    start_free: IntArray
    start_ties: IntArray


class State(NamedTuple):
    """What a search changes; ``slot`` is each item's position in the lists of its cells."""

    place: IntArray
    free: IntArray
    exact: FloatArray
    smooth: FloatArray
    listed: IntArray
    load: IntArray
    slot: IntArray
    host_load: IntArray
    domain_load: IntArray
    tie_count: IntArray
    owner_used: IntArray
    moved: IntArray
    moved_at: IntArray
    totals: FloatArray


SCORE: Final = 0  # entries of ``totals``
SHAPE: Final = 1


@compiled
def rate_cell(
    free: IntArray,
    hole_requests: IntArray,
    hole_weight: FloatArray,
    cell: int,
    exact: FloatArray,
    smooth: FloatArray,
) -> None:
    """Set the worth of a cell's holes, and the bonus for being near the next one."""
    whole = 0.0
    near = 0.0
    for hole in range(hole_requests.shape[0]):
        weight = hole_weight[hole, cell]
        if weight == 0.0:
            continue
        count = np.int64(1 << 60)
        part = 1e18
        for column in range(hole_requests.shape[1]):
            size = hole_requests[hole, column]
            if size > 0:
                room = max(free[cell, column], 0)
                fits = room // size
                if fits < count:
                    count = fits
                    part = room / size - fits
                elif fits == count:
                    part = min(part, room / size - fits)
        whole += weight * count
        near += weight * part * part
    exact[cell] = whole
    smooth[cell] = near


@merged
def _fits(requests: IntArray, free: IntArray, item: int, cell: int) -> bool:
    for column in range(free.shape[1]):
        amount = requests[item, column]
        if amount > 0 and free[cell, column] < amount:
            return False
    return True


@compiled
def _shift(  # noqa: C901, PLR0917 - plain arrays, compiled
    requests: IntArray,
    items: IntArray,
    tie_list: IntArray,
    limit_slots: IntArray,
    hole_requests: IntArray,
    hole_weight: FloatArray,
    host_of: IntArray,
    host_worth: FloatArray,
    domain_of: IntArray,
    domain_worth: FloatArray,
    free: IntArray,
    exact: FloatArray,
    smooth: FloatArray,
    listed: IntArray,
    load: IntArray,
    slot: IntArray,
    host_load: IntArray,
    domain_load: IntArray,
    tie_count: IntArray,
    totals: FloatArray,
    item: int,
    place: int,
    sign: int,
) -> None:
    """Put an item into its cells (``sign`` 1) or take it out (-1), and keep all sums right."""
    for side in range(1 + items[item, WIDE]):
        cell = place + side
        totals[0] -= exact[cell]
        totals[1] -= smooth[cell]
        for column in range(free.shape[1]):
            free[cell, column] -= sign * requests[item, column]
        rate_cell(free, hole_requests, hole_weight, cell, exact, smooth)
        totals[0] += exact[cell]
        totals[1] += smooth[cell]
        if sign > 0:
            listed[cell, load[cell]] = item
            slot[item, side] = load[cell]
            load[cell] += 1
        else:
            load[cell] -= 1
            last = listed[cell, load[cell]]
            at = slot[item, side]
            listed[cell, at] = last
            # a wide item sits in the second list of its host by its second slot
            second = (
                1
                if items[last, WIDE] == 1 and cell > 0 and host_of[cell] == host_of[cell - 1]
                else 0
            )
            slot[last, second] = at
    host = host_of[place]
    domain = domain_of[host]
    if sign > 0:
        if host_load[host] == 0:
            totals[0] -= host_worth[host]
        if domain_load[domain] == 0:
            totals[0] -= domain_worth[domain]
    host_load[host] += sign
    domain_load[domain] += sign
    if sign < 0:
        if host_load[host] == 0:
            totals[0] += host_worth[host]
        if domain_load[domain] == 0:
            totals[0] += domain_worth[domain]
    for at in range(items[item, LIMITS_FROM], items[item, LIMITS_TO]):
        tie = limit_slots[tie_list[at], place]
        if tie >= 0:
            tie_count[tie] += sign


@merged
def _ties_hold(
    items: IntArray,
    tie_list: IntArray,
    limit_slots: IntArray,
    tie_room: IntArray,
    tie_count: IntArray,
    item: int,
    place: int,
) -> bool:
    for at in range(items[item, LIMITS_FROM], items[item, LIMITS_TO]):
        tie = limit_slots[tie_list[at], place]
        if tie >= 0 and tie_count[tie] >= tie_room[tie]:
            return False
    return True


@compiled
def order_moves(
    requests: IntArray,
    items: IntArray,
    tie_list: IntArray,
    limit_slots: IntArray,
    tie_room: IntArray,
    place: IntArray,
    moved: IntArray,
    count: int,
    free: IntArray,
    tie_count: IntArray,
    order: IntArray,
) -> int:
    """List the moved items so that each finds room when its turn comes; return how many do.

    ``free`` and ``tie_count`` are today's and are used up. A mover keeps its old room until it sits
    in the new one.
    """
    left = moved[:count].copy()
    done = 0
    size = count
    progress = True
    while progress and size > 0:
        progress = False
        at = 0
        while at < size:
            item = left[at]
            target = place[item]
            ready = _ties_hold(items, tie_list, limit_slots, tie_room, tie_count, item, target)
            for side in range(1 + items[item, WIDE]):
                ready = ready and _fits(requests, free, item, target + side)
            if not ready:
                at += 1
                continue
            home = items[item, HOME]
            for side in range(1 + items[item, WIDE]):
                for column in range(free.shape[1]):
                    free[target + side, column] -= requests[item, column]
                    free[home + side, column] += requests[item, column]
            for index in range(items[item, LIMITS_FROM], items[item, LIMITS_TO]):
                tie = limit_slots[tie_list[index], target]
                if tie >= 0:
                    tie_count[tie] += 1
                tie = limit_slots[tie_list[index], home]
                if tie >= 0:
                    tie_count[tie] -= 1
            order[done] = item
            done += 1
            size -= 1
            left[at] = left[size]
            progress = True
    return done


@merged
def _pick_cell(host_of: IntArray, items: IntArray, seed: IntArray, item: int) -> int:
    cell = draw_below(seed, host_of.size)
    if items[item, WIDE] == 1:
        if cell > 0 and host_of[cell - 1] == host_of[cell]:
            cell -= 1
        if cell + 1 >= host_of.size or host_of[cell + 1] != host_of[cell]:
            return -1
    return cell


@merged
def _find_room(
    requests: IntArray,
    items: IntArray,
    eligible: BoolArray,
    host_of: IntArray,
    free: IntArray,
    seed: IntArray,
    item: int,
    avoid: int,
) -> int:
    """Return a random cell with room for a narrow item, the tightest of two; -1 if none is met."""
    found = -1
    for _ in range(ROOM_TRIES):
        cell = draw_below(seed, host_of.size)
        if cell == avoid or not _fits(requests, free, item, cell):
            continue
        if not eligible[items[item, KIND], cell] and cell != items[item, HOME]:
            continue
        if found < 0:
            found = cell
            continue
        if free[cell, 0] < free[found, 0]:
            found = cell
        break
    return found


@compiled
def _propose_drain(
    requests: IntArray,
    items: IntArray,
    eligible: BoolArray,
    hole_requests: IntArray,
    hole_weight: FloatArray,
    host_of: IntArray,
    free: IntArray,
    listed: IntArray,
    load: IntArray,
    moved_at: IntArray,
    seed: IntArray,
    change: IntArray,
) -> int:
    """Take from a random cell what keeps it from its next hole, and spread it over others."""
    source = draw_below(seed, host_of.size)
    if load[source] == 0:
        return 0
    hole = draw_below(seed, hole_requests.shape[0])
    if hole_weight[hole, source] == 0.0:
        return 0
    column = 0
    while hole_requests[hole, column] == 0:
        column += 1
    size = hole_requests[hole, column]
    short = size - max(free[source, column], 0) % size
    taken = 0
    start = draw_below(seed, load[source])
    for offset in range(load[source]):
        at = start + offset
        item = listed[source, at if at < load[source] else at - load[source]]
        amount = requests[item, column]
        if items[item, WIDE] == 1 or moved_at[item] == IMMOVABLE or amount == 0 or amount > short:
            continue
        target = _find_room(requests, items, eligible, host_of, free, seed, item, source)
        if target < 0:
            continue
        change[taken, 0] = item
        change[taken, 1] = target
        change[taken, 2] = source
        taken += 1
        short -= amount
        if short <= 0 or taken == MAX_DRAINED:
            break
    return taken if short <= 0 else 0


@compiled
def _propose_move(  # noqa: C901, PLR0911, PLR0912, PLR0917 - one guard after the other
    requests: IntArray,
    items: IntArray,
    eligible: BoolArray,
    candidates: IntArray,
    host_of: IntArray,
    free: IntArray,
    listed: IntArray,
    load: IntArray,
    place: IntArray,
    moved: IntArray,
    moved_at: IntArray,
    count: int,
    seed: IntArray,
    change: IntArray,
) -> int:
    """Move an item anywhere or home; where there is no room, another makes it."""
    item = candidates[draw_below(seed, candidates.size)]
    homing = False
    if count > 0:
        draw = draw_below(seed, 8)
        if draw < AMONG_MOVED:
            item = moved[draw_below(seed, count)]
            homing = draw == 0
    target = items[item, HOME] if homing else _pick_cell(host_of, items, seed, item)
    if target < 0 or target == place[item]:
        return 0
    if not eligible[items[item, KIND], target] and target != items[item, HOME]:
        return 0
    change[0, 0] = item
    change[0, 1] = target
    change[0, 2] = place[item]
    room = True
    for side in range(1 + items[item, WIDE]):
        room = room and _fits(requests, free, item, target + side)
    if room:
        return 1
    if items[item, WIDE] == 1 or load[target] == 0:
        return 0
    other = listed[target, draw_below(seed, load[target])]
    if items[other, WIDE] == 1 or moved_at[other] == IMMOVABLE:
        return 0
    for column in range(free.shape[1]):
        if free[target, column] + requests[other, column] < requests[item, column]:
            return 0
    away = place[item]
    if moved_at[other] >= 0 and draw_below(seed, 2) == 0:
        away = items[other, HOME]
    elif draw_below(seed, 3) == 0:
        away = draw_below(seed, host_of.size)
    if away == target:
        return 0
    if not eligible[items[other, KIND], away] and away != items[other, HOME]:
        return 0
    change[1, 0] = other
    change[1, 1] = away
    change[1, 2] = target
    return 2


@compiled
def _run(  # noqa: C901, PLR0912, PLR0915, PLR0917 - one loop; parts would pass forty arrays
    requests: IntArray,
    items: IntArray,
    price: FloatArray,
    owner_room: IntArray,
    eligible: BoolArray,
    tie_list: IntArray,
    limit_slots: IntArray,
    tie_room: IntArray,
    hole_requests: IntArray,
    hole_weight: FloatArray,
    host_of: IntArray,
    host_worth: FloatArray,
    domain_of: IntArray,
    domain_worth: FloatArray,
    candidates: IntArray,
    start_free: IntArray,
    start_ties: IntArray,
    place: IntArray,
    free: IntArray,
    exact: FloatArray,
    smooth: FloatArray,
    listed: IntArray,
    load: IntArray,
    slot: IntArray,
    host_load: IntArray,
    domain_load: IntArray,
    tie_count: IntArray,
    owner_used: IntArray,
    moved: IntArray,
    moved_at: IntArray,
    totals: FloatArray,
    steps: int,
    hot: float,
    cold: float,
    shape_weight: float,
    toll: float,
    drains: int,
    max_moves: int,
    seed: IntArray,
    best: IntArray,
    best_score: FloatArray,
    stats: IntArray,
) -> None:
    change = np.empty((MAX_CHANGES, 3), dtype=np.int64)
    order = np.empty(max_moves + MAX_CHANGES, dtype=np.int64)
    width = listed.shape[1]
    cooling = np.log(cold / hot) / max(steps, 1)
    temperature = hot
    for step in range(steps):
        if step % 64 == 0:
            temperature = hot * np.exp(cooling * step)
        count = int(totals[2])
        # propose
        size = 0
        if draw_below(seed, 100) < drains:
            size = _propose_drain(
                requests, items, eligible, hole_requests, hole_weight, host_of, free, listed, load,
                moved_at, seed, change,
            )  # fmt: skip
        else:
            size = _propose_move(
                requests, items, eligible, candidates, host_of, free, listed, load, place, moved,
                moved_at, count, seed, change,
            )  # fmt: skip
        if size == 0:
            continue
        after = count
        for at in range(size):
            home = items[change[at, 0], HOME]
            after += (change[at, 1] != home) - (change[at, 2] != home)
        while after > max_moves and size < MAX_CHANGES and count > 0:
            back = moved[draw_below(seed, count)]
            known = False
            for at in range(size):
                known = known or change[at, 0] == back
            if known:
                break
            change[size, 0] = back
            change[size, 1] = items[back, HOME]
            change[size, 2] = place[back]
            size += 1
            after -= 1
        if after > max_moves:
            continue
        # apply: all out, then all in
        before_score, before_shape = totals[0], totals[1]
        for at in range(size):
            _shift(
                requests, items, tie_list, limit_slots, hole_requests, hole_weight, host_of,
                host_worth, domain_of, domain_worth, free, exact, smooth, listed, load, slot,
                host_load, domain_load, tie_count, totals, change[at, 0], change[at, 2], -1,
            )  # fmt: skip
        entered = 0
        holds = True
        for at in range(size):
            moving, new = change[at, 0], change[at, 1]
            holds = _ties_hold(items, tie_list, limit_slots, tie_room, tie_count, moving, new)
            for side in range(1 + items[moving, WIDE]):
                holds = holds and _fits(requests, free, moving, new + side)
                holds = holds and load[new + side] + 1 < width
            if not holds:
                break
            _shift(
                requests, items, tie_list, limit_slots, hole_requests, hole_weight, host_of,
                host_worth, domain_of, domain_worth, free, exact, smooth, listed, load, slot,
                host_load, domain_load, tie_count, totals, moving, new, 1,
            )  # fmt: skip
            entered += 1
        tolls = 0.0
        if holds:
            for at in range(size):
                moving = change[at, 0]
                home = items[moving, HOME]
                shift = (change[at, 1] != home) - 1 * (change[at, 2] != home)
                totals[0] -= shift * price[moving]
                tolls += shift * toll
                owner = items[moving, OWNER]
                if owner >= 0:
                    owner_used[owner] += shift
                    if shift > 0 and owner_used[owner] > owner_room[owner]:
                        holds = False
            gain = totals[0] - before_score + shape_weight * (totals[1] - before_shape) - tolls
            if holds and gain < 0.0:
                holds = draw_below(seed, 1 << 30) < np.exp(gain / temperature) * (1 << 30)
            if not holds:
                for at in range(size):
                    moving = change[at, 0]
                    home = items[moving, HOME]
                    owner = items[moving, OWNER]
                    if owner >= 0:
                        owner_used[owner] -= (change[at, 1] != home) - 1 * (change[at, 2] != home)
        if not holds:
            for at in range(entered):
                _shift(
                    requests, items, tie_list, limit_slots, hole_requests, hole_weight, host_of,
                    host_worth, domain_of, domain_worth, free, exact, smooth, listed, load, slot,
                    host_load, domain_load, tie_count, totals, change[at, 0], change[at, 1], -1,
                )  # fmt: skip
            for at in range(size):
                _shift(
                    requests, items, tie_list, limit_slots, hole_requests, hole_weight, host_of,
                    host_worth, domain_of, domain_worth, free, exact, smooth, listed, load, slot,
                    host_load, domain_load, tie_count, totals, change[at, 0], change[at, 2], 1,
                )  # fmt: skip
            totals[0] = before_score
            totals[1] = before_shape
            continue
        stats[0] += 1
        for at in range(size):
            moving, new = change[at, 0], change[at, 1]
            place[moving] = new
            is_moved = new != items[moving, HOME]
            if is_moved and moved_at[moving] < 0:
                moved[count] = moving
                moved_at[moving] = count
                count += 1
            elif not is_moved and moved_at[moving] >= 0:
                count -= 1
                last = moved[count]
                hole_at = moved_at[moving]
                moved[hole_at] = last
                moved_at[last] = hole_at
                moved_at[moving] = -1
        totals[2] = count
        if totals[0] > best_score[0] + TINY or (
            totals[0] > best_score[0] - TINY and count < best_score[1]
        ):
            stats[1] += 1
            done = order_moves(
                requests, items, tie_list, limit_slots, tie_room, place, moved, count,
                start_free.copy(), start_ties.copy(), order,
            )  # fmt: skip
            if done == count:
                stats[2] += 1
                best[:] = place
                best_score[0] = totals[0]
                best_score[1] = count


def anneal(
    static: Static,
    state: State,
    *,
    steps: int,
    hot: float,
    cold: float,
    shape_weight: float,
    toll: float,
    drains: int,
    max_moves: int,
    seed: IntArray,
    best: IntArray,
    best_score: FloatArray,
    stats: IntArray,
) -> None:
    """Search from ``state``; leave the best orderable places seen in ``best``."""
    _run(
        *static, *state, steps, hot, cold, shape_weight, toll, drains, max_moves, seed, best,
        best_score, stats,
    )  # fmt: skip
