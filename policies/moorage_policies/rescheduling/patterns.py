"""What cells could sensibly do: the few changes that the prices do not rule out.

At the prices of the Lagrangian bound every host has a best change. A pattern is a small change of
one cell, items that leave and items that come, by kind. Its gap is what it is worse than the best
at these prices; an answer near the bound uses patterns of small gaps only.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np

from moorage_policies.packing.compiled import compiled
from moorage_policies.rescheduling.bounds import Bound, Relaxation
from moorage_policies.rescheduling.instance import PAIR
from moorage_policies.types import BoolArray, FloatArray, IntArray

DEPTHS = ((7, 3), (16, 2))  # up to so many kinds: so many items may leave, and come, at a time
NO_SUCH = -1e18
MOST_RATED = 4_000_000
ALIKE = 1e-6


@dataclass(frozen=True, slots=True)
class Changes:
    """Small changes of one cell.

    Attributes:
        counts: items that leave less items that come, shape ``(changes, kinds)``.
        net: units that become free.
        value: value at the prices, holes aside.
    """

    counts: IntArray
    net: IntArray
    value: FloatArray

    def including(self, counts: IntArray, amount: IntArray) -> tuple[Changes, IntArray]:
        """Return these changes and all of ``counts``, and the row of each of the latter.

        What is added has neither value nor gap: it is there to be chosen, not to be rated.
        """
        known = {row.tobytes(): at for at, row in enumerate(self.counts)}
        extra: list[IntArray] = []
        rows = np.zeros(len(counts), dtype=np.int64)
        for at, row in enumerate(counts):
            if row.tobytes() not in known:
                known[row.tobytes()] = len(known)
                extra.append(row)
            rows[at] = known[row.tobytes()]
        added = np.array(extra, dtype=np.int64).reshape(len(extra), self.counts.shape[1])
        return Changes(
            np.concatenate([self.counts, added]),
            np.concatenate([self.net, added @ amount]),
            np.concatenate([self.value, np.zeros(len(added))]),
        ), rows


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
class Flow:
    """What places move, by kind.

    Attributes:
        narrow: items that leave less items that come, shape ``(cells, kinds)``.
        wide: the same for wide items, shape ``(hosts, kinds)``.
    """

    narrow: IntArray
    wide: IntArray


@dataclass(frozen=True, slots=True)
class Menu:
    """Choices within a gap of the best.

    Attributes:
        narrow: changes of single cells.
        wide: changes of both cells of a host.
        choices: what hosts may do.
        start: by host, the choice and the rows of its cells that make up the answer to start from.
        is_complete: whether no change that could make a better answer was left out.
    """

    narrow: Changes
    wide: Changes
    choices: tuple[Choice, ...]
    start: tuple[tuple[Choice, tuple[int, ...]], ...]
    is_complete: bool


@dataclass(frozen=True, slots=True)
class Ratings:
    """Every small change that is possible, with its gap.

    Attributes:
        narrow: changes of single cells.
        wide: changes of both cells of a host.
        amount: units of each kind.
        host_cells: cells of each host.
        cells: cell of each entry, in ascending order.
        options: row of the wide changes that each goes with.
        rows: row of the narrow changes.
        gaps: how much worse than its host's best each is.
        is_complete: whether all found room in the table.
    """

    narrow: Changes
    wide: Changes
    amount: IntArray
    host_cells: tuple[tuple[int, ...], ...]
    cells: IntArray
    options: IntArray
    rows: IntArray
    gaps: FloatArray
    is_complete: bool

    def cut(self, most: int, slack: float, start: Flow) -> Menu:
        """Return about ``most`` changes of the smallest gaps, and those of a known answer.

        Args:
            most: number of changes.
            slack: largest gap that a better answer can have anywhere.
            start: what the known answer moves.
        """
        is_complete = self.is_complete
        limit = max(slack, ALIKE)
        if most < int((self.gaps <= limit).sum()):
            is_complete = False
            limit = max(ALIKE, float(np.partition(self.gaps, most)[most]) * 0.999)
        near = np.flatnonzero(self.gaps <= limit)
        lists: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
        for at in near.tolist():
            lists[int(self.cells[at]), int(self.options[at])].append(int(self.rows[at]))
        narrow, narrow_rows = self.narrow.including(start.narrow, self.amount)
        wide, wide_rows = self.wide.including(start.wide, self.amount)
        choices, begun = [], []
        for host, cells in enumerate(self.host_cells):
            used = int(wide_rows[host])
            known = tuple(int(narrow_rows[cell]) for cell in cells)
            for cell, row in zip(cells, known, strict=True):
                if row not in lists[cell, used]:
                    lists[cell, used].append(row)
            for option in range(len(wide.net)):
                rows = tuple(lists.get((cell, option), []) for cell in cells)
                if not all(rows):
                    continue
                listed = tuple(np.array(own, dtype=np.int64) for own in rows)
                choices.append(Choice(host, option, cells, listed))
                if option == used:
                    begun.append((choices[-1], known))
        return Menu(narrow, wide, tuple(choices), tuple(begun), is_complete)


def rate_changes(
    relaxed: Relaxation, first_cell: IntArray, cell_host: IntArray, bound: Bound
) -> Ratings | None:
    """Return all small changes with their gaps; ``None`` where this does not apply."""
    if bound.kind_prices is None:
        return None
    kinds = relaxed.kinds
    groups = {key.tobytes(): key for key in kinds.accepted.T | (kinds.present > 0)}
    narrow = _changes(relaxed, bound, list(groups.values()), wide=False)
    if narrow is None:
        return None
    wide = _wide_changes(relaxed, bound)
    most = min(MOST_RATED, len(cell_host) * len(wide.net) * len(narrow.net))
    entries = np.empty((most, 3), dtype=np.int64)  # pages that stay unused cost nothing
    gaps = np.empty(most)
    count = rate_patterns(
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
        entries,
        gaps,
    )
    ends = np.append(first_cell[1:], len(cell_host)).tolist()
    return Ratings(
        narrow=narrow,
        wide=wide,
        amount=kinds.amount,
        host_cells=tuple(
            tuple(range(first, end)) for first, end in zip(first_cell.tolist(), ends, strict=True)
        ),
        cells=entries[:count, 0].copy(),
        options=entries[:count, 1].copy(),
        rows=entries[:count, 2].copy(),
        gaps=gaps[:count].copy(),
        is_complete=count < most or most < MOST_RATED,
    )


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
    )


@compiled
def rate_patterns(  # noqa: C901, PLR0912, PLR0915, PLR0917 - nested loops, compiled
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
    entries: IntArray,
    entry_gaps: FloatArray,
) -> int:
    """List cell, wide change and row of every possible pattern, with its gap; return how many."""
    kinds = present.shape[1]
    gaps = np.empty((PAIR, wide_net.size, net.size))
    tops = np.empty(wide_net.size)
    found = 0
    possible = np.empty(net.size, dtype=np.int64)
    for host in range(first_cell.size):
        first = first_cell[host]
        cells = 1
        if first + 1 < cell_host.size and cell_host[first + 1] == host:
            cells = 2
        gaps[:] = np.inf
        tops[:] = NO_SUCH
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
                    gaps[side, option, row] = -worth
                    top = max(top, worth)
                if side == 0:
                    tops[option] = top + wide_value[option]
                else:
                    tops[option] += top
                for index in range(fitting):
                    row = possible[index]
                    if gaps[side, option, row] < -NO_SUCH:
                        gaps[side, option, row] += top
        highest = tops.max()
        for side in range(cells):
            for option in range(wide_net.size):
                for row in range(net.size):
                    gap = gaps[side, option, row] + highest - tops[option]
                    if gap < -NO_SUCH and found < entry_gaps.size:
                        entries[found, 0] = first + side
                        entries[found, 1] = option
                        entries[found, 2] = row
                        entry_gaps[found] = gap
                        found += 1
    return found
