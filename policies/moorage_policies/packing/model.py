"""The CP-SAT model of an instance, or of the part of it that a neighbourhood sets free."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ortools.sat.python import cp_model

from moorage_policies.packing.instance import (
    Attraction,
    Conflict,
    Gang,
    Instance,
    Limit,
    Spread,
)
from moorage_policies.packing.objective import stages
from moorage_policies.types import BoolArray, IntArray


@dataclass(frozen=True, slots=True)
class Freedom:
    """What a model may change: these pods, on these nodes; all others stay as in ``placement``."""

    placement: IntArray
    pods: IntArray
    nodes: BoolArray

    @staticmethod
    def full(instance: Instance, placement: IntArray) -> Freedom:
        """Return the freedom to change everything."""
        return Freedom(
            placement,
            np.arange(len(instance.pods)),
            np.ones(len(instance.nodes), dtype=np.bool_),
        )


class PlacementModel:
    """Booleans per (free pod, node), all hard rules, and the objective's stages as expressions."""

    def __init__(self, instance: Instance, freedom: Freedom) -> None:
        """Build the model; constants stand in for pods that are not free."""
        self.model: Any = cp_model.CpModel()
        self._instance = instance
        self._freedom = freedom
        self._free = set(freedom.pods.tolist())
        self.on: dict[tuple[int, int], Any] = {}
        self._nodes_of: dict[int, list[int]] = {}
        for pod in freedom.pods.tolist():
            self._add_pod(pod)
        self._add_rooms()
        self._add_ties()

    def placed(self, pod: int) -> Any:  # noqa: ANN401
        """Return 1 where the pod is placed, as an expression."""
        if pod not in self._free:
            return int(self._freedom.placement[pod] >= 0)
        return sum(self.on[pod, node] for node in self._nodes_of[pod])

    def counts(self) -> list[Any]:
        """Return what each placing stage counts, as expressions."""
        return [
            sum(self.placed(pod) for pod in np.flatnonzero(mask).tolist())
            for _, _, mask in stages(self._instance)
        ]

    def costs(self) -> list[Any]:
        """Return the cost of each tier, as expressions."""
        totals: list[Any] = [0] * len(self._instance.tiers)
        for pod in np.flatnonzero(self._instance.running).tolist():
            move = int(self._instance.move_cost[pod])
            evict = int(self._instance.evict_cost[pod])
            stays = self._at(pod, [int(self._instance.current[pod])])
            cost = evict - evict * stays - (evict - move) * (self.placed(pod) - stays)
            totals[int(self._instance.tier[pod])] += cost
        return totals

    def hint(self, placement: IntArray) -> None:
        """Suggest a placement to start from."""
        self.model.ClearHints()
        for (pod, node), variable in self.on.items():
            self.model.AddHint(variable, int(placement[pod] == node))

    def read(self, solver: Any) -> IntArray:  # noqa: ANN401
        """Return the placement that the solver found."""
        placement = self._freedom.placement.copy()
        placement[self._freedom.pods] = -1
        for (pod, node), variable in self.on.items():
            if solver.Value(variable):
                placement[pod] = node
        return placement

    def _add_pod(self, pod: int) -> None:
        mask = self._instance.accepts(pod) & self._freedom.nodes
        here = int(self._instance.current[pod])
        self._nodes_of[pod] = np.flatnonzero(mask).tolist()
        for node in self._nodes_of[pod]:
            self.on[pod, node] = self.model.NewBoolVar("")
        literals = [self.on[pod, node] for node in self._nodes_of[pod]]
        if here >= 0 and not self._instance.evictable[pod]:
            self.model.AddExactlyOne(literals)
        else:
            self.model.AddAtMostOne(literals)

    def _at(self, pod: int, nodes: Iterable[int]) -> Any:  # noqa: ANN401
        """Return 1 where the pod is on one of the nodes, as an expression."""
        if pod not in self._free:
            return int(int(self._freedom.placement[pod]) in set(nodes))
        return sum(self.on[pod, node] for node in nodes if (pod, node) in self.on)

    def _add_rooms(self) -> None:
        instance, freedom = self._instance, self._freedom
        others = np.ones(len(instance.pods), dtype=np.bool_)
        others[freedom.pods] = False
        room = instance.free(np.where(others, freedom.placement, -1))
        takers: dict[int, list[int]] = {}
        for pod, node in self.on:
            takers.setdefault(node, []).append(pod)
        for node, pods in takers.items():
            for column in range(len(instance.resources)):
                sizes = instance.requests[pods, column]
                if int(sizes.sum()) <= int(room[node, column]):
                    continue
                terms = [
                    int(size) * self.on[pod, node] for pod, size in zip(pods, sizes, strict=True)
                ]
                self.model.Add(sum(terms) <= int(room[node, column]))

    def _add_ties(self) -> None:
        for gang in self._instance.gangs:
            self._add_gang(gang)
        for limit in self._instance.limits:
            self._add_limit(limit)
        for conflict in self._instance.conflicts:
            self._add_conflict(conflict)
        for spread in self._instance.spreads:
            self._add_spread(spread)
        for attraction in self._instance.attractions:
            self._add_attraction(attraction)
        for budget in self._instance.budgets:
            running = [pod for pod in budget.members.tolist() if self._instance.current[pod] >= 0]
            stays = [self._at(pod, [int(self._instance.current[pod])]) for pod in running]
            self._require(sum(stays) >= len(running) - budget.allowed)

    def _require(self, rule: Any) -> None:  # noqa: ANN401
        """Add a rule, unless it is a constant that holds already."""
        if rule is True or rule is np.True_:
            return
        self.model.Add(rule) if rule is not False else self.model.AddBoolOr([])

    def _add_gang(self, gang: Gang) -> None:
        members = gang.members.tolist()
        if not self._free.intersection(members):
            return
        whole = self.model.NewBoolVar("")
        for pod in members:
            self._require(self.placed(pod) == whole)
        if gang.domain is None:
            return
        for domain in [-1, *_domains(gang.domain)]:
            nodes = np.flatnonzero(gang.domain == domain).tolist()
            chosen = self.model.NewBoolVar("") if domain >= 0 else 0
            for pod in members:
                self._require(self._at(pod, nodes) == chosen)

    def _add_limit(self, limit: Limit) -> None:
        if not self._free.intersection(limit.members.tolist()):
            return
        for domain in _domains(limit.domain):
            nodes = np.flatnonzero(limit.domain == domain).tolist()
            inside = [self._at(pod, nodes) for pod in limit.members.tolist()]
            self._require(sum(inside) <= int(limit.room[domain]))

    def _add_conflict(self, conflict: Conflict) -> None:
        left, right = conflict.left.tolist(), conflict.right.tolist()
        if not self._free.intersection(left) and not self._free.intersection(right):
            return
        for domain in _domains(conflict.domain):
            nodes = np.flatnonzero(conflict.domain == domain).tolist()
            for pod in left:
                mine = self._at(pod, nodes)
                for other in right:
                    self._require(mine + self._at(other, nodes) <= 1)

    def _add_spread(self, spread: Spread) -> None:
        members, subjects = spread.members.tolist(), spread.subjects.tolist()
        if not self._free.intersection(members) and not self._free.intersection(subjects):
            return
        nodes_of = {d: np.flatnonzero(spread.domain == d).tolist() for d in range(len(spread.base))}
        counts = {
            d: int(spread.base[d]) + sum(self._at(pod, nodes) for pod in members)
            for d, nodes in nodes_of.items()
        }
        floor: Sequence[Any] = list(counts.values()) if len(counts) >= spread.min_domains else [0]
        outside = np.flatnonzero(spread.domain < 0).tolist()
        for pod in subjects:
            here = int(self._instance.current[pod])
            for domain, nodes in [(-1, outside), *nodes_of.items()]:
                for node in nodes:
                    arrives = self.on.get((pod, node))
                    if arrives is None or node == here:
                        continue
                    if domain < 0:
                        self.model.Add(arrives == 0)
                        continue
                    for least in floor:
                        rule = counts[domain] - least <= spread.max_skew
                        self._imply(arrives, rule)

    def _imply(self, literal: Any, rule: Any) -> None:  # noqa: ANN401
        if rule is True or rule is np.True_:
            return
        if rule is False or rule is np.False_:
            self.model.Add(literal == 0)
        else:
            self.model.Add(rule).OnlyEnforceIf(literal)

    def _add_attraction(self, attraction: Attraction) -> None:
        targets = attraction.targets.tolist()
        for pod in attraction.subjects.tolist():
            if pod not in self._free:
                self._hold_attraction(attraction, pod)
                continue
            here = int(self._instance.current[pod])
            for node in self._nodes_of[pod]:
                if node != here:
                    self._draw(attraction, targets, pod, node, self.on[pod, node])

    def _hold_attraction(self, attraction: Attraction, pod: int) -> None:
        """Keep what draws a placed pod that this model does not move."""
        node = int(self._freedom.placement[pod])
        if node < 0 or node == int(self._instance.current[pod]):
            return
        literal = self.model.NewConstant(1)
        self._draw(attraction, attraction.targets.tolist(), pod, node, literal)

    def _draw(
        self,
        attraction: Attraction,
        targets: list[int],
        pod: int,
        node: int,
        literal: Any,  # noqa: ANN401
    ) -> None:
        domain = int(attraction.domain[node])
        if domain < 0:
            self.model.Add(literal == 0)
            return
        if attraction.present[domain]:
            return
        nodes = np.flatnonzero(attraction.domain == domain).tolist()
        others = [other for other in targets if other != pod]
        beside = sum(self._at(other, nodes) for other in others)
        if attraction.self_match and not attraction.present.any():
            # Either somebody is beside it, or it is the first anywhere.
            first = self.model.NewBoolVar("")
            self._imply(first, sum(self.placed(other) for other in others) <= 0)
            self._imply(literal, beside + first >= 1)
            return
        self._imply(literal, beside >= 1)


def _domains(domain: IntArray) -> list[int]:
    return [int(value) for value in np.unique(domain) if value >= 0]
