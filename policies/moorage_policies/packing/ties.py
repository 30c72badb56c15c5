"""Inter-pod affinity, anti-affinity, hard spread and disruption budgets as ties of an instance."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from moorage_policies.matching import (
    node_matches,
    pod_term_matches,
    selector_matches,
    tolerates,
)
from moorage_policies.packing.instance import Attraction, Budget, Conflict, Limit, Spread
from moorage_policies.types import (
    BoolArray,
    DisruptionBudget,
    IntArray,
    Node,
    Pod,
    PodAffinityTerm,
    TopologySpread,
)


@dataclass(slots=True)
class Ties:
    """What binds pods to each other.

    ``allowed`` has shape ``(pods, nodes)``: where pods that cannot change leave each pod room.
    ``broken_today`` are running pods that break a rule already, to be left as they are.
    """

    allowed: BoolArray
    limits: tuple[Limit, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    spreads: tuple[Spread, ...] = ()
    attractions: tuple[Attraction, ...] = ()
    budgets: tuple[Budget, ...] = ()
    broken_today: set[int] = field(default_factory=set)


def build_ties(
    nodes: Sequence[Node],
    pods: Sequence[Pod],
    fixed: Sequence[Pod],
    current: IntArray,
    budgets: Sequence[DisruptionBudget],
) -> Ties:
    """Return the ties between ``pods``, given the ``fixed`` pods that cannot change."""
    ties = Ties(allowed=np.ones((len(pods), len(nodes)), dtype=np.bool_))
    row_of = {node.name: row for row, node in enumerate(nodes)}
    on = [(pod, row_of[pod.node]) for pod in fixed if pod.node]
    _repel(ties, nodes, pods, on, current)
    _attract(ties, nodes, pods, on)
    _spread(ties, nodes, pods, on)
    ties.budgets = tuple(
        Budget(
            f"{budget.namespace}/{budget.name}",
            _rows(
                pod.node is not None
                and pod.namespace == budget.namespace
                and selector_matches(budget.selector, pod.labels)
                for pod in pods
            ),
            budget.disruptions_allowed,
        )
        for budget in budgets
    )
    return ties


def domains_of(nodes: Sequence[Node], key: str) -> IntArray:
    """Return each node's domain number under a topology key, -1 without the label."""
    values = sorted({node.labels[key] for node in nodes if key in node.labels})
    number = {value: index for index, value in enumerate(values)}
    return np.array([number.get(node.labels.get(key, ""), -1) for node in nodes], dtype=np.int64)


def _rows(mask: Iterable[bool]) -> IntArray:
    return np.flatnonzero(np.fromiter(mask, dtype=np.bool_))


def _repel(
    ties: Ties,
    nodes: Sequence[Node],
    pods: Sequence[Pod],
    on: Sequence[tuple[Pod, int]],
    current: IntArray,
) -> None:
    carriers: dict[tuple[str, PodAffinityTerm], list[int]] = {}
    for row, pod in enumerate(pods):
        for term in pod.affinity.required_pod_anti_affinity:
            carriers.setdefault((pod.namespace, term), []).append(row)
    limits: list[Limit] = []
    conflicts: list[Conflict] = []
    for (namespace, term), rows in carriers.items():
        domain = domains_of(nodes, term.topology_key)
        taken = {
            int(domain[node])
            for pod, node in on
            if pod_term_matches(term, owner_namespace=namespace, other=pod)
        } - {-1}
        ties.allowed[rows] &= ~np.isin(domain, list(taken))
        matched = _rows(pod_term_matches(term, owner_namespace=namespace, other=p) for p in pods)
        _pair(ties, limits, conflicts, term, domain, np.array(rows), matched, current)
    for pod, node in on:
        for term in pod.affinity.required_pod_anti_affinity:
            domain = domains_of(nodes, term.topology_key)
            if domain[node] >= 0:
                near = domain == domain[node]
                matched = _rows(
                    pod_term_matches(term, owner_namespace=pod.namespace, other=p) for p in pods
                )
                ties.allowed[np.ix_(matched, np.flatnonzero(near))] = False
    ties.limits, ties.conflicts = tuple(limits), tuple(conflicts)


