from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moorage_policies.hints import (
    NO_SIGNALS,
    POWER_LABEL,
    PRICE_LABEL,
    Signals,
    parse_hint,
    score_hint,
)
from moorage_policies.state import Snapshot
from moorage_policies.testing import GIB, make_node, make_pod, make_snapshot
from moorage_policies.types import FloatArray, IntArray, Pod

ZONE = "topology.kubernetes.io/zone"
PRODUCT = "nvidia.com/gpu.product"
MINE = make_pod("web-new", labels={"app": "web", "pod-template-hash": "1"})


def cluster() -> Snapshot:
    """Return a0 and a1 in zone a, b0 and b1 in zone b; redis on a0, web on a0 and b0."""
    nodes = [
        make_node("a0", labels={ZONE: "eu-1a", PRODUCT: "NVIDIA-H100-80GB-HBM3", "tier": "gold"}),
        make_node("a1", labels={ZONE: "eu-1a", PRODUCT: "Tesla-T4", "kubernetes.io/arch": "arm64"}),
        make_node("b0", labels={ZONE: "eu-1b", PRODUCT: "NVIDIA-A100-SXM4-80GB"}, gpus=4),
        make_node("b1", labels={ZONE: "eu-1b", PRODUCT: "NVIDIA-GH200-480GB"}, memory=64 * GIB),
    ]
    pods = [
        make_pod("redis-0", node="a0", labels={"app": "redis"}, gpus=0),
        make_pod("web-0", node="a0", labels={"app": "web", "pod-template-hash": "0"}),
        make_pod("web-1", node="b0", labels={"app": "web", "pod-template-hash": "0"}, gpus=4),
        make_pod("etl-0", node="a1", labels={"app": "etl"}, namespace="batch", cpu_m=60_000),
    ]
    return make_snapshot(nodes, pods)


def scored(text: str, signals: Signals | None = None, pod: Pod = MINE) -> FloatArray | None:
    hint = parse_hint(text)
    assert hint.intents, text
    return score_hint(
        hint.intents, pod, cluster(), signals=Signals() if signals is None else signals
    ).value.score


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # rows: a0 H100 zone a, a1 T4 arm zone a, b0 A100 zone b, b1 GH200 zone b
        pytest.param("H100", [1, 0, 0, 0], id="gh200-is-no-h100"),
        pytest.param("no T4", [1, 0, 1, 1], id="avoided-model"),
        pytest.param("Hopper", [1, 0, 0, 1], id="family"),
        pytest.param("A100 SXM 80GB", [0, 0, 1, 0], id="variant"),
        pytest.param("gold nodes", [1, 0, 0, 0], id="kind-by-value"),
        pytest.param("arm64", [0, 1, 0, 0], id="architecture"),
        pytest.param("zone eu-1b", [0, 0, 1, 1], id="zone-by-name"),
        pytest.param("avoid zone b", [1, 1, 0, 0], id="zone-by-letter"),
        pytest.param("together with redis", [1, 0, 0, 0], id="same-node"),
        pytest.param("same zone as redis", [1, 1, 0, 0], id="same-zone"),
        # 1 / (1 + pods there)
        pytest.param("away from redis", [0.5, 1, 1, 1], id="away"),
        pytest.param("away from etl", [1, 0.5, 1, 1], id="of-another-namespace-if-none-here"),
        pytest.param("one replica per node", [0.5, 1, 0.5, 1], id="spread-over-nodes"),
        pytest.param("not in the same zone as redis", [0.5, 0.5, 1, 1], id="away-by-zone"),
        # same node 1, same zone 0.6, else 0
        pytest.param("close to redis", [1, 0.6, 0, 0], id="near-without-measurements"),
        # 7 of 8, 7 of 8, 0 of 4, 8 of 8 GPUs free: below 8 it is half of the share reached
        pytest.param("at least 8 free GPUs", [7 / 16, 7 / 16, 0, 1], id="a-bound"),
        pytest.param("most free GPUs", [7 / 8, 7 / 8, 0, 1], id="superlative"),
        pytest.param("fewest free GPUs", [1 / 8, 1 / 8, 1, 0], id="least"),
    ],
)
def test_each_wish_orders_nodes(text: str, expected: list[float]) -> None:
    np.testing.assert_allclose(scored(text), expected)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("spot nodes", id="no-node-says-what-it-is"),
        pytest.param("near kafka", id="no-such-pod"),
        pytest.param("cheap", id="no-prices"),
        pytest.param("low power", id="no-power-readings"),
        pytest.param("stable nodes", id="no-ages-and-all-ready"),
        pytest.param("24 GB VRAM", id="no-gpu-memory-labels"),
    ],
)
def test_without_facts_there_is_no_opinion(text: str) -> None:
    assert scored(text) is None


