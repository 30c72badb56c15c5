"""kube-scheduler's InterPodAffinity filter: required terms of the pod and of those placed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from moorage_policies.feasibility.domains import (
    DomainCounts,
    Verdict,
    count_by_node,
    count_domains,
)
from moorage_policies.matching import term_selects
from moorage_policies.state import ABSENT, PodGroup, Snapshot
from moorage_policies.types import Pod, PodAffinityTerm

FILTER = "InterPodAffinity"


def affinity_rules(
    pod: Pod, snapshot: Snapshot, comers: Iterable[Pod] = ()
) -> list[AttractRule | RepelRule | RepelledRule]:
    """Return the required inter-pod rules that bear on the pod, in kube-scheduler's order.

    Args:
        pod: the pod to place.
        snapshot: the cluster.
        comers: pods not placed yet whose coming the rules will be told of by ``shift``.
    """
    rules: list[AttractRule | RepelRule | RepelledRule] = []
    if pod.affinity.required_pod_affinity:
        rules.append(AttractRule.over(pod, snapshot))
    if pod.affinity.required_pod_anti_affinity:
        rules.append(RepelRule.over(pod, snapshot))
    repelled = RepelledRule.over(pod, snapshot, comers)
    return [*rules, repelled] if repelled.keys else rules


class AttractRule:
    """The pod's required affinity: every term's domain holds a pod that all terms select."""

    __slots__ = ("_domains", "_pod", "_terms")

    def __init__(self, pod: Pod, domains: list[DomainCounts]) -> None:
        self._pod = pod
        self._terms = pod.affinity.required_pod_affinity
        self._domains = domains

    @classmethod
    def over(cls, pod: Pod, snapshot: Snapshot) -> AttractRule:
        """Return the rule with the cluster's counts."""
        terms = pod.affinity.required_pod_affinity
        by_node = count_by_node(
            snapshot,
            snapshot.groups.worth_matching(terms[0].selector),
            lambda g: _all_select(terms, pod.namespace, g.namespace, g.labels),
        )
        return cls(pod, [count_domains(snapshot, t.topology_key, by_node) for t in terms])

    def fork(self) -> AttractRule:
        """Return an independent copy."""
        return AttractRule(self._pod, [domains.fork() for domains in self._domains])

    def shift(self, other: Pod, row: int, change: int) -> None:
        """Take note that ``other`` came to (``+1``) or left (``-1``) the row."""
        if _all_select(self._terms, self._pod.namespace, other.namespace, other.labels):
            for domains in self._domains:
                domains.add(row, change)

    def verdicts(self) -> Iterator[Verdict]:
        """Yield where the pod finds company, or may be the first of its kind."""
        labelled = np.all([domains.codes != ABSENT for domains in self._domains], axis=0)
        pod = self._pod
        if not any(domains.counts.any() for domains in self._domains) and _all_select(
            self._terms, pod.namespace, pod.namespace, pod.labels
        ):
            met = labelled
        else:
            met = labelled & np.all([domains.by_node() > 0 for domains in self._domains], axis=0)
        yield Verdict(FILTER, "has no pod near that the pod's affinity requires", met)


class RepelRule:
    """The pod's required anti-affinity: no term's domain holds a pod that the term selects."""

    __slots__ = ("_domains", "_pod", "_terms")

    def __init__(self, pod: Pod, domains: list[DomainCounts]) -> None:
        self._pod = pod
        self._terms = pod.affinity.required_pod_anti_affinity
        self._domains = domains

    @classmethod
    def over(cls, pod: Pod, snapshot: Snapshot) -> RepelRule:
        """Return the rule with the cluster's counts."""

        def counts(term: PodAffinityTerm) -> DomainCounts:
            by_node = count_by_node(
                snapshot,
                snapshot.groups.worth_matching(term.selector),
                lambda g: term_selects(term, pod.namespace, g.namespace, g.labels),
            )
            return count_domains(snapshot, term.topology_key, by_node)

        return cls(pod, [counts(term) for term in pod.affinity.required_pod_anti_affinity])

    def fork(self) -> RepelRule:
        """Return an independent copy."""
        return RepelRule(self._pod, [domains.fork() for domains in self._domains])

    def shift(self, other: Pod, row: int, change: int) -> None:
        """Take note that ``other`` came to (``+1``) or left (``-1``) the row."""
        for term, domains in zip(self._terms, self._domains, strict=True):
            if term_selects(term, self._pod.namespace, other.namespace, other.labels):
                domains.add(row, change)

    def verdicts(self) -> Iterator[Verdict]:
        """Yield where nobody is that the pod keeps away from."""
        alone = np.all([domains.by_node() == 0 for domains in self._domains], axis=0)
        yield Verdict(
            FILTER, "has a pod near that the pod's anti-affinity excludes", alone, resolvable=True
        )


class RepelledRule:
    """Required anti-affinity of placed pods that selects this pod, by topology key."""

    __slots__ = ("_domains", "_pod")

    def __init__(self, pod: Pod, domains: dict[str, DomainCounts]) -> None:
        self._pod = pod
        self._domains = domains

    @classmethod
    def over(cls, pod: Pod, snapshot: Snapshot, comers: Iterable[Pod]) -> RepelledRule:
        """Return the rule with the cluster's counts."""
        owners: list[Pod | PodGroup] = [*snapshot.groups.with_terms.values(), *comers]
        keys = {term.topology_key for owner in owners for term in _terms_against(pod, owner)}

        def counts(key: str) -> DomainCounts:
            by_node = count_by_node(
                snapshot, snapshot.groups.with_terms.values(), lambda g: _times(pod, g, key)
            )
            return count_domains(snapshot, key, by_node)

        return cls(pod, {key: counts(key) for key in sorted(keys)})

    @property
    def keys(self) -> tuple[str, ...]:
        """Return the topology keys over which somebody keeps this pod away."""
        return tuple(self._domains)

    def fork(self) -> RepelledRule:
        """Return an independent copy."""
        return RepelledRule(self._pod, {k: domains.fork() for k, domains in self._domains.items()})

    def shift(self, other: Pod, row: int, change: int) -> None:
        """Take note that ``other`` came to (``+1``) or left (``-1``) the row."""
        for term in _terms_against(self._pod, other):
            self._domains[term.topology_key].add(row, change)

    def verdicts(self) -> Iterator[Verdict]:
        """Yield where no placed pod objects."""
        welcome = np.all([domains.by_node() == 0 for domains in self._domains.values()], axis=0)
        yield Verdict(
            FILTER, "has a pod near whose anti-affinity excludes the pod", welcome, resolvable=True
        )


def _times(pod: Pod, group: PodGroup, key: str) -> int:
    return sum(term.topology_key == key for term in _terms_against(pod, group))


def _terms_against(pod: Pod, owner: Pod | PodGroup) -> list[PodAffinityTerm]:
    terms = owner.affinity.required_pod_anti_affinity
    return [t for t in terms if term_selects(t, owner.namespace, pod.namespace, pod.labels)]


def _all_select(
    terms: tuple[PodAffinityTerm, ...], owner: str, namespace: str, labels: Mapping[str, str]
) -> bool:
    return all(term_selects(term, owner, namespace, labels) for term in terms)
