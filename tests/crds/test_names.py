"""Paths are built of names that may come from outside: none leads anywhere else."""

from __future__ import annotations

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage_crds.names import NODES, PODS
from moorage_policies.errors import BadInputError

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@given(name=texts, namespace=texts)
def test_a_name_stays_one_part_of_the_path_or_is_refused(name: str, namespace: str) -> None:
    try:
        path = PODS.path(namespace, name, "binding")
    except BadInputError:
        return
    parts = path.split("/")
    assert parts[:4] == ["", "api", "v1", "namespaces"]
    assert [unquote(parts[4]), parts[5], unquote(parts[6]), parts[7:]] == [
        namespace,
        "pods",
        name,
        ["binding"],
    ]
    assert not set(path) & set("?#\r\n ")


@pytest.mark.parametrize("name", [".", "..", "a/b", "../../x", "a%2fb"])
def test_a_name_that_would_lead_elsewhere_is_refused_by_field(name: str) -> None:
    with pytest.raises(BadInputError) as in_name:
        PODS.path("serving", name)
    assert in_name.value.field == "metadata.name"
    with pytest.raises(BadInputError) as in_namespace:
        PODS.path(name, "p")
    assert in_namespace.value.field == "metadata.namespace"


def test_names_of_real_objects_are_written_as_they_are() -> None:
    assert NODES.path(name="system:node-1.zone_a") == "/api/v1/nodes/system:node-1.zone_a"
