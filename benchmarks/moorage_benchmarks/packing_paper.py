"""The peer: the staged CP-SAT model of "Priority Matters", re-implemented from its description.

One boolean per (pod, node) that could host the pod alone, one knapsack per node and resource. For
each priority from the highest down, over all pods of at least this priority: place as many as
possible, then disturb as few as possible (an eviction costs 1, a move 2); each result becomes a
constraint and the hint of the next stage. The first hint keeps every running pod in place. The loop
ends at the first stage without a solution.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from ortools.sat.python import cp_model

from moorage_policies.packing.instance import Instance
from moorage_policies.types import BoolArray, IntArray

PAD_S = 0.2
POOL_RATIO = 0.40  # of the time, shared equally by the tiers; the rest may be used by any tier
DISRUPT_RATIO = 0.30  # of a tier's time, for its second stage
LEAST_S = 1e-3
POLL_S = 0.005


@dataclass(frozen=True, slots=True)
class PaperAnswer:
    """What the model returns: a placement, or ``None``, and whether every stage was optimal."""

    placement: IntArray | None
    certified: bool


def solve_by_paper_model(
    instance: Instance, deadline_s: float, *, workers: int, seed: int, clock: Callable[[], float]
) -> PaperAnswer:
    """Return the answer of the paper's method within a deadline, model building included."""
    model = _Model(instance)
    budget = _Budget(deadline_s - PAD_S, len(instance.tiers), clock)
    placement: IntArray | None = None
    certified = True
    model.hint(instance.current)
    for tier in range(len(instance.tiers)):
        members = instance.tier <= tier
        cap = budget.open_tier()
        for goal, sense, share in (
            (model.placed(members), 1, 1 - DISRUPT_RATIO),
            (model.disruption(members), -1, 1.0),
        ):
            limit = cap * share if sense > 0 else cap - budget.used_in_tier()
            status, solver = model.optimise(goal, sense, max(limit, LEAST_S), workers, seed, clock)
            if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
                return PaperAnswer(placement, certified=False)
            placement = model.read(solver)
            certified = certified and status == cp_model.OPTIMAL
            model.fix(
                goal, round(solver.ObjectiveValue()), sense, optimal=status == cp_model.OPTIMAL
            )
            model.hint(placement)
        budget.close_tier()
    return PaperAnswer(placement, certified)


@contextmanager
def _stopped_after(solver: Any, limit_s: float, clock: Callable[[], float]) -> Iterator[None]:  # noqa: ANN401
    """Stop the solver once this much of the clock has passed: CP-SAT itself counts wall time."""
    began, done = clock(), threading.Event()

    def watch() -> None:
        while not done.wait(POLL_S):
            if clock() - began >= limit_s:
                solver.StopSearch()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


class _Budget:
    """The paper's split of the time between tiers."""

    def __init__(self, total_s: float, tiers: int, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._pool = total_s * POOL_RATIO
        self._spare = total_s * (1 - POOL_RATIO)
        self._tiers = tiers
        self._opened = clock()
        self._share = 0.0

    def open_tier(self) -> float:
        self._opened = self._clock()
        self._share = self._pool / max(1, self._tiers)
        return self._share + self._spare

    def used_in_tier(self) -> float:
        return self._clock() - self._opened

    def close_tier(self) -> None:
        used = self.used_in_tier()
        self._pool -= min(used, self._share)
        self._spare = max(0.0, self._spare - max(0.0, used - self._share))
        self._tiers -= 1


class _Model:
    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        model: Any = cp_model.CpModel()
        self._model = model
        self._on: list[dict[int, Any]] = []
        for pod in range(len(instance.pods)):
            alone = (instance.requests[pod] <= instance.capacity).all(axis=1)
            nodes = np.flatnonzero(alone).tolist()
            self._on.append({node: self._model.NewBoolVar("") for node in nodes})
            self._model.AddAtMostOne(self._on[pod].values())
        for node in range(len(instance.nodes)):
            takers = [(pod, on[node]) for pod, on in enumerate(self._on) if node in on]
            for column in range(len(instance.resources)):
                load = sum(int(instance.requests[pod, column]) * x for pod, x in takers)
                if takers:
                    self._model.Add(load <= int(instance.capacity[node, column]))

    def placed(self, members: BoolArray) -> Any:  # noqa: ANN401
        return sum(x for pod in np.flatnonzero(members) for x in self._on[pod].values())

    def disruption(self, members: BoolArray) -> Any:  # noqa: ANN401
        """Return a cost that is 0 for a pod that stays, 1 evicted, 2 moved, up to a constant."""
        running = np.flatnonzero(members & self._instance.running)
        return sum(
            (1 - 2 * (node == self._instance.current[pod])) * x
            for pod in running.tolist()
            for node, x in self._on[pod].items()
        )

    def optimise(
        self,
        goal: Any,  # noqa: ANN401
        sense: int,
        limit_s: float,
        workers: int,
        seed: int,
        clock: Callable[[], float],
    ) -> tuple[Any, Any]:
        solver = cp_model.CpSolver()
        solver.parameters.num_workers = workers
        solver.parameters.random_seed = seed
        solver.parameters.max_time_in_seconds = limit_s if clock is time.monotonic else 1e6
        self._model.Maximize(goal if sense > 0 else -goal)
        with _stopped_after(solver, limit_s, clock):
            return solver.Solve(self._model), solver

    def fix(self, goal: Any, value: int, sense: int, *, optimal: bool) -> None:  # noqa: ANN401
        reached = sense * value
        if isinstance(goal, int):
            return
        if optimal:
            self._model.Add(goal == reached)
        elif sense > 0:
            self._model.Add(goal >= reached)
        else:
            self._model.Add(goal <= reached)

    def hint(self, placement: IntArray) -> None:
        self._model.ClearHints()
        for pod, on in enumerate(self._on):
            for node, x in on.items():
                self._model.AddHint(x, int(placement[pod] == node))

    def read(self, solver: Any) -> IntArray:  # noqa: ANN401
        placement = np.full(len(self._on), -1, dtype=np.int64)
        for pod, on in enumerate(self._on):
            for node, x in on.items():
                if solver.Value(x):
                    placement[pod] = node
        return placement
