"""kube-scheduler's PodTopologySpread filter: constraints that say ``DoNotSchedule``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from moorage_policies.feasibility.domains import (
    DomainCounts,
    Verdict,
    count_by_node,
    count_domains,
)
from moorage_policies.feasibility.node_filters import affinity_mask, taints_mask
from moorage_policies.matching import selector_matches
from moorage_policies.state import ABSENT, Snapshot
from moorage_policies.types import BoolArray, Pod, TopologySpread


def spread_rules(pod: Pod, snapshot: Snapshot) -> list[SpreadRule]:
    """Return the pod's hard spread constraints, counted; they see only nodes with all keys."""
    hard = [constraint for constraint in pod.spread if constraint.hard]
    if not hard:
        return []
    labelled = [snapshot.table.label(c.topology_key).codes != ABSENT for c in hard]
    with_all_keys = np.all(labelled, axis=0)
    return [
        SpreadRule(pod, constraint, counted_domains(pod, constraint, with_all_keys, snapshot))
        for constraint in hard
    ]


class CountedDomains:
    """Matching pods by domain, over the nodes that count.

    Args:
        rows: nodes whose pods and domains count, shape ``(nodes,)``.
        domains: matching pods on those nodes, by domain.
        present: domains that have such a node, shape ``(domains,)``.
    """

    __slots__ = ("domains", "present", "rows")

    def __init__(self, rows: BoolArray, domains: DomainCounts, present: BoolArray) -> None:
        self.rows = rows
        self.domains = domains
        self.present = present


def counted_domains(
    pod: Pod, constraint: TopologySpread, rows: BoolArray, snapshot: Snapshot
) -> CountedDomains:
    """Return what a spread constraint of the pod counts on ``rows`` that its policies include."""
    rows = rows & _included(pod, constraint, snapshot)
    by_node = count_by_node(
        snapshot,
        snapshot.groups.worth_matching(constraint.selector),
        lambda g: not g.terminating and counts_towards(constraint, pod, g.namespace, g.labels),
    )
    domains = count_domains(snapshot, constraint.topology_key, by_node * rows)
    present = np.zeros(len(domains.counts), dtype=bool)
    present[domains.codes[rows]] = True
    return CountedDomains(rows, domains, present[:-1])


def counts_towards(
    constraint: TopologySpread, pod: Pod, namespace: str, labels: Mapping[str, str]
) -> bool:
    """Return whether a pod with these labels counts; under an empty selector nobody does."""
    selector = constraint.selector
    if namespace != pod.namespace or (selector is not None and not selector.requirements):
        return False
    return selector_matches(selector, labels)


class SpreadRule:
    """One constraint of a pod over current counts."""

    __slots__ = ("_constraint", "_counted", "_pod")

    def __init__(self, pod: Pod, constraint: TopologySpread, counted: CountedDomains) -> None:
        self._pod = pod
        self._constraint = constraint
        self._counted = counted

    def fork(self) -> SpreadRule:
        """Return an independent copy."""
        counted = self._counted
        twin = CountedDomains(counted.rows, counted.domains.fork(), counted.present)
        return SpreadRule(self._pod, self._constraint, twin)

    def shift(self, other: Pod, row: int, change: int) -> None:
        """Take note that ``other`` came to (``+1``) or left (``-1``) the row."""
        counts = counts_towards(self._constraint, self._pod, other.namespace, other.labels)
        if counts and self._counted.rows[row] and not other.terminating:
            self._counted.domains.add(row, change)

    def verdicts(self) -> Iterator[Verdict]:
        """Yield where the label is there, then where the skew allows one more pod."""
        constraint, domains = self._constraint, self._counted.domains
        key = constraint.topology_key
        labelled = domains.codes != ABSENT
        yield Verdict("PodTopologySpread", f"has no label {key} to spread over", labelled)
        counts = domains.counts[:-1][self._counted.present]
        smallest = int(counts.min()) if len(counts) >= max(1, constraint.min_domains) else 0
        itself = selector_matches(constraint.selector, self._pod.labels)
        skew = domains.by_node() + int(itself) - smallest
        yield Verdict(
            "PodTopologySpread",
            f"would spread more than maxSkew {constraint.max_skew} over {key}",
            skew <= constraint.max_skew,
            resolvable=True,
        )


def _included(pod: Pod, constraint: TopologySpread, snapshot: Snapshot) -> BoolArray:
    rows = np.ones(len(snapshot.nodes), dtype=bool)
    if constraint.honor_node_affinity:
        rows &= affinity_mask(pod, snapshot.table)
    if constraint.honor_node_taints:
        rows &= taints_mask(pod.tolerations, snapshot.table)
    return rows
