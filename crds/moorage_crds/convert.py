"""From Kubernetes objects to the types that decisions read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast, get_args

from moorage_crds.names import LAST_APPLIED_ANNOTATION, QUARANTINE
from moorage_crds.objects import (
    Condition,
    Container,
    NodeObject,
    ObjectMeta,
    PodDisruptionBudgetObject,
    PodObject,
    PodStatusObject,
)
from moorage_crds.requests import node_amounts, pod_requests
from moorage_crds.selectors import to_affinity, to_selector, to_spread, to_taint, to_toleration
from moorage_crds.unsupported import unsupported_constraints
from moorage_policies.health import NodeReading
from moorage_policies.types import DisruptionBudget, Node, Owner, Pod, PodPhase, Taint

PHASES: frozenset[str] = frozenset(get_args(PodPhase))


def to_pod(pod: PodObject) -> Pod:
    """Return the pod as decisions see it.

    Raises:
        BadInputError: a quantity of the pod cannot be read.
    """
    meta, spec, status = pod.metadata, pod.spec, pod.status
    tolerations = (to_toleration(toleration) for toleration in spec.tolerations)
    return Pod(
        uid=meta.uid,
        namespace=meta.namespace,
        name=meta.name,
        node=spec.node_name or None,
        scheduler=spec.scheduler_name,
        priority=spec.priority or 0,
        priority_class=spec.priority_class_name,
        preemption="Never" if spec.preemption_policy == "Never" else "PreemptLowerPriority",
        requests=pod_requests(pod),
        labels=meta.labels,
        annotations=_annotations(meta),
        node_selector=spec.node_selector,
        affinity=to_affinity(spec.affinity),
        tolerations=tuple(toleration for toleration in tolerations if toleration),
        spread=tuple(to_spread(s, meta.labels) for s in spec.topology_spread_constraints),
        images=_images(spec.init_containers, spec.containers or ()),
        owner=_controller(meta),
        phase=_phase(status),
        ready=_holds(status.conditions, "Ready"),
        terminating=meta.deletion_timestamp is not None,
        gates=tuple(gate.name for gate in spec.scheduling_gates),
        nominated_node=status.nominated_node_name or None,
        unschedulable=_is_unschedulable(status),
        created_s=_created_s(meta),
        started_s=status.start_time.timestamp() if status.start_time else None,
        unsupported=unsupported_constraints(pod),
    )


def to_node(node: NodeObject) -> Node:
    """Return the node as decisions see it.

    Raises:
        BadInputError: a quantity of the node cannot be read.
    """
    return Node(
        name=node.metadata.name,
        uid=node.metadata.uid,
        labels=node.metadata.labels,
        taints=(*map(to_taint, node.spec.taints), *_quarantine(node.status.conditions)),
        unschedulable=node.spec.unschedulable,
        ready=_holds(node.status.conditions, "Ready"),
        allocatable=node_amounts(node.status.allocatable),
        images={
            name: image.size_bytes for image in node.status.images for name in image.names or ()
        },
        created_s=_created_s(node.metadata),
    )


def to_reading(node: NodeObject) -> NodeReading:
    """Return what the node says of its accelerators.

    Raises:
        BadInputError: a quantity of the node cannot be read.
    """
    return NodeReading(
        name=node.metadata.name,
        labels=node.metadata.labels,
        capacity=node_amounts(node.status.capacity),
        allocatable=node_amounts(node.status.allocatable),
        conditions={c.type: c.status for c in node.status.conditions if c.type != QUARANTINE},
    )


def to_budget(budget: PodDisruptionBudgetObject) -> DisruptionBudget:
    """Return the budget as decisions see it; a missing selector guards no pod."""
    return DisruptionBudget(
        namespace=budget.metadata.namespace,
        name=budget.metadata.name,
        selector=to_selector(budget.spec.selector),
        disruptions_allowed=budget.status.disruptions_allowed,
        disrupted_pods=frozenset(budget.status.disrupted_pods),
    )


def _quarantine(conditions: Iterable[Condition]) -> tuple[Taint, ...]:
    """Return a quarantine as a taint: every decision honours it, and a toleration lifts it."""
    return (Taint(QUARANTINE),) if _holds(conditions, QUARANTINE) else ()


def _annotations(meta: ObjectMeta) -> dict[str, str]:
    # kubectl keeps a copy of the whole object here: most of a pod's bytes, read by no decision
    return {k: v for k, v in meta.annotations.items() if k != LAST_APPLIED_ANNOTATION}


def _created_s(meta: ObjectMeta) -> float:
    return meta.creation_timestamp.timestamp() if meta.creation_timestamp else 0.0


def _images(*groups: Iterable[Container]) -> tuple[str, ...]:
    return tuple(c.image for group in groups for c in group if c.image)


def _controller(meta: ObjectMeta) -> Owner | None:
    for owner in meta.owner_references:
        if owner.controller:
            return Owner(owner.kind, owner.name, owner.uid)
    return None


def _phase(status: PodStatusObject) -> PodPhase:
    if not status.phase:
        return "Pending"
    return cast("PodPhase", status.phase) if status.phase in PHASES else "Unknown"


def _holds(conditions: Iterable[Condition], kind: str) -> bool:
    return any(c.type == kind and c.status == "True" for c in conditions)


def _is_unschedulable(status: PodStatusObject) -> bool:
    return any(
        c.type == "PodScheduled" and c.status == "False" and c.reason == "Unschedulable"
        for c in status.conditions
    )
