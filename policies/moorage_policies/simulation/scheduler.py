"""The stock scheduler's cycle on the cluster state: one pod at a time, greedy, seeded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np

from moorage_policies.feasibility import Feasibility, feasible_nodes
from moorage_policies.preemption.protection import budgets_of
from moorage_policies.simulation.books import Books
from moorage_policies.simulation.extender import Extender
from moorage_policies.simulation.preempt import Candidate, find_candidates, pick_node
from moorage_policies.simulation.scores import Balance, StockScores
from moorage_policies.state import ClusterState, PodChanged, PodDeleted, Snapshot
from moorage_policies.types import BoolArray, DisruptionBudget, IntArray, Pod

Outcome = Literal["bound", "nominated", "unschedulable"]

MOST_PREEMPTIONS = 10
"""Evictions on behalf of one pod in one run: an extender that keeps refusing ends the story."""

FEW_NODES = 100
SMALLEST_PERCENT = 5


@dataclass(frozen=True, slots=True)
class SchedulerParams:
    """What of the default profile is chosen.

    Args:
        ties: how equal totals are decided: at random as in kube-scheduler, or by name.
        preemption: whether pods that fit nowhere evict others.
        nodes_to_score_percent: ``percentageOfNodesToScore``; 0 adapts to the size of the cluster.
        balance: see ``StockScores``.
        default_spread: see ``StockScores``.
        victims_return: whether an evicted pod comes back as a pending one, as with a workload.
    """

    ties: Literal["random", "name"] = "random"
    preemption: bool = True
    nodes_to_score_percent: int = 100
    balance: Balance = "change"
    default_spread: bool = True
    victims_return: bool = True


class Attempt(NamedTuple):
    """One pod's way through the cycle.

    Args:
        pod: the pod as it was tried.
        outcome: what came of it.
        node: where it was bound or nominated.
        victims: whom it evicted.
        reason: why, in one sentence.
    """

    pod: Pod
    outcome: Outcome
    node: str | None
    victims: tuple[Pod, ...]
    reason: str


class StockScheduler:
    """kube-scheduler's default profile over a cluster state that it alone writes to.

    Binding, eviction and start-up take no time. Volumes, host ports and resource claims are not
    modelled.

    Args:
        state: the cluster; changed by every attempt.
        params: what of the profile is chosen.
        rng: breaks ties and draws where preemption starts.
        extender: an extender with all verbs, ``None`` for the stock profile.
        budgets: disruption budgets; evictions use them up, comebacks refill them.
    """

    def __init__(
        self,
        state: ClusterState,
        params: SchedulerParams,
        rng: np.random.Generator,
        extender: Extender | None = None,
        budgets: Sequence[DisruptionBudget] = (),
    ) -> None:
        self._state = state
        self._params = params
        self._rng = rng
        self._extender = extender
        self._budgets = list(budgets)
        self._books = Books(state.snapshot())
        self._scores = StockScores(balance=params.balance, default_spread=params.default_spread)
        self._start = 0
        self._evicted: set[str] = set()
        self._resting: set[str] = set()  # refused, and nothing was freed since

    @property
    def state(self) -> ClusterState:
        """Return the cluster as it stands."""
        return self._state

    def add(self, pod: Pod) -> None:
        """Take in a new pending pod."""
        self._state.apply(PodChanged(pod))

    def remove(self, pod: Pod) -> None:
        """Let a pod leave the cluster, wherever it is."""
        row = self._state.snapshot().node_index.get(pod.node or "")
        if row is not None:
            self._books.count(pod, self._state.snapshot(), row, -1)
        self._state.apply(PodDeleted(pod.uid))
        self._resting.clear()

    def run(self, now_s: float = 0.0) -> tuple[Attempt, ...]:
        """Try pending pods by priority, then age, until no further try can change anything."""
        attempts: list[Attempt] = []
        tries: Counter[str] = Counter()
        while queue := self._queue():
            bound = False
            for uid in queue:
                pod = self._state.snapshot().pending.get(uid)
                if pod is not None and tries[uid] < MOST_PREEMPTIONS:
                    attempts.append(self.attempt(pod, now_s))
                    tries[uid] += bool(attempts[-1].victims)
                    bound |= attempts[-1].outcome == "bound"
            if bound:
                self._wake_sociable()
        return tuple(attempts)

    def attempt(self, pod: Pod, now_s: float = 0.0) -> Attempt:
        """Run one cycle for one pending pod and act on it."""
        snapshot = self._state.snapshot()
        self._books.follow(snapshot)
        result = feasible_nodes(pod, snapshot)
        rows = self._candidates(pod, snapshot, result.mask)
        if len(rows):
            row, why = self._choose(pod, snapshot, rows)
            return self._bind(pod, snapshot, row, why, now_s)
        return self._post_filter(pod, snapshot, result, now_s)

    def _queue(self) -> list[str]:
        """Return pending pods that were not refused since room was last made."""
        waiting = [
            pod
            for pod in self._state.snapshot().pending.values()
            if not pod.gates and pod.uid not in self._resting
        ]
        waiting.sort(key=lambda pod: (-pod.priority, pod.created_s, pod.uid))
        return [pod.uid for pod in waiting]

    def _wake_sociable(self) -> None:
        """Let those try again who may have been refused for lack of the company that now came."""
        for uid in list(self._resting):
            pod = self._state.snapshot().pending.get(uid)
            if pod is None or pod.affinity.required_pod_affinity or any(c.hard for c in pod.spread):
                self._resting.discard(uid)

    def _candidates(self, pod: Pod, snapshot: Snapshot, mask: BoolArray) -> IntArray:
        """Return the rows to score: the nominated one alone, else what the search turns up."""
        nominated = snapshot.node_index.get(pod.nominated_node or "")
        if nominated is not None and mask[nominated]:
            rows = self._ask_filter(pod, snapshot, np.array([nominated]))
            if len(rows):
                return rows
        return self._ask_filter(pod, snapshot, self._search(mask))

    def _search(self, mask: BoolArray) -> IntArray:
        """Return feasible rows from a moving start until enough are found."""
        nodes = len(mask)
        wanted = nodes_to_find(nodes, self._params.nodes_to_score_percent)
        if wanted >= nodes:
            return np.flatnonzero(mask)
        order = np.roll(np.arange(nodes), -self._start)
        found = order[mask[order]][:wanted]
        looked_at = (
            int(np.flatnonzero(order == found[-1])[0]) + 1 if len(found) == wanted else nodes
        )
        self._start = (self._start + looked_at) % nodes
        return found

    def _ask_filter(self, pod: Pod, snapshot: Snapshot, rows: IntArray) -> IntArray:
        extender = self._extender
        if extender is None or not len(rows) or not extender.is_interested(pod):
            return rows
        return extender.filter(pod, snapshot, rows)

    def _choose(self, pod: Pod, snapshot: Snapshot, rows: IntArray) -> tuple[int, str]:
        if len(rows) == 1:
            return int(rows[0]), "the only node left"
        totals = self._scores.total(pod, snapshot, rows, self._books)
        extender = self._extender
        if extender is not None and extender.is_interested(pod):
            totals = totals + extender.prioritize(pod, snapshot, rows) * extender.weight * 10
        best = rows[totals == totals.max()]
        if self._params.ties == "name":
            row = min(best.tolist(), key=lambda row: snapshot.node_names[row])
        else:
            row = int(best[self._rng.integers(len(best))])
        return row, f"{totals.max()} points, best of {len(rows)}, {len(best)} alike"

    def _bind(self, pod: Pod, snapshot: Snapshot, row: int, why: str, now_s: float) -> Attempt:
        node = snapshot.node_names[row]
        bound = replace(
            pod, node=node, phase="Running", ready=True, nominated_node=None, started_s=now_s
        )
        self._state.apply(PodChanged(bound))
        self._books.count(bound, snapshot, row, +1)
        if pod.uid in self._evicted:
            self._evicted.discard(pod.uid)
            self._spend(pod, +1)
        return Attempt(pod, "bound", node, (), why)

    def _post_filter(
        self, pod: Pod, snapshot: Snapshot, result: Feasibility, now_s: float
    ) -> Attempt:
        """Evict others if that helps; else the pod stays unschedulable."""
        name, candidate = self._preempt(pod, snapshot, result, now_s)
        if name is None:
            self._resting.add(pod.uid)
            if pod.nominated_node is not None:
                self._state.apply(PodChanged(replace(pod, nominated_node=None)))
            return Attempt(pod, "unschedulable", None, (), _why_unschedulable(result))
        for victim in candidate.victims:
            self._evict(victim)
        for guest in snapshot.nominated.values():
            if guest.nominated_node == name and guest.priority < pod.priority:
                self._state.apply(PodChanged(replace(guest, nominated_node=None)))
        self._state.apply(PodChanged(replace(pod, nominated_node=name)))
        why = f"{name} loses least: {len(candidate.victims)} pods of lower priority"
        return Attempt(pod, "nominated", name, candidate.victims, why)

    def _preempt(
        self, pod: Pod, snapshot: Snapshot, result: Feasibility, now_s: float
    ) -> tuple[str | None, Candidate]:
        nobody = Candidate((), 0)
        if not self._params.preemption or pod.preemption == "Never":
            return None, nobody
        candidates = find_candidates(
            pod, snapshot, result.resolvable, self._books, self._budgets, self._rng
        )
        extender = self._extender
        if candidates and extender is not None and extender.is_interested(pod):
            proposed = {name: tuple(v.uid for v in c.victims) for name, c in candidates.items()}
            answer = extender.preempt(pod, proposed, snapshot, self._budgets, now_s)
            here = {p.uid: p for pods in snapshot.node_pods for p in pods} if answer else {}
            candidates = {
                name: Candidate(tuple(here[uid] for uid in victims.uids), victims.pdb_violations)
                for name, victims in answer.items()
            }
        if not candidates:
            return None, nobody
        name = pick_node(candidates)
        return name, candidates[name]

    def _evict(self, victim: Pod) -> None:
        self.remove(victim)
        self._spend(victim, -1)
        if self._params.victims_return:
            self._evicted.add(victim.uid)
            again = replace(victim, node=None, phase="Pending", ready=False, started_s=None)
            self._state.apply(PodChanged(again))

    def _spend(self, pod: Pod, change: int) -> None:
        for position in budgets_of(pod, self._budgets):
            budget = self._budgets[position]
            left = budget.disruptions_allowed + change
            self._budgets[position] = replace(budget, disruptions_allowed=left)


def nodes_to_find(nodes: int, percent: int) -> int:
    """Return how many feasible nodes end the search, as kube-scheduler counts."""
    if nodes < FEW_NODES:
        return nodes
    if percent == 0:
        percent = max(SMALLEST_PERCENT, 50 - nodes // 125)
    return max(FEW_NODES, nodes * percent // 100)


def _why_unschedulable(result: Feasibility) -> str:
    counts = ", ".join(f"{count} {text}" for text, count in result.counts().items())
    return f"0 of {len(result.mask)} nodes: {counts}" if counts else "there are no nodes"
