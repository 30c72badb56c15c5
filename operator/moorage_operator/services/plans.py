"""One look at one plan: read, decide, act, and again until there is something to wait for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from moorage_crds.policy import PlanRetention
from moorage_operator.services.outcome import Outcome
from moorage_operator.services.plan_book import StoredPlan
from moorage_operator.services.plan_facts import PlanFacts
from moorage_operator.services.plan_writing import PlanWriter
from moorage_operator.services.view import ClusterView
from moorage_policies.plans import (
    Action,
    Evict,
    Mark,
    PlanRecord,
    Record,
    Unmark,
    Wait,
    after_eviction,
    decide,
)
from moorage_policies.plans.retention import choose_outdated
from moorage_policies.ports import Reporter

MOST_ACTIONS = 20


class PlansService:
    """Carries plans out; keeps nothing that their statuses do not say.

    Args:
        view: pools, and plans as last heard of.
        facts: reads what is fresh.
        writer: carries out writes.
        now_s: Unix seconds.
        reporter: hears every action, with its reason.
    """

    def __init__(
        self,
        view: ClusterView,
        facts: PlanFacts,
        writer: PlanWriter,
        now_s: Callable[[], float],
        reporter: Reporter,
    ) -> None:
        self._view = view
        self._facts = facts
        self._writer = writer
        self._now_s = now_s
        self._reporter = reporter

    async def reconcile(self, name: str) -> Outcome:
        """Bring the plan as far as it gets now.

        Raises:
            UnavailableError: try again later; nothing is lost.
            BadInputError: the stored plan cannot be read.
        """
        policy = await self._facts.policy()
        params = self._facts.params(policy)
        for _ in range(MOST_ACTIONS):
            stored = await self._facts.plan(name)
            if stored is None:
                self._forget(name)
                return Outcome()
            self._view.plans.put(stored, wake=False)
            if stored.record.progress.has_ended:
                await self._prune(policy.plans)
                return Outcome()
            seen = await self._facts.observe(stored.record)
            decision = decide(stored.record, seen, params, self._now_s())
            if isinstance(decision.value, Wait):
                return Outcome(look_again_s=decision.value.for_s)
            self._report(stored, decision.value, decision.reason)
            await self._act(stored, decision.value)
        return Outcome(look_again_s=0.0)

    async def _act(self, stored: StoredPlan, action: Action) -> None:
        match action:
            case Record(progress):
                self._view.plans.put(await self._writer.record(stored, progress), wake=False)
            case Mark(uid, namespace, name):
                await self._writer.mark(namespace, name, uid, marked=True)
            case Unmark(uid, namespace, name):
                await self._writer.mark(namespace, name, uid, marked=False)
            case Evict(uid, namespace, name, move):
                answer, message = await self._writer.evict(namespace, name, uid)
                after = after_eviction(move, answer, message, self._now_s())
                if after != move:
                    progress = stored.record.progress.with_move(after)
                    self._view.plans.put(await self._writer.record(stored, progress), wake=False)

    async def _prune(self, retention: PlanRetention) -> None:
        """Delete plans that ended and are too many or too old."""
        held = {stored.name: stored for stored in self._view.plans.stored()}
        names = choose_outdated(
            [stored.record for stored in held.values()],
            keep=retention.keep,
            ttl_s=retention.ttl_seconds,
            now_s=self._now_s(),
        )
        for name in names:
            await self._writer.remove(name, held[name].uid)
            self._view.plans.drop(name, held[name].uid)

    def _forget(self, name: str) -> None:
        held = next((plan for plan in self._view.plans.stored() if plan.name == name), None)
        if held is not None:
            self._view.plans.drop(name, held.uid)

    def _report(self, stored: StoredPlan, action: Action, why: str) -> None:
        progress = action.progress if isinstance(action, Record) else stored.record.progress
        self._reporter.report(
            "plan.action",
            plan=stored.name,
            action=type(action).__name__,
            phase=progress.phase,
            moves=_phases(replace(stored.record, progress=progress)),
            why=why,
        )


def _phases(record: PlanRecord) -> str:
    return " ".join(f"{move.index}:{progress.phase}" for move, progress in record.pairs())
