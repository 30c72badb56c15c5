"""The nodes of a request: their names, their rows in a snapshot and their parts of an answer."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from itertools import repeat

import numpy as np
from msgspec import Raw

from moorage_extender import wire
from moorage_policies.errors import BadInputError
from moorage_policies.state import Snapshot
from moorage_policies.types import IntArray

REMEMBERED = 8
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
        return wire.encode_scores(self.names, scores)

    def encode_kept(self, refused: Mapping[str, str], kept: Sequence[str] | None = None) -> bytes:
        """Return filter's answer.

        Args:
            refused: why nodes are out, by name.
            kept: the nodes that pass; by default all that are not refused.
        """
        encode = wire.encode_filter_names if self.items is None else wire.encode_filter_nodes
        if kept is None and not refused:
            return encode(self.raw, {})
        passing = set(kept) if kept is not None else set(self.names).difference(refused)
        if self.items is None:
            names = [name for name in self.names if name in passing]
            return wire.encode_filter_names(names, refused)
        pairs = zip(self.names, self.items, strict=True)
        return wire.encode_filter_nodes([item for name, item in pairs if name in passing], refused)


class NodeLists:
    """Decodes lists of nodes and remembers the last ones by their bytes.

    The scheduler sends the names that filter answered to prioritize unchanged, so the second call
    of a pod pays neither for decoding nor for looking up rows.
    """

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, NodeList] = OrderedDict()

    def decode(self, args: wire.ExtenderArgs) -> NodeList:
        """Return the nodes of a filter or prioritize request.

        Raises:
            BadInputError: there is neither a list of names nor one of nodes, or it cannot be read.
        """
        if wire.is_null(args.node_names):
            return _decode_nodes(args)
        assert isinstance(args.node_names, Raw)
        key = bytes(args.node_names)
        known = self._known.get(key)
        if known is None:
            raw = Raw(key)  # a copy: the original would keep the whole request in memory
            known = self._known[key] = NodeList(wire.decode_names(raw), raw)
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(key)
        return known


def _decode_nodes(args: wire.ExtenderArgs) -> NodeList:
    if wire.is_null(args.nodes):
        raise BadInputError("is null, as is Nodes; send one of them", field="NodeNames")
    assert isinstance(args.nodes, Raw)
    names, items = wire.decode_nodes(args.nodes)
    return NodeList(names, args.nodes, items)
