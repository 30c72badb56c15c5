"""A bound from whole-node fillings: the linear program over patterns, by column generation.

Pods that look alike form a group, nodes that look alike a class. A pattern is one way to fill a
node. The linear program mixes patterns; its value bounds every integer answer, and is far tighter
than summed capacities because each pattern fits a real node.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ortools.linear_solver import pywraplp

from moorage_policies.packing.instance import Instance
from moorage_policies.packing.objective import stages
from moorage_policies.packing.pricing import fill_node
from moorage_policies.types import BoolArray, FloatArray, IntArray

TOLERANCE = 1e-6
VISITS_PER_PRICING = 400_000
GROUPS_AT_MOST = 400
CLASSES_AT_MOST = 64


@dataclass(frozen=True, slots=True)
class Groups:
    """Pods and nodes that need no telling apart.

    Attributes:
        of_pod: group of each pod, shape ``(pods,)``.
        requests: shape ``(groups, resources)``.
        size: pods per group.
        class_of_node: class of each node, shape ``(nodes,)``.
        capacity: shape ``(classes, resources)``.
        nodes: nodes per class.
        fits: which classes accept which groups, shape ``(groups, classes)``.
        counted: which stages count which groups, shape ``(stages, groups)``.
    """

    of_pod: IntArray
    requests: IntArray
    size: IntArray
    class_of_node: IntArray
    capacity: IntArray
    nodes: IntArray
    fits: BoolArray
    counted: BoolArray


def group(instance: Instance) -> Groups | None:
    """Return groups and classes, or ``None`` when there are too many to be worth it."""
    accepts = np.array([instance.accepts(pod) for pod in range(len(instance.pods))])
    masks = np.array([mask for _, _, mask in stages(instance)])
    signature = np.column_stack([instance.requests, masks.T, _numbered(accepts)])
    _, first, of_pod, size = np.unique(
        signature, axis=0, return_index=True, return_inverse=True, return_counts=True
    )
    fits_nodes = accepts[first]
    look = np.column_stack([instance.capacity, fits_nodes.T])
    _, one, class_of_node, nodes = np.unique(
        look, axis=0, return_index=True, return_inverse=True, return_counts=True
    )
    if len(first) > GROUPS_AT_MOST or len(one) > CLASSES_AT_MOST:
        return None
    return Groups(
        of_pod=of_pod.reshape(-1),
        requests=instance.requests[first],
        size=size,
        class_of_node=class_of_node.reshape(-1),
        capacity=instance.capacity[one],
        nodes=nodes,
        fits=fits_nodes[:, one],
        counted=masks[:, first],
    )


@dataclass(frozen=True, slots=True)
class PatternBound:
    """The bound of one stage and the patterns that the program came to use."""

    bound: int
    patterns: tuple[tuple[int, tuple[int, ...]], ...]  # node class, count per group


def pattern_bound(
    groups: Groups,
    placement: IntArray,
    counts: Sequence[int],
    stage: int,
    *,
    go_on: Callable[[], bool],
) -> PatternBound:
    """Return how many pods the stage can count while the stages above keep their counts.

    Args:
        groups: the problem without names.
        placement: an answer that reaches ``counts``: its fillings start the program.
        counts: pods per stage.
        stage: which stage to bound.
        go_on: asked before every round; the bound so far is returned once it says no.
    """
    program = _Program(groups, placement, counts, stage)
    bound = float(groups.size[groups.counted[stage]].sum())
    while go_on():
        value, prices, rents = program.solve()
        excess, exact = 0.0, True
        added = 0
        for node_class, rent in enumerate(rents):
            worth, ceiling, filling = _price(groups, node_class, prices)
            excess += groups.nodes[node_class] * max(0.0, ceiling - rent)
            exact = exact and ceiling <= worth + TOLERANCE
            if worth > rent + TOLERANCE:
                added += program.add(node_class, filling)
        bound = min(bound, value + excess)
        if added == 0 or int(bound + TOLERANCE) <= counts[stage]:
            break
    return PatternBound(int(bound + TOLERANCE), tuple(program.known))


class _Program:
    """The restricted linear program; columns are added as they pay off."""

    def __init__(
        self, groups: Groups, placement: IntArray, counts: Sequence[int], stage: int
    ) -> None:
        self._groups = groups
        self._solver: Any = pywraplp.Solver.CreateSolver("GLOP")
        self.known: dict[tuple[int, tuple[int, ...]], None] = {}
        infinity = self._solver.infinity()
        self._supply = [self._solver.Constraint(-infinity, 0.0) for _ in groups.size]
        self._nodes = [self._solver.Constraint(-infinity, float(n)) for n in groups.nodes]
        above = [self._solver.Constraint(float(counts[s]), infinity) for s in range(stage)]
        goal = self._solver.Objective()
        goal.SetMaximization()
        for row, size in enumerate(groups.size):
            placed = self._solver.NumVar(0.0, float(size), "")
            self._supply[row].SetCoefficient(placed, 1.0)
            for level, constraint in enumerate(above):
                if groups.counted[level, row]:
                    constraint.SetCoefficient(placed, 1.0)
            if groups.counted[stage, row]:
                goal.SetCoefficient(placed, 1.0)
        for node, node_class in enumerate(groups.class_of_node):
            here = groups.of_pod[placement == node]
            self.add(int(node_class), np.bincount(here, minlength=len(groups.size)))

    def add(self, node_class: int, filling: IntArray) -> int:
        """Add one pattern; return 0 when it was there already."""
        key = (node_class, tuple(int(count) for count in filling))
        if key in self.known:
            return 0
        self.known[key] = None
        used = self._solver.NumVar(0.0, self._solver.infinity(), "")
        self._nodes[node_class].SetCoefficient(used, 1.0)
        for row in np.flatnonzero(filling):
            self._supply[row].SetCoefficient(used, -float(filling[row]))
        return 1

    def solve(self) -> tuple[float, FloatArray, FloatArray]:
        """Return the value, the price per group and the rent per node class."""
        self._solver.Solve()
        prices = np.array([max(0.0, row.dual_value()) for row in self._supply])
        rents = np.array([max(0.0, row.dual_value()) for row in self._nodes])
        return float(self._solver.Objective().Value()), prices, rents


def _price(groups: Groups, node_class: int, prices: FloatArray) -> tuple[float, float, IntArray]:
    """Return the best filling's worth, a ceiling on any filling's worth, and the filling."""
    capacity = groups.capacity[node_class]
    rows = np.flatnonzero(groups.fits[:, node_class] & (prices > TOLERANCE))
    size = (groups.requests[rows] / np.maximum(capacity, 1)).sum(axis=1)
    rows = rows[np.argsort(-prices[rows] / np.maximum(size, TOLERANCE), kind="stable")]
    filling = np.zeros(len(groups.size), dtype=np.int64)
    if not len(rows):
        return 0.0, 0.0, filling
    chosen = np.zeros(len(rows), dtype=np.int64)
    worth, ceiling = fill_node(
        groups.requests[rows],
        groups.size[rows],
        prices[rows],
        capacity,
        VISITS_PER_PRICING,
        chosen,
    )
    filling[rows] = chosen
    return worth, ceiling, filling


def _numbered(accepts: BoolArray) -> IntArray:
    """Return a number per distinct row."""
    _, numbers = np.unique(accepts, axis=0, return_inverse=True)
    return numbers.reshape(-1).astype(np.int64)
