"""The other arms of the rescheduling protocol: an integer program, and random partitions of it.

The program counts items by kind, so it is far smaller than one with a variable for each item and
place: what leaves and what comes per cell, whole holes, and one balance per kind. Its answer is
made real, item by item, as ours is.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from ortools.sat.python import cp_model

from moorage_policies.rescheduling.bounds import Relaxation, relax
from moorage_policies.rescheduling.instance import Hole, Instance
from moorage_policies.rescheduling.patterns import Flow
from moorage_policies.rescheduling.realise import realise
from moorage_policies.rescheduling.search import build_static, order_of
from moorage_policies.types import IntArray

SCALE = 1000


@dataclass(frozen=True, slots=True)
class Found:
    """Places with the most that the arm proves possible."""

    places: IntArray
    bound: float


def solve_program(instance: Instance, *, seconds: float, workers: int, seed: int) -> Found:
    """Return what CP-SAT finds for the whole problem within these seconds of the wall."""
    relaxed = relax(instance)
    if relaxed is None:
        return Found(instance.home, np.inf)
    model = cp_model.CpModel()
    program = _Program(instance, relaxed, model)
    program.build()
    solver = cp_model.CpSolver()
    solver.parameters.max_time_in_seconds = seconds
    solver.parameters.num_workers = workers
    solver.parameters.random_seed = seed
    status = solver.solve(model)
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return Found(instance.home, np.inf)
    places = realise(instance, relaxed, program.read(solver))
    return Found(keep_orderable(instance, places), solver.best_objective_bound / SCALE)


class _Program:
    def __init__(self, instance: Instance, relaxed: Relaxation, model: cp_model.CpModel) -> None:
        self.instance = instance
        self.relaxed = relaxed
        self.model = model
        self.out: dict[tuple[int, int], Any] = {}
        self.come: dict[tuple[int, int], Any] = {}

    def build(self) -> None:
        instance, relaxed, model = self.instance, self.relaxed, self.model
        kinds = relaxed.kinds
        balance: defaultdict[int, list[Any]] = defaultdict(list)
        first = set(instance.first_cell.tolist())
        change: defaultdict[int, list[Any]] = defaultdict(list)
        for cell in range(len(relaxed.free)):
            for kind in range(len(kinds.amount)):
                if kinds.wide[kind] and cell not in first:
                    continue
                touched = (cell, cell + 1) if kinds.wide[kind] else (cell,)
                here = int(kinds.present[cell, kind])
                amount = int(kinds.amount[kind])
                if here:
                    left = self.out[cell, kind] = model.new_int_var(0, here, "")
                    balance[kind].append(left)
                    for side in touched:
                        change[side].append(left * amount)
                if kinds.accepted[kind, cell]:
                    most = min(instance.max_moves, int(kinds.present[:, kind].sum()))
                    came = self.come[cell, kind] = model.new_int_var(0, most, "")
                    balance[kind].append(-came)
                    for side in touched:
                        change[side].append(-came * amount)
        for terms in balance.values():
            model.add(sum(terms) == 0)
        model.add(sum(self.out.values()) <= instance.max_moves)
        self._count_holes(change)

    def _count_holes(self, change: dict[int, list[Any]]) -> None:
        relaxed, model = self.relaxed, self.model
        worth = []
        for cell, free in enumerate(relaxed.free.tolist()):
            room = free + sum(change[cell])
            model.add(room >= min(free, 0))
            for hole, size in enumerate(relaxed.sizes.tolist()):
                weight = round(SCALE * float(relaxed.weights[hole, cell]))
                if weight:
                    holes = model.new_int_var(0, int(relaxed.free.max()) + size, "")
                    model.add(holes * size <= room)
                    worth.append(holes * weight)
        model.maximize(sum(worth))

    def read(self, solver: cp_model.CpSolver) -> Flow:
        kinds = self.relaxed.kinds
        narrow = np.zeros((len(self.relaxed.free), len(kinds.amount)), dtype=np.int64)
        wide = np.zeros((len(self.instance.hosts), len(kinds.amount)), dtype=np.int64)
        for table, sign in ((self.out, 1), (self.come, -1)):
            for (cell, kind), variable in table.items():
                count = sign * solver.value(variable)
                if kinds.wide[kind]:
                    wide[self.instance.cell_host[cell], kind] += count
                else:
                    narrow[cell, kind] += count
        return Flow(narrow, wide)


def keep_orderable(instance: Instance, places: IntArray) -> IntArray:
    """Return the places without the moves that never find room when taken one by one."""
    current = places.copy()
    static = build_static(instance)
    while True:
        order, done = order_of(instance, static, current)
        moved = np.flatnonzero(current != instance.home)
        if done == len(moved):
            return current
        stuck = np.setdiff1d(moved, order)
        current[stuck] = instance.home[stuck]


def solve_parts(
    instance: Instance, *, parts: int, seconds: float, workers: int, seed: int
) -> IntArray:
    """Return places after random parts of the hosts were solved apart, as POP does."""
    noise = np.random.default_rng(seed)
    part_of = noise.permutation(np.arange(len(instance.hosts)) % parts)
    places = instance.home.copy()
    for part in range(parts):
        hosts = np.flatnonzero(part_of == part)
        rows, cells, small = cut(instance, hosts, instance.max_moves // parts)
        found = solve_program(small, seconds=seconds / parts, workers=workers, seed=seed)
        places[rows] = cells[found.places]
    return keep_orderable(instance, places)


def cut(instance: Instance, hosts: IntArray, max_moves: int) -> tuple[IntArray, IntArray, Instance]:
    """Return the part of the problem on some hosts: its items, its cells, and itself."""
    cells = np.flatnonzero(np.isin(instance.cell_host, hosts))
    rows = np.flatnonzero(np.isin(instance.cell_host[instance.home], hosts))
    where = np.full(len(instance.capacity), -1, dtype=np.int64)
    where[cells] = np.arange(len(cells))
    rank = np.full(len(instance.hosts), -1, dtype=np.int64)
    rank[hosts] = np.arange(len(hosts))
    small = replace(
        instance,
        hosts=tuple(instance.hosts[host] for host in hosts),
        cell_host=rank[instance.cell_host[cells]],
        capacity=instance.capacity[cells],
        items=tuple(instance.items[row] for row in rows),
        requests=instance.requests[rows],
        wide=instance.wide[rows],
        home=where[instance.home[rows]],
        movable=instance.movable[rows],
        kind=instance.kind[rows],
        eligible=instance.eligible[:, cells],
        price=instance.price[rows],
        owner=instance.owner[rows],
        limits=(),
        held=instance.held[hosts],
        host_worth=instance.host_worth[hosts],
        domain=instance.domain[hosts],
        holes=tuple(
            Hole(h.name, h.requests, h.weight, None if h.cells is None else h.cells[cells])
            for h in instance.holes
        ),
        max_moves=max_moves,
    )
    return rows, cells, small
