"""Filters that look at the node alone, over all nodes at once."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from moorage_policies.matching import (
    UNSCHEDULABLE_TAINT,
    requirement_matches,
    tolerates,
)
from moorage_policies.state import ABSENT, LabelColumn, NodeTable
from moorage_policies.types import BoolArray, NodeSelectorTerm, Pod, Requirement, Toleration


def requirement_mask(column: LabelColumn, requirement: Requirement) -> BoolArray:
    """Return where one selector expression holds, shape ``(nodes,)``."""
    if requirement.operator in ("In", "NotIn"):
        inside = requirement.operator == "In"
        holds = np.full(len(column.values) + 1, not inside)
        known = [column.code_of[v] for v in requirement.values if v in column.code_of]
        holds[known] = inside
    else:
        key = requirement.key
        holds = np.array(
            [requirement_matches(requirement, {key: value}) for value in column.values]
            + [requirement_matches(requirement, {})]
        )
    return holds[column.codes]  # a node without the label is coded ABSENT: the last entry


def term_mask(table: NodeTable, term: NodeSelectorTerm) -> BoolArray:
    """Return where a node selector term matches, shape ``(nodes,)``; an empty one nowhere."""
    if not term.expressions and not term.fields:
        return np.zeros(len(table), dtype=bool)
    mask = np.ones(len(table), dtype=bool)
    for requirement in term.expressions:
        mask &= requirement_mask(table.label(requirement.key), requirement)
    for requirement in term.fields:
        mask &= requirement_mask(table.name_column(), requirement)
    return mask


def affinity_mask(pod: Pod, table: NodeTable) -> BoolArray:
    """Return where nodeSelector and required node affinity accept the node, ``(nodes,)``."""
    mask = np.ones(len(table), dtype=bool)
    for key, value in pod.node_selector.items():
        column = table.label(key)
        mask &= column.codes == column.code_of.get(value, ABSENT - 1)
    terms = pod.affinity.required_node_terms
    if terms:
        mask &= np.any([term_mask(table, term) for term in terms], axis=0)
    return mask


def taints_mask(tolerations: tuple[Toleration, ...], table: NodeTable) -> BoolArray:
    """Return where every NoSchedule and NoExecute taint is tolerated, shape ``(nodes,)``."""
    return _by_taint_group(table, (tolerates(tolerations, t) for _, t in table.taints().groups))


def uncordoned_mask(tolerations: tuple[Toleration, ...], table: NodeTable) -> BoolArray:
    """Return where the node takes new pods, or the pod tolerates a cordon, ``(nodes,)``."""
    spared = tolerates(tolerations, (UNSCHEDULABLE_TAINT,))
    return _by_taint_group(table, (spared or not cordoned for cordoned, _ in table.taints().groups))


def name_mask(pod: Pod, table: NodeTable) -> BoolArray:
    """Return all nodes for an unbound pod, its own node for a bound one, ``(nodes,)``."""
    mask = np.full(len(table), pod.node is None)
    if pod.node is not None and pod.node in table.index:
        mask[table.index[pod.node]] = True
    return mask


def _by_taint_group(table: NodeTable, verdicts: Iterable[bool]) -> BoolArray:
    return np.fromiter(verdicts, dtype=bool)[table.taints().codes]
