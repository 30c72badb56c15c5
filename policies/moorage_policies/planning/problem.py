"""From the facts to a packing problem: who waits, who may be disturbed, what is left alone."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from moorage_policies.packing.instance import Budget
from moorage_policies.packing.translate import (
    GangMembership,
    Rules,
    Translation,
    from_cluster,
    may_disturb,
)
from moorage_policies.planning.facts import Facts, PlanningParams
from moorage_policies.planning.gangs import marks_of
from moorage_policies.planning.waiting import Waiting, find_waiting
from moorage_policies.plans.budgets import disruptions
from moorage_policies.plans.checks import MOVABLE_ANNOTATION, why_protected
from moorage_policies.plans.records import Strategy
from moorage_policies.preemption.protection import budgets_of
from moorage_policies.types import NVIDIA_GPU, Pod

MOVES_LIMIT = "disruption.maxMoves of the PlacementPolicy"
PLAN_LIMIT = "solver.maxMovesPerPlan of the PlacementPolicy"
OWNER_LIMIT = "disruption.maxMovesPerOwner of the PlacementPolicy"


def is_limit(budget: Budget) -> bool:
    """Return whether a budget counts moves that the policy allows, not pods that are away."""
    return budget.name in (PLAN_LIMIT, MOVES_LIMIT) or budget.name.startswith(OWNER_LIMIT)


@dataclass(frozen=True, slots=True)
class Problem:
    """A packing problem and what its rows stand for.

    Args:
        translation: the instance, its pods and nodes.
        waiting: who waits, and who is not planned for.
        strategies: how a running pod may be moved, by UID.
    """

    translation: Translation
    waiting: Waiting
    strategies: Mapping[str, Strategy]


def build_problem(facts: Facts, params: PlanningParams) -> Problem:
    """Return the packing problem of the facts.

    Nodes of running plans are left alone. Pods that are shutting down count as gone: whoever is
    placed on their room is waited for by the executor. Pods of which nobody knows yet whether
    kube-scheduler has room for them are left out.
    """
    frozen = {node for record in facts.running_plans for node in record.plan.nodes}
    nodes = [replace(n, allocatable={}) if n.name in frozen else n for n in facts.nodes]
    known = {node.name for node in facts.nodes}
    bound = [pod for pod in facts.pods if pod.node in known and not pod.terminating]
    waiting = _waiting(facts, params)
    coming = [
        replace(pod, node=pod.nominated_node, terminating=True)
        for pod in facts.pods
        if pod.node is None and pod.nominated_node in known
    ]
    judge = _Judge(facts, params)
    rules = Rules(
        movable=judge.is_movable,
        evictable=judge.is_evictable,
        costs=judge.costs,
        gangs=_memberships(facts, waiting),
        same_tier_eviction=params.limits.same_tier_eviction,
        node_class=params.class_of,
    )
    translation = from_cluster(nodes, [*bound, *coming, *waiting.pods], facts.budgets, rules)
    translation = _with_limits(translation, facts, params)
    strategies = {
        pod.uid: strategy
        for pod in translation.pods
        if pod.node is not None and (strategy := judge.strategy(pod)) is not None
    }
    return Problem(translation, waiting, strategies)


def _waiting(facts: Facts, params: PlanningParams) -> Waiting:
    served = {
        move.uid
        for record in facts.running_plans
        for move in record.plan.moves
        if move.kind == "Place"
    }
    pending = [pod for pod in facts.pods if pod.node is None]
    if facts.wanted is not None:
        pending = [replace(pod, unschedulable=True) for pod in pending if pod.uid in facts.wanted]
    return find_waiting(pending, facts.pods, params.limits.schedulers, served)


def _memberships(facts: Facts, waiting: Waiting) -> Mapping[str, GangMembership]:
    """Return the gang of each pod; the domain binds those that arrive, not those that run."""
    marks = marks_of(facts.pods)
    arriving = {marks[pod.uid].name for pod in waiting.pods if pod.uid in marks}
    return {
        uid: GangMembership(mark.name, mark.topology_key if mark.name in arriving else None)
        for uid, mark in marks.items()
    }


class _Judge:
    """Says who may be moved or evicted, and at what cost."""

    def __init__(self, facts: Facts, params: PlanningParams) -> None:
        self._facts = facts
        self._params = params
        self._gangs = marks_of(facts.pods)
        limits = params.limits
        self._cooling = {
            past.replacement_uid
            for past in disruptions(facts.plans)
            if past.replacement_uid and facts.at_s - past.started_s < limits.pod_cool_down_s
        }
        self._verdicts: dict[str, bool] = {}

    def is_movable(self, pod: Pod) -> bool:
        """Return whether a running pod may change nodes."""
        if pod.node is None:
            return True
        return pod.ready and self.strategy(pod) is not None and self._may_go(pod)

    def is_evictable(self, pod: Pod) -> bool:
        """Return whether a running pod may end for one of higher priority."""
        if pod.node is None:
            return True
        started_s, least_s = pod.started_s, self._params.min_runtime_s
        young = started_s is not None and self._facts.at_s - started_s < least_s
        return not young and self._may_go(pod)

    def strategy(self, pod: Pod) -> Strategy | None:
        """Return how the pod may be moved, ``None`` when it may not.

        The pool says it. A pod of no pool may be evicted and started elsewhere if it says so
        itself; one of a gang stays beside the others.
        """
        if pod.uid in self._gangs:
            return None
        told = self._facts.migrations.get(pod.uid)
        if told is None:
            return "EvictFirst" if pod.annotations.get(MOVABLE_ANNOTATION) == "true" else None
        if told == "SurgeFirst":
            return "SurgeFirst"
        return "EvictFirst" if told == "EvictFirst" else None

    def costs(self, pod: Pod) -> tuple[int, int]:
        """Return the cost of a move and of an eviction, both growing with the pod's devices."""
        size = 1 + pod.requests.get(NVIDIA_GPU, 0)
        move = size if self.strategy(pod) == "SurgeFirst" else 2 * size
        return move, 3 * size

    def _may_go(self, pod: Pod) -> bool:
        if pod.uid not in self._verdicts:
            self._verdicts[pod.uid] = (
                may_disturb(pod)
                and pod.uid not in self._cooling
                and why_protected(pod, self._params.limits) is None
                and len(budgets_of(pod, self._facts.budgets)) <= 1
            )
        return self._verdicts[pod.uid]


