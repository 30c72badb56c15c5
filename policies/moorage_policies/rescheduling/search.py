"""Ready an instance for the search kernel, and run it in slices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from moorage_policies.rescheduling.instance import Instance
from moorage_policies.rescheduling.kernel import (
    IMMOVABLE,
    MAX_CHANGES,
    State,
    Static,
    anneal,
    order_moves,
    rate_cell,
)
from moorage_policies.types import IntArray


@dataclass(frozen=True, slots=True)
class Answer:
    """Places with their worth and the order in which the moves can be carried out."""

    places: IntArray
    worth: float
    order: IntArray


@dataclass(frozen=True, slots=True)
class Heat:
    """How to search: temperatures in units of the largest single worth.

    ``shape_weight`` is the bonus for a room that is nearly a hole, ``toll`` what a move costs the
    search (not the answer), so that useless moves are given back.
    """

    hot: float = 0.35
    cold: float = 0.02
    shape_weight: float = 0.3
    toll: float = 0.3
    drains: int = 30


class Search:
    """One search thread: a state, its random numbers, and the best answer seen by it.

    Args:
        instance: the problem.
        seed: of the random choices.
    """

    def __init__(self, instance: Instance, seed: int) -> None:
        self._instance = instance
        self.static = build_static(instance)
        self._seed = np.array([seed * 2_654_435_761 % (1 << 61) + 88_172_645_463], dtype=np.int64)
        self.best = instance.home.copy()
        self.stats = np.zeros(3, dtype=np.int64)
        self.state = build_state(instance, self.static, instance.home)
        self.base = float(self.state.totals[0])
        self.best_score = np.array([self.base, 0.0])

    def restart(self, places: IntArray) -> None:
        """Go on from other places."""
        self.state = build_state(self._instance, self.static, places)

    def run(self, steps: int, heat: Heat) -> None:
        """Search for so many proposals."""
        worths = (self.static.hole_weight, self.static.host_worth, self.static.domain_worth)
        unit = max(1e-6, *(float(worth.max(initial=0.0)) for worth in worths))
        anneal(
            self.static,
            self.state,
            steps=steps,
            hot=heat.hot * unit,
            cold=heat.cold * unit,
            shape_weight=heat.shape_weight,
            toll=heat.toll * unit,
            drains=heat.drains,
            max_moves=self._instance.max_moves,
            seed=self._seed,
            best=self.best,
            best_score=self.best_score,
            stats=self.stats,
        )


def order_of(instance: Instance, static: Static, places: IntArray) -> tuple[IntArray, int]:
    """Return the moved items in an order that works, and how many of them it covers."""
    moved = np.flatnonzero(places != instance.home).astype(np.int64)
    order = np.empty(len(moved), dtype=np.int64)
    done = order_moves(
        static.requests,
        static.items,
        static.tie_list,
        static.limit_slots,
        static.tie_room,
        places,
        moved,
        len(moved),
        static.start_free.copy(),
        static.start_ties.copy(),
        order,
    )
    return order[:done], done


def build_static(instance: Instance) -> Static:
    """Return the kernel's view of an instance."""
    count = len(instance.items)
    ties = [np.zeros(0, dtype=np.int64)] * count
    for index, limit in enumerate(instance.limits):
        for item in limit.members:
            ties[int(item)] = np.append(ties[int(item)], index)
    lengths = np.array([len(own) for own in ties], dtype=np.int64)
    ends = np.cumsum(lengths)
    offsets = np.concatenate([[0], np.cumsum([len(limit.room) for limit in instance.limits])])
    slots = np.array(
        [
            np.where(limit.domain >= 0, limit.domain + offsets[index], -1)
            for index, limit in enumerate(instance.limits)
        ],
        dtype=np.int64,
    ).reshape(len(instance.limits), len(instance.capacity))
    weights = np.array([hole.weight for hole in instance.holes]).reshape(-1, 1)
    counted = np.array(
        [
            np.ones(len(instance.capacity)) if hole.cells is None else hole.cells.astype(float)
            for hole in instance.holes
        ]
    ).reshape(len(instance.holes), len(instance.capacity))
    room = np.concatenate(
        [limit.room for limit in instance.limits] or [np.zeros(0, dtype=np.int64)]
    )
    start_ties = np.zeros(len(room), dtype=np.int64)
    for index, limit in enumerate(instance.limits):
        where = slots[index][instance.home[limit.members]]
        np.add.at(start_ties, where[where >= 0], 1)
    return Static(
        requests=instance.requests,
        items=np.column_stack(
            [instance.wide, instance.home, instance.kind, instance.owner, ends - lengths, ends]
        ).astype(np.int64),
        price=instance.price,
        owner_room=instance.owner_room,
        eligible=instance.eligible,
        tie_list=np.concatenate(ties or [np.zeros(0, dtype=np.int64)]).astype(np.int64),
        limit_slots=slots,
        tie_room=room.astype(np.int64),
        hole_requests=np.array([hole.requests for hole in instance.holes], dtype=np.int64).reshape(
            len(instance.holes), len(instance.resources)
        ),
        hole_weight=weights * counted,
        host_of=instance.cell_host,
        host_worth=instance.host_worth,
        domain_of=instance.domain,
        domain_worth=instance.domain_worth,
        candidates=np.flatnonzero(instance.movable).astype(np.int64),
        start_free=instance.free(instance.home),
        start_ties=start_ties,
    )


