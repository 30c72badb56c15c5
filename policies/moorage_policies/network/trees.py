"""Boosted or bagged trees as plain arrays: checked, and evaluated all at once.

All trees are walked together without walking: each comes as bit masks of the leaves that remain
reachable. For a feature value every tree keeps the leaves that none of its failed comparisons on
that feature cuts off; the intersection over features leaves the reached leaf as the lowest set bit
(QuickScorer, Lucchese et al., SIGIR 2015). That is one table look-up per feature and row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moorage_policies.errors import BadInputError
from moorage_policies.types import FloatArray, IntArray

MAX_TREES = 500
MAX_LEAVES = 64
LEAF = -1
"""Feature number of a leaf."""

Masks = NDArray[np.unsignedinteger]
WIDTHS = ((8, np.uint8), (16, np.uint16), (32, np.uint32), (64, np.uint64))
"""Masks are as narrow as the largest tree allows: less memory to move."""


@dataclass(frozen=True, slots=True, eq=False)
class Tree:
    """One regression tree; node 0 is the root and children come after their parents.

    Args:
        feature: feature compared at each node, ``LEAF`` at leaves.
        threshold: a value up to it goes left.
        left: left child, 0 at leaves.
        right: right child, 0 at leaves.
        value: what a leaf adds.
    """

    feature: IntArray
    threshold: FloatArray
    left: IntArray
    right: IntArray
    value: FloatArray


def check_tree(fields: Mapping[str, Sequence[float]], where: str, features: int) -> Tree:
    """Return the tree of plain lists.

    Raises:
        BadInputError: lists of different lengths, numbers that are none, a child before its parent
            (a cycle), two parents or none, an unknown feature, or too many leaves.
    """
    tree = Tree(
        _integers(fields, "feature", where),
        _numbers(fields, "threshold", where),
        _integers(fields, "left", where),
        _integers(fields, "right", where),
        _numbers(fields, "value", where),
    )
    size = len(tree.feature)
    for name in ("threshold", "left", "right", "value"):
        if len(getattr(tree, name)) != size:
            raise BadInputError(f"{name} has another length than feature; {REMEDY}", field=where)
    if not 1 <= size <= 2 * MAX_LEAVES - 1:
        message = (
            f"{size} nodes; a tree has 1 to {2 * MAX_LEAVES - 1} (at most {MAX_LEAVES} leaves)"
        )
        raise BadInputError(message, field=where)
    _check_links(tree, where)
    if ((tree.feature < LEAF) | (tree.feature >= features)).any():
        raise BadInputError(f"a feature outside 0 to {features - 1}; {REMEDY}", field=where)
    return tree


REMEDY = "train the model again with `moorage train network`"


def _check_links(tree: Tree, where: str) -> None:
    size, inner = len(tree.feature), tree.feature != LEAF
    children = np.concatenate((tree.left[inner], tree.right[inner]))
    parents = np.concatenate((np.flatnonzero(inner), np.flatnonzero(inner)))
    if ((children <= parents) | (children >= size)).any():
        raise BadInputError(f"a child does not come after its parent; {REMEDY}", field=where)
    if not np.array_equal(np.sort(children), np.arange(1, size)):
        raise BadInputError(f"a node has no parent, or two; {REMEDY}", field=where)


def _numbers(fields: Mapping[str, Sequence[float]], name: str, where: str) -> FloatArray:
    values = fields.get(name)
    if not isinstance(values, list) or len(values) > 2 * MAX_LEAVES:
        raise BadInputError(f"{name} must be a short list of numbers; {REMEDY}", field=where)
    if not all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
        raise BadInputError(f"{name} holds something else than numbers; {REMEDY}", field=where)
    array = np.array(values, dtype=np.float64)
    if not np.isfinite(array).all():
        raise BadInputError(f"{name} holds an infinite number; {REMEDY}", field=where)
    return array


def _integers(fields: Mapping[str, Sequence[float]], name: str, where: str) -> IntArray:
    array = _numbers(fields, name, where)
    if (np.abs(array) > 2**31).any() or (array != np.rint(array)).any():
        raise BadInputError(f"{name} holds something else than indices; {REMEDY}", field=where)
    return array.astype(np.int64)


class Forest:
    """The sum of trees, evaluated for many rows at once.

    Args:
        trees: checked trees.
        features: how many columns rows have.
    """

    __slots__ = ("_cuts", "_leaves", "_trees", "_width")

    def __init__(self, trees: Sequence[Tree], features: int) -> None:
        self._trees = len(trees)
        most = max(((len(tree.feature) + 1) // 2 for tree in trees), default=1)
        self._width = next(dtype for leaves, dtype in WIDTHS if most <= leaves)
        self._leaves = np.zeros((len(trees), MAX_LEAVES))
        steps: list[list[tuple[float, int, int]]] = [[] for _ in range(features)]
        for number, tree in enumerate(trees):
            first, last, order = _leaf_spans(tree)
            self._leaves[number, : len(order)] = tree.value[order]
            for node in np.flatnonzero(tree.feature != LEAF).tolist():
                gone = _span(first[tree.left[node]], last[tree.left[node]])
                steps[tree.feature[node]].append((float(tree.threshold[node]), number, gone))
        self._cuts = tuple(_tables(found, len(trees), self._width) for found in steps)

    def predict(self, rows: FloatArray) -> FloatArray:
        """Return the sum of the trees per row, shape ``(rows,)``.

        Args:
            rows: feature values without NaN, shape ``(rows, features)``.
        """
        if not self._trees:
            return np.zeros(len(rows))
        left = np.full((len(rows), self._trees), np.iinfo(self._width).max, dtype=self._width)
        for column, cut in enumerate(self._cuts):
            if cut is not None:
                thresholds, tables = cut
                values = rows[:, column]
                if len(values) and (values == values[0]).all():  # a trait of the job alone
                    left &= tables[np.searchsorted(thresholds, values[0])]
                else:
                    left &= tables[np.searchsorted(thresholds, values)]
        lowest = left & (~left + self._width(1))
        leaf = np.frexp(lowest.astype(np.float64))[1] - 1  # a power of two is exact
        total: FloatArray = self._leaves[np.arange(self._trees), leaf].sum(axis=1)
        return total


def _tables(
    steps: list[tuple[float, int, int]], trees: int, width: type[np.unsignedinteger]
) -> tuple[FloatArray, Masks] | None:
    """Return thresholds in order, and the leaves left in each tree after so many of them."""
    if not steps:
        return None
    steps.sort()
    tables = np.full((len(steps) + 1, trees), np.iinfo(width).max, dtype=width)
    for passed, (_, tree, gone) in enumerate(steps, start=1):
        tables[passed] = tables[passed - 1]
        tables[passed, tree] &= ~width(gone)
    return np.array([threshold for threshold, _, _ in steps]), tables


def _leaf_spans(tree: Tree) -> tuple[IntArray, IntArray, list[int]]:
    """Return the first and last leaf below each node, and the leaves from left to right."""
    order: list[int] = []
    size = len(tree.feature)
    first, last = np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.int64)
    waiting = [0]
    while waiting:
        node = waiting.pop()
        if tree.feature[node] == LEAF:
            first[node] = last[node] = len(order)
            order.append(node)
        else:
            waiting += (int(tree.right[node]), int(tree.left[node]))
    for node in reversed(range(size)):  # children come after parents
        if tree.feature[node] != LEAF:
            first[node], last[node] = first[tree.left[node]], last[tree.right[node]]
    return first, last, order


def _span(first: int, last: int) -> int:
    return ((1 << (int(last) - int(first) + 1)) - 1) << int(first)
