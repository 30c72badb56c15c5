"""Nodes as columns: label values and taint sets coded as integers, so that matching vectorises."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from moorage_policies.types import IntArray, Node, Taint

ABSENT = -1
"""Code of a node that lacks the label."""
MAX_REGROUPED = 64
"""Groups of taints beyond which new ones are counted afresh, without those that nodes left."""


class LabelColumn(NamedTuple):
    """One label key over all nodes.

    Args:
        codes: index into ``values`` by row, ``ABSENT`` without the label, shape ``(nodes,)``.
        values: distinct values in order of first appearance.
        code_of: the code of each value.
    """

    codes: IntArray
    values: tuple[str, ...]
    code_of: Mapping[str, int]


class TaintGroups(NamedTuple):
    """Nodes grouped by everything that taints and cordons say.

    Args:
        codes: group by row, shape ``(nodes,)``.
        groups: ``(unschedulable, taints)`` of each group.
    """

    codes: IntArray
    groups: tuple[tuple[bool, tuple[Taint, ...]], ...]


class NodeTable:
    """Nodes by row with their columns; columns are built when first asked for and remembered.

    Args:
        nodes: the nodes in row order.
        version: grows whenever any node changed; a key for caches that depend on nodes alone.
    """

    __slots__ = ("_columns", "_taints", "index", "names", "nodes", "version")

    def __init__(self, nodes: tuple[Node, ...], version: int = 0) -> None:
        self.nodes = nodes
        self.version = version
        self.names = _side_by_side([node.name for node in nodes])
        self.index: Mapping[str, int] = {name: row for row, name in enumerate(self.names)}
        self._columns: dict[str, LabelColumn] = {}
        self._taints: TaintGroups | None = None

    def __len__(self) -> int:
        return len(self.nodes)

    def replaced(self, changes: Mapping[int, Node]) -> NodeTable:
        """Return the table with some rows exchanged for nodes of the same names.

        Columns that the changes do not touch are taken over, so that a status update of one node
        does not cost a pass over all of them.
        """
        table = object.__new__(NodeTable)
        nodes = list(self.nodes)
        for row, node in changes.items():
            nodes[row] = node
        table.nodes = tuple(nodes)
        table.version = self.version + 1
        table.names, table.index = self.names, self.index
        pairs = [(self.nodes[row], node) for row, node in changes.items()]
        table._columns = {
            key: column
            for key, column in self._columns.items()
            if all(old.labels.get(key) == new.labels.get(key) for old, new in pairs)
        }
        table._taints = None if self._taints is None else _regroup(self._taints, changes)
        return table

    def label(self, key: str) -> LabelColumn:
        """Return the column of one label key."""
        column = self._columns.get(key)
        if column is None:
            column = self._columns[key] = _code([node.labels.get(key) for node in self.nodes])
        return column

    def name_column(self) -> LabelColumn:
        """Return the column of ``metadata.name``: each row is its own value."""
        return LabelColumn(np.arange(len(self.nodes), dtype=np.int64), self.names, self.index)

    def taints(self) -> TaintGroups:
        """Return nodes grouped by ``unschedulable`` and taints."""
        if self._taints is None:
            code_of: dict[tuple[bool, tuple[Taint, ...]], int] = {}
            codes = [
                code_of.setdefault((node.unschedulable, node.taints), len(code_of))
                for node in self.nodes
            ]
            self._taints = TaintGroups(np.array(codes, dtype=np.int64), tuple(code_of))
        return self._taints


def _regroup(taints: TaintGroups, changes: Mapping[int, Node]) -> TaintGroups | None:
    """Return the groups with changed rows in their places, ``None`` when too many stand empty."""
    code_of = {group: code for code, group in enumerate(taints.groups)}
    asked = {row: (node.unschedulable, node.taints) for row, node in changes.items()}
    codes = {row: code_of.setdefault(group, len(code_of)) for row, group in asked.items()}
    if len(code_of) > MAX_REGROUPED and len(code_of) > len(taints.groups):
        return None
    if all(taints.codes[row] == code for row, code in codes.items()):
        return taints
    moved = taints.codes.copy()
    moved[list(codes)] = list(codes.values())
    return TaintGroups(moved, tuple(code_of))


def _side_by_side(names: list[str]) -> tuple[str, ...]:
    """Return copies next to each other in memory: looking up thousands waits for caches alone."""
    return tuple("\0".join(names).split("\0")) if names else ()


def _code(values: list[str | None]) -> LabelColumn:
    code_of: dict[str, int] = {}
    codes = [
        ABSENT if value is None else code_of.setdefault(value, len(code_of)) for value in values
    ]
    return LabelColumn(np.array(codes, dtype=np.int64), tuple(code_of), code_of)
