"""Where a pod may go now: kube-scheduler's filters over a snapshot, with the reason per node."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from moorage_policies.feasibility.affinity import affinity_rules
from moorage_policies.feasibility.domains import NeighbourRule, Verdict
from moorage_policies.feasibility.node_filters import (
    affinity_mask,
    name_mask,
    taints_mask,
    uncordoned_mask,
)
from moorage_policies.feasibility.spread import spread_rules
from moorage_policies.state import Snapshot
from moorage_policies.types import PODS, BoolArray, IntArray, Pod


class Refusal(NamedTuple):
    """Nodes that one filter refuses for one reason.

    Args:
        filter: kube-scheduler's name of the filter.
        text: the reason.
        rows: nodes that passed every earlier filter and fail here, shape ``(nodes,)``.
    """

    filter: str
    text: str
    rows: BoolArray


class Feasibility(NamedTuple):
    """Where a pod may go.

    Args:
        mask: nodes that pass every filter, shape ``(nodes,)``.
        refusals: the first filter that refuses each other node; NodeResourcesFit names every
            resource that is short, so a row may be in several of its refusals.
        resolvable: refused nodes where removing pods might help, shape ``(nodes,)``.
    """

    mask: BoolArray
    refusals: tuple[Refusal, ...]
    resolvable: BoolArray

    def reason_of(self, row: int) -> str:
        """Return why the row is refused, empty when it is not."""
        return ", ".join(refusal.text for refusal in self.refusals if refusal.rows[row])

    def counts(self) -> dict[str, int]:
        """Return how many nodes each reason refuses."""
        totals: dict[str, int] = defaultdict(int)
        for refusal in self.refusals:
            totals[refusal.text] += int(refusal.rows.sum())
        return dict(totals)


def feasible_nodes(pod: Pod, snapshot: Snapshot) -> Feasibility:
    """Return where the pod may go now, as kube-scheduler's filters see it.

    Pods nominated to a node count there when their priority is not lower, as in kube-scheduler.
    A bound pod is accepted by its own node only and counts twice there: clear its ``node``, and
    take it out of the snapshot, to ask where else it might go.

    Args:
        pod: the pod to place.
        snapshot: the cluster.
    """
    guests = nominated_against(pod, snapshot)
    search = _Search(len(snapshot.nodes))
    for verdict in node_verdicts(pod, snapshot):
        search.narrow(verdict)
    search.fit(pod, snapshot, guests)
    comers = [guest for there in guests.values() for guest in there]
    for rule in neighbour_rules(pod, snapshot, comers):
        for verdict in rule.verdicts():
            search.narrow(verdict)
        search.narrow_nominated(rule, guests)
    return search.result()


def node_verdicts(pod: Pod, snapshot: Snapshot) -> Iterator[Verdict]:
    """Yield what the filters that look at the node alone say, in kube-scheduler's order."""
    table = snapshot.table
    cordon = uncordoned_mask(pod.tolerations, table)
    yield Verdict("NodeUnschedulable", "is cordoned", cordon)
    yield Verdict("NodeName", "is not the node that the pod names", name_mask(pod, table))
    taints = taints_mask(pod.tolerations, table)
    yield Verdict("TaintToleration", "has a taint that the pod does not tolerate", taints)
    affinity = affinity_mask(pod, table)
    yield Verdict("NodeAffinity", "is not selected by the pod's node affinity", affinity)


def neighbour_rules(
    pod: Pod, snapshot: Snapshot, comers: list[Pod] | None = None
) -> list[NeighbourRule]:
    """Return the rules about other pods that bear on the pod; usually none.

    Args:
        pod: the pod to place.
        snapshot: the cluster.
        comers: pods whose coming the rules will be told of.
    """
    return [*spread_rules(pod, snapshot), *affinity_rules(pod, snapshot, comers or ())]


def nominated_against(pod: Pod, snapshot: Snapshot) -> dict[int, list[Pod]]:
    """Return, by row, other pods nominated there whose priority is not lower than the pod's."""
    guests: dict[int, list[Pod]] = {}
    for guest in snapshot.nominated.values():
        row = snapshot.node_index.get(guest.nominated_node or "")
        if row is not None and guest.priority >= pod.priority and guest.uid != pod.uid:
            guests.setdefault(row, []).append(guest)
    return guests


def free_beside(snapshot: Snapshot, guests: dict[int, list[Pod]]) -> IntArray:
    """Return free resources with the guests charged, shape ``(nodes, resources)``."""
    if not guests:
        return snapshot.free
    free = snapshot.free.copy()
    for row, there in guests.items():
        for guest in there:
            free[row] -= snapshot.known_demand_of(guest)
    return free


class _Search:
    """Nodes still in the race while filters run one after the other."""

    def __init__(self, nodes: int) -> None:
        self._mask = np.ones(nodes, dtype=bool)
        self._resolvable = np.zeros(nodes, dtype=bool)
        self._refusals: list[Refusal] = []

    def narrow(self, verdict: Verdict) -> None:
        """Take out the nodes that a verdict refuses."""
        if not verdict.passes.all():
            rows = self._note(verdict.filter, verdict.text, ~verdict.passes)
            self._mask = self._mask & verdict.passes
            if verdict.resolvable:
                self._resolvable |= rows

    def fit(self, pod: Pod, snapshot: Snapshot, guests: dict[int, list[Pod]]) -> None:
        """Take out the nodes without room; more than a node has at all cannot be resolved."""
        free = free_beside(snapshot, guests)
        demand = snapshot.known_demand_of(pod)
        roomy = np.ones_like(self._mask)
        hopeless = np.zeros_like(self._mask)
        for column in np.flatnonzero(demand):  # column by column: no (nodes, resources) arrays
            lacks = demand[column] > free[:, column]
            name = snapshot.resources[column]
            text = "has no room for another pod" if name == PODS else f"is short of {name}"
            self._note("NodeResourcesFit", text, lacks)
            roomy &= ~lacks
            hopeless |= demand[column] > snapshot.allocatable[:, column]
        for name, amount in pod.requests.items():
            if amount > 0 and name not in snapshot.columns:
                everywhere = np.ones_like(self._mask)
                self._note("NodeResourcesFit", f"is short of {name}", everywhere)
                roomy, hopeless = ~everywhere, everywhere
        self._resolvable |= self._mask & ~roomy & ~hopeless
        self._mask = self._mask & roomy

    def narrow_nominated(self, rule: NeighbourRule, guests: dict[int, list[Pod]]) -> None:
        """Take out nodes where the rule fails once the pods nominated there have come."""
        for row in (row for row in guests if self._mask[row]):
            trial = rule.fork()
            for guest in guests[row]:
                trial.shift(guest, row, +1)
            for verdict in trial.verdicts():
                alone = np.ones_like(self._mask)
                alone[row] = verdict.passes[row]
                self.narrow(verdict._replace(passes=alone))

    def _note(self, name: str, text: str, refused: BoolArray) -> BoolArray:
        rows = self._mask & refused
        if rows.any():
            self._refusals.append(Refusal(name, text, rows))
        return rows

    def result(self) -> Feasibility:
        """Return what is left and why the rest is not."""
        return Feasibility(self._mask, tuple(self._refusals), self._resolvable)
