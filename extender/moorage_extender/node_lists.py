"""The nodes of a request: their names, their rows in a snapshot and their parts of an answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import repeat

import numpy as np
from msgspec import Raw

from moorage_extender import wire
from moorage_policies.state import Snapshot
from moorage_policies.types import IntArray

UNKNOWN = -1


class NodeList:
    """The nodes that a request names, in its order.

    Args:
        names: their names.
        raw: the list as it came, to be sent back whole.
        items: each whole node as it came; ``None`` when only names came.
    """

    __slots__ = ("_index", "_rows", "items", "names", "raw")

    def __init__(self, names: Sequence[str], raw: Raw, items: Sequence[Raw] | None = None) -> None:
        self.names = names
        self.raw = raw
        self.items = items
        self._index: Mapping[str, int] | None = None
        self._rows: IntArray = np.zeros(0, dtype=np.int64)

    def rows_in(self, snapshot: Snapshot) -> IntArray:
        """Return each node's row, ``UNKNOWN`` for one that is not in the snapshot."""
        index = snapshot.node_index
        if self._index is not index:
            found = map(index.get, self.names, repeat(UNKNOWN))
            self._rows = np.fromiter(found, dtype=np.int64, count=len(self.names))
            self._index = index
        return self._rows

    def encode_scores(self, scores: IntArray) -> bytes:
        """Return prioritize's answer, ``scores`` in the order of the names."""
        raw = bytes(self.raw) if self.items is None else b"[]"
        return wire.encode_scores(self.names, raw, scores)

    def encode_kept(self, refused: Mapping[str, str], kept: Sequence[str] | None = None) -> bytes:
        """Return filter's answer.

        Args:
            refused: why nodes are out, by name.
            kept: the nodes that pass; by default all that are not refused.
        """
        encode = wire.encode_filter_names if self.items is None else wire.encode_filter_nodes
        if kept is None and not refused:
            return encode(self.raw, {})
        if self.items is None:
            names = [name for name in self.names if name not in refused] if kept is None else kept
            return wire.encode_filter_names(names, refused)
        passing = set(kept) if kept is not None else set(self.names).difference(refused)
        pairs = zip(self.names, self.items, strict=True)
        return wire.encode_filter_nodes([item for name, item in pairs if name in passing], refused)


def decode_node_names(raw: Raw) -> NodeList:
    """Return the nodes of a request that names them."""
    return NodeList(wire.decode_names(raw), raw)


def decode_whole_nodes(raw: Raw) -> NodeList:
    """Return the nodes of a request that holds them whole."""
    names, items = wire.decode_nodes(raw)
    return NodeList(names, raw, items)
