"""Placed pods counted by topology domain: the ground that spread and affinity rules stand on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from moorage_policies.state import ABSENT, PodGroup, Snapshot
from moorage_policies.types import BoolArray, IntArray, Pod


class Verdict(NamedTuple):
    """What one rule says about every node.

    Args:
        filter: kube-scheduler's name of the filter.
        text: why nodes are refused.
        passes: where the rule holds, shape ``(nodes,)``.
        resolvable: whether removing pods could change it.
    """

    filter: str
    text: str
    passes: BoolArray
    resolvable: bool = False


class NeighbourRule(Protocol):
    """A rule about other pods that can follow pods that come and go."""

    def fork(self) -> NeighbourRule:
        """Return an independent copy."""
        ...

    def shift(self, other: Pod, row: int, change: int) -> None:
        """Take note that ``other`` came to (``+1``) or left (``-1``) the row."""
        ...

    def verdicts(self) -> Iterator[Verdict]:
        """Yield what the rule says now."""
        ...


@dataclass(slots=True)
class DomainCounts:
    """Pods counted by topology domain.

    Args:
        codes: domain by row, ``ABSENT`` where the node has no such label, shape ``(nodes,)``.
        counts: pods by domain; the last entry stands for ``ABSENT`` and stays zero.
    """

    codes: IntArray
    counts: IntArray

    def fork(self) -> DomainCounts:
        """Return an independent copy."""
        return DomainCounts(self.codes, self.counts.copy())

    def add(self, row: int, change: int) -> None:
        """Count ``change`` more pods on a row."""
        if self.codes[row] != ABSENT:
            self.counts[self.codes[row]] += change

    def by_node(self) -> IntArray:
        """Return the count of each node's domain, shape ``(nodes,)``; zero without a domain."""
        return self.counts[self.codes]


def count_domains(snapshot: Snapshot, topology_key: str, by_node: IntArray) -> DomainCounts:
    """Return per-domain sums of what was counted per node, ``by_node`` of shape ``(nodes,)``."""
    column = snapshot.table.label(topology_key)
    counts = np.zeros(len(column.values) + 1, dtype=np.int64)
    np.add.at(counts, column.codes, by_node)
    counts[ABSENT] = 0
    return DomainCounts(column.codes, counts)


def count_by_node(
    snapshot: Snapshot, groups: Iterable[PodGroup], times: Callable[[PodGroup], int]
) -> IntArray:
    """Return how many placed pods each node holds, shape ``(nodes,)``.

    Args:
        snapshot: the cluster.
        groups: groups to look at.
        times: how often a pod of the group counts; 0 leaves the group out.
    """
    by_node = np.zeros(len(snapshot.nodes), dtype=np.int64)
    for group in groups:
        weight = times(group)
        if weight:
            add_counts(by_node, group.counts, weight, snapshot.node_index)
    return by_node


def add_counts(
    by_node: IntArray, counts: Mapping[str, int], weight: int, node_index: Mapping[str, int]
) -> None:
    """Add ``weight`` times the counts by node name to ``by_node``, shape ``(nodes,)``, in place."""
    rows = [node_index.get(node, -1) for node in counts]
    # a node that is not known yet falls on an extra last entry, which is cut off again
    extra = np.zeros(len(by_node) + 1, dtype=np.int64)
    np.add.at(extra, rows, np.fromiter(counts.values(), dtype=np.int64, count=len(counts)))
    by_node += weight * extra[:-1]
