"""Values by node that hold until the node changes: only rows that did are worked out anew."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable

import numpy as np

from moorage_policies.state import Snapshot
from moorage_policies.types import FloatArray, IntArray

NEVER = -1
MAX_KEYS = 64


class RowMemory:
    """Remembers what was worked out for rows, under a key for everything else that it rests on.

    A value may depend on its key and on its own row of the snapshot: the node, its amounts and its
    pods. Pods made from one template share a key, so that a burst of them costs a look-up each.
    """

    __slots__ = ("_books", "_known")

    def __init__(self) -> None:
        self._books: object = None
        self._known: OrderedDict[Hashable, tuple[FloatArray, IntArray]] = OrderedDict()

    def clear(self) -> None:
        """Forget everything."""
        self._known.clear()

    def recall(
        self,
        key: Hashable,
        snapshot: Snapshot,
        rows: IntArray,
        work_out: Callable[[IntArray], FloatArray],
    ) -> FloatArray:
        """Return the values of rows, shape ``(rows,)``.

        Args:
            key: of all that values depend on besides their row.
            snapshot: the cluster.
            rows: the rows in question.
            work_out: gives the values of the rows it is handed.
        """
        history = snapshot.history
        if self._books is not history.books:
            self._books = history.books
            self._known.clear()
        values, turns = self._entry(key, len(history.changed))
        known_at = turns[rows]
        stale = rows[(known_at < history.changed[rows]) | (known_at > history.turn)]
        if len(stale):
            values[stale] = work_out(stale)
            turns[stale] = history.turn
        return values[rows]

    def _entry(self, key: Hashable, nodes: int) -> tuple[FloatArray, IntArray]:
        entry = self._known.pop(key, None) or (np.zeros(0), np.zeros(0, dtype=np.int64))
        values, turns = entry
        if len(values) < nodes:
            values = np.pad(values, (0, nodes - len(values)))
            turns = np.pad(turns, (0, nodes - len(turns)), constant_values=NEVER)
        self._known[key] = values, turns  # last used, last out
        if len(self._known) > MAX_KEYS:
            self._known.popitem(last=False)
        return values, turns
