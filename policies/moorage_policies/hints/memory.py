"""What intents said of nodes before, so that only nodes that changed are looked at again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TypeVar, cast

import numpy as np

from moorage_policies.state import NodeTable, Snapshot
from moorage_policies.types import FloatArray, IntArray

MAX_KEYS = 512
"""Most vectors that are kept of a sort, each of one number a node: 20 MB on 5,000 nodes."""

Value = TypeVar("Value")
WorkOut = Callable[[IntArray | None], FloatArray]
"""Gives the values of the rows it is handed, of all rows for ``None``."""


@dataclass(slots=True)
class _Vector:
    """The value of every row as it was at a turn of the books."""

    values: FloatArray
    turn: int


class HintMemory:
    """Remembers vectors over all nodes; arrays that it returns hold until it is asked again.

    A vector by row may rest on its key and on each row's own node, amounts and pods. What rests on
    the labels of all nodes holds for one table, what rests on anything for one snapshot.
    """

    __slots__ = ("_books", "_by_row", "_by_snapshot", "_by_table", "_generation", "_table")

    def __init__(self) -> None:
        self._books: object = None
        self._table: NodeTable | None = None
        self._generation = -1
        self._by_row: OrderedDict[Hashable, _Vector] = OrderedDict()
        self._by_table: dict[Hashable, object] = {}
        self._by_snapshot: dict[Hashable, object] = {}

    def by_row(self, key: Hashable, snapshot: Snapshot, work_out: WorkOut) -> FloatArray:
        """Return the value of every row, shape ``(nodes,)``; only changed rows cost anything."""
        self._turn_to(snapshot)
        history = snapshot.history
        held = self._by_row.pop(key, None)
        if held is None or len(held.values) != len(history.changed) or held.turn > history.turn:
            held = _Vector(work_out(None), history.turn)
        elif held.turn < history.turn:
            stale = np.flatnonzero(history.changed > held.turn)
            if len(stale):
                held.values[stale] = work_out(stale)
            held.turn = history.turn
        self._by_row[key] = held  # last used, last out
        if len(self._by_row) > MAX_KEYS:
            self._by_row.popitem(last=False)
        return held.values

    def by_table(self, key: Hashable, snapshot: Snapshot, make: Callable[[], Value]) -> Value:
        """Return what holds as long as no node changes."""
        self._turn_to(snapshot)
        return _remembered(self._by_table, key, make)

    def by_snapshot(self, key: Hashable, snapshot: Snapshot, make: Callable[[], Value]) -> Value:
        """Return what holds as long as nothing changes."""
        self._turn_to(snapshot)
        return _remembered(self._by_snapshot, key, make)

    def _turn_to(self, snapshot: Snapshot) -> None:
        if self._books is not snapshot.history.books:
            self._books = snapshot.history.books
            self._by_row.clear()
            self._generation = -1
        if self._table is not snapshot.table:
            self._table = snapshot.table
            self._by_table.clear()
        if self._generation != snapshot.generation:
            self._generation = snapshot.generation
            self._by_snapshot.clear()


def _remembered(known: dict[Hashable, object], key: Hashable, make: Callable[[], Value]) -> Value:
    if key not in known:
        if len(known) >= MAX_KEYS:
            known.clear()
        known[key] = make()
    return cast("Value", known[key])
