from __future__ import annotations

from typing import Any

import pytest

from moorage_policies.hints import canonical_set, intents_from_json, parse_hint
from moorage_policies.hints.intent import MAX_INTENTS, MAX_NOT_UNDERSTOOD, MAX_TEXT_CHARS, Refusal

H100 = {"class": "Accelerator", "target": "h100"}
NO_SPOT = {"class": "NodeLabel", "sign": "Avoid", "target": "spot"}
NEAR_REDIS = {"class": "Network", "target": "redis"}


def quantity(resource: str, op: str, value: float | None = None, unit: str = "") -> dict[str, Any]:
    amount: dict[str, Any] = {"resource": resource, "op": op}
    if value is not None:
        amount |= {"value": value, "unit": unit}
    return {"class": "Quantity", "quantity": amount}


def low(intent: dict[str, Any]) -> dict[str, Any]:
    return intent | {"weight": "Low"}


def high(intent: dict[str, Any]) -> dict[str, Any]:
    return intent | {"weight": "High"}


def means(text: str, *intents: dict[str, Any]) -> None:
    found = parse_hint(text)
    assert canonical_set(found.intents) == canonical_set(intents_from_json(list(intents))), found


@pytest.mark.parametrize(
    ("text", "intents"),
    [
        pytest.param("ideally near redis and on H100", [low(NEAR_REDIS), low(H100)], id="a-list"),
        pytest.param(
            "ideally near redis, avoid spot", [low(NEAR_REDIS), NO_SPOT], id="own-verb-ends-it"
        ),
        pytest.param(
            "on H100, near redis if possible", [H100, low(NEAR_REDIS)], id="own-hedge-ends-it"
        ),
        pytest.param(
            "on H100, near redis, if possible",
            [low(H100), low(NEAR_REDIS)],
            id="a-hedge-alone-joins-what-stands-before",
        ),
        pytest.param(
            "If possible, near redis and on H100",
            [low(NEAR_REDIS), low(H100)],
            id="a-hedge-alone-at-the-start-joins-what-follows",
        ),
        pytest.param("must, if possible, be on an H100", [low(H100)], id="low-takes-back-high"),
        pytest.param("H100. H100 is a must.", [high(H100)], id="the-same-twice-keeps-the-higher"),
        pytest.param(
            "ideally: H100, near redis", [low(H100), low(NEAR_REDIS)], id="before-a-colon"
        ),
        pytest.param("as close as possible to redis", [NEAR_REDIS], id="as-possible-is-no-hedge"),
        pytest.param("never on spot", [high(NO_SPOT)], id="never-is-high-and-turns"),
        pytest.param("H100 is not critical", [low(H100)], id="not-critical-is-low"),
    ],
)
def test_hedges_reach_their_clause(text: str, intents: list[dict[str, Any]]) -> None:
    means(text, *intents)


@pytest.mark.parametrize(
    ("text", "intents"),
    [
        pytest.param(
            "avoid spot and zone b",
            [NO_SPOT, {"class": "NodeLabel", "sign": "Avoid", "target": "zone=b"}],
            id="over-a-list",
        ),
        pytest.param("don't avoid H100", [H100], id="two-negations-cancel"),
        pytest.param("spot nodes should be avoided", [NO_SPOT], id="in-the-passive"),
        pytest.param(
            "not together with redis", [{"class": "AntiAffinity", "target": "redis"}], id="sharing"
        ),
        pytest.param("not far from redis", [NEAR_REDIS], id="distance"),
        pytest.param(
            "avoid nodes with less than 16 GB free memory",
            [quantity("memory", ">=", 16, "GB")],
            id="a-bound",
        ),
        pytest.param("avoid busy nodes", [quantity("any", "max")], id="load"),
        pytest.param("avoid flaky nodes", [{"class": "Stability"}], id="a-bad-quality"),
        pytest.param(
            "don't spread", [{"class": "CoLocation", "target": "self"}], id="spreading-is-gathering"
        ),
        pytest.param("H100 nodes, no spot", [H100, NO_SPOT], id="not-backwards"),
        pytest.param("zone doesn't matter, but H100", [H100], id="indifference"),
        pytest.param("no need to spread", [], id="no-need"),
    ],
)
def test_negations_turn_what_they_cover(text: str, intents: list[dict[str, Any]]) -> None:
    means(text, *intents)


@pytest.mark.parametrize(
    ("text", "intents"),
    [
        pytest.param("prefer H100 over A100", [H100], id="over"),
        pytest.param("H100 rather than A100", [H100], id="rather-than"),
        pytest.param(
            "H100, otherwise A100",
            [H100, low({"class": "Accelerator", "target": "a100"})],
            id="fallback",
        ),
        pytest.param("avoid spot because it is cheap", [NO_SPOT], id="reason"),
        pytest.param("avoid spot to save money", [NO_SPOT], id="purpose"),
        pytest.param("H100 unless the cluster is busy", [H100], id="condition"),
        pytest.param("This is a batch job. H100.", [H100], id="description-of-the-workload"),
        pytest.param(
            "prefer H100 but avoid H100", [H100, H100 | {"sign": "Avoid"}], id="conflicts-are-kept"
        ),
    ],
)
def test_only_wishes_are_read(text: str, intents: list[dict[str, Any]]) -> None:
    means(text, *intents)


