"""Whether a pod would fit on one node if some pods were gone: the dry run of preemption."""

from __future__ import annotations

import numpy as np

from moorage_policies.feasibility.domains import NeighbourRule
from moorage_policies.feasibility.filters import (
    free_beside,
    neighbour_rules,
    node_verdicts,
    nominated_against,
)
from moorage_policies.state import Snapshot
from moorage_policies.types import BoolArray, IntArray, Pod


class Trials:
    """Dry runs for one pod; what all nodes share is prepared once.

    Args:
        pod: the pod that wants in.
        snapshot: the cluster.
    """

    def __init__(self, pod: Pod, snapshot: Snapshot) -> None:
        self.pod = pod
        self.snapshot = snapshot
        verdicts = [verdict.passes for verdict in node_verdicts(pod, snapshot)]
        self.admitted: BoolArray = np.all(verdicts, axis=0)
        if snapshot.demand_of(pod) is None:
            self.admitted = np.zeros_like(self.admitted)
        self.demand: IntArray = snapshot.known_demand_of(pod)
        self.guests = nominated_against(pod, snapshot)
        self.free: IntArray = free_beside(snapshot, self.guests)
        comers = [guest for there in self.guests.values() for guest in there]
        self.rules = neighbour_rules(pod, snapshot, comers)

    def on(self, row: int) -> Trial:
        """Return a dry run on one row with everybody still there."""
        return Trial(self, row)


class Trial:
    """One node from which pods are taken, and to which they are given back.

    Args:
        trials: what is the same on every node.
        row: the node.
    """

    __slots__ = ("_free", "_row", "_rules", "_trials")

    def __init__(self, trials: Trials, row: int) -> None:
        self._trials = trials
        self._row = row
        self._free = trials.free[row].copy()
        self._rules: list[NeighbourRule] = [rule.fork() for rule in trials.rules]

    def take(self, pod: Pod) -> None:
        """Take a pod off the node."""
        self._move(pod, -1)

    def give_back(self, pod: Pod) -> None:
        """Put a pod back that was taken."""
        self._move(pod, +1)

    def fits(self) -> bool:
        """Return whether the pod passes every filter on the node as it is now."""
        trials, row = self._trials, self._row
        short = (trials.demand > self._free) & (trials.demand > 0)
        if not trials.admitted[row] or short.any():
            return False
        return self._rules_pass() and self._rules_pass_beside(trials.guests.get(row, []))

    def _rules_pass_beside(self, guests: list[Pod]) -> bool:
        if not guests or not self._rules:
            return True
        for guest in guests:
            self._shift(guest, +1)
        passes = self._rules_pass()
        for guest in guests:
            self._shift(guest, -1)
        return passes

    def _rules_pass(self) -> bool:
        row = self._row
        return all(v.passes[row] for rule in self._rules for v in rule.verdicts())

    def _move(self, pod: Pod, change: int) -> None:
        self._free -= change * self._trials.snapshot.known_demand_of(pod)
        self._shift(pod, change)

    def _shift(self, pod: Pod, change: int) -> None:
        for rule in self._rules:
            rule.shift(pod, self._row, change)
