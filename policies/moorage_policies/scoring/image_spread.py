"""Which nodes hold an image: looked up once per image and node, not once per call."""

from __future__ import annotations

from itertools import compress
from operator import is_not

import numpy as np

from moorage_policies.state import NodeTable
from moorage_policies.types import FloatArray, IntArray, Node

MAX_IMAGES = 256


class ImageIndex:
    """Bytes of images by node; only nodes that changed are looked at again."""

    __slots__ = ("_columns", "_named")

    def __init__(self) -> None:
        self._columns: dict[str, tuple[tuple[Node, ...], FloatArray]] = {}
        self._named: tuple[NodeTable | None, bool] = (None, False)

    def scaled_bytes(self, image: str, table: NodeTable, rows: IntArray) -> FloatArray | None:
        """Return the image's bytes on each row times the share of nodes that hold it.

        Shape ``(rows,)``; ``None`` when no node holds it.
        """
        name = with_tag(image)
        nodes, sizes = self._columns.pop(name, ((), np.zeros(0)))
        if nodes is not table.nodes:
            sizes = _refreshed(name, nodes, sizes, table.nodes)
        self._columns[name] = (table.nodes, sizes)  # last used, last out
        if len(self._columns) > MAX_IMAGES:
            del self._columns[next(iter(self._columns))]
        holders = int(np.count_nonzero(sizes))
        return sizes[rows] * (holders / len(sizes)) if holders else None


def with_tag(image: str) -> str:
    """Return the image name as nodes report it: ``:latest`` when it has neither tag nor digest."""
    return image if image.rfind(":") > image.rfind("/") else f"{image}:latest"


def _refreshed(
    name: str, old: tuple[Node, ...], sizes: FloatArray, new: tuple[Node, ...]
) -> FloatArray:
    fresh = np.zeros(len(new))
    common = min(len(old), len(new))
    fresh[:common] = sizes[:common]
    for row in compress(range(common), map(is_not, old, new)):
        fresh[row] = new[row].images.get(name, 0)
    fresh[common:] = [node.images.get(name, 0) for node in new[common:]]
    return fresh
