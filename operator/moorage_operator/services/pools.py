"""One reconcile of one pool: look, plan, write what differs, tell the status."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import msgspec

from moorage_cluster.apply import needs_apply_status
from moorage_cluster.errors import ApiError, ConflictError, NotFoundError
from moorage_crds.conditions import READY, VALID
from moorage_crds.names import FIELD_MANAGER, POOLS, ROLES, ApiResource
from moorage_crds.pool import GPUInferencePool
from moorage_crds.pool_status import PoolStatus
from moorage_crds.role import RoleObjectStatus
from moorage_operator.children import Child, read_child
from moorage_operator.errors import NAMESPACE_GONE, name_taken, to_problem
from moorage_operator.manifests.names import role_object_name
from moorage_operator.manifests.objects import Manifest
from moorage_operator.manifests.templates import Json
from moorage_operator.services.conditions import Finding, write_conditions
from moorage_operator.services.facts import PoolFacts
from moorage_operator.services.outcome import Outcome
from moorage_operator.services.planning import PoolPlan, plan_pool
from moorage_operator.services.pool_pods import PoolKey
from moorage_operator.services.records import read_pool_record
from moorage_operator.services.status import Verdict, judge, write_pool_status, write_role_status
from moorage_operator.services.view import ClusterView, PoolRecord
from moorage_operator.services.writing import Writer
from moorage_policies.errors import BadInputError
from moorage_policies.pools.problems import Problem


class PoolsService:
    """Brings the cluster to the specs of pools; keeps nothing that a restart would miss.

    Args:
        view: the cluster as known.
        writer: carries out writes.
        now_s: Unix seconds.
        patience_s: see ``OperatorConfig.patience_s``.
    """

    def __init__(
        self, view: ClusterView, writer: Writer, now_s: Callable[[], float], *, patience_s: float
    ) -> None:
        self._view = view
        self._writer = writer
        self._now_s = now_s
        self._patience_s = patience_s

    async def reconcile(self, key: PoolKey) -> Outcome:
        """Write whatever the pool needs now; what is wrong with it ends in its status.

        Raises:
            UnavailableError: try again later; nothing is lost.
        """
        record = self._view.pool(key)
        if record is None or record.is_terminating:
            return Outcome()
        try:
            pool = GPUInferencePool.read(msgspec.json.decode(record.body))
        except BadInputError as error:
            await self._tell_unreadable(record, error)
            return Outcome(is_refused=True)
        facts = self._facts(key)
        plan = plan_pool(pool, facts)
        refusals: list[Problem] = []
        if pool.spec.actuation == "Auto":
            if self._creates(plan, facts) and not await self._is_current(record):
                return Outcome(look_again_s=0.0)
            refusals = await self._carry_out(pool, plan, facts)
            facts = self._facts(key)
            plan = plan_pool(pool, facts)  # with the children as they are now
        verdict = judge(pool, plan, facts, refusals)
        await self._tell_roles(verdict)
        await self._tell_pool(record, write_pool_status(verdict, self._timestamp()))
        self._note_unsettled(key, verdict)
        ends_s = plan.look_again_s
        wait_s = None if ends_s is None else max(0.0, ends_s - facts.now_s)
        return Outcome(is_refused=bool(refusals), look_again_s=wait_s)

    def _facts(self, key: PoolKey) -> PoolFacts:
        return self._view.facts(key, now_s=self._now_s(), patience_s=self._patience_s)

    def _creates(self, plan: PoolPlan, facts: PoolFacts) -> bool:
        return any(manifest.key not in facts.children for manifest in plan.manifests)

    async def _is_current(self, record: PoolRecord) -> bool:
        """Return whether the pool is still there, unchanged: our watch may be behind.

        Asked before anything is created, so that a pool that is gone never gets children again.
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

    async def _carry_out(
        self, pool: GPUInferencePool, plan: PoolPlan, facts: PoolFacts
    ) -> list[Problem]:
        """Apply what differs and remove what is not wanted any more; return what was refused."""
        refusals: list[Problem] = []
        for manifest in plan.manifests:
            problem = await self._ensure(pool, manifest, facts.children.get(manifest.key))
            if problem is not None:
                refusals.append(problem)
                if problem.reason in NAMESPACE_GONE:
                    return refusals
        wanted = {manifest.key for manifest in plan.manifests} | plan.kept
        for child in facts.children.values():
            ours = child.is_owned_by(pool.metadata.uid)
            if ours and child.key not in wanted and not child.is_terminating:
                await self._writer.remove(child)
        return refusals

    async def _ensure(
        self, pool: GPUInferencePool, manifest: Manifest, live: Child | None
    ) -> Problem | None:
        """Apply one manifest unless that would change nothing; return why it was refused."""
        if live is None:
            body = await self._writer.read(manifest.resource, manifest.namespace, manifest.name)
            live = read_child(manifest.resource, body) if body else None
        if live is not None and not live.is_owned_by(pool.metadata.uid):
            problem = _foreign(manifest, live, pool)
            if problem is not None:
                return problem
        elif live is not None and (live.is_terminating or live.satisfies(manifest)):
            self._view.put_child(live, wake=False)
            return None
        try:
            applied = await self._writer.apply(manifest, live)
        except ConflictError:
            raise  # somebody else wrote in between: look again
        except ApiError as error:
            problem = to_problem(error, manifest)
            if problem is None:
                raise
            return problem
        self._view.put_child(applied, wake=False)
        return None

    async def _tell_roles(self, verdict: Verdict) -> None:
        pool = verdict.pool
        for plan, progress in zip(verdict.plan.roles, verdict.progress, strict=True):
            name = role_object_name(pool.metadata.name, plan.role.name)
            child = verdict.facts.children.get((ROLES.kind, name))
            if child is None or not child.is_owned_by(pool.metadata.uid):
                continue
            body = msgspec.json.decode(child.proof)
            status = write_role_status(
                pool,
                plan,
                progress,
                RoleObjectStatus.read(body.get("status") or {}),
                generation=body["metadata"].get("generation", 0),
                now=self._timestamp(),
            )
            answer = await self._tell(ROLES, body, status)
            if answer is not None:
                self._view.put_child(read_child(ROLES, answer), wake=False)

    async def _tell_unreadable(self, record: PoolRecord, error: BadInputError) -> None:
        live = msgspec.json.decode(record.body)
        finding = Finding(VALID, holds=False, reason="UnreadableSpec", message=str(error))
        conditions = write_conditions(
            [finding, replace(finding, type=READY)],
            PoolStatus.read(live.get("status") or {}).conditions,
            generation=record.generation,
            now=self._timestamp(),
        )
        status = {"observedGeneration": record.generation, "conditions": conditions}
        await self._tell_pool(record, status)

    async def _tell_pool(self, record: PoolRecord, status: Json) -> None:
        try:
            answer = await self._tell(POOLS, msgspec.json.decode(record.body), status)
        except NotFoundError:
            self._view.drop_pool(record.key, record.uid)
            return
        if answer is not None:
            self._view.put_pool(read_pool_record(answer), wake=False)

    async def _tell(self, resource: ApiResource, live: Json, status: Json) -> bytes | None:
        """Apply a status unless it is there already; return the object if it was written."""
        meta = live["metadata"]
        manifest = {"status": status}
        if not needs_apply_status(live, manifest, FIELD_MANAGER):
            return None
        return await self._writer.apply_status(resource, meta["namespace"], meta["name"], status)

    def _note_unsettled(self, key: PoolKey, verdict: Verdict) -> None:
        lacking = any(p.placed < p.desired for p in verdict.progress)
        if lacking or verdict.plan.all_problems or verdict.refusals:
            self._view.unsettled.add(key)
        else:
            self._view.unsettled.discard(key)

    def _timestamp(self) -> str:
        return datetime.fromtimestamp(self._now_s(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _foreign(manifest: Manifest, live: Child, pool: GPUInferencePool) -> Problem | None:
    """Return why an object of the wanted name cannot be used; ``None`` for our own orphan."""
    owner = live.owner
    if owner is None:
        if live.pool == (pool.metadata.namespace, pool.metadata.name):
            return None  # left behind on purpose (--cascade=orphan) or restored: adopt it
        return name_taken(manifest, "nobody known to the operator")
    if owner.kind == POOLS.kind and owner.name == pool.metadata.name:
        return Problem(
            "PredecessorTerminating",
            f"{manifest.resource.kind} {manifest.name} belongs to an earlier pool of this name and "
            "is still being removed; nothing to do but wait",
            role=manifest.role,
        )
    return name_taken(manifest, f"{owner.kind} {owner.name}")