def _with_limits(translation: Translation, facts: Facts, params: PlanningParams) -> Translation:
    """Add what the policy allows to be disturbed as further budgets of the instance."""
    instance = translation.instance
    limits = tuple(_limits(translation, facts, params))
    tighter = replace(instance, budgets=(*instance.budgets, *limits))
    return replace(translation, instance=tighter)


def _limits(translation: Translation, facts: Facts, params: PlanningParams) -> Iterator[Budget]:
    limits, instance = params.limits, translation.instance
    past = [p for p in disruptions(facts.plans) if facts.at_s - p.started_s < limits.window_s]
    running = np.flatnonzero(instance.running)
    yield Budget(PLAN_LIMIT, running, params.max_moves_per_plan)
    if limits.max_moves - len(past) < params.max_moves_per_plan:
        yield Budget(MOVES_LIMIT, running, max(0, limits.max_moves - len(past)))
    used = Counter(one.owner_uid for one in past)
    owned: defaultdict[str, list[int]] = defaultdict(list)
    for row in running.tolist():
        owner = translation.pods[row].owner
        if owner is not None:
            owned[owner.uid].append(row)
    for uid, rows in owned.items():
        allowed = max(0, limits.max_moves_per_owner - used[uid])
        if allowed < len(rows):
            name = translation.pods[rows[0]].owner
            assert name is not None
            label = f"{OWNER_LIMIT} ({name.kind} {name.name})"
            yield Budget(label, np.array(rows, dtype=np.int64), allowed)
