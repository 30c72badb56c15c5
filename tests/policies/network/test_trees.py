from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moorage_policies.errors import BadInputError
from moorage_policies.network.trees import LEAF, MAX_LEAVES, Forest, Tree, check_tree

FEATURES = 3
Fields = dict[str, list[float]]


@st.composite
def tree_fields(draw: st.DrawFn) -> Fields:
    """A random tree, grown by splitting one leaf after the other; children come after parents."""
    fields: Fields = {"feature": [LEAF], "threshold": [0], "left": [0], "right": [0], "value": [0]}
    numbers = st.integers(-3, 3).map(float)
    fields["value"][0] = draw(numbers)
    for _ in range(draw(st.integers(0, MAX_LEAVES - 1))):
        leaves = [k for k, feature in enumerate(fields["feature"]) if feature == LEAF]
        leaf, size = draw(st.sampled_from(leaves)), len(fields["feature"])
        fields["feature"][leaf] = draw(st.integers(0, FEATURES - 1))
        fields["threshold"][leaf] = draw(numbers)
        fields["left"][leaf], fields["right"][leaf] = size, size + 1
        fields["value"][leaf] = 0.0
        for _child in range(2):
            for name, value in (("feature", LEAF), ("threshold", 0), ("left", 0), ("right", 0)):
                fields[name].append(value)
            fields["value"].append(draw(numbers))
    return fields


def walk(tree: Tree, row: list[float]) -> float:
    """The oracle: one tree, one row, step by step."""
    node = 0
    while tree.feature[node] != LEAF:
        goes_left = row[tree.feature[node]] <= tree.threshold[node]
        node = int(tree.left[node] if goes_left else tree.right[node])
    return float(tree.value[node])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(tree_fields(), max_size=4),
    st.lists(st.lists(st.integers(-4, 4).map(float), min_size=3, max_size=3), max_size=6),
)
def test_a_forest_adds_up_what_walks_through_its_trees_reach(
    grown: list[Fields], rows: list[list[float]]
) -> None:
    trees = [check_tree(fields, "tree", FEATURES) for fields in grown]
    table = np.array(rows, dtype=np.float64).reshape(len(rows), FEATURES)
    expected = [sum(walk(tree, row) for tree in trees) for row in rows]
    np.testing.assert_allclose(Forest(trees, FEATURES).predict(table), expected, atol=1e-12)


def stump(**changes: Any) -> Fields:
    fields: Fields = {
        "feature": [0, LEAF, LEAF],
        "threshold": [0.5, 0, 0],
        "left": [1, 0, 0],
        "right": [2, 0, 0],
        "value": [0, 1, 2],
    }
    return {**fields, **changes}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        pytest.param(stump(left=[0, 0, 0]), "after its parent", id="a-node-is-its-own-child"),
        pytest.param(
            stump(feature=[0, 1, LEAF], left=[1, 0, 0], right=[2, 2, 0]),
            "after its parent",
            id="a-child-leads-back-to-the-root",
        ),
        pytest.param(stump(right=[1, 0, 0]), "no parent, or two", id="both-children-are-one"),
        pytest.param(stump(right=[3, 0, 0]), "after its parent", id="a-child-beyond-the-end"),
        pytest.param(stump(feature=[3, LEAF, LEAF]), "outside 0 to 2", id="an-unknown-feature"),
        pytest.param(stump(feature=[-2, LEAF, LEAF]), "outside", id="a-feature-below-a-leaf"),
        pytest.param(stump(value=[0, 1]), "another length", id="lists-of-other-lengths"),
        pytest.param(stump(value=[0, 1, float("nan")]), "infinite", id="no-number"),
        pytest.param(stump(value=[0, 1, "2"]), "else than numbers", id="text"),
        pytest.param(stump(value=[0, 1, True]), "else than numbers", id="a-truth-value"),
        pytest.param(stump(left=[1.5, 0, 0]), "else than indices", id="half-an-index"),
        pytest.param(stump(left="no"), "short list", id="no-list"),
        pytest.param(stump(value=[0] * 10_000), "short list", id="a-list-without-end"),
        pytest.param({}, "short list", id="nothing"),
    ],
)
def test_trees_that_cannot_be_walked_are_refused(fields: Fields, message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        check_tree(fields, "trees[0]", FEATURES)
