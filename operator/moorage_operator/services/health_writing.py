"""The writes of the health service: a condition on a node, a plan that moves its pods away."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Literal

from moorage_cluster.errors import NotFoundError
from moorage_cluster.session import ApiSession
from moorage_crds.names import NODES, PLANS, QUARANTINE
from moorage_crds.objects import Condition
from moorage_operator.errors import NotLeadingError
from moorage_operator.services.plan_book import StoredPlan, read_plan
from moorage_policies.health import Relocation
from moorage_policies.types import NVIDIA_GPU, Pod

_STRATEGIC = "application/strategic-merge-patch+json"
_DIGEST = 8
_NODE_PART = 40
_MESSAGE_LIMIT = 1000
PLAN_PREFIX = "health-"

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Standing:
    """What the node's condition should say.

    Args:
        reason: one word for programs.
        message: the same for people.
        last_sign_s: when there was a sign last, Unix seconds.
        status: ``True`` keeps our scheduler off the node.
    """

    reason: str
    message: str
    last_sign_s: float
    status: Literal["True", "False", "Unknown"] = "False"

    def is_told_by(self, condition: Condition | None) -> bool:
        """Return whether the condition says this already; its times aside."""
        return condition is not None and (
            (condition.status, condition.reason, condition.message)
            == (self.status, self.reason, self.message[:_MESSAGE_LIMIT])
        )


class HealthWriter:
    """Writes conditions and plans while this process leads.

    Args:
        session: the session.
        leads: whether this process holds the Lease; asked before every write.
        count: told the verb and the kind of every write.
        now_s: Unix seconds.
    """

    def __init__(
        self,
        session: ApiSession,
        leads: Callable[[], bool],
        count: Callable[[str, str], None],
        now_s: Callable[[], float],
    ) -> None:
        self._session = session
        self._leads = leads
        self._count = count
        self._now_s = now_s

    async def tell(self, node: str, standing: Standing, before: Condition | None) -> None:
        """Write the condition of a node; one that is gone needs none.

        Raises:
            NotLeadingError: another process leads.
        """
        changed = before is None or before.status != standing.status
        since = None if changed or before is None else before.last_transition_time
        condition = {
            "type": QUARANTINE,
            "status": standing.status,
            "reason": standing.reason,
            "message": standing.message[:_MESSAGE_LIMIT],
            "lastHeartbeatTime": _stamp(standing.last_sign_s),
            "lastTransitionTime": _stamp(since.timestamp() if since else self._now_s()),
        }
        self._leading("patch-status", NODES.kind)
        try:
            await self._session.request(
                "PATCH",
                NODES.path("", node, "status"),
                body={"status": {"conditions": [condition]}},
                content_type=_STRATEGIC,
            )
        except NotFoundError:
            return

    async def propose(
        self,
        node: str,
        moves: Iterable[tuple[Relocation, str]],
        *,
        mode: str,
        reason: str,
    ) -> StoredPlan:
        """Return the new plan that moves pods off a node, each with its strategy.

        Raises:
            NotLeadingError: another process leads.
        """
        moment = f"{node}/{self._now_s():.6f}"
        digest = sha256(moment.encode()).hexdigest()[:_DIGEST]
        body = {
            "apiVersion": PLANS.api_version,
            "kind": PLANS.kind,
            "metadata": {"name": f"{PLAN_PREFIX}{node[:_NODE_PART].rstrip('.-')}-{digest}"},
            "spec": {
                "trigger": "Health",
                "mode": mode,
                "moves": [_to_move(index, *pair, reason) for index, pair in enumerate(moves)],
                "certificate": {"status": "Feasible", "reason": reason},
            },
        }
        self._leading("create", PLANS.kind)
        answer = await self._session.request("POST", PLANS.path(), body=body)
        return read_plan(answer)

    def _leading(self, verb: str, kind: str) -> None:
        if not self._leads():
            raise NotLeadingError
        self._count(verb, kind)


def _to_move(index: int, relocation: Relocation, strategy: str, reason: str) -> Json:
    pod = relocation.pod
    return {
        "index": index,
        "step": 0,
        "kind": "Move",
        "pod": {"namespace": pod.namespace, "name": pod.name, "uid": pod.uid},
        "owner": _owner(pod),
        "from": pod.node,
        "to": relocation.target,
        "strategy": strategy,
        "priority": pod.priority,
        "gpus": pod.requests.get(NVIDIA_GPU, 0),
        "reason": reason,
    }


def _owner(pod: Pod) -> Json | None:
    owner = pod.owner
    return {"kind": owner.kind, "name": owner.name, "uid": owner.uid} if owner else None


def _stamp(moment_s: float) -> str:
    return datetime.fromtimestamp(int(moment_s), UTC).isoformat().replace("+00:00", "Z")
