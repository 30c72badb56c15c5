"""Cells drained one after the other, those first that give most per move: a start for the search.

Where a hole is a whole node, hundreds of moves make sense only together, and which cells to drain
matters more than where a single item goes.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np

from moorage_policies.rescheduling.greedy import is_allowed
from moorage_policies.rescheduling.instance import Hole, Instance
from moorage_policies.rescheduling.objective import rate_cells, rate_rooms
from moorage_policies.types import BoolArray, IntArray

TINY = 1e-9
WANTED_SHARE = 4.0
"""How much more room counts of which holes are made."""
MOST_TARGETS = 16
"""Targets that limits may refuse before an item counts as homeless."""


@dataclass(frozen=True, slots=True)
class Drain:
    """What has to leave a cell so that one more hole fits.

    Args:
        cell: the cell.
        items: what leaves.
        score: worth won per move, prices taken off; higher is better.
    """

    cell: int
    items: tuple[int, ...]
    score: float


def drain_cells(
    instance: Instance, *, noise: np.random.Generator | None = None, strength: float = 0.0
) -> IntArray:
    """Return places after cells were drained, the most worth per move first.

    An item goes where it takes no hole and leaves the least room over. Wide items stay.

    Args:
        instance: the problem.
        noise: random numbers; without them the answer depends on the instance alone.
        strength: how much chance changes the order, 0 for not at all.
    """
    return _Draining(instance, noise, strength).run()


class _Draining:
    def __init__(
        self, instance: Instance, noise: np.random.Generator | None, strength: float
    ) -> None:
        self.instance = instance
        self.places = instance.home.copy()
        self.free = instance.free(instance.home)
        self.worth = rate_cells(instance, self.free)
        self.left = instance.max_moves
        cells = len(instance.capacity)
        self.likely = np.zeros(cells, dtype=np.bool_)
        leaves = np.flatnonzero(instance.movable & ~instance.wide)
        by_cell = leaves[np.argsort(instance.home[leaves], kind="stable")]
        ends = np.searchsorted(instance.home[by_cell], np.arange(cells + 1))
        self.listed = [by_cell[ends[c] : ends[c + 1]].tolist() for c in range(cells)]
        wanted = np.any([hole.requests > 0 for hole in instance.holes], axis=0)
        self.scale = np.where(wanted, WANTED_SHARE, 1.0) / np.maximum(
            instance.capacity.max(axis=0, initial=0), 1
        )
        self.luck = np.ones(cells)
        if noise is not None and strength:
            self.luck = np.exp(strength * noise.standard_normal(cells))
        self.has_rules = bool(instance.limits) or bool((instance.owner >= 0).any())

    def run(self) -> IntArray:
        drains = [d for cell in range(len(self.free)) if (d := self.plan(cell)) is not None]
        self.likely[self.choose_likely(drains)] = True
        heap = [(-drain.score, drain.cell) for drain in drains]
        heapq.heapify(heap)
        while heap and self.left:
            score, cell = heapq.heappop(heap)
            drain = self.plan(cell)  # what came and went meanwhile changes it
            if drain is None:
                continue
            if drain.score < -score - TINY:
                heapq.heappush(heap, (-drain.score, cell))
            elif self.carry_out(drain) and (more := self.plan(cell)) is not None:
                heapq.heappush(heap, (-more.score, cell))
            else:
                self.likely[cell] = False
        return self.places

    def choose_likely(self, drains: list[Drain]) -> list[int]:
        """Return the cells that will be drained if all goes well: nothing should be put there."""
        chosen, moves = list[int](), 0
        for drain in sorted(drains, key=lambda d: -d.score):
            moves += len(drain.items)
            if moves > self.left:
                break
            chosen.append(drain.cell)
        return chosen

    def plan(self, cell: int) -> Drain | None:
        """Return the cheapest way to one more hole in the cell, by worth per move."""
        found = [self.plan_hole(cell, hole) for hole in self.instance.holes]
        drains = [drain for drain in found if drain is not None]
        return max(drains, key=lambda drain: drain.score, default=None)

    def plan_hole(self, cell: int, hole: Hole) -> Drain | None:
        if hole.cells is not None and not hole.cells[cell]:
            return None
        asked = hole.requests > 0
        room = np.maximum(self.free[cell][asked], 0)
        count = int((room // hole.requests[asked]).min())
        lacking = (count + 1) * hole.requests[asked] - self.free[cell][asked]
        if (lacking > self.instance.capacity[cell][asked]).any():
            return None
        items = self.choose_leavers(cell, lacking, asked)
        if not items or len(items) > self.left:
            return None
        back = self.instance.requests[list(items)].sum(axis=0)
        after = rate_rooms(self.instance, np.array([cell]), self.free[[cell]] + back)
        won = float(after[0] - self.worth[cell])
        net = won - float(self.instance.price[list(items)].sum())
        return Drain(cell, items, net / len(items) * self.luck[cell]) if net > TINY else None

    def choose_leavers(self, cell: int, lacking: IntArray, asked: BoolArray) -> tuple[int, ...]:
        """Return few items that hold what is lacking, empty when all of them hold less."""
        needs = {i: self.instance.requests[i][asked] for i in self.listed[cell]}
        short = np.maximum(lacking, 0)
        chosen: list[int] = []
        while short.any():
            helps = {i: np.minimum(needs[i], short) for i in needs if i not in chosen}
            scale = np.maximum(lacking, 1)
            best = max(
                helps,
                key=lambda i: (float((helps[i] / scale).sum()), -self.instance.price[i]),
                default=None,
            )
            if best is None or not helps[best].any():
                return ()
            enough = [i for i in helps if (needs[i] >= short).all()]
            best = min(enough, key=lambda i: int(needs[i].sum()), default=best)
            chosen.append(best)
            short = np.maximum(short - needs[best], 0)
        return tuple(chosen)

    def carry_out(self, drain: Drain) -> bool:
        """Give each item another cell; return whether that paid, and undo it if not."""
        before = float(self.worth.sum())
        done: list[int] = []
        for item in sorted(drain.items, key=self.size_of, reverse=True):
            target = self.find_target(item, drain.cell)
            if target < 0:
                break
            self.shift(item, target)
            done.append(item)
        gain = float(self.worth.sum()) - before - float(self.instance.price[done].sum())
        if len(done) < len(drain.items) or gain <= TINY:
            for item in reversed(done):
                self.shift(item, int(self.instance.home[item]))
            return False
        self.left -= len(done)
        for item in done:
            self.listed[drain.cell].remove(item)
        return True

    def size_of(self, item: int) -> float:
        """Return how much room an item takes; what holes are made of counts most."""
        return float(self.instance.requests[item] @ self.scale)

    def find_target(self, item: int, source: int) -> int:
        """Return the cell that loses least and is filled best, -1 where the item has no room."""
        instance, need = self.instance, self.instance.requests[item]
        fits = ((self.free >= need) | (need == 0)).all(axis=1)
        fits &= instance.eligible[instance.kind[item]]
        fits[source] = False
        spots = np.flatnonzero(fits)
        if not len(spots):
            return -1
        room = self.free[spots] - need
        loss = self.worth[spots] - rate_rooms(instance, spots, room)
        spare = (room * self.scale)[:, need > 0].sum(axis=1)
        order = spots[np.lexsort((spare, self.likely[spots], np.round(loss, 6)))]
        if not self.has_rules:
            return int(order[0])
        near = order[:MOST_TARGETS].tolist()
        return next((c for c in near if is_allowed(instance, self.places, item, c)), -1)

    def shift(self, item: int, target: int) -> None:
        need, source = self.instance.requests[item], int(self.places[item])
        self.free[source] += need
        self.free[target] -= need
        self.places[item] = target
        both = np.array([source, target])
        self.worth[both] = rate_rooms(self.instance, both, self.free[both])
