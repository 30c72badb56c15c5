"""Stage by stage optimisation of a CP-SAT model: proofs where it is small, steps elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ortools.sat.python import cp_model

from moorage_policies.packing.instance import Instance
from moorage_policies.packing.model import Freedom, PlacementModel
from moorage_policies.packing.objective import full_score
from moorage_policies.types import IntArray

MARGIN_S = 0.02  # CP-SAT returns a little after its limit


@dataclass(frozen=True, slots=True)
class Limits:
    """What one run of the model may use; ``work`` is deterministic time, roughly seconds."""

    work: float
    seconds: float | None = None
    workers: int = 1
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Solved:
    """A placement, and how many leading stages (placing, then cost) were proven best.

    ``bound`` is the best bound of the first stage that was not proven, ``None`` when all were.
    """

    placement: IntArray
    proven: int
    bound: int | None
    work: float


def optimise(
    instance: Instance, freedom: Freedom, limits: Limits, *, stages_proven: int = 0
) -> Solved:
    """Return the lexicographically best placement found inside a freedom.

    The answer is never below ``freedom.placement``, which must itself be allowed.

    Args:
        instance: the problem.
        freedom: the starting placement and what may change in it.
        limits: time, workers and seed.
        stages_proven: leading stages known to be at their best, taken as given.
    """
    built = PlacementModel(instance, freedom)
    goals = [*built.counts(), *(-cost for cost in built.costs())]
    best = freedom.placement
    spent, seconds = 0.0, limits.seconds
    for stage, goal in enumerate(goals):
        reached = full_score(instance, best)
        if isinstance(goal, int) or stage < stages_proven:
            _keep(built, goal, reached[stage])
            continue
        built.hint(best)
        built.model.Maximize(goal)
        built_limits = Limits(limits.work - spent, seconds, limits.workers, limits.seed)
        if built_limits.work <= 0 or (seconds is not None and seconds <= MARGIN_S):
            return Solved(best, stage, None, spent)
        solver, status = _run(built, built_limits)
        spent += solver.ResponseProto().deterministic_time
        seconds = None if seconds is None else seconds - solver.WallTime()
        if status in (cp_model.OPTIMAL, cp_model.FEASIBLE):
            found = built.read(solver)
            if full_score(instance, found) > full_score(instance, best):
                best = found
        if status != cp_model.OPTIMAL:
            bound = None if status == cp_model.UNKNOWN else int(solver.BestObjectiveBound())
            return Solved(best, stage, bound, spent)
        _keep(built, goal, full_score(instance, best)[stage])
    return Solved(best, len(goals), None, spent)


def _keep(built: PlacementModel, goal: Any, reached: int) -> None:  # noqa: ANN401
    if not isinstance(goal, int):
        built.model.Add(goal >= reached)


def _run(built: PlacementModel, limits: Limits) -> tuple[Any, Any]:
    solver = cp_model.CpSolver()
    parameters = solver.parameters
    parameters.num_workers = limits.workers
    parameters.random_seed = limits.seed
    parameters.max_deterministic_time = max(limits.work, 1e-3)
    if limits.seconds is not None:
        parameters.max_time_in_seconds = max(limits.seconds - MARGIN_S, 1e-3)
    return solver, solver.Solve(built.model)