@pytest.mark.parametrize(
    ("text", "intents"),
    [
        pytest.param("24GB of memory", [quantity("memory", ">=", 24, "GB")], id="decimal"),
        pytest.param("24 GiB of memory", [quantity("memory", ">=", 24, "GiB")], id="binary"),
        pytest.param("24 GB VRAM", [quantity("gpu-memory", ">=", 24, "GB")], id="of-the-gpu"),
        pytest.param(
            "a GPU with 24 GB", [quantity("gpu-memory", ">=", 24, "GB")], id="gpu-of-size"
        ),
        pytest.param(
            "between 16 and 32 free cores",
            [quantity("cpu", ">=", 16, "cores"), quantity("cpu", "<=", 32, "cores")],
            id="a-free-range",
        ),
        pytest.param("more than one GPU", [quantity("gpu", ">=", 1, "gpus")], id="more-than-one"),
        pytest.param("8xH100", [H100], id="times"),
        pytest.param("8xGPU nodes", [quantity("gpu", ">=", 8, "gpus")], id="times-gpus"),
        pytest.param(
            "at most two replicas per zone",
            [{"class": "Spread", "topologyKey": "zone"}],
            id="replicas-of-a-domain",
        ),
        pytest.param(
            "same rack or switch as redis",
            [
                {"class": "CoLocation", "target": "redis", "topologyKey": key}
                for key in ("rack", "switch")
            ],
            id="two-domains",
        ),
        pytest.param(
            "in redis' zone",
            [{"class": "CoLocation", "target": "redis", "topologyKey": "zone"}],
            id="owner-of-a-zone",
        ),
        pytest.param(
            "give me the whole machine", [{"class": "AntiAffinity", "target": "any"}], id="alone"
        ),
        pytest.param(
            "between 4 and 8 GPUs",
            [quantity("gpu", ">=", 4, "gpus"), quantity("gpu", "<=", 8, "gpus")],
            id="a-range",
        ),
        pytest.param("half of the CPU free", [quantity("cpu", ">=", 50, "percent")], id="a-share"),
        pytest.param(
            "CPU usage below 60%", [quantity("cpu", ">=", 40, "percent")], id="used-is-not-free"
        ),
        pytest.param("24 GHz of memory", [], id="a-unit-that-measures-nothing"),
        pytest.param("3 GB of CPU", [], id="a-unit-of-something-else"),
    ],
)
def test_amounts(text: str, intents: list[dict[str, Any]]) -> None:
    means(text, *intents)


def test_what_makes_no_sense_is_reported() -> None:
    found = parse_hint("near redis, 3 GB of CPU and a frobnicator")
    assert [intent.target for intent in found.intents] == ["redis"]
    assert found.not_understood == ("3 gb of cpu", "frobnicator")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("perfer H100", id="swapped"),
        pytest.param("prefr H100", id="missing"),
        pytest.param("preffer H100", id="doubled"),
        pytest.param("prefer  H100 ,, pls", id="punctuation"),
        pytest.param("PREFER h100!!!", id="case"),
    ],
)
def test_slips_are_forgiven(text: str) -> None:
    means(text, H100)


@pytest.mark.parametrize("name", ["mongo", "sport", "cheddar", "spork", "raid", "gpu-7"])
def test_names_are_no_slips(name: str) -> None:
    means(f"next to the {name} pods", {"class": "CoLocation", "target": name})


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        pytest.param("x" * (MAX_TEXT_CHARS + 1), Refusal.TOO_LONG, id="too-long"),
        pytest.param("prefer H100 " * 100_000, Refusal.TOO_LONG, id="a-megabyte"),
        pytest.param(b"prefer H100 " * 100_000, Refusal.TOO_LONG, id="a-megabyte-of-bytes"),
        pytest.param(b"prefer \xff\xfe H100", Refusal.NOT_TEXT, id="invalid-utf-8"),
        pytest.param("prefer \ud800 H100", Refusal.NOT_TEXT, id="half-a-character"),
        pytest.param("bitte nicht auf Spot-Knoten", Refusal.NOT_ENGLISH, id="german"),
        pytest.param("évitez les nœuds spot", Refusal.NOT_ENGLISH, id="french"),
        pytest.param("cerca de redis, por favor", Refusal.NOT_ENGLISH, id="spanish"),
        pytest.param("рядом redis", Refusal.NOT_ENGLISH, id="russian"),
        pytest.param("H100 节点优先", Refusal.NOT_ENGLISH, id="chinese"),
    ],
)
def test_refused_as_a_whole(text: str | bytes, refusal: Refusal) -> None:
    found = parse_hint(text)
    assert found.refusal is refusal
    assert found.intents == ()


@pytest.mark.parametrize("text", ["", " \n\t", "...", "123", "🙂", "H100"])
def test_little_text_is_no_refusal(text: str) -> None:
    assert parse_hint(text).refusal is None


def test_bounds_hold() -> None:
    many = parse_hint(", ".join(f"next to pod{i}" for i in range(100)))
    assert len(many.intents) == MAX_INTENTS
    assert 0 < len(many.not_understood) <= MAX_NOT_UNDERSTOOD
