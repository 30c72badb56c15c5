"""How much any set of moves could be worth at most.

Lagrangian bound: a price per kind of item couples the hosts, which are then solved exactly one by
one by dynamic programming on the free room of the hole's resource. A move out of a host pays the
price of its kind (somebody has to take it in) and the price of a move; a move in earns the price of
its kind. Every choice of prices gives a valid bound; subgradient steps look for the least. Other
resources, limits and workloads' budgets are left out, which can only raise the bound.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from moorage_policies.packing.compiled import compiled
from moorage_policies.rescheduling.instance import PAIR, Instance
from moorage_policies.types import BoolArray, FloatArray, IntArray

MAX_UNITS = 1024  # of the hole's resource in a cell; more is bounded by counting only
MAX_KINDS = 256
STALLED = 12  # rounds without a better bound before the step is halved
LOW = -1e18
TINY = 1e-9
LEAST_PACE = 1e-3


class Kinds(NamedTuple):
    """Items that the bound treats alike, and how many of each may leave each cell."""

    amount: IntArray
    wide: BoolArray
    price: FloatArray
    accepted: BoolArray
    present: IntArray


@dataclass(frozen=True, slots=True)
class Relaxation:
    """An instance seen through the holes' one resource, in units of its greatest common divisor.

    Attributes:
        column: the resource.
        unit: amount of one unit.
        free: free units per cell today, shape ``(cells,)``.
        sizes: units of each hole, shape ``(holes,)``.
        weights: worth of a hole by cell, shape ``(holes, cells)``.
        kinds: items that are treated alike.
        kind_of: kind of each item, -1 for those that never move, shape ``(items,)``.
    """

    column: int
    unit: int
    free: IntArray
    sizes: IntArray
    weights: FloatArray
    kinds: Kinds
    kind_of: IntArray


@dataclass(frozen=True, slots=True)
class Bound:
    """A proven upper bound on the worth, and the prices that gave it (``None`` when counted)."""

    worth: float
    kind_prices: FloatArray | None = None
    toll: float = 0.0


def bound_worth(instance: Instance, *, rounds: int = 300, target: float = 0.0) -> Bound:
    """Return what the holes, hosts and domains are worth at most after ``max_moves`` moves.

    Prices of the moves themselves count against the worth.

    Args:
        instance: the problem.
        rounds: subgradient steps.
        target: worth that is known to be reached; steps aim between it and the bound.
    """
    counted = Bound(count_worth(instance))
    relaxed = relax(instance)
    if relaxed is None:
        return counted
    priced = _minimise(instance, relaxed, rounds, target)
    return priced if priced.worth < counted.worth else replace(priced, worth=counted.worth)


def relax(instance: Instance) -> Relaxation | None:
    """Return the instance by its one resource, ``None`` where holes differ or units are fine."""
    columns = {hole.column for hole in instance.holes}
    if len(columns) != 1:
        return None
    column = columns.pop()
    unit = _unit(instance, column)
    kinds, kind_of = _kinds(instance, column, unit)
    room = instance.capacity[:, column] // unit
    if room.max(initial=0) > MAX_UNITS or not 0 < len(kinds.amount) <= MAX_KINDS:
        return None
    free = instance.free(instance.home)[:, column] // unit
    return Relaxation(
        column=column,
        unit=unit,
        free=free,
        sizes=np.array([hole.requests[column] // unit for hole in instance.holes], dtype=np.int64),
        weights=np.array(
            [
                np.full(len(free), hole.weight) * (1.0 if hole.cells is None else hole.cells)
                for hole in instance.holes
            ]
        ),
        kinds=kinds,
        kind_of=kind_of,
    )


def count_worth(instance: Instance) -> float:
    """Return a bound by counting: all free room in one piece, every host and domain free."""
    total = float(instance.host_worth.sum() + instance.domain_worth.sum())
    free = np.maximum(instance.free(instance.home), 0)
    for hole in instance.holes:
        column = hole.column
        own = instance.capacity[:, column] // hole.requests[column]
        if hole.cells is not None:
            own = own * hole.cells
        whole = min(int(own.sum()), int(free[:, column].sum() // hole.requests[column]))
        total += hole.weight * whole
    return total


def _unit(instance: Instance, column: int) -> int:
    sizes = np.array([hole.requests[column] for hole in instance.holes], dtype=np.int64)
    return max(1, int(np.gcd.reduce(np.concatenate([instance.requests[:, column], sizes]))))


def _kinds(instance: Instance, column: int, unit: int) -> tuple[Kinds, IntArray]:
    movable = np.flatnonzero(instance.movable)
    keys = np.column_stack(
        [instance.requests[movable, column], instance.wide[movable], instance.kind[movable]]
    ).astype(np.int64)
    table, row = np.unique(keys, axis=0, return_inverse=True)
    row = row.reshape(-1)
    price = np.full(len(table), np.inf)
    np.minimum.at(price, row, instance.price[movable])
    present = np.zeros((len(instance.capacity), len(table)), dtype=np.int64)
    np.add.at(present, (instance.home[movable], row), 1)
    kind_of = np.full(len(instance.items), -1, dtype=np.int64)
    kind_of[movable] = row
    kinds = Kinds(
        amount=table[:, 0] // unit,
        wide=table[:, 1].astype(np.bool_),
        price=price,
        accepted=instance.eligible[table[:, 2]],
        present=present,
    )
    return kinds, kind_of


def _minimise(instance: Instance, relaxed: Relaxation, rounds: int, target: float) -> Bound:
    kinds, sizes = relaxed.kinds, relaxed.sizes
    emptied = _emptied(instance)
    usage = np.zeros(len(kinds.amount) + 1)
    dearest = float(max(hole.weight for hole in instance.holes))
    spread = kinds.amount * np.where(kinds.wide, PAIR, 1) / float(sizes.max())
    prices: FloatArray = (dearest * spread).astype(np.float64)
    toll, stalled, pace = 0.3 * dearest, 0, 1.0
    best = Bound(np.inf)
    for _ in range(rounds):
        usage[:] = 0.0
        total = solve_hosts(
            instance.first_cell,
            instance.cell_host,
            relaxed.free,
            sizes,
            relaxed.weights,
            kinds.amount,
            kinds.wide,
            kinds.price,
            kinds.accepted,
            kinds.present,
            emptied,
            instance.host_worth,
            instance.domain,
            instance.domain_worth,
            prices,
            toll,
            usage,
        )
        total += toll * instance.max_moves
        stalled += 1
        if total < best.worth - 1e-6:
            best, stalled = Bound(total, prices, toll), 0
        if stalled > STALLED:
            pace, stalled = pace / 2, 0
        usage[-1] = instance.max_moves - usage[-1]
        length = float((usage**2).sum())
        if length < TINY or pace < LEAST_PACE or best.worth - target < TINY:
            break
        step = pace * max(total - target, 0.01) / length
        prices = prices - step * usage[:-1]
        toll = max(0.0, toll - step * float(usage[-1]))
    return best


def _emptied(instance: Instance) -> BoolArray:
    """Return which hosts could lose everything that sits on them."""
    hosts = len(instance.hosts)
    here = np.bincount(instance.cell_host[instance.home], minlength=hosts)
    fixed = np.bincount(instance.cell_host[instance.home[~instance.movable]], minlength=hosts)
    possible: BoolArray = (fixed == 0) & (here <= instance.max_moves) & ~instance.held
    return possible


@compiled
def _fill_values(  # noqa: PLR0917 - a knapsack, compiled
    cell: int,
    low: int,
    width: int,
    amount: IntArray,
    among: BoolArray,
    price: FloatArray,
    accepted: BoolArray,
    present: IntArray,
    prices: FloatArray,
    toll: float,
    value: FloatArray,
    came: IntArray,
    stage_kind: IntArray,
) -> int:
    """Fill the best priced value of every net change of a cell's free room.

    ``value[low + change]``; ``came[stage, state]`` is 1 where the stage's item was used. Stages of
    items that leave come first, one for each; then one for each kind that comes, any number of
    times. Returns the number of stages; ``stage_kind`` is the kind + 1, negative for coming.
    """
    value[:] = LOW
    value[low] = 0.0
    top = low
    bottom = low
    stages = 0
    for kind in range(amount.size):
        if not among[kind] or amount[kind] == 0:
            continue
        cost = prices[kind] + price[kind] + toll
        for _ in range(present[cell, kind]):
            top = min(top + amount[kind], width - 1)
            came[stages, :] = 0
            for at in range(top, low + amount[kind] - 1, -1):
                source = value[at - amount[kind]] - cost
                if source > value[at]:
                    value[at] = source
                    came[stages, at] = 1
            stage_kind[stages] = kind + 1
            stages += 1
    bottom = 0
    for kind in range(amount.size):
        if not among[kind] or amount[kind] == 0 or not accepted[kind, cell]:
            continue
        came[stages, :] = 0
        for at in range(top - amount[kind], bottom - 1, -1):
            source = value[at + amount[kind]] + prices[kind]
            if source > value[at]:
                value[at] = source
                came[stages, at] = 1
        stage_kind[stages] = -(kind + 1)
        stages += 1
    return stages


@compiled
def _trace(
    amount: IntArray,
    came: IntArray,
    stage_kind: IntArray,
    stages: int,
    state: int,
    usage: FloatArray,
) -> None:
    """Count what led to a state: items that came add to ``usage``, items that left take off."""
    kinds = usage.size - 1
    for stage in range(stages - 1, -1, -1):
        kind = abs(stage_kind[stage]) - 1
        if stage_kind[stage] > 0:
            if came[stage, state] == 1:
                usage[kind] -= 1.0
                usage[kinds] += 1.0
                state -= amount[kind]
        else:
            while came[stage, state] == 1:
                usage[kind] += 1.0
                state += amount[kind]


@compiled
def solve_hosts(  # noqa: C901, PLR0912, PLR0915, PLR0917 - one pass over hosts, compiled
    first_cell: IntArray,
    cell_host: IntArray,
    free: IntArray,
    sizes: IntArray,
    weights: FloatArray,
    amount: IntArray,
    wide: BoolArray,
    price: FloatArray,
    accepted: BoolArray,
    present: IntArray,
    emptied: BoolArray,
    host_worth: FloatArray,
    domain: IntArray,
    domain_worth: FloatArray,
    prices: FloatArray,
    toll: float,
    usage: FloatArray,
) -> float:
    """Return the sum of the hosts' best values at these prices.

    ``usage`` receives, per kind, items that came less items that left, and at its end the moves.
    """
    kinds = amount.size
    hosts = first_cell.size
    low = 0
    longest = 0
    for cell in range(free.size):
        held = max(free[cell], 0)
        number = 0
        for kind in range(kinds):
            held += present[cell, kind] * amount[kind]
            number += present[cell, kind]
            if wide[kind] and cell > 0 and cell_host[cell - 1] == cell_host[cell]:
                held += present[cell - 1, kind] * amount[kind]
        low = max(low, held)
        longest = max(longest, number)
    width = 2 * low + 1
    value = np.empty((3, width))
    came = np.zeros((3, longest + kinds, width), dtype=np.int64)
    stage_kind = np.zeros((3, longest + kinds), dtype=np.int64)
    stages = np.zeros(3, dtype=np.int64)
    pick = np.zeros(2, dtype=np.int64)
    best_pick = np.zeros(3, dtype=np.int64)
    narrow = ~wide
    total = 0.0
    kept = np.zeros(domain_worth.size)
    cleared = domain_worth.copy()
    for host in range(hosts):
        first = first_cell[host]
        cells = 1
        if first + 1 < cell_host.size and cell_host[first + 1] == host:
            cells = 2
        for side in range(cells):
            stages[side] = _fill_values(
                first + side, low, width, amount, narrow, price, accepted, present, prices, toll,
                value[side], came[side], stage_kind[side],
            )  # fmt: skip
        wide_value = value[2]
        if cells == PAIR:
            stages[2] = _fill_values(
                first, low, width, amount, wide, price, accepted, present, prices, toll,
                wide_value, came[2], stage_kind[2],
            )  # fmt: skip
        else:
            stages[2] = 0
            wide_value[:] = LOW
            wide_value[low] = 0.0
        top = LOW
        for both in range(width):
            if wide_value[both] < LOW / 2:
                continue
            worth = wide_value[both]
            for side in range(cells):
                room = free[first + side] + both - low
                inner = LOW
                for at in range(width):
                    left = room + at - low
                    if value[side, at] < LOW / 2 or (left < 0 and at + both - low < low):
                        continue
                    holes = 0.0
                    for hole in range(sizes.size):
                        if left > 0:
                            holes += weights[hole, first + side] * (left // sizes[hole])
                    if value[side, at] + holes > inner:
                        inner = value[side, at] + holes
                        pick[side] = at
                worth += inner
            if worth > top:
                top = worth
                best_pick[0] = both
                best_pick[1] = pick[0]
                best_pick[2] = pick[1]
        is_bare = True
        out = 0.0
        moved = 0
        for side in range(cells):
            for kind in range(kinds):
                number = present[first + side, kind]
                moved += number
                out -= number * (prices[kind] + price[kind] + toll)
                is_bare = is_bare and number == 0
        if is_bare and emptied[host]:
            out = host_worth[host]
            for side in range(cells):
                for hole in range(sizes.size):
                    out += weights[hole, first + side] * (max(free[first + side], 0) // sizes[hole])
        elif emptied[host]:
            out += host_worth[host]
            for side in range(cells):
                gone = max(free[first + side], 0)
                for kind in range(kinds):
                    gone += present[first + side, kind] * amount[kind]
                    if wide[kind] and side == 1:
                        gone += present[first, kind] * amount[kind]
                for hole in range(sizes.size):
                    out += weights[hole, first + side] * (gone // sizes[hole])
        else:
            out = LOW
        if out > top:
            top = out
            for side in range(cells):
                for kind in range(kinds):
                    usage[kind] -= present[first + side, kind]
            usage[kinds] += moved
        else:
            _trace(amount, came[2], stage_kind[2], stages[2], best_pick[0], usage)
            for side in range(cells):
                _trace(
                    amount, came[side], stage_kind[side], stages[side], best_pick[1 + side], usage
                )
        total += top
        kept[domain[host]] += top
        cleared[domain[host]] += out
    for at in range(domain_worth.size):
        if cleared[at] > kept[at]:
            total += cleared[at] - kept[at]
    return total