def build_state(instance: Instance, static: Static, places: IntArray) -> State:
    """Return the kernel's state when items sit at ``places``."""
    cells, count = len(instance.capacity), len(instance.items)
    wide = np.flatnonzero(instance.wide)
    at = np.concatenate([places, places[wide] + 1])
    who = np.concatenate([np.arange(count), wide])
    load = np.bincount(at, minlength=cells).astype(np.int64)
    width = int(load.max(initial=0)) + instance.max_moves + MAX_CHANGES
    listed = np.full((cells, width), -1, dtype=np.int64)
    slot = np.zeros((count, 2), dtype=np.int64)
    filled = np.zeros(cells, dtype=np.int64)
    for index, (cell, item) in enumerate(zip(at.tolist(), who.tolist(), strict=True)):
        listed[cell, filled[cell]] = item
        slot[item, int(index >= count)] = filled[cell]
        filled[cell] += 1
    hosts = instance.cell_host[places]
    host_load = np.bincount(hosts, minlength=len(instance.hosts)).astype(np.int64) + instance.held
    domains = len(instance.domain_worth)
    domain_load = np.bincount(instance.domain[hosts], minlength=domains) + np.bincount(
        instance.domain, weights=instance.held, minlength=domains
    ).astype(np.int64)
    ties = np.zeros(len(static.tie_room), dtype=np.int64)
    for index, limit in enumerate(instance.limits):
        where = static.limit_slots[index][places[limit.members]]
        np.add.at(ties, where[where >= 0], 1)
    moved = np.flatnonzero(places != instance.home)
    moved_at = np.where(instance.movable, -1, IMMOVABLE).astype(np.int64)
    moved_at[moved] = np.arange(len(moved))
    used = np.zeros(len(instance.owner_room), dtype=np.int64)
    np.add.at(used, instance.owner[moved][instance.owner[moved] >= 0], 1)
    free, exact, smooth = instance.free(places), np.zeros(cells), np.zeros(cells)
    for cell in range(cells):
        rate_cell(free, static.hole_requests, static.hole_weight, cell, exact, smooth)
    worth = exact.sum() - instance.price[moved].sum()
    worth += instance.host_worth[host_load == 0].sum()
    worth += instance.domain_worth[domain_load == 0].sum()
    kept = np.zeros(instance.max_moves + MAX_CHANGES, dtype=np.int64)  # one change may overshoot
    kept[: len(moved)] = moved
    return State(
        place=places.astype(np.int64),
        free=free,
        exact=exact,
        smooth=smooth,
        listed=listed,
        load=load,
        slot=slot,
        host_load=host_load.astype(np.int64),
        domain_load=domain_load.astype(np.int64),
        tie_count=ties,
        owner_used=used,
        moved=kept,
        moved_at=moved_at,
        totals=np.array([worth, smooth.sum(), float(len(moved))]),
    )
