"""Reading managedFields; the trees are as a real API server wrote them."""

from __future__ import annotations

from typing import Any

import pytest

from moorage_cluster.apply import needs_apply, sign, without_nulls
from moorage_cluster.ownership import is_empty, owned_fields, owns, owns_just
from moorage_crds.names import MANIFEST_DIGEST_ANNOTATION

PORTS_TREE = {
    "f:ports": {
        'k:{"containerPort":80,"protocol":"TCP"}': {".": {}, "f:containerPort": {}},
        'k:{"containerPort":80,"protocol":"UDP"}': {
            ".": {},
            "f:containerPort": {},
            "f:protocol": {},
        },
    }
}
CONDITIONS_TREE = {"f:conditions": {'k:{"type":"Ready"}': {".": {}, "f:status": {}, "f:type": {}}}}


@pytest.mark.parametrize(
    ("fields", "wanted", "owned"),
    [
        pytest.param({"f:a": {}}, {"a": 1}, True, id="scalar"),
        pytest.param({"f:a": {}}, {"a": 1, "b": 2}, False, id="scalar-lost"),
        pytest.param({"f:m": {"f:x": {}}}, {"m": {"x": 1}}, True, id="map"),
        pytest.param({"f:m": {"f:x": {}}}, {"m": {"x": 1, "y": 2}}, False, id="map-key-lost"),
        pytest.param({"f:m": {".": {}}}, {"m": {"x": 1}}, False, id="map-emptied"),
        pytest.param({"f:m": {}}, {"m": {"x": {"y": 1}}}, True, id="atomic-map"),
        pytest.param({"f:l": {}}, {"l": ["a", {"b": 1}]}, True, id="atomic-list"),
        pytest.param({"f:e": {}}, {"e": {}}, True, id="empty-map-owned"),
        pytest.param({}, {"e": {}, "l": []}, True, id="empty-needs-no-owner"),
        pytest.param({"f:s": {'v:"x"': {}}}, {"s": ["x"]}, True, id="set"),
        pytest.param({"f:s": {'v:"x"': {}}}, {"s": ["x", "y"]}, False, id="set-member-lost"),
        pytest.param(
            PORTS_TREE,
            {"ports": [{"containerPort": 80}, {"containerPort": 80, "protocol": "UDP"}]},
            True,
            id="a-key-field-left-to-its-default",
        ),
        pytest.param(PORTS_TREE, {"ports": [{"containerPort": 81}]}, False, id="item-lost"),
        pytest.param(
            PORTS_TREE, {"ports": [{"containerPort": 80, "name": "a"}]}, False, id="item-field-lost"
        ),
    ],
)
def test_ownership_of_every_leaf(fields: dict[str, Any], wanted: object, owned: bool) -> None:
    assert owns(fields, wanted) is owned


@pytest.mark.parametrize(
    ("wanted", "live", "same"),
    [
        pytest.param([("Ready", "True")], [("Ready", "True")], True, id="same"),
        pytest.param([("Ready", "True")], [("Ready", "False")], False, id="value-differs"),
        pytest.param([("Ready", "True")], [], False, id="gone"),
        pytest.param(
            [("Ready", "True")], [("Foreign", "x"), ("Ready", "True")], True, id="foreign-beside"
        ),
        pytest.param([], [("Ready", "True")], False, id="no-longer-wanted"),
        pytest.param(
            [("Ready", "True"), ("New", "x")], [("Ready", "True")], False, id="newly-wanted"
        ),
    ],
)
def test_conditions(wanted: list[tuple[str, str]], live: list[tuple[str, str]], same: bool) -> None:
    def conditions(pairs: list[tuple[str, str]]) -> dict[str, Any]:
        return {"conditions": [{"type": kind, "status": status} for kind, status in pairs]}

    assert owns_just(CONDITIONS_TREE, conditions(wanted), conditions(live)) is same


@pytest.mark.parametrize(
    "live",
    [
        pytest.param({"m": {"x": 1}}, id="value"),
        pytest.param({"m": {"x": None}}, id="null"),
        pytest.param({"m": None}, id="null-map"),
        pytest.param({"m": [1]}, id="another-type"),
        pytest.param({}, id="nothing"),
        pytest.param(None, id="no-object"),
    ],
)
def test_a_live_value_of_any_shape_is_compared(live: object) -> None:
    assert not owns_just({"f:m": {"f:x": {}}}, {"m": {"x": 2}}, live)


def test_only_our_own_apply_entry_counts() -> None:
    entries = [
        {"manager": "us", "operation": "Update", "fieldsV1": {"f:a": {}}},
        {"manager": "us", "operation": "Apply", "subresource": "status", "fieldsV1": {"f:b": {}}},
        {"manager": "them", "operation": "Apply", "fieldsV1": {"f:c": {}}},
        {"manager": "us", "operation": "Apply", "fieldsV1": {"f:d": {}}},
    ]
    live = {"metadata": {"managedFields": entries}}
    assert owned_fields(live, "us") == {"f:d": {}}
    assert owned_fields(live, "us", "status") == {"f:b": {}}
    assert owned_fields(live, "nobody") is None
    assert owned_fields({"metadata": {}}, "us") is None
    emptied = {"manager": "us", "operation": "Apply", "fieldsV1": {}}
    assert owned_fields({"metadata": {"managedFields": [emptied]}}, "us") is None


def test_a_missing_object_and_a_foreign_one_need_an_apply() -> None:
    manifest = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "a"},
        "data": {"k": "v"},
    }
    assert needs_apply(None, manifest, "us")
    assert needs_apply({"metadata": {"name": "a"}, "data": {}}, manifest, "us")


def test_a_signature_follows_the_content_and_not_the_order() -> None:
    def digest(manifest: dict[str, Any]) -> str:
        text: str = sign(manifest)["metadata"]["annotations"][MANIFEST_DIGEST_ANNOTATION]
        return text

    base = {"metadata": {"name": "a", "annotations": {"x": "y"}}, "spec": {"p": 1, "q": [1, 2]}}
    assert digest(base) == digest({"spec": {"q": [1, 2], "p": 1}, "metadata": base["metadata"]})
    assert digest(base) == digest({**base, "spec": {"p": 1, "q": (1, 2), "r": None}})
    assert digest(base) != digest({**base, "spec": {"p": 1, "q": [2, 1]}})
    assert sign(base)["metadata"]["annotations"]["x"] == "y"
    assert "annotations" in base["metadata"]
    assert MANIFEST_DIGEST_ANNOTATION not in base["metadata"]["annotations"]  # the input is kept


@pytest.mark.parametrize(
    ("value", "empty"),
    [({}, True), ([], True), ({"a": {"b": []}}, True), ([{}], False), (0, False), ("", False)],
)
def test_emptiness(value: object, empty: bool) -> None:
    assert is_empty(value) is empty


def test_nulls_are_left_out_of_maps_and_kept_in_lists() -> None:
    assert without_nulls({"a": None, "b": [None, {"c": None}]}) == {"b": [None, {}]}
