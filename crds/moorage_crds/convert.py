"""From Kubernetes objects to the types that decisions read."""

from __future__ import annotations

from collections.abc import Iterable

from moorage_crds.names import LAST_APPLIED_ANNOTATION
from moorage_crds.objects import (
    AffinityObject,
    Condition,
    Container,
    LabelSelectorObject,
    NodeObject,
    NodeSelectorTermObject,
    ObjectMeta,
    PodAffinityTermObject,
    PodDisruptionBudgetObject,
    PodObject,
    PodStatusObject,
    SelectorExpression,
    TolerationObject,
    TopologySpreadObject,
)
from moorage_crds.requests import node_amounts, pod_requests
from moorage_crds.unsupported import unsupported_constraints
from moorage_policies.types import (
    NO_AFFINITY,
    Affinity,
    DisruptionBudget,
    LabelSelector,
    Node,
    NodeSelectorTerm,
    Owner,
    Pod,
    PodAffinityTerm,
    PreferredNodeTerm,
    PreferredPodTerm,
    Requirement,
    Taint,
    Toleration,
    TopologySpread,
)


def to_pod(pod: PodObject) -> Pod:
    """Return the pod as decisions see it.

    Raises:
        BadInputError: a quantity of the pod cannot be read.
    """
    meta, spec, status = pod.metadata, pod.spec, pod.status
    return Pod(
        uid=meta.uid,
        namespace=meta.namespace,
        name=meta.name,
        node=spec.node_name or None,
        scheduler=spec.scheduler_name,
        priority=spec.priority or 0,
        priority_class=spec.priority_class_name,
        preemption=spec.preemption_policy or "PreemptLowerPriority",
        requests=pod_requests(pod),
        labels=meta.labels,
        annotations=_annotations(meta),
        node_selector=spec.node_selector,
        affinity=_affinity(spec.affinity),
        tolerations=tuple(_toleration(t) for t in spec.tolerations),
        spread=tuple(_spread(s, meta.labels) for s in spec.topology_spread_constraints),
        images=_images(spec.init_containers, spec.containers or ()),
        owner=_controller(meta),
        phase=status.phase or "Pending",
        ready=_holds(status.conditions, "Ready"),
        terminating=meta.deletion_timestamp is not None,
        gates=tuple(gate.name for gate in spec.scheduling_gates),
        nominated_node=status.nominated_node_name or None,
        unschedulable=_is_unschedulable(status),
        created_s=meta.creation_timestamp.timestamp() if meta.creation_timestamp else 0.0,
        started_s=status.start_time.timestamp() if status.start_time else None,
        unsupported=unsupported_constraints(pod),
    )


def to_node(node: NodeObject) -> Node:
    """Return the node as decisions see it.

    Raises:
        BadInputError: a quantity of the node cannot be read.
    """
    allocatable = node_amounts(node.status.allocatable)
    return Node(
        name=node.metadata.name,
        uid=node.metadata.uid,
        labels=node.metadata.labels,
        taints=tuple(Taint(t.key, t.value, t.effect) for t in node.spec.taints),
        unschedulable=node.spec.unschedulable,
        ready=_holds(node.status.conditions, "Ready"),
        allocatable=allocatable,
        images={
            name: image.size_bytes for image in node.status.images for name in image.names or ()
        },
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


def to_selector(selector: LabelSelectorObject | None) -> LabelSelector | None:
    """Return a label selector; ``None`` matches nothing and stays ``None``."""
    if selector is None:
        return None
    equal = (Requirement(key, "In", (value,)) for key, value in selector.match_labels.items())
    return LabelSelector((*equal, *_requirements(selector.match_expressions)))


def _requirements(expressions: Iterable[SelectorExpression]) -> tuple[Requirement, ...]:
    return tuple(Requirement(e.key, e.operator, e.values) for e in expressions)


def _affinity(affinity: AffinityObject | None) -> Affinity:
    if affinity is None:
        return NO_AFFINITY
    node, near, far = affinity.node_affinity, affinity.pod_affinity, affinity.pod_anti_affinity
    required = node.required.node_selector_terms if node and node.required else ()
    return Affinity(
        required_node_terms=tuple(_node_term(t) for t in required),
        preferred_node_terms=tuple(
            PreferredNodeTerm(t.weight, _node_term(t.preference))
            for t in (node.preferred if node else ())
        ),
        required_pod_affinity=tuple(_pod_term(t) for t in (near.required if near else ())),
        required_pod_anti_affinity=tuple(_pod_term(t) for t in (far.required if far else ())),
        preferred_pod_affinity=tuple(
            PreferredPodTerm(t.weight, _pod_term(t.pod_affinity_term))
            for t in (near.preferred if near else ())
        ),
        preferred_pod_anti_affinity=tuple(
            PreferredPodTerm(t.weight, _pod_term(t.pod_affinity_term))
            for t in (far.preferred if far else ())
        ),
    )


def _node_term(term: NodeSelectorTermObject) -> NodeSelectorTerm:
    return NodeSelectorTerm(_requirements(term.match_expressions), _requirements(term.match_fields))


def _pod_term(term: PodAffinityTermObject) -> PodAffinityTerm:
    every = term.namespace_selector is not None and _is_empty(term.namespace_selector)
    return PodAffinityTerm(
        topology_key=term.topology_key,
        selector=to_selector(term.label_selector),
        namespaces=term.namespaces,
        all_namespaces=every,
    )


def _is_empty(selector: LabelSelectorObject) -> bool:
    return not selector.match_labels and not selector.match_expressions


def _toleration(toleration: TolerationObject) -> Toleration:
    return Toleration(
        key=toleration.key,
        operator=toleration.operator or "Equal",
        value=toleration.value,
        effect=toleration.effect or None,
    )


def _spread(spread: TopologySpreadObject, labels: dict[str, str]) -> TopologySpread:
    selector = to_selector(spread.label_selector)
    if selector is not None:
        # kube-scheduler joins the pod's own values of these labels to the selector
        own = [Requirement(k, "In", (labels[k],)) for k in spread.match_label_keys if k in labels]
        new = tuple(r for r in own if r not in selector.requirements)
        selector = LabelSelector(selector.requirements + new)
    return TopologySpread(
        topology_key=spread.topology_key,
        max_skew=spread.max_skew,
        hard=spread.when_unsatisfiable == "DoNotSchedule",
        selector=selector,
        min_domains=1 if spread.min_domains is None else spread.min_domains,
        honor_node_affinity=spread.node_affinity_policy != "Ignore",
        honor_node_taints=spread.node_taints_policy == "Honor",
    )


def _annotations(meta: ObjectMeta) -> dict[str, str]:
    # kubectl keeps a copy of the whole object here: most of a pod's bytes, read by no decision
    return {k: v for k, v in meta.annotations.items() if k != LAST_APPLIED_ANNOTATION}


def _images(*groups: Iterable[Container]) -> tuple[str, ...]:
    return tuple(c.image for group in groups for c in group if c.image)


def _controller(meta: ObjectMeta) -> Owner | None:
    for owner in meta.owner_references:
        if owner.controller:
            return Owner(owner.kind, owner.name, owner.uid)
    return None


def _holds(conditions: Iterable[Condition], kind: str) -> bool:
    return any(c.type == kind and c.status == "True" for c in conditions)


def _is_unschedulable(status: PodStatusObject) -> bool:
    return any(
        c.type == "PodScheduled" and c.status == "False" and c.reason == "Unschedulable"
        for c in status.conditions
    )
