"""What the demo shows at one moment: every pod's berth, and who had to make room."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from moorage_crds.names import (
    ACCELERATOR_CLASS_LABEL,
    POOL_LABEL,
    ROLE_LABEL,
    ZONE_LABEL,
)


@dataclass(frozen=True, slots=True)
class Berth:
    """One pod of the story and where it sits; an empty ``node`` means that it waits."""

    pod: str
    pool: str
    role: str
    accelerator: str
    gpus: int
    node: str = ""
    zone: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class PlanLine:
    """One plan: what it is for, how far it is, how many pods it moves and evicts."""

    reason: str
    phase: str
    moves: int
    evictions: int


@dataclass(frozen=True, slots=True)
class View:
    """The demo's state: berths sorted by pool, role and name; preempted pods and plans so far."""

    berths: tuple[Berth, ...]
    preempted: tuple[str, ...]
    plans: tuple[PlanLine, ...] = ()

    @classmethod
    def of(
        cls, berths: Iterable[Berth], preempted: Iterable[str], plans: Iterable[PlanLine] = ()
    ) -> Self:
        """Return the view with berths and names in their order."""
        by_place = sorted(berths, key=lambda berth: (berth.pool, berth.role, berth.pod))
        return cls(tuple(by_place), tuple(sorted(preempted)), tuple(plans))

    def count(self, pool: str) -> int:
        """Return how many pods of a pool there are, also without a node."""
        return sum(b.pool == pool for b in self.berths)

    def placed(self, pool: str, role: str | None = None) -> int:
        """Return how many pods of a pool, or of one role of it, have a node."""
        return sum(b.node != "" and b.pool == pool and role in (None, b.role) for b in self.berths)


def to_view(
    pods: Iterable[Mapping[str, Any]],
    nodes: Iterable[Mapping[str, Any]],
    events: Iterable[Mapping[str, Any]],
    reasons: Mapping[str, str],
    plans: Iterable[Mapping[str, Any]] = (),
) -> View:
    """Return the view of these objects.

    Args:
        pods: core/v1 Pods of the story's namespace.
        nodes: core/v1 Nodes.
        events: core/v1 Events of the namespace; ``Preempted`` ones tell who made room.
        reasons: what the extender said of each bound pod, by pod name.
        plans: PlacementPlans.
    """
    labels = {node["metadata"]["name"]: node["metadata"]["labels"] for node in nodes}
    live = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
    berths = [_berth(pod, labels, reasons) for pod in live]
    preempted = {e["involvedObject"]["name"] for e in events if e["reason"] == "Preempted"}
    return View.of(berths, preempted, map(_plan_line, plans))


def _plan_line(plan: Mapping[str, Any]) -> PlanLine:
    kinds = [move["kind"] for move in plan["spec"]["moves"]]
    return PlanLine(
        reason=plan["spec"]["certificate"].get("reason", ""),
        phase=plan.get("status", {}).get("phase", "Proposed"),
        moves=kinds.count("Move"),
        evictions=kinds.count("Evict"),
    )


def _berth(
    pod: Mapping[str, Any], labels: Mapping[str, Mapping[str, str]], reasons: Mapping[str, str]
) -> Berth:
    name, own = pod["metadata"]["name"], pod["metadata"].get("labels", {})
    node = pod["spec"].get("nodeName", "")
    where = labels.get(node, {})
    return Berth(
        pod=name,
        pool=own.get(POOL_LABEL, ""),
        role=own.get(ROLE_LABEL, ""),
        accelerator=own.get(ACCELERATOR_CLASS_LABEL, ""),
        gpus=_gpus(pod),
        node=node,
        zone=where.get(ZONE_LABEL, ""),
        why=reasons.get(name, "the only node with room") if node else _why_pending(pod),
    )


def _gpus(pod: Mapping[str, Any]) -> int:
    return sum(
        int(container.get("resources", {}).get("limits", {}).get("nvidia.com/gpu", 0))
        for container in pod["spec"]["containers"]
    )


def _why_pending(pod: Mapping[str, Any]) -> str:
    for condition in pod["status"].get("conditions", ()):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return str(condition.get("message", ""))
    return "not tried yet"
