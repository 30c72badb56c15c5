"""Ways out of a circle of moves: which nodes may keep a pod for a while, and what that costs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np

from moorage_policies.planning.problem import Problem, is_limit
from moorage_policies.plans.order import Way
from moorage_policies.plans.records import Move
from moorage_policies.types import BoolArray, IntArray

MOST_STAGES: Final = 16
"""Nodes that are looked at for one pod; those with the most room come first."""


class Stages:
    """Nodes that the plans of one look may stage pods on, each for one plan.

    A pod is staged only by SurgeFirst and only if it is tied to no other pod: neighbours on a node
    where it stays for a while are nobody's wish. What the policy lets be moved holds for staged
    pods as well, which move twice.

    Args:
        problem: the problem.
        placement: node row per pod, -1 for none, shape ``(pods,)``.
    """

    def __init__(self, problem: Problem, placement: IntArray) -> None:
        instance = problem.translation.instance
        self._problem = problem
        self._free = instance.free(instance.current)
        self._tied = instance.entangled()
        for limit in instance.limits:
            self._tied[limit.members] = True
        self._row_of = {uid: row for row, uid in enumerate(instance.pods)}
        changed = placement != instance.current
        self._places = (placement, instance.current)
        self._touches = self._count(np.flatnonzero(changed))
        self._spare = [
            budget.allowed - int((changed & instance.running)[budget.members].sum())
            for budget in instance.budgets
        ]

    def _count(self, rows: IntArray) -> IntArray:
        """Return how many changes of these pods each node sees, shape ``(nodes,)``."""
        count = np.zeros(len(self._problem.translation.instance.nodes), dtype=np.int64)
        for places in self._places:
            np.add.at(count, places[rows][places[rows] >= 0], 1)
        return count

    def ways(self, group: Sequence[int]) -> Mapping[str, Way]:
        """Return the ways of these pods, staging nodes included."""
        instance = self._problem.translation.instance
        found = dict(self.ways_without(group))
        open_nodes = self._touches == self._count(np.array(group, dtype=np.int64))
        for row in group:
            uid = instance.pods[row]
            if instance.current[row] < 0 or self._tied[row] or not self._surges(uid):
                continue
            nodes = self._nodes_for(row, open_nodes)
            cost = float(instance.move_cost[row])
            found[uid] = Way(found[uid].evict_cost, cost, nodes)
        return found

    def ways_without(self, group: Sequence[int]) -> Mapping[str, Way]:
        """Return the ways of these pods without staging nodes."""
        instance = self._problem.translation.instance
        found = {}
        for row in group:
            uid = instance.pods[row]
            # whoever is evicted anyway is only away for longer
            more = instance.evict_cost[row] - instance.move_cost[row] if self._surges(uid) else 0
            found[uid] = Way(float(max(0, more)))
        return found

    def may_take(self, moves: Iterable[Move]) -> bool:
        """Return whether the policy lets so many pods be moved twice."""
        staged = self._staged(moves)
        budgets = self._problem.translation.instance.budgets
        return all(
            spare >= int(staged[budget.members].sum())
            for budget, spare in zip(budgets, self._spare, strict=True)
            if is_limit(budget)
        )

    def note(self, moves: Iterable[Move]) -> None:
        """Take note of a plan: its staging nodes and its moves are not to be had any more."""
        instance = self._problem.translation.instance
        listed = tuple(moves)
        staged = self._staged(listed)
        for at, budget in enumerate(instance.budgets):
            self._spare[at] -= int(staged[budget.members].sum())
        for move in listed:
            if move.follows is not None:
                self._touches[instance.nodes.index(move.source)] += 1

    def _staged(self, moves: Iterable[Move]) -> BoolArray:
        staged = np.zeros(len(self._row_of), dtype=np.bool_)
        staged[[self._row_of[move.uid] for move in moves if move.follows is not None]] = True
        return staged

    def _surges(self, uid: str) -> bool:
        return self._problem.strategies.get(uid) == "SurgeFirst"

    def _nodes_for(self, row: int, open_nodes: BoolArray) -> tuple[str, ...]:
        """Return nodes that no other plan touches and that have room, the most room first."""
        instance = self._problem.translation.instance
        fits = (self._free >= instance.requests[row]).all(axis=1)
        able = np.flatnonzero(fits & instance.accepts(row) & open_nodes)
        most_first = able[np.argsort(-self._free[able].sum(axis=1), kind="stable")]
        return tuple(instance.nodes[node] for node in most_first[:MOST_STAGES])
