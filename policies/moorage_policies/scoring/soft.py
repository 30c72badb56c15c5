"""kube-scheduler's preferences about nodes, so that a deciding ranking voids none of them.

Each scorer gives what the in-tree plugin of the same purpose gives, divided by 100.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from operator import is_

import numpy as np

from moorage_policies.feasibility.node_filters import term_mask
from moorage_policies.matching import toleration_matches
from moorage_policies.scoring.image_spread import ImageIndex
from moorage_policies.state import LabelColumn, NodeTable, Snapshot
from moorage_policies.types import (
    FloatArray,
    IntArray,
    Pod,
    PreferredNodeTerm,
    Taint,
    Toleration,
)

MIB = 1024 * 1024
SMALLEST_IMAGE = 23 * MIB
LARGEST_IMAGE = 1000 * MIB
MAX_TERMS = 256

Terms = tuple[PreferredNodeTerm, ...]


class PreferredNodes:
    """Preferred node affinity: the weights of the terms that match, over the largest sum."""

    name = "preferred-nodes"

    def __init__(self) -> None:
        self._known: dict[Terms, tuple[tuple[LabelColumn, ...], FloatArray]] = {}

    def score(self, pod: Pod, snapshot: Snapshot, rows: IntArray) -> FloatArray | None:
        """Return 0 to 1 per candidate; ``None`` when the pod prefers nothing."""
        terms = pod.affinity.preferred_node_terms
        if not terms:
            return None
        return over_largest(self._points(terms, snapshot.table)[rows])

    def _points(self, terms: Terms, table: NodeTable) -> FloatArray:
        """Return matching weights, shape ``(nodes,)``, anew only when labels changed."""
        columns = tuple(_columns_of(terms, table))
        known, points = self._known.pop(terms, ((), np.zeros(0)))
        if not (known and len(points) == len(table) and all(map(is_, known, columns))):
            points = np.zeros(len(table), dtype=np.float64)
            for preferred in terms:
                points += preferred.weight * term_mask(table, preferred.term)
        self._known[terms] = (columns, points)  # last used, last out
        if len(self._known) > MAX_TERMS:
            del self._known[next(iter(self._known))]
        return points


def _columns_of(terms: Terms, table: NodeTable) -> Iterator[LabelColumn]:
    for preferred in terms:
        yield from (table.label(requirement.key) for requirement in preferred.term.expressions)
        if preferred.term.fields:
            yield table.name_column()


class SoftTaints:
    """``PreferNoSchedule`` taints: the fewer that the pod does not tolerate, the better."""

    name = "soft-taints"

    def score(self, pod: Pod, snapshot: Snapshot, rows: IntArray) -> FloatArray | None:
        """Return 0 to 1 per candidate; ``None`` when no node has such a taint."""
        codes, groups = snapshot.table.taints()
        disliked = [_disliked(pod.tolerations, taints) for _, taints in groups]
        if not any(disliked):
            return None
        return 1.0 - over_largest(np.array(disliked, dtype=np.float64)[codes[rows]])


class LocalImages:
    """Image locality: bytes of the pod's images that a node holds, rarer images counting less."""

    name = "local-images"

    def __init__(self) -> None:
        self._index = ImageIndex()

    def score(self, pod: Pod, snapshot: Snapshot, rows: IntArray) -> FloatArray | None:
        """Return 0 to 1 per candidate; ``None`` when no node has any of the images."""
        held = [self._index.scaled_bytes(image, snapshot.table, rows) for image in pod.images]
        sizes = [scaled for scaled in held if scaled is not None]
        if not sizes:
            return None
        most = LARGEST_IMAGE * len(pod.images)
        total = np.minimum(np.maximum(np.add.reduce(sizes), SMALLEST_IMAGE), most)
        points: FloatArray = (total - SMALLEST_IMAGE) / (most - SMALLEST_IMAGE)
        return points


def over_largest(points: FloatArray) -> FloatArray:
    """Return points divided by their maximum; zeros stay zeros."""
    largest = points.max(initial=0.0)
    return points / largest if largest > 0 else points


@lru_cache(maxsize=1024)
def _disliked(tolerations: tuple[Toleration, ...], taints: tuple[Taint, ...]) -> int:
    return sum(
        taint.effect == "PreferNoSchedule"
        and not any(toleration_matches(t, taint) for t in tolerations)
        for taint in taints
    )
