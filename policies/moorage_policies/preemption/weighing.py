"""What each candidate node would lose, or why it is out of the question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np

from moorage_policies.feasibility import Trials
from moorage_policies.preemption.protection import (
    Protection,
    budgets_of,
    overdrawn,
    restart_cost,
    why_spared,
)
from moorage_policies.preemption.search import LOWEST_PRIORITY, Harm, Limits, Movable, VictimSearch
from moorage_policies.state import Snapshot, group_key
from moorage_policies.types import DisruptionBudget, Pod


@dataclass(frozen=True, slots=True)
class PreemptionParams:
    """How preemption behaves.

    Args:
        preemption_delay_s: seconds after a pod's first failure in which the planner may find a
            way without evictions.
        protection: who is never evicted.
        strict_budgets: whether sets that exceed a disruption budget are dropped; else counted.
        keep: the single best node, or every node that has an answer.
        trust_snapshot_s: seconds after the first failure in which a node that has room by our
            books stops preemption; later the scheduler is believed.
        search_steps: branches looked at in one call, over all nodes.
    """

    preemption_delay_s: float = 3.0
    protection: Protection = field(default_factory=Protection)
    strict_budgets: bool = True
    keep: Literal["best", "all"] = "best"
    trust_snapshot_s: float = 10.0
    search_steps: int = 20_000


class Offer(NamedTuple):
    """What one node would lose.

    Args:
        victims: whom it would lose.
        harm: how bad that is.
        dropped: why the node is out of the question, empty when it is not.
        has_room: whether the pod fits there by our books without any eviction.
    """

    victims: tuple[Pod, ...] = ()
    harm: Harm = Harm()
    dropped: str = ""
    has_room: bool = False

    def uids(self) -> tuple[str, ...]:
        """Return the victims by falling priority, as the scheduler reads them."""
        ordered = sorted(self.victims, key=lambda pod: (-pod.priority, pod.uid))
        return tuple(pod.uid for pod in ordered)


class Weighing:
    """Weighs candidate nodes for one pod.

    Args:
        pod: the pod that fits nowhere.
        snapshot: the cluster.
        budgets: disruption budgets as they stand.
        params: how to behave.
        now_s: Unix seconds.
    """

    def __init__(
        self,
        pod: Pod,
        snapshot: Snapshot,
        budgets: Sequence[DisruptionBudget],
        params: PreemptionParams,
        now_s: float,
    ) -> None:
        self._pod = pod
        self._snapshot = snapshot
        self._budgets = budgets
        self._params = params
        self._now_s = now_s
        self._trials = Trials(pod, snapshot)
        self._steps = params.search_steps
        self._guards: dict[str, tuple[int, ...]] = {}  # by pod: the budgets that guard it

    def weigh(self, candidates: Mapping[str, tuple[str, ...]]) -> dict[str, Offer]:
        """Return an offer per candidate; with ``keep="best"`` only the best one is exact."""
        offers: dict[str, Offer] = {}
        bound: Harm | None = None
        for left, name in zip(range(len(candidates), 0, -1), sorted(candidates), strict=True):
            offer = self._weigh_node(name, candidates[name], self._steps // left, bound)
            offers[name] = offer
            exact = not offer.dropped and self._params.keep == "best"
            if exact and (bound is None or offer.harm < bound):
                bound = offer.harm
        return offers

    def _weigh_node(
        self, name: str, proposed: tuple[str, ...], steps: int, bound: Harm | None
    ) -> Offer:
        row = self._snapshot.node_index.get(name)
        here = {} if row is None else {pod.uid: pod for pod in self._snapshot.pods_on(row)}
        strangers = [uid for uid in proposed if uid not in here]
        if row is None or strangers:
            stale = "unknown node" if row is None else f"pod {strangers[0]} is not on the node"
            return Offer(dropped=stale)
        if not proposed:
            return Offer()
        as_proposed = self._as_proposed([here[uid] for uid in proposed])
        if self._pod.unsupported:
            return as_proposed  # we cannot tell what else would let it in
        if self._trials.on(row).fits():
            return as_proposed._replace(has_room=True)
        return self._least_harm(
            row,
            as_proposed,
            Limits(
                [max(0, budget.disruptions_allowed) for budget in self._budgets],
                strict=self._params.strict_budgets,
                max_victims=len(set(proposed)),
                steps=steps,
            ),
            bound,
        )

    def _as_proposed(self, victims: Sequence[Pod]) -> Offer:
        """Return the scheduler's own choice, dropped when it breaks a rule."""
        for victim in victims:
            why = self._why_spared(victim)
            if why:
                return Offer(dropped=f"{victim.key} stays: {why}")
        harm = self._harm_of(victims)
        if harm.budget_violations and self._params.strict_budgets:
            return Offer(dropped="a disruption budget forbids it")
        return Offer(tuple(victims), harm)

    def _least_harm(
        self, row: int, as_proposed: Offer, limits: Limits, bound: Harm | None
    ) -> Offer:
        """Return the least harmful legal set on the row that lets the pod in."""
        if not self._trials.admitted[row]:
            return Offer(dropped="the node does not accept the pod")
        fallback, elsewhere = as_proposed, bound
        if not fallback.dropped and not self._lets_in(row, fallback.victims):
            fallback = Offer(dropped="the pod does not fit even without the victims proposed")
        if not fallback.dropped and (bound is None or fallback.harm < bound):
            bound = fallback.harm
        pods = [pod for pod in self._snapshot.pods_on(row) if not self._why_spared(pod)]
        movables, need = self._movables(row, pods)

        def accepts(chosen: Sequence[int]) -> bool:
            return not self._trials.rules or self._lets_in(row, [pods[i] for i in chosen])

        steps = limits.steps
        found = VictimSearch(movables, need, limits, accepts, bound).run()
        self._steps -= steps - max(0, limits.steps)
        if found is not None:
            harm, chosen = found
            return Offer(tuple(pods[i] for i in chosen), harm)
        if fallback.dropped and limits.steps < 0:
            return Offer(dropped="the search for victims ran out of steps")
        if fallback.dropped and elsewhere is not None:
            return Offer(dropped="no legal victims that harm less than another node's")
        return fallback

    def _lets_in(self, row: int, victims: Sequence[Pod]) -> bool:
        trial = self._trials.on(row)
        for victim in victims:
            trial.take(victim)
        return trial.fits()

    def _movables(self, row: int, pods: Sequence[Pod]) -> tuple[list[Movable], tuple[int, ...]]:
        """Return the pods that may help and what is lacking, over the resources that lack."""
        lacking = self._trials.demand - self._trials.free[row]
        columns = np.flatnonzero((lacking > 0) & (self._trials.demand > 0))
        kinds: dict[object, int] = {}
        movables = []
        for index, pod in enumerate(pods):
            frees = tuple(self._snapshot.known_demand_of(pod)[columns].tolist())
            priority = None if pod.terminating else pod.priority
            budgets = self._budgets_of(pod)
            neighbour = group_key(pod) if self._trials.rules else None
            kind = kinds.setdefault((priority, frees, budgets, neighbour), len(kinds))
            if any(frees) or self._trials.rules:
                cost = restart_cost(pod, self._now_s)
                movables.append(Movable(index, priority, frees, budgets, cost, kind))
        return movables, tuple(lacking[columns].tolist())

    def _budgets_of(self, pod: Pod) -> tuple[int, ...]:
        positions = self._guards.get(pod.uid)
        if positions is None:
            positions = self._guards[pod.uid] = budgets_of(pod, self._budgets)
        return positions

    def _why_spared(self, victim: Pod) -> str | None:
        return why_spared(victim, self._pod, self._params.protection, self._now_s)

    def _harm_of(self, victims: Sequence[Pod]) -> Harm:
        costly = [victim for victim in victims if not victim.terminating]
        if not costly:
            return Harm()
        return Harm(
            overdrawn(self._budgets, map(self._budgets_of, costly)),
            max(victim.priority for victim in costly),
            sum(victim.priority - LOWEST_PRIORITY for victim in costly),
            len(costly),
            sum(restart_cost(victim, self._now_s) for victim in costly),
        )
