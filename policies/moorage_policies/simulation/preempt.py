"""kube-scheduler's DefaultPreemption: victims per node by reprieve, then the node to preempt on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from moorage_policies.feasibility import Trials
from moorage_policies.preemption.protection import budgets_of
from moorage_policies.simulation.books import Books
from moorage_policies.state import Snapshot
from moorage_policies.types import BoolArray, DisruptionBudget, IntArray, Pod

MIN_CANDIDATES = 100
MIN_CANDIDATES_PERCENT = 10
LOWEST_PRIORITY = -(2**31)


class Candidate(NamedTuple):
    """What preemption on one node would take: victims by falling importance."""

    victims: tuple[Pod, ...]
    pdb_violations: int


def find_candidates(
    pod: Pod,
    snapshot: Snapshot,
    resolvable: BoolArray,
    books: Books,
    budgets: Sequence[DisruptionBudget],
    rng: np.random.Generator,
) -> dict[str, Candidate]:
    """Return candidates by node name, from a random start, about a tenth of the nodes at least.

    Args:
        pod: the pod that fits nowhere.
        snapshot: the cluster.
        resolvable: nodes whose refusal evictions might lift, shape ``(nodes,)``.
        books: requests by priority.
        budgets: disruption budgets.
        rng: draws where the search starts.
    """
    rows = np.flatnonzero(resolvable)
    if not len(rows):
        return {}
    offset = int(rng.integers(len(rows)))  # drawn even if nobody can be evicted: one draw a try
    hopeful = _room_without_lower(pod, snapshot, books)
    wanted = min(len(rows), max(MIN_CANDIDATES, len(rows) * MIN_CANDIDATES_PERCENT // 100))
    trials = Trials(pod, snapshot)
    clean: dict[str, Candidate] = {}
    violating: dict[str, Candidate] = {}
    for row in np.roll(rows, -offset):
        candidate = select_victims(trials, int(row), budgets) if hopeful[row] else None
        if candidate is not None:
            found = violating if candidate.pdb_violations else clean
            found[snapshot.node_names[row]] = candidate
            if clean and len(clean) + len(violating) >= wanted:
                break
    return {**clean, **violating}


def _room_without_lower(pod: Pod, snapshot: Snapshot, books: Books) -> BoolArray:
    """Return where requests fit once every lower priority is gone: cheap, and necessary."""
    lower = books.below(pod.priority)
    if lower is None:
        return np.zeros(len(snapshot.nodes), dtype=bool)
    demand: IntArray = snapshot.known_demand_of(pod)
    columns = np.flatnonzero(demand)
    enough = (snapshot.free + lower)[:, columns] >= demand[columns]
    hopeful: BoolArray = np.all(enough, axis=1)
    return hopeful


def select_victims(
    trials: Trials, row: int, budgets: Sequence[DisruptionBudget]
) -> Candidate | None:
    """Return whom the node must lose, ``None`` when that does not help.

    Everybody of lower priority goes first; then as many as possible come back, those that a budget
    guards before the others, the more important before the less.
    """
    pod, snapshot = trials.pod, trials.snapshot
    lower = sorted(
        (other for other in snapshot.pods_on(row) if other.priority < pod.priority), key=importance
    )
    trial = trials.on(row)
    for other in lower:
        trial.take(other)
    if not lower or not trial.fits():
        return None
    guarded, free = _split_by_budget(lower, budgets)
    victims: list[Pod] = []
    violations = 0
    for other in (*guarded, *free):
        trial.give_back(other)
        if not trial.fits():
            trial.take(other)
            victims.append(other)
            violations += other in guarded
    return Candidate(tuple(sorted(victims, key=importance)), violations) if victims else None


def importance(pod: Pod) -> tuple[int, float, str]:
    """Return a key that sorts the more important pod first: priority, then the longer run."""
    started_s = float("inf") if pod.started_s is None else pod.started_s
    return (-pod.priority, started_s, pod.uid)


def _split_by_budget(
    pods: Sequence[Pod], budgets: Sequence[DisruptionBudget]
) -> tuple[list[Pod], list[Pod]]:
    """Return pods whose eviction would exceed a budget, and the others, in the given order."""
    left = [budget.disruptions_allowed for budget in budgets]
    guarded: list[Pod] = []
    free: list[Pod] = []
    for pod in pods:
        positions = budgets_of(pod, budgets)
        for position in positions:
            left[position] -= 1
        over = any(left[position] < 0 for position in positions)
        (guarded if over else free).append(pod)
    return guarded, free


def pick_node(candidates: Mapping[str, Candidate]) -> str:
    """Return the node that loses least by kube-scheduler's order; the first one of equals."""

    def loss(name: str) -> tuple[float, ...]:
        victims, violations = candidates[name]
        highest = max((pod.priority for pod in victims), default=LOWEST_PRIORITY - 1)
        starts = [pod.started_s or 0.0 for pod in victims if pod.priority == highest]
        return (
            violations,
            highest,
            sum(pod.priority - LOWEST_PRIORITY for pod in victims),
            len(victims),
            -min(starts, default=0.0),
        )

    return min(candidates, key=loss)
