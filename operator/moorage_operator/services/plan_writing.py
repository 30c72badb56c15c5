"""Every write that carries out a plan: fenced by the Lease, by revisions and by UIDs."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from moorage_cluster.errors import ConflictError, InvalidError, NotFoundError
from moorage_cluster.evict import Evicted, Gone, Misconfigured, Refused, evict
from moorage_cluster.lease import FenceToken
from moorage_cluster.session import ApiSession
from moorage_crds.names import FIELD_MANAGER, PLANS, PODS
from moorage_crds.plan_records import write_plan_status
from moorage_operator.errors import NotLeadingError
from moorage_operator.services.plan_book import StoredPlan, read_plan
from moorage_policies.plans import (
    DELETION_COST_ANNOTATION,
    MARK,
    EvictionAnswer,
    PlanProgress,
    PlanRecord,
)

_APPLY = "application/apply-patch+yaml"
_MERGE = "application/merge-patch+json"
_PARAMS = {"fieldManager": FIELD_MANAGER, "force": "true"}


class PlanWriter:
    """Writes progress, marks pods and asks for evictions.

    Args:
        session: the session.
        term: the running term of leadership, ``None`` while another process leads; asked before
            every write.
        count: told the verb and the kind of every write.
        now_s: Unix seconds.
    """

    def __init__(
        self,
        session: ApiSession,
        term: Callable[[], FenceToken | None],
        count: Callable[[str, str], None],
        now_s: Callable[[], float],
    ) -> None:
        self._session = session
        self._term = term
        self._count = count
        self._now_s = now_s

    async def record(self, stored: StoredPlan, progress: PlanProgress) -> StoredPlan:
        """Return the plan after its status says ``progress``.

        It is written to the revision that was decided on, so that of two leaders one fails.

        Raises:
            ConflictError: somebody wrote in between: read and decide again.
            NotLeadingError: another process leads.
        """
        term = self._leading("apply-status", PLANS.kind)
        status = write_plan_status(
            PlanRecord(stored.record.plan, progress),
            stored.plan.status,
            generation=stored.plan.metadata.generation,
            executor={"holder": term.holder, "fence": term.transitions},
            now_s=self._now_s(),
        )
        body = {
            "apiVersion": PLANS.api_version,
            "kind": PLANS.kind,
            "metadata": {"name": stored.name, "resourceVersion": str(stored.resource_version)},
            "status": status,
        }
        answer = await self._session.request(
            "PATCH",
            PLANS.path("", stored.name, "status"),
            params=_PARAMS,
            body=msgspec.json.encode(body),
            content_type=_APPLY,
        )
        return read_plan(answer)

    async def mark(self, namespace: str, name: str, uid: str, *, marked: bool) -> None:
        """Mark the pod of this UID as the first to go, or take the mark off; gone is fine."""
        self._leading("patch", PODS.kind)
        annotations = {DELETION_COST_ANNOTATION: MARK if marked else None}
        body = {"metadata": {"uid": uid, "annotations": annotations}}
        try:
            await self._session.request(
                "PATCH", PODS.path(namespace, name), body=body, content_type=_MERGE
            )
        except (NotFoundError, ConflictError, InvalidError):
            return  # another pod has the name by now: the next look tells

    async def evict(self, namespace: str, name: str, uid: str) -> tuple[EvictionAnswer, str]:
        """Return what the Eviction API says to evicting the pod of this UID, and why."""
        self._leading("evict", PODS.kind)
        answer = await evict(self._session, namespace, name, uid)
        match answer:
            case Evicted():
                return "evicted", ""
            case Gone():
                return "gone", ""
            case Misconfigured(message):
                return "several-budgets", message
            case Refused(_, message, by_budget):
                return ("budget" if by_budget else "busy"), message

    async def remove(self, name: str, uid: str) -> None:
        """Delete a plan that ended long ago; being gone is fine."""
        self._leading("delete", PLANS.kind)
        try:
            await self._session.delete(PLANS.path("", name), uid=uid)
        except (NotFoundError, ConflictError):
            return

    def _leading(self, verb: str, kind: str) -> FenceToken:
        term = self._term()
        if term is None:
            raise NotLeadingError
        self._count(verb, kind)
        return term