def test_measured_facts_are_used() -> None:
    rtt_ms = np.array([[0, 4, 1, 2], [4, 0, 3, 3], [1, 3, 0, 3], [2, 3, 3, 0]], dtype=float)
    signals = Signals(
        rtt_ms=rtt_ms,
        age_s=np.array([1.0, 86_400.0, 10.0, 10.0]),
        noise_ratio=np.array([0.0, 1.0, 0.5, 0.5]),
        price_usd_per_h=np.array([1.0, 2.0, 3.0, np.nan]),
        power_w=np.array([300.0, 300.0, 100.0, 200.0]),
    )
    # redis is on a0: 0, 4, 1, 2 ms away
    np.testing.assert_allclose(scored("near redis", signals), [1, 0, 0.75, 0.5])
    # within 2 ms: holds, half of 2/4, holds, holds
    np.testing.assert_allclose(scored("within 2 ms of redis", signals), [1, 0.25, 1, 1])
    np.testing.assert_allclose(scored("up for at least a day", signals)[1], 1.0)  # type: ignore[index]
    np.testing.assert_allclose(scored("quiet nodes", signals), [1, 0, 0.5, 0.5])
    # between 1 and 3 dollars; an unknown price is one half
    np.testing.assert_allclose(scored("cheap", signals), [1, 0.5, 0, 0.5])
    np.testing.assert_allclose(scored("energy efficient", signals), [0, 0, 1, 0.5])


def test_prices_and_power_stand_in_labels() -> None:
    told = [{PRICE_LABEL: "1.5", POWER_LABEL: "700"}, {PRICE_LABEL: "3"}, {PRICE_LABEL: "n/a"}]
    nodes = [make_node(f"n{row}", labels=labels) for row, labels in enumerate(told)]
    snapshot = make_snapshot(nodes)

    def score(text: str, signals: Signals = NO_SIGNALS) -> FloatArray | None:
        return score_hint(parse_hint(text).intents, MINE, snapshot, signals=signals).value.score

    np.testing.assert_allclose(score("cheap"), [1, 0, 0.5])
    # holds, half of 2/3, unknown
    np.testing.assert_allclose(score("under $2 an hour"), [1, 1 / 3, 0.5])
    np.testing.assert_allclose(score("below 800 W"), [1, 0.5, 0.5])
    measured = Signals(power_w=np.array([1.0, 100.0, 1400.0]))
    # the label counts before the measurement: 700, 100, 1400 W
    np.testing.assert_allclose(score("low power", measured), [7 / 13, 1, 0])


def test_levels_that_an_admin_named_tell_what_is_near() -> None:
    # redis is on a0; a1 shares the outer level, b0 both, b1 is nowhere
    places = np.array([[0, 0], [0, 1], [0, 0], [-1, -1]])
    np.testing.assert_allclose(scored("near redis", Signals(places=places)), [1, 1 / 3, 2 / 3, 0])


