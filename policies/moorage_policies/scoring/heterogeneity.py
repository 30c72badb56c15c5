"""Accelerator classes: what is asked for first, and who else has nothing but the rest."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby

import numpy as np

from moorage_policies.scoring.mix import CLASS_LABEL, RequestMix, acceptable_classes
from moorage_policies.state import ABSENT, LabelColumn, Snapshot
from moorage_policies.types import BoolArray, FloatArray, IntArray, Pod

ORDER_SHARE, SCARCITY_SHARE, SUBGROUP_SHARE = 4.0, 2.0, 1.0
UNKNOWN = 0.5
LOW, MEDIUM, HIGH = 0.0, 0.5, 1.0
"""How precious a node's subgroup is: its outer domain has one class; its nearest domain has; or
classes mix in the nearest domain."""


class Heterogeneity:
    """Scores nodes by their accelerator class and by how mixed their neighbourhood is.

    Args:
        class_label: node label that names a node's accelerator class.
        levels: topology label keys from the outermost to the nearest; the last two make subgroups.
    """

    name = "heterogeneity"

    def __init__(self, class_label: str = CLASS_LABEL, levels: tuple[str, ...] = ()) -> None:
        self._class_label = class_label
        self._levels = levels
        self._scarcity: Mapping[str, float] = {}
        self._precious: tuple[tuple[LabelColumn, ...], FloatArray | None] = ((), None)

    def learn(self, mixes: Mapping[str, RequestMix], snapshot: Snapshot) -> None:
        """Take who needs which class from the mix of requests, and what there is of each."""
        self._scarcity = scarcity_of(mixes, snapshot, self._class_label)

    def score(self, pod: Pod, snapshot: Snapshot, rows: IntArray) -> FloatArray | None:
        """Return 0 to 1 per candidate; ``None`` when no class or subgroup suits better."""
        classes = snapshot.table.label(self._class_label)
        parts = [
            (ORDER_SHARE, self._by_order(pod, classes)),
            (SCARCITY_SHARE, self._by_scarcity(pod, classes)),
        ]
        weighed = [
            (share, values.take(classes.codes[rows] - ABSENT))
            for share, values in parts
            if values is not None
        ]
        precious = self._preciousness(pod, snapshot, classes)
        if precious is not None:
            weighed.append((SUBGROUP_SHARE, 1.0 - precious[rows]))
        if not weighed:
            return None
        total: FloatArray = np.add.reduce([share * values for share, values in weighed])
        return total / sum(share for share, _ in weighed)

    def _by_order(self, pod: Pod, classes: LabelColumn) -> FloatArray | None:
        """Return 1 for the class that stands first, less for later ones, by code after absence."""
        order = order_of(pod, self._class_label)
        if len(order) < 2:  # noqa: PLR2004 - one class is no choice
            return None
        place = {name: 1.0 - position / len(order) for position, name in enumerate(order)}
        return np.array([0.0, *(place.get(value, 0.0) for value in classes.values)])

    def _by_scarcity(self, pod: Pod, classes: LabelColumn) -> FloatArray | None:
        accepted = acceptable_classes(pod, self._class_label)
        if not self._scarcity or (accepted is not None and len(accepted) == 1):
            return None
        return np.array([1.0, *(1.0 - self._scarcity.get(v, 0.0) for v in classes.values)])

    def _preciousness(
        self, pod: Pod, snapshot: Snapshot, classes: LabelColumn
    ) -> FloatArray | None:
        """Return how precious each node's subgroup is, for pods that need not be near others."""
        if not self._levels or _is_tied(pod, self._levels):
            return None
        domains = tuple(snapshot.table.label(key) for key in self._levels[-2:])
        columns = (classes, *domains)
        known, precious = self._precious
        if len(known) != len(columns) or any(a is not b for a, b in zip(known, columns)):  # noqa: B905
            precious = preciousness_of(classes, domains)
            self._precious = (columns, precious)
        return precious


def order_of(pod: Pod, class_label: str = CLASS_LABEL) -> tuple[str, ...]:
    """Return the classes that required affinity leaves open, as they were written, best first."""
    if acceptable_classes(pod, class_label) is None or class_label in pod.node_selector:
        return ()
    listed = (
        value
        for term in pod.affinity.required_node_terms
        for expression in term.expressions
        if expression.key == class_label and expression.operator == "In"
        for value in expression.values
    )
    return tuple(dict.fromkeys(listed))


def scarcity_of(
    mixes: Mapping[str, RequestMix], snapshot: Snapshot, class_label: str = CLASS_LABEL
) -> dict[str, float]:
    """Return for each class how much others depend on it, 0 to 1; empty when nobody is picky.

    Share of all asked devices that take this class alone, against its share of all devices.
    """
    picky: dict[str, float] = {}
    for mix in mixes.values():
        asked = mix.share * mix.shapes[:, 0]
        for classes, devices in zip(mix.classes, (asked / asked.sum()).tolist(), strict=True):
            if classes is not None and len(classes) == 1:
                only = next(iter(classes))
                picky[only] = picky.get(only, 0.0) + devices
    if not picky:
        return {}
    column = snapshot.table.label(class_label)
    offered = sum(
        snapshot.allocatable[:, snapshot.columns[name]]
        for name in mixes
        if name in snapshot.columns
    )
    by_code = np.bincount(column.codes - ABSENT, offered, len(column.values) + 1)
    share = by_code / max(float(by_code.sum()), 1.0)
    return {
        value: picky[value] / (picky[value] + float(share[code + 1]))
        for code, value in enumerate(column.values)
        if value in picky
    }


def preciousness_of(classes: LabelColumn, domains: tuple[LabelColumn, ...]) -> FloatArray:
    """Return how precious each node's subgroup is, shape ``(nodes,)``; 0.5 where unknown.

    Args:
        classes: accelerator class by node.
        domains: topology domains by node, the nearest last.
    """
    *outer, nearest = domains
    mixed = _is_mixed(classes.codes, nearest.codes)
    precious = np.where(mixed, HIGH, LOW)
    for domain in outer:
        wide = _is_mixed(classes.codes, domain.codes)
        precious[wide & ~mixed] = MEDIUM
    precious[nearest.codes == ABSENT] = UNKNOWN
    return precious


def _is_mixed(classes: IntArray, domains: IntArray) -> BoolArray:
    """Return where nodes of several classes share the node's domain, shape ``(nodes,)``."""
    pairs = sorted({(d, c) for d, c in zip(domains.tolist(), classes.tolist()) if c != ABSENT})  # noqa: B905
    kinds = {d: len(list(group)) for d, group in groupby(pairs, key=lambda pair: pair[0])}
    several = {d for d, count in kinds.items() if count > 1 and d != ABSENT}
    return np.isin(domains, list(several))


def _is_tied(pod: Pod, levels: tuple[str, ...]) -> bool:
    """Return whether the pod has to be, or wants to be, near others on one of the levels."""
    affinity = pod.affinity
    terms = [*affinity.required_pod_affinity, *(p.term for p in affinity.preferred_pod_affinity)]
    return any(term.topology_key in levels for term in terms)
