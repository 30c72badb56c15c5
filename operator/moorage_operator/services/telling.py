"""Tells pools and roles their statuses, unless they know already."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import msgspec

from moorage_cluster.apply import needs_apply_status
from moorage_cluster.errors import NotFoundError
from moorage_crds.conditions import READY, VALID
from moorage_crds.names import FIELD_MANAGER, POOLS, ROLES, ApiResource, role_object_name
from moorage_crds.pool_status import PoolStatus
from moorage_crds.role import RoleObjectStatus
from moorage_operator.children import read_child
from moorage_operator.manifests.templates import Json
from moorage_operator.services.conditions import Finding, write_conditions
from moorage_operator.services.records import read_pool_record
from moorage_operator.services.status import Verdict, write_pool_status, write_role_status
from moorage_operator.services.view import ClusterView, PoolRecord
from moorage_operator.services.writing import Writer
from moorage_policies.errors import BadInputError


class Teller:
    """Writes statuses; what it was answered goes into the view at once.

    Args:
        view: the cluster as known.
        writer: carries out single writes.
        now_s: Unix seconds.
    """

    def __init__(self, view: ClusterView, writer: Writer, now_s: Callable[[], float]) -> None:
        self._view = view
        self._writer = writer
        self._now_s = now_s

    async def tell(self, record: PoolRecord, verdict: Verdict) -> None:
        """Write the statuses of the pool and its role objects where they differ.

        Raises:
            ApiError: the server refused or did not answer.
        """
        await self._tell_roles(verdict)
        await self._tell_pool(record, write_pool_status(verdict, self._timestamp()))

    async def tell_unreadable(self, record: PoolRecord, error: BadInputError) -> None:
        """Say in the status of a pool that its spec cannot be read, and why."""
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
                verdict.facts.scaling,
                generation=body["metadata"].get("generation", 0),
                now=self._timestamp(),
            )
            answer = await self._tell(ROLES, body, status)
            if answer is not None:
                self._view.put_child(read_child(ROLES, answer), wake=False)

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

    def _timestamp(self) -> str:
        return datetime.fromtimestamp(self._now_s(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
