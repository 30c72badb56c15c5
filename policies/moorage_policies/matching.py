"""Whether selectors, affinities and tolerations match, exactly as kube-scheduler reads them.

Source: ``k8s.io/component-helpers/scheduling/corev1`` and apimachinery's label selectors.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from moorage_policies.types import (
    LabelSelector,
    Node,
    NodeSelectorTerm,
    Pod,
    PodAffinityTerm,
    Requirement,
    Taint,
    Toleration,
)

UNSCHEDULABLE_TAINT = Taint("node.kubernetes.io/unschedulable", effect="NoSchedule")


def requirement_matches(requirement: Requirement, labels: Mapping[str, str]) -> bool:
    """Return whether one selector expression holds for these labels."""
    present = requirement.key in labels
    value = labels.get(requirement.key, "")
    match requirement.operator:
        case "In":
            return present and value in requirement.values
        case "NotIn":
            return not present or value not in requirement.values
        case "Exists":
            return present
        case "DoesNotExist":
            return not present
        case "Gt" | "Lt":
            return present and _compares(value, requirement)


def _compares(value: str, requirement: Requirement) -> bool:
    if len(requirement.values) != 1:
        return False
    try:
        have, bound = int(value), int(requirement.values[0])
    except ValueError:
        return False
    return have > bound if requirement.operator == "Gt" else have < bound


def selector_matches(selector: LabelSelector | None, labels: Mapping[str, str]) -> bool:
    """Return whether a label selector matches; ``None`` matches nothing, empty everything."""
    if selector is None:
        return False
    return all(requirement_matches(r, labels) for r in selector.requirements)


def node_term_matches(term: NodeSelectorTerm, node: Node) -> bool:
    """Return whether one node selector term matches; an empty term matches no node."""
    if not term.expressions and not term.fields:
        return False
    name = {"metadata.name": node.name}
    return all(requirement_matches(r, node.labels) for r in term.expressions) and all(
        requirement_matches(r, name) for r in term.fields
    )


def node_matches(pod: Pod, node: Node) -> bool:
    """Return whether the pod's nodeSelector and required node affinity accept the node."""
    if any(node.labels.get(key) != value for key, value in pod.node_selector.items()):
        return False
    terms = pod.affinity.required_node_terms
    return not terms or any(node_term_matches(term, node) for term in terms)


def toleration_matches(toleration: Toleration, taint: Taint) -> bool:
    """Return whether one toleration tolerates one taint."""
    if toleration.effect is not None and toleration.effect != taint.effect:
        return False
    if toleration.key and toleration.key != taint.key:
        return False
    match toleration.operator:
        case "Exists":
            return True
        case "Equal":
            return bool(toleration.key) and toleration.value == taint.value
        case "Gt" | "Lt":
            requirement = Requirement(taint.key, toleration.operator, (toleration.value,))
            return _compares(taint.value, requirement)


def tolerates(tolerations: Iterable[Toleration], taints: Iterable[Taint]) -> bool:
    """Return whether every NoSchedule and NoExecute taint is tolerated."""
    tolerations = tuple(tolerations)
    return all(
        taint.effect == "PreferNoSchedule" or any(toleration_matches(t, taint) for t in tolerations)
        for taint in taints
    )


def node_accepts(pod: Pod, node: Node) -> bool:
    """Return whether the node admits the pod by everything that looks at the node alone.

    That is kube-scheduler's NodeUnschedulable, NodeAffinity and TaintToleration filters; room and
    neighbours are not looked at.
    """
    if node.unschedulable and not tolerates(pod.tolerations, (UNSCHEDULABLE_TAINT,)):
        return False
    return node_matches(pod, node) and tolerates(pod.tolerations, node.taints)


def pod_term_matches(term: PodAffinityTerm, *, owner_namespace: str, other: Pod) -> bool:
    """Return whether a term written by a pod of ``owner_namespace`` selects ``other``."""
    return term_selects(term, owner_namespace, other.namespace, other.labels)


def term_selects(
    term: PodAffinityTerm, owner_namespace: str, namespace: str, labels: Mapping[str, str]
) -> bool:
    """Return whether the term selects pods of this namespace with these labels."""
    if not term.all_namespaces and namespace not in (term.namespaces or (owner_namespace,)):
        return False
    return selector_matches(term.selector, labels)
