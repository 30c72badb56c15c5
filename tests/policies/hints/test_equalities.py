from __future__ import annotations

from typing import Any

import pytest

from moorage_policies.errors import BadInputError
from moorage_policies.hints import canonical_set, intent_to_json, intents_from_json


def labelled(**fields: Any) -> dict[str, Any]:
    return {"class": "NodeLabel", **fields}


def amount(sign: str = "Prefer", **fields: Any) -> dict[str, Any]:
    return {"class": "Quantity", "sign": sign, "quantity": {"resource": "memory", **fields}}


EQUAL = [
    pytest.param(labelled(target="Batch Nodes"), labelled(target="batch"), id="head-noun"),
    pytest.param(labelled(target="model_caches"), labelled(target="model-cache"), id="separators"),
    pytest.param(labelled(target="zone=zone-b"), labelled(target="zone=B"), id="zone-of-zone"),
    pytest.param(
        labelled(target="topology.kubernetes.io/zone=a"), labelled(target="zone=a"), id="long-key"
    ),
    pytest.param(
        amount(op=">=", value=1, unit="TB"), amount(op=">=", value=1000, unit="GB"), id="base-units"
    ),
    pytest.param(
        amount("Avoid", op="<=", value=16, unit="GB"),
        amount(op=">=", value=16, unit="GB"),
        id="avoid-turns-the-operator",
    ),
    pytest.param(
        amount(op="<=", value=60, unit="percent", measure="Used"),
        amount(op=">=", value=40, unit="percent"),
        id="used-percent",
    ),
    pytest.param(amount(op="min", measure="Used"), amount(op="max"), id="used-least"),
    pytest.param(
        {"class": "Spread", "target": "self", "sign": "Avoid"},
        {"class": "Spread"},
        id="fields-that-do-not-apply",
    ),
]
DIFFERENT = [
    pytest.param(labelled(target="spot"), labelled(target="spot", sign="Avoid"), id="sign"),
    pytest.param(labelled(target="spot"), labelled(target="spot", weight="Low"), id="weight"),
    pytest.param(labelled(target="zone=a"), labelled(target="rack=a"), id="key"),
    pytest.param(
        amount(op=">=", value=1, unit="GB"), amount(op=">=", value=1, unit="GiB"), id="gb-and-gib"
    ),
    pytest.param(
        amount(op="<=", value=6, unit="GB", measure="Used"),
        amount(op="<=", value=6, unit="GB"),
        id="used-bytes-are-not-free-bytes",
    ),
    pytest.param(
        {"class": "Spread"}, {"class": "Spread", "topologyKey": "zone"}, id="topology-key"
    ),
]


@pytest.mark.parametrize(("one", "other"), EQUAL)
def test_equal(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert canonical_set(intents_from_json([one])) == canonical_set(intents_from_json([other]))


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_different(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert canonical_set(intents_from_json([one])) != canonical_set(intents_from_json([other]))


def test_the_same_wish_twice_keeps_the_higher_weight() -> None:
    twice = [labelled(target="spot", weight="Low"), labelled(target="spots", weight="High")]
    assert canonical_set(intents_from_json(twice)) == canonical_set(
        intents_from_json([labelled(target="spot", weight="High")])
    )


@pytest.mark.parametrize(
    ("value", "field"),
    [
        pytest.param([{"class": "Hard"}], "intents[0].class", id="unknown-class"),
        pytest.param([labelled(priority=9)], "intents[0]", id="unknown-field"),
        pytest.param([labelled(target="")], "intents[0].target", id="empty-target"),
        pytest.param([labelled(target="x" * 200)], "intents[0].target", id="long-target"),
        pytest.param([labelled(weight="99")], "intents[0].weight", id="weight-of-ones-own"),
        pytest.param(
            [amount(op=">=", value=float("nan"), unit="GB")],
            "intents[0].quantity.value",
            id="not-a-number",
        ),
        pytest.param(
            [amount(op=">=", value=10**400, unit="GB")], "intents[0].quantity.value", id="too-large"
        ),
        pytest.param([amount(op=">=", value=1, unit="s")], "intents[0].quantity.unit", id="unit"),
        pytest.param([{"class": "Cost"}] * 17, "intents", id="too-many"),
        pytest.param("Cost", "intents", id="not-a-list"),
        pytest.param([7], "intents[0]", id="not-an-object"),
    ],
)
def test_what_is_outside_the_schema_is_refused(value: object, field: str) -> None:
    with pytest.raises(BadInputError) as caught:
        intents_from_json(value)
    assert caught.value.field == field


def test_defaults_are_left_out() -> None:
    full = labelled(target="spot", sign="Prefer", weight="Medium", topologyKey="hostname")
    (intent,) = intents_from_json([full])
    assert intent_to_json(intent) == {"class": "NodeLabel", "target": "spot"}
