"""Choose one pattern per cell with CP-SAT: what leaves somewhere comes somewhere else."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from moorage_policies.rescheduling.bounds import Relaxation
from moorage_policies.rescheduling.patterns import Flow, Menu
from moorage_policies.types import IntArray

if TYPE_CHECKING:
    from ortools.sat.python.cp_model import CpModel, IntVar

SCALE = 10_000
"""Worth is counted in units of 1 / SCALE."""

Watch = Callable[[Callable[[], bool], Callable[[], None]], AbstractContextManager[None]]
"""While its context is open, calls the second as soon as the first says so."""

Term = tuple["IntVar", int]


@dataclass(frozen=True, slots=True)
class Limits:
    """How long CP-SAT may work.

    Attributes:
        seconds: of the wall, ``None``: no clock.
        work: most deterministic time, where no clock counts.
        workers: solver threads.
        seed: of its random choices.
        is_over: whether time is up by another clock than that of the wall.
        watch: asks ``is_over``; then ``seconds`` do not count.
    """

    seconds: float | None
    work: float
    workers: int
    seed: int
    is_over: Callable[[], bool] | None = None
    watch: Watch | None = None


@dataclass(frozen=True, slots=True)
class Pick:
    """The best choice found, its deterministic time, and whether no better one is on the menu."""

    flow: Flow
    work: float
    is_best: bool


def choose_patterns(
    relaxed: Relaxation, menu: Menu, max_moves: int, hosts: int, limits: Limits
) -> Pick | None:
    """Return the best choice found, ``None`` when none was found in time."""
    from ortools.sat.python import cp_model  # the import costs most of a second

    model = cp_model.CpModel()
    picked = _build(model, relaxed, menu, max_moves)
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = limits.workers
    solver.parameters.random_seed = limits.seed
    if limits.seconds is None:
        solver.parameters.max_deterministic_time = limits.work
    if limits.watch and limits.is_over:
        with limits.watch(limits.is_over, solver.stop_search):
            status = solver.solve(model)
    else:
        if limits.seconds is not None:
            solver.parameters.max_time_in_seconds = limits.seconds
        status = solver.solve(model)
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return None
    narrow = np.zeros((len(relaxed.free), len(relaxed.kinds.amount)), dtype=np.int64)
    wide = np.zeros((hosts, len(relaxed.kinds.amount)), dtype=np.int64)
    for variable, place, row, is_wide in picked:
        if solver.boolean_value(variable):
            if is_wide:
                wide[place] = menu.wide.counts[row]
            else:
                narrow[place] = menu.narrow.counts[row]
    work = solver.response_proto.deterministic_time
    return Pick(Flow(narrow, wide), work, status == cp_model.OPTIMAL)


def _build(
    model: CpModel, relaxed: Relaxation, menu: Menu, max_moves: int
) -> list[tuple[IntVar, int, int, bool]]:
    balance: defaultdict[int, list[Term]] = defaultdict(list)
    moves: list[Term] = []
    worth: list[Term] = []
    by_host: defaultdict[int, list[IntVar]] = defaultdict(list)
    picked = []
    start = {id(choice): rows for choice, rows in menu.start}
    for choice in menu.choices:
        used = model.new_bool_var("")
        begun = start.get(id(choice))
        model.add_hint(used, begun is not None)
        by_host[choice.host].append(used)
        picked.append((used, choice.host, choice.wide, True))
        _count(used, menu.wide.counts[choice.wide], balance, moves)
        worth.append((used, -_price(relaxed, menu.wide.counts[choice.wide])))
        for side, (cell, rows) in enumerate(zip(choice.cells, choice.rows, strict=True)):
            chosen = []
            for row in rows.tolist():
                variable = model.new_bool_var("")
                chosen.append(variable)
                model.add_hint(variable, begun is not None and begun[side] == row)
                picked.append((variable, cell, row, False))
                counts = menu.narrow.counts[row]
                _count(variable, counts, balance, moves)
                left = relaxed.free[cell] + menu.narrow.net[row] + menu.wide.net[choice.wide]
                worth.append((variable, _worth(relaxed, cell, int(left)) - _price(relaxed, counts)))
            model.add(sum(chosen) == used)
    for options in by_host.values():
        model.add_exactly_one(options)
    for terms in balance.values():
        model.add(sum(variable * count for variable, count in terms) == 0)
    model.add(sum(variable * count for variable, count in moves) <= max_moves)
    model.maximize(sum(variable * count for variable, count in worth if count))
    return picked


def _count(
    variable: IntVar, counts: IntArray, balance: defaultdict[int, list[Term]], moves: list[Term]
) -> None:
    for kind in np.flatnonzero(counts).tolist():
        balance[kind].append((variable, int(counts[kind])))
    leaving = int(counts[counts > 0].sum())
    if leaving:
        moves.append((variable, leaving))


def _worth(relaxed: Relaxation, cell: int, left: int) -> int:
    whole = max(left, 0) // relaxed.sizes
    return round(SCALE * float((relaxed.weights[:, cell] * whole).sum()))


def _price(relaxed: Relaxation, counts: IntArray) -> int:
    out = np.maximum(counts, 0)
    return round(SCALE * float((out * relaxed.kinds.price).sum()))
