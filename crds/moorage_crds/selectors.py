"""Selectors, affinities, tolerations and spread as decisions read them.

A word that this version does not know becomes the strictest reading: an expression that matches
nothing, a toleration that tolerates nothing, a taint that keeps pods away. ``unsupported`` names
such pods.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import cast, get_args

from moorage_crds.objects import (
    AffinityObject,
    LabelSelectorObject,
    NodeSelectorTermObject,
    PodAffinityTermObject,
    SelectorExpression,
    TaintObject,
    TolerationObject,
    TopologySpreadObject,
    WeightedPodTermObject,
)
from moorage_policies.types import (
    NO_AFFINITY,
    Affinity,
    Effect,
    LabelSelector,
    NodeSelectorTerm,
    PodAffinityTerm,
    PreferredNodeTerm,
    PreferredPodTerm,
    Requirement,
    SelectorOperator,
    Taint,
    Toleration,
    TolerationOperator,
    TopologySpread,
)

SELECTOR_OPERATORS: frozenset[str] = frozenset(get_args(SelectorOperator))
TOLERATION_OPERATORS: frozenset[str] = frozenset(get_args(TolerationOperator)) | {""}
EFFECTS: frozenset[str] = frozenset(get_args(Effect))


def to_selector(selector: LabelSelectorObject | None) -> LabelSelector | None:
    """Return a label selector; ``None`` matches nothing and stays ``None``."""
    if selector is None:
        return None
    equal = (Requirement(key, "In", (value,)) for key, value in selector.match_labels.items())
    return LabelSelector((*equal, *_requirements(selector.match_expressions)))


def to_affinity(affinity: AffinityObject | None) -> Affinity:
    """Return every affinity of a pod."""
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
        preferred_pod_affinity=_weighted(near.preferred if near else ()),
        preferred_pod_anti_affinity=_weighted(far.preferred if far else ()),
    )


def to_toleration(toleration: TolerationObject) -> Toleration | None:
    """Return a toleration, ``None`` for one whose meaning is not known."""
    if toleration.operator not in TOLERATION_OPERATORS:
        return None
    if toleration.effect and toleration.effect not in EFFECTS:
        return None
    return Toleration(
        key=toleration.key,
        operator=cast("TolerationOperator", toleration.operator or "Equal"),
        value=toleration.value,
        effect=cast("Effect | None", toleration.effect or None),
    )


def to_taint(taint: TaintObject) -> Taint:
    """Return a taint; an effect that is not known keeps pods away."""
    effect = cast("Effect", taint.effect) if taint.effect in EFFECTS else "NoSchedule"
    return Taint(taint.key, taint.value, effect)


def to_spread(spread: TopologySpreadObject, labels: Mapping[str, str]) -> TopologySpread:
    """Return a spread constraint of a pod that has these labels."""
    selector = to_selector(spread.label_selector)
    if selector is not None:
        # kube-scheduler joins the pod's own values of these labels to the selector
        own = [Requirement(k, "In", (labels[k],)) for k in spread.match_label_keys if k in labels]
        new = tuple(r for r in own if r not in selector.requirements)
        selector = LabelSelector(selector.requirements + new)
    return TopologySpread(
        topology_key=spread.topology_key,
        max_skew=spread.max_skew,
        hard=spread.when_unsatisfiable != "ScheduleAnyway",
        selector=selector,
        min_domains=1 if spread.min_domains is None else spread.min_domains,
        honor_node_affinity=spread.node_affinity_policy != "Ignore",
        honor_node_taints=spread.node_taints_policy == "Honor",
    )


def _requirements(expressions: Iterable[SelectorExpression]) -> tuple[Requirement, ...]:
    return tuple(_requirement(expression) for expression in expressions)


def _requirement(expression: SelectorExpression) -> Requirement:
    if expression.operator not in SELECTOR_OPERATORS:
        return Requirement(expression.key, "In", ())
    operator = cast("SelectorOperator", expression.operator)
    return Requirement(expression.key, operator, expression.values)


def _node_term(term: NodeSelectorTermObject) -> NodeSelectorTerm:
    return NodeSelectorTerm(_requirements(term.match_expressions), _requirements(term.match_fields))


def _pod_term(term: PodAffinityTermObject) -> PodAffinityTerm:
    every = term.namespace_selector
    return PodAffinityTerm(
        topology_key=term.topology_key,
        selector=to_selector(term.label_selector),
        namespaces=term.namespaces,
        all_namespaces=every is not None and not every.match_labels and not every.match_expressions,
    )


def _weighted(terms: Iterable[WeightedPodTermObject]) -> tuple[PreferredPodTerm, ...]:
    return tuple(PreferredPodTerm(t.weight, _pod_term(t.pod_affinity_term)) for t in terms)