def test_what_scorers_know_of_energy_and_interference_is_asked() -> None:
    asked: list[tuple[str, list[int]]] = []

    def opinion(pod: Pod, _: Snapshot, rows: IntArray) -> FloatArray:
        asked.append((pod.name, rows.tolist()))
        return rows / 4

    signals = Signals(frugality_of=opinion, peace_of=opinion)
    np.testing.assert_allclose(scored("energy efficient", signals), [0, 0.25, 0.5, 0.75])
    np.testing.assert_allclose(scored("quiet nodes", signals), [0, 0.25, 0.5, 0.75])
    both = Signals(peace_of=opinion, noise_ratio=np.array([0.0, 0.5, 1.0, np.nan]))
    # means of 1 and 0, 1/2 and 1/4, 0 and 1/2; one half where nothing was measured
    np.testing.assert_allclose(scored("quiet nodes", both), [0.5, 0.375, 0.25, 0.5])
    assert set(map(str, asked)) == {str((MINE.name, [0, 1, 2, 3]))}
    silent = Signals(frugality_of=lambda *_: None, peace_of=lambda *_: None)
    assert scored("energy efficient", silent) is None
    assert scored("below 300 W", signals) is None  # an opinion is no number of watts


def test_conflicts_trade_by_weight() -> None:
    # High 1 for a0 against Low 0.25 for the others: 1/1.25 and 0.25/1.25
    score = scored("must be on H100, ideally not on H100")
    np.testing.assert_allclose(score, [0.8, 0.2, 0.2, 0.2])


def test_only_candidates_are_compared() -> None:
    intents = parse_hint("most free GPUs").intents
    rows = np.array([2, 0])
    score = score_hint(intents, MINE, cluster(), rows).value.score
    np.testing.assert_allclose(score, [0, 1])


def test_balance_prefers_the_node_that_the_pod_levels() -> None:
    nodes = [make_node(name, cpu_m=8000, memory=8 * GIB, gpus=8) for name in ("even", "skewed")]
    taken = make_pod("x", node="skewed", cpu_m=7000, memory=GIB, gpus=0)
    snapshot = make_snapshot(nodes, [taken])
    score = score_hint(parse_hint("balanced nodes").intents, MINE, snapshot).value.score
    assert score is not None
    assert score[0] > score[1]


def test_the_explanation_adds_up() -> None:
    hint = parse_hint("H100, ideally in zone b, near kafka")
    result = score_hint(hint.intents, MINE, cluster()).value
    assert result.score is not None
    for at, total in enumerate(result.score):
        parts = result.contributions(at)
        assert sum(added for _, added, _ in parts) == pytest.approx(total)
    assert [part.reason for part in result.parts] == [
        "1 of 4 nodes are h100",
        "2 of 4 nodes are zone=b",
        "nothing is known of where kafka is",
    ]


WISHES = [
    "H100", "avoid spot", "zone b", "near redis", "away from etl", "spread across zones",
    "most free memory", "at most 4 GPUs", "CPU usage below 50%", "balanced", "stable", "new nodes",
    "quiet", "cheap", "green", "alone on the node", "pack tightly", "within 3 ms of web",
    "under $2 an hour", "up for 3 days", "below 300 W", "low latency", "same zone as redis",
]  # fmt: skip
numbers = st.floats(allow_nan=True, allow_infinity=True) | st.sampled_from([0.0, -1.0, 1e308])
columns = st.lists(numbers, min_size=4, max_size=4).map(np.array)


@given(
    wishes=st.lists(st.sampled_from(WISHES), min_size=1, max_size=6),
    age=st.none() | columns,
    noise=st.none() | columns,
    price=st.none() | columns,
    rtt=st.none() | st.lists(columns, min_size=4, max_size=4).map(np.array),
    rows=st.lists(st.integers(0, 3), min_size=1, max_size=4, unique=True),
)
@settings(max_examples=80, deadline=None)
def test_scores_are_bounded_whatever_is_measured(
    wishes: list[str],
    age: FloatArray | None,
    noise: FloatArray | None,
    price: FloatArray | None,
    rtt: FloatArray | None,
    rows: list[int],
) -> None:
    signals = Signals(
        age_s=age, noise_ratio=noise, price_usd_per_h=price, rtt_ms=rtt, power_w=price
    )
    intents = parse_hint(". ".join(wishes)).intents
    asked = np.array(rows)
    first = score_hint(intents, MINE, cluster(), asked, signals).value
    again = score_hint(intents, MINE, cluster(), asked, signals).value
    if first.score is None:
        assert again.score is None
        return
    np.testing.assert_array_equal(first.score, again.score)
    assert first.score.shape == (len(rows),)
    assert ((first.score >= 0) & (first.score <= 1)).all()