def _pair(
    ties: Ties,
    limits: list[Limit],
    conflicts: list[Conflict],
    term: PodAffinityTerm,
    domain: IntArray,
    carriers: IntArray,
    matched: IntArray,
    current: IntArray,
) -> None:
    """Tie carriers of an anti-affinity to those that it selects: a limit among themselves."""
    both = np.intersect1d(carriers, matched)
    count = int(domain.max(initial=-1)) + 1
    if len(both) > 1 and count:
        at = current[both]
        held = np.bincount(domain[at[at >= 0]][domain[at[at >= 0]] >= 0], minlength=count)
        limits.append(Limit(term.topology_key, both, domain, np.maximum(held, 1)))
    pairs = [
        (carriers, np.setdiff1d(matched, carriers)),
        (np.setdiff1d(carriers, matched), both),
    ]
    for left, right in pairs:
        if not len(left) or not len(right):
            continue
        conflicts.append(Conflict(term.topology_key, left, right, domain))
        beside = {int(domain[n]) for n in current[right] if n >= 0} - {-1}
        ties.broken_today |= {
            int(pod) for pod in left if current[pod] >= 0 and int(domain[current[pod]]) in beside
        }


def _attract(
    ties: Ties, nodes: Sequence[Node], pods: Sequence[Pod], on: Sequence[tuple[Pod, int]]
) -> None:
    carriers: dict[tuple[str, tuple[PodAffinityTerm, ...]], list[int]] = {}
    for row, pod in enumerate(pods):
        terms = pod.affinity.required_pod_affinity
        if terms:
            carriers.setdefault((pod.namespace, terms), []).append(row)
    attractions = []
    for (namespace, terms), rows in carriers.items():
        targets = _rows(_all_select(terms, namespace, pod) for pod in pods)
        drawn = [node for pod, node in on if _all_select(terms, namespace, pod)]
        own = np.isin(rows, targets)
        for term in terms:
            domain = domains_of(nodes, term.topology_key)
            present = np.zeros(int(domain.max(initial=-1)) + 1, dtype=np.bool_)
            near = domain[drawn]
            present[near[near >= 0]] = True
            for self_match in (True, False):
                subjects = np.array(rows)[own == self_match]
                if len(subjects):
                    attractions.append(
                        Attraction(
                            term.topology_key, subjects, targets, domain, present, self_match
                        )
                    )
    ties.attractions = tuple(attractions)


def _all_select(terms: Sequence[PodAffinityTerm], namespace: str, other: Pod) -> bool:
    return all(pod_term_matches(term, owner_namespace=namespace, other=other) for term in terms)


def _spread(
    ties: Ties, nodes: Sequence[Node], pods: Sequence[Pod], on: Sequence[tuple[Pod, int]]
) -> None:
    subjects: dict[object, tuple[Pod, TopologySpread, list[int]]] = {}
    for row, pod in enumerate(pods):
        for constraint in pod.spread:
            if not constraint.hard:
                continue
            selector = tuple(sorted(pod.node_selector.items()))
            key = (
                pod.namespace,
                constraint,
                selector,
                pod.affinity.required_node_terms,
                pod.tolerations,
                tuple(other.topology_key for other in pod.spread if other.hard),
            )
            subjects.setdefault(key, (pod, constraint, []))[2].append(row)
    ties.spreads = tuple(
        _one_spread(nodes, pods, on, pod, constraint, rows)
        for pod, constraint, rows in subjects.values()
    )


def _one_spread(
    nodes: Sequence[Node],
    pods: Sequence[Pod],
    on: Sequence[tuple[Pod, int]],
    subject: Pod,
    constraint: TopologySpread,
    rows: list[int],
) -> Spread:
    keys = {other.topology_key for other in subject.spread if other.hard}
    counted = np.array(
        [
            keys <= node.labels.keys()
            and (not constraint.honor_node_affinity or node_matches(subject, node))
            and (not constraint.honor_node_taints or tolerates(subject.tolerations, node.taints))
            for node in nodes
        ],
        dtype=np.bool_,
    )
    named = np.where(counted, domains_of(nodes, constraint.topology_key), -1)
    values, numbers = np.unique(named, return_inverse=True)
    domain = numbers.reshape(-1) - int((values < 0).any())
    base = np.zeros(int((values >= 0).sum()), dtype=np.int64)
    for pod, node in on:
        if domain[node] >= 0 and _counts(subject, constraint, pod):
            base[domain[node]] += 1
    return Spread(
        name=constraint.topology_key,
        subjects=np.array(rows, dtype=np.int64),
        members=_rows(_counts(subject, constraint, pod) for pod in pods),
        domain=domain,
        base=base,
        max_skew=constraint.max_skew,
        min_domains=constraint.min_domains,
    )


def _counts(subject: Pod, constraint: TopologySpread, other: Pod) -> bool:
    return other.namespace == subject.namespace and selector_matches(
        constraint.selector, other.labels
    )
