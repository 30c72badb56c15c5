"""Who sits where and what that leaves: the arrays behind every snapshot, kept exact in int64."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from moorage_policies.state.node_table import NodeTable
from moorage_policies.state.snapshot import RowHistory, saturate
from moorage_policies.types import CPU, MEMORY, PODS, IntArray, Node, Pod

BASE_COLUMNS = (CPU, MEMORY, PODS)


class LedgerView(NamedTuple):
    """What a snapshot takes from the ledger; nothing in it changes any more."""

    table: NodeTable
    resources: tuple[str, ...]
    allocatable: IntArray
    requested: IntArray
    node_pods: tuple[tuple[Pod, ...], ...]
    history: RowHistory


class Ledger:
    """Nodes by row and the pods charged to them; one writer.

    A node keeps its row while it lives; when one goes, the last row moves into its place. Pods may
    be charged to a name that is no node yet: they count as soon as the node appears.
    """

    __slots__ = (
        "_allocatable",
        "_changed",
        "_columns",
        "_frozen_allocatable",
        "_node_pods",
        "_nodes",
        "_requested",
        "_residents",
        "_row_of",
        "_table",
        "_turn",
        "_updated_rows",
    )

    def __init__(self) -> None:
        self._columns: dict[str, int] = {name: i for i, name in enumerate(BASE_COLUMNS)}
        self._allocatable: IntArray = np.zeros((16, len(BASE_COLUMNS)), dtype=np.int64)
        self._requested: IntArray = np.zeros_like(self._allocatable)
        self._nodes: list[Node] = []
        self._row_of: dict[str, int] = {}
        self._node_pods: list[tuple[Pod, ...]] = []
        self._residents: dict[str, dict[str, Pod]] = {}
        self._table = NodeTable(())
        self._updated_rows: dict[int, Node] | None = {}  # None: rows came, went or moved
        self._frozen_allocatable: IntArray | None = None
        self._turn = 0
        self._changed: IntArray = np.zeros(16, dtype=np.int64)

    def node(self, name: str) -> Node | None:
        """Return the node of this name as last told."""
        row = self._row_of.get(name)
        return None if row is None else self._nodes[row]

    def node_names(self) -> tuple[str, ...]:
        """Return the names of all nodes."""
        return tuple(self._row_of)

    def put_node(self, node: Node) -> None:
        """Add a node, or take over what is new about it."""
        row = self._row_of.get(node.name)
        if row is None:
            row = self._add_row(node)
        self._nodes[row] = node
        self._changed[row] = self._turn
        if self._updated_rows is not None:
            self._updated_rows[row] = node
        columns = [self._column(name) for name in node.allocatable]
        self._allocatable[row] = 0
        self._allocatable[row, columns] = [saturate(a) for a in node.allocatable.values()]
        self._frozen_allocatable = None

    def drop_node(self, name: str) -> None:
        """Remove a node; its pods stay on the books under its name."""
        row, last = self._row_of.pop(name), len(self._nodes) - 1
        if row != last:
            self._nodes[row] = self._nodes[last]
            self._node_pods[row] = self._node_pods[last]
            self._allocatable[row] = self._allocatable[last]
            self._requested[row] = self._requested[last]
            self._changed[row] = self._turn
            self._row_of[self._nodes[row].name] = row
        self._nodes.pop()
        self._node_pods.pop()
        self._updated_rows = None
        self._frozen_allocatable = None

    def charge(self, pod: Pod, node: str) -> None:
        """Count the pod against the node."""
        self._residents.setdefault(node, {})[pod.uid] = pod
        self._count(pod, node, sign=1)

    def discharge(self, pod: Pod, node: str) -> None:
        """Take the pod, exactly as it was charged, off the node."""
        residents = self._residents[node]
        del residents[pod.uid]
        if not residents:
            del self._residents[node]
        self._count(pod, node, sign=-1)

    def view(self) -> LedgerView:
        """Return the books as they are now; parts that did not change are shared."""
        count = len(self._nodes)
        history = RowHistory(self, self._turn, _freeze(self._changed[:count]))
        self._turn += 1
        if self._frozen_allocatable is None:
            self._frozen_allocatable = _freeze(self._allocatable[:count])
        return LedgerView(
            table=self._current_table(),
            resources=tuple(self._columns),
            allocatable=self._frozen_allocatable,
            requested=_freeze(self._requested[:count]),
            node_pods=tuple(self._node_pods),
            history=history,
        )

    def _current_table(self) -> NodeTable:
        if self._updated_rows is None:
            self._table = NodeTable(tuple(self._nodes), self._table.version + 1)
        elif self._updated_rows:
            self._table = self._table.replaced(self._updated_rows)
        self._updated_rows = {}
        return self._table

    def _count(self, pod: Pod, node: str, *, sign: int) -> None:
        row = self._row_of.get(node)
        if row is None:
            return
        for name, amount in pod.requests.items():
            column = self._column(name)  # before the array is read: it may grow here
            self._requested[row, column] += sign * saturate(amount)
        self._requested[row, self._columns[PODS]] += sign
        self._changed[row] = self._turn
        self._node_pods[row] = tuple(self._residents.get(node, {}).values())

    def _add_row(self, node: Node) -> int:
        row = len(self._nodes)
        self._reserve(row + 1)
        self._row_of[node.name] = row
        self._nodes.append(node)
        self._node_pods.append(())
        self._requested[row] = 0
        self._changed[row] = self._turn
        for pod in self._residents.get(node.name, {}).values():
            self._count(pod, node.name, sign=1)
        self._updated_rows = None
        return row

    def _column(self, name: str) -> int:
        column = self._columns.get(name)
        if column is None:
            column = self._columns[name] = len(self._columns)
            self._allocatable = np.pad(self._allocatable, ((0, 0), (0, 1)))
            self._requested = np.pad(self._requested, ((0, 0), (0, 1)))
            self._frozen_allocatable = None
        return column

    def _reserve(self, rows: int) -> None:
        missing = rows - len(self._requested)
        if missing > 0:
            grow = ((0, max(missing, len(self._requested))), (0, 0))
            self._allocatable = np.pad(self._allocatable, grow)
            self._requested = np.pad(self._requested, grow)
            self._changed = np.pad(self._changed, grow[0])


def _freeze(array: IntArray) -> IntArray:
    frozen = array.copy()
    frozen.setflags(write=False)
    return frozen
