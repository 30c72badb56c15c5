"""One reconcile of one pool: look, plan, write what differs, tell the status."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from moorage_crds.names import POOLS
from moorage_crds.pool import GPUInferencePool
from moorage_operator.services.carrying import Carried, Carrier
from moorage_operator.services.facts import PoolFacts
from moorage_operator.services.outcome import Outcome
from moorage_operator.services.planning import PoolPlan, plan_pool
from moorage_operator.services.pool_hints import PoolHints
from moorage_operator.services.pool_pods import PoolKey
from moorage_operator.services.records import read_pool_record
from moorage_operator.services.status import Verdict, judge
from moorage_operator.services.telling import Teller
from moorage_operator.services.view import ClusterView, PoolRecord
from moorage_operator.services.writing import Writer
from moorage_policies.errors import BadInputError


class PoolsService:
    """Brings the cluster to the specs of pools; keeps nothing that a restart would miss.

    Args:
        view: the cluster as known.
        writer: carries out writes.
        now_s: Unix seconds.
        hints: says what pools' hints mean.
        patience_s: see ``OperatorConfig.patience_s``.
    """

    def __init__(
        self,
        view: ClusterView,
        writer: Writer,
        now_s: Callable[[], float],
        hints: PoolHints,
        *,
        patience_s: float,
    ) -> None:
        self._view = view
        self._writer = writer
        self._now_s = now_s
        self._hints = hints
        self._patience_s = patience_s
        self._carrier = Carrier(view, writer)
        self._teller = Teller(view, writer, now_s)
        self._untold: set[PoolKey] = set()

    async def reconcile(self, key: PoolKey) -> Outcome:
        """Write whatever the pool needs now; what is wrong with it ends in its status.

        Raises:
            UnavailableError: try again later; nothing is lost.
        """
        record = self._view.pool(key)
        if record is None or record.is_terminating:
            self._untold.discard(key)
            return Outcome()
        try:
            pool = GPUInferencePool.read(msgspec.json.decode(record.body))
        except BadInputError as error:
            await self._teller.tell_unreadable(record, error)
            return Outcome(is_refused=True)
        facts = self._facts(key)
        plan = plan_pool(pool, facts)
        if pool.spec.actuation != "Auto":
            return await self._tell(record, judge(pool, plan, facts, (), self._hints.read(pool)))
        known = pool.status.observed_generation > 0
        if known and self._creates(plan, facts) and not await self._is_current(record):
            return Outcome(look_again_s=0.0)
        carried = await self._carrier.carry_out(pool, plan, facts)
        if self._may_tell_later(key, carried):
            return Outcome(look_again_s=0.0)
        facts = self._facts(key)  # with the children as they are now
        hint = self._hints.read(pool)
        verdict = judge(pool, plan_pool(pool, facts), facts, carried.refusals, hint)
        return await self._tell(record, verdict)

    def _may_tell_later(self, key: PoolKey, carried: Carried) -> bool:
        """Return whether the status can wait for the next look: pods are about to change it anyway.

        Only once in a row, so that a pool that is written again and again is told nevertheless.
        """
        if carried.writes and not carried.refusals and key not in self._untold:
            self._untold.add(key)
            return True
        self._untold.discard(key)
        return False

    async def _tell(self, record: PoolRecord, verdict: Verdict) -> Outcome:
        await self._teller.tell(record, verdict)
        await self._hints.warn(verdict.pool, verdict.hint)
        if verdict.lacks_something:
            self._view.unsettled.add(record.key)
        else:
            self._view.unsettled.discard(record.key)
        ends_s = verdict.plan.look_again_s
        wait_s = None if ends_s is None else max(0.0, ends_s - verdict.facts.now_s)
        return Outcome(is_refused=bool(verdict.refusals), look_again_s=wait_s)

    def _facts(self, key: PoolKey) -> PoolFacts:
        return self._view.facts(key, now_s=self._now_s(), patience_s=self._patience_s)

    def _creates(self, plan: PoolPlan, facts: PoolFacts) -> bool:
        return any(manifest.key not in facts.children for manifest in plan.manifests)

    async def _is_current(self, record: PoolRecord) -> bool:
        """Return whether the pool is still there, unchanged: our watch may be behind.

        Asked before a pool that had its children gets one again: were the pool gone, it would be
        the garbage collector's work that we undo, again and again.
        """
        body = await self._writer.read(POOLS, *record.key)
        if body is None:
            self._view.drop_pool(record.key, record.uid)
            return False
        live = read_pool_record(body)
        if live.uid != record.uid:
            self._view.drop_pool(record.key, record.uid)
        self._view.put_pool(live)
        return (live.uid, live.generation, live.is_terminating) == (
            record.uid,
            record.generation,
            record.is_terminating,
        )
