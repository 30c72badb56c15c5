"""What could be had at best on a trace, if all pods were known from the start."""

from __future__ import annotations

from collections import Counter

import numpy as np

from moorage_benchmarks.fragmentation_trace import Trace
from moorage_policies.scoring.mix import WHOLE_MILLI
from moorage_policies.types import IntArray


def bound_milli(trace: Trace, stream: IntArray) -> float:
    """Return no less than the most thousandths of GPUs that pods of the stream can get.

    A linear programme: pods may be cut into pieces, and nodes of one kind are one big node of as
    much CPU, memory and GPUs. More than half of a device, or all of it, needs a device of its own.
    """
    from ortools.linear_solver import pywraplp

    nodes = trace.nodes
    devices = (nodes.milli > 0).sum(axis=1)
    kinds = Counter(zip(nodes.cpu, nodes.memory, devices, nodes.classes, strict=True))
    solver = pywraplp.Solver.CreateSolver("GLOP")
    arrived = np.bincount(stream, minlength=len(trace.shapes))
    supply = {
        k: solver.Constraint(0.0, float(arrived[k])) for k in np.flatnonzero(arrived).tolist()
    }
    goal = solver.Objective()
    goal.SetMaximization()
    for (cpu, memory, gpus, model), count in kinds.items():
        limits = [
            solver.Constraint(0.0, float(amount * count))
            for amount in (cpu, memory, gpus * WHOLE_MILLI, gpus)
        ]
        for k, constraint in supply.items():
            shape = trace.shapes[k]
            too_many = shape.devices > gpus or shape.cpu > cpu or shape.memory > memory
            if too_many or (shape.classes is not None and model not in shape.classes):
                continue
            pods = solver.NumVar(0.0, solver.infinity(), "")
            constraint.SetCoefficient(pods, 1.0)
            gpu_milli = shape.devices * shape.milli
            own = shape.devices if 2 * shape.milli > WHOLE_MILLI else 0
            for limit, need in zip(limits, (shape.cpu, shape.memory, gpu_milli, own), strict=True):
                limit.SetCoefficient(pods, float(need))
            goal.SetCoefficient(pods, float(gpu_milli))
    if solver.Solve() != pywraplp.Solver.OPTIMAL:
        return float(trace.capacity_milli)
    return float(goal.Value())
