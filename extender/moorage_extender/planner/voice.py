"""What the planner writes to the API server: plans, words to people, and the bell."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from moorage_cluster.apply import apply
from moorage_cluster.errors import NotFoundError
from moorage_cluster.events import Subject, tell
from moorage_cluster.session import ApiSession
from moorage_crds.names import PLANS, PODS, SCHEDULER_NAME
from moorage_extender.planner.answers import Said
from moorage_policies.planning.answer import Word
from moorage_policies.types import Pod

FIELD_MANAGER: Final = "moorage-planner"
CONDITION: Final = "moorage.dev/Placement"
BELL_GATE: Final = "moorage.dev/bell"
BELL_LABELS: Final[Mapping[str, str]] = {
    "app.kubernetes.io/name": "moorage",
    "app.kubernetes.io/component": "bell",
}
REASONS: Final[Mapping[Word, str]] = {
    "Planned": "PlacementPlanned",
    "HasRoom": "PlacementHasRoom",
    "Outranked": "PlacementOutranked",
    "Infeasible": "PlacementInfeasible",
    "Unknown": "PlacementUnknown",
    "Unsupported": "PlacementUnsupported",
}


class Voice(Protocol):
    """Everything that the planner changes in the cluster."""

    async def write_plan(self, manifest: dict[str, Any]) -> None:
        """Store a plan."""
        ...

    async def expire_plan(self, name: str) -> None:
        """End a plan that nobody has begun: others know better by now."""
        ...

    async def tell_pod(self, pod: Pod, said: Said) -> None:
        """Let people see what was found out about a pod."""
        ...

    async def hush(self) -> None:
        """Take away what a planner that died in the middle of ringing has left."""
        ...

    async def ring(self, pod: Pod, node: str) -> None:
        """Have kube-scheduler try waiting pods of this pod's priority and below again."""
        ...


class ApiVoice:
    """Speaks to the API server.

    Args:
        session: the session.
        bell_namespace: where the bell's pod may be made.
    """

    def __init__(self, session: ApiSession, bell_namespace: str) -> None:
        self._session = session
        self._bell_namespace = bell_namespace

    async def write_plan(self, manifest: dict[str, Any]) -> None:
        """Store a plan by server-side apply."""
        await apply(self._session, manifest, FIELD_MANAGER)

    async def expire_plan(self, name: str) -> None:
        """Let the time of a plan that has not begun run out; one that has begun goes on."""
        with suppress(NotFoundError):
            await self._session.patch(PLANS.path("", name), {"spec": {"ttlSeconds": 0}})

    async def tell_pod(self, pod: Pod, said: Said) -> None:
        """Write an event and a condition; a pod that is gone needs neither."""
        reason = REASONS[said.word]
        good = said.word in ("Planned", "HasRoom")
        condition = {
            "type": CONDITION,
            "status": "True" if good else "False",
            "reason": reason,
            "message": said.message,
            "lastTransitionTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        body = {"metadata": {"uid": pod.uid}, "status": {"conditions": [condition]}}
        with suppress(NotFoundError):
            path = PODS.path(pod.namespace, pod.name, "status")
            await self._session.patch(path, body, kind="strategic")
            await tell(
                self._session,
                Subject(pod.namespace, pod.name, pod.uid),
                kind="Normal" if good else "Warning",
                reason=reason,
                message=said.message,
                reporter=FIELD_MANAGER,
            )

    async def hush(self) -> None:
        """Delete every bell; one that rings at this moment rings a little early."""
        path = PODS.path(self._bell_namespace)
        labels = ",".join(f"{name}={value}" for name, value in BELL_LABELS.items())
        found = await self._session.get_json(path, params={"labelSelector": labels})
        for item in found["items"]:
            await self._delete_bell(f"{path}/{item['metadata']['name']}")

    async def ring(self, pod: Pod, node: str) -> None:
        """Make a pod that is never started hold a place, and delete it.

        A pod that kube-scheduler refused for lack of room is tried again when somebody leaves a
        node, and by next to nothing else. The bell is gated, asks for nothing and is nominated to
        a node, so its end counts as such an event for priorities up to its own.
        """
        name = f"moorage-bell-{uuid.uuid4().hex[:8]}"
        path = PODS.path(self._bell_namespace)
        await self._session.create(path, _bell(name, pod.priority_class))
        try:
            status = {"status": {"nominatedNodeName": node}}
            with suppress(NotFoundError):  # hushed by another planner: it has rung
                await self._session.patch(f"{path}/{name}/status", status)
        finally:
            await self._delete_bell(f"{path}/{name}")

    async def _delete_bell(self, path: str) -> None:
        with suppress(NotFoundError):
            await self._session.delete(path, grace_period_s=0)


def _bell(name: str, priority_class: str) -> dict[str, Any]:
    restricted = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    container = {"name": "bell", "image": "registry.k8s.io/pause:3.10"}
    spec: dict[str, Any] = {
        "schedulerName": SCHEDULER_NAME,
        "schedulingGates": [{"name": BELL_GATE}],
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 0,
        "containers": [{**container, "securityContext": restricted}],
    }
    if priority_class:
        spec["priorityClassName"] = priority_class
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": dict(BELL_LABELS)},
        "spec": spec,
    }
