"""What cells could sensibly do: the few changes that the prices do not rule out.

At the prices of the Lagrangian bound every host has a best change. A pattern is a small change of
one cell, items that leave and items that come, by kind. Its gap is what it is worse than the best
at these prices; an answer near the bound uses patterns of small gaps only.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np

from moorage_policies.packing.compiled import compiled
from moorage_policies.rescheduling.bounds import Bound, Relaxation
from moorage_policies.rescheduling.instance import PAIR
from moorage_policies.types import BoolArray, FloatArray, IntArray

DEPTHS = ((7, 3), (16, 2))  # up to so many kinds: so many items may leave, and come, at a time
NO_SUCH = -1e18


@dataclass(frozen=True, slots=True)
class Changes:
    """Small changes of one cell.

    Attributes:
        counts: items that leave less items that come, shape ``(changes, kinds)``.
        net: units that become free.
        value: value at the prices, holes aside.
        moves: items that leave.
    """

    counts: IntArray
    net: IntArray
    value: FloatArray
    moves: IntArray


@dataclass(frozen=True, slots=True)
class Choice:
    """What a host may do: one of these changes of wide items, and per cell one of the rows.

    Attributes:
        host: the host.
        wide: row of the wide changes.
        cells: its cells.
        rows: rows of the narrow changes to choose from, for each cell.
    """

    host: int
    wide: int
    cells: tuple[int, ...]
    rows: tuple[IntArray, ...]


@dataclass(frozen=True, slots=True)
class Menu:
    """All choices within a gap of the best.

    Attributes:
        narrow: changes of single cells.
        wide: changes of both cells of a host.
        choices: what hosts may do.
        is_complete: whether no small change was left out.
    """

    narrow: Changes
    wide: Changes
    choices: tuple[Choice, ...]
    is_complete: bool


def list_choices(
    relaxed: Relaxation, first_cell: IntArray, cell_host: IntArray, bound: Bound, most: int
) -> Menu | None:
    """Return about ``most`` patterns of the smallest gaps; ``None`` where this does not apply."""
    if bound.kind_prices is None:
        return None
    kinds = relaxed.kinds
    groups = {key.tobytes(): key for key in kinds.accepted.T | (kinds.present > 0)}
    narrow = _changes(relaxed, bound, list(groups.values()), wide=False)
    if narrow is None:
        return None
    wide = _wide_changes(relaxed, bound)
    gaps = np.full((len(cell_host), len(wide.net), len(narrow.net)), np.inf)
    tops = np.full((len(first_cell), len(wide.net)), NO_SUCH)
    rate_patterns(
        first_cell,
        cell_host,
        relaxed.free,
        relaxed.sizes,
        relaxed.weights,
        kinds.accepted,
        kinds.present,
        narrow.counts,
        narrow.net,
        narrow.value,
        wide.counts,
        wide.net,
        wide.value,
        gaps,
        tops,
    )
    flat = gaps[np.isfinite(gaps)]
    is_complete = len(flat) <= most
    limit = flat.max(initial=0.0) if is_complete else np.partition(flat, most)[most] * 0.999
    choices = tuple(_choices(gaps, tops, first_cell, cell_host, float(limit)))
    return Menu(narrow, wide, choices, is_complete)


def _choices(
    gaps: FloatArray, tops: FloatArray, first_cell: IntArray, cell_host: IntArray, limit: float
) -> list[Choice]:
    ends = np.append(first_cell[1:], len(cell_host))
    found = []
    for host, option in np.argwhere(tops.max(axis=1, keepdims=True) - tops <= max(limit, 1e-6)):
        cells = tuple(range(int(first_cell[host]), int(ends[host])))
        rows = tuple(
            np.flatnonzero(gaps[cell, option] <= max(limit, 1e-6)).astype(np.int64)
            for cell in cells
        )
        if all(len(own) for own in rows):
            found.append(Choice(int(host), int(option), cells, rows))
    return found


def _changes(
    relaxed: Relaxation, bound: Bound, groups: list[IntArray], *, wide: bool
) -> Changes | None:
    """Return the small changes that are possible somewhere, without doubles."""
    kinds = relaxed.kinds
    known: dict[tuple[tuple[int, ...], tuple[int, ...]], None] = {}
    for group in groups:
        own = np.flatnonzero(group & (kinds.wide == wide) & (kinds.amount > 0))
        depth = next((deep for most, deep in DEPTHS if len(own) <= most), 0)
        if depth == 0:
            return None
        sets = [
            chosen
            for size in range(depth + 1)
            for chosen in combinations_with_replacement(own.tolist(), size)
        ]
        for out in sets:
            amounts = set(kinds.amount[list(out)].tolist())
            for come in sets:
                if not amounts & set(kinds.amount[list(come)].tolist()):
                    known[out, come] = None
    return _to_changes(relaxed, bound, list(known))


def _wide_changes(relaxed: Relaxation, bound: Bound) -> Changes:
    rows = np.flatnonzero(relaxed.kinds.wide & (relaxed.kinds.amount > 0)).tolist()
    singles = [((row,), ()) for row in rows] + [((), (row,)) for row in rows]
    return _to_changes(relaxed, bound, [((), ()), *singles])


def _to_changes(
    relaxed: Relaxation, bound: Bound, listed: list[tuple[tuple[int, ...], tuple[int, ...]]]
) -> Changes:
    assert bound.kind_prices is not None
    kinds = relaxed.kinds
    out = np.zeros((len(listed), len(kinds.amount)), dtype=np.int64)
    come = np.zeros_like(out)
    for row, (left, entered) in enumerate(listed):
        np.add.at(out[row], list(left), 1)
        np.add.at(come[row], list(entered), 1)
    cost = bound.kind_prices + kinds.price + bound.toll
    return Changes(
        counts=out - come,
        net=(out - come) @ kinds.amount,
        value=come @ bound.kind_prices - out @ cost,
        moves=out.sum(axis=1),
    )


@compiled
def rate_patterns(  # noqa: C901, PLR0912, PLR0917 - nested loops, compiled
    first_cell: IntArray,
    cell_host: IntArray,
    free: IntArray,
    sizes: IntArray,
    weights: FloatArray,
    accepted: BoolArray,
    present: IntArray,
    counts: IntArray,
    net: IntArray,
    value: FloatArray,
    wide_counts: IntArray,
    wide_net: IntArray,
    wide_value: FloatArray,
    gaps: FloatArray,
    tops: FloatArray,
) -> None:
    """Fill the gap of every pattern by cell and wide change, and the best value by host."""
    kinds = present.shape[1]
    possible = np.empty(net.size, dtype=np.int64)
    for host in range(first_cell.size):
        first = first_cell[host]
        cells = 1
        if first + 1 < cell_host.size and cell_host[first + 1] == host:
            cells = 2
        for side in range(cells):
            cell = first + side
            fitting = 0
            for row in range(net.size):
                fits = True
                for kind in range(kinds):
                    count = counts[row, kind]
                    if count > present[cell, kind] or (count < 0 and not accepted[kind, cell]):
                        fits = False
                        break
                if fits:
                    possible[fitting] = row
                    fitting += 1
            for option in range(wide_net.size):
                allowed = option == 0 or cells == PAIR
                for kind in range(kinds):
                    count = wide_counts[option, kind]
                    if count > present[first, kind] or (count < 0 and not accepted[kind, first]):
                        allowed = False
                if not allowed:
                    continue
                top = NO_SUCH
                for index in range(fitting):
                    row = possible[index]
                    left = free[cell] + net[row] + wide_net[option]
                    if left < 0 and net[row] + wide_net[option] < 0:
                        continue
                    worth = value[row]
                    for hole in range(sizes.size):
                        worth += weights[hole, cell] * (max(left, 0) // sizes[hole])
                    gaps[cell, option, row] = -worth
                    top = max(top, worth)
                if side == 0:
                    tops[host, option] = top + wide_value[option]
                else:
                    tops[host, option] += top
                for index in range(fitting):
                    row = possible[index]
                    if gaps[cell, option, row] < -NO_SUCH:
                        gaps[cell, option, row] += top
        highest = tops[host].max()
        for option in range(wide_net.size):
            behind = highest - tops[host, option]
            for side in range(cells):
                for row in range(net.size):
                    gaps[first + side, option, row] += behind
