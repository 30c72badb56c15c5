from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moorage_policies.network.samples import Report, Sample, SampleTable, find_liars, gather
from moorage_policies.network.topology import detect_levels, places_of
from moorage_policies.state import NodeTable
from moorage_policies.types import Node

NAMES = ("a", "b", "c", "d", "e")
PLACES = np.zeros((5, 1), dtype=np.int64)


def honest(rtt_ms: float = 10.0) -> list[Report]:
    return [Report(node, {peer: rtt_ms for peer in NAMES if peer != node}) for node in NAMES]


def samples(reports: list[Report], at_s: float = 100.0) -> list[Sample]:
    return [Sample(at_s, report) for report in reports]


def test_newest_is_the_last_reading_and_usual_the_geometric_mean() -> None:
    told = [Sample(90.0, Report("a", {"b": 1.0})), Sample(95.0, Report("a", {"b": 4.0}))]
    view = gather(told, NAMES, PLACES, 100.0).view
    assert view.rtt_ms[0, 1] == 4.0
    assert view.usual_rtt_ms[0, 1] == pytest.approx(2.0)
    assert view.age_s[0] == 5.0
    assert view.age_s[1] == math.inf


def test_a_liar_is_left_out_and_the_others_are_not() -> None:
    reports = honest()
    reports[2] = Report("c", dict.fromkeys("abde", 0.1), dict.fromkeys("abde", 1e6), cpu_ratio=0.0)
    gathered = gather(samples(reports), NAMES, PLACES, 101.0)
    assert gathered.liars == ("c",)
    assert gathered.ignored == {"impossible": 0, "liar": 1}
    assert np.isnan(gathered.view.rtt_ms[2]).all()
    assert np.isnan(gathered.view.mbps[2]).all()
    assert gathered.view.age_s.tolist() == [1, 1, math.inf, 1, 1]
    assert gathered.view.rtt_ms[0, 2] == 10.0  # what the others say of the way to it stays


@settings(max_examples=40, deadline=None)
@given(
    st.integers(6, 12),
    st.integers(0, 2**32 - 1),
    st.floats(0.01, 100).filter(lambda f: not 0.2 < f < 5),
)
def test_less_than_half_of_liars_are_found_and_nobody_else(
    nodes: int, seed: int, factor: float
) -> None:
    chance = np.random.default_rng(seed)
    truth = chance.uniform(50, 500, (nodes, nodes))
    rtt = np.sqrt(truth * truth.T)
    liars = np.zeros(nodes, dtype=bool)
    liars[: int(chance.integers(0, (nodes - 1) // 2))] = True
    rtt[liars] *= factor
    np.testing.assert_array_equal(find_liars(rtt), liars)


def test_two_nodes_that_disagree_accuse_nobody() -> None:
    rtt = np.array([[np.nan, 100.0], [1.0, np.nan]])
    assert not find_liars(rtt).any()


@pytest.mark.parametrize("value", [-1.0, 0.0, math.nan, math.inf, 1e9])
def test_impossible_readings_are_left_out_and_counted(value: float) -> None:
    reports = honest()
    reports[0] = Report("a", {"b": value, "c": 10.0, "d": 10.0, "e": 10.0})
    gathered = gather(samples(reports), NAMES, PLACES, 101.0)
    assert gathered.ignored["impossible"] == 1
    assert np.isnan(gathered.view.rtt_ms[0, 1])
    assert gathered.view.rtt_ms[0, 2] == 10.0


def test_readings_of_unknown_nodes_and_of_oneself_say_nothing() -> None:
    reports = [Report("a", {"a": 1.0, "x": 1.0, "b": 2.0}), Report("ghost", {"a": 1.0})]
    gathered = gather(samples(reports), NAMES, PLACES, 101.0)
    assert np.isfinite(gathered.view.rtt_ms).sum() == 1
    assert sum(gathered.ignored.values()) == 0


def test_the_table_forgets_what_is_older_than_its_window() -> None:
    table = SampleTable(window_s=60.0)
    table.take(Report("a", {"b": 1.0}), 100.0)
    table.take(Report("a", {"b": 2.0}), 130.0)
    table.take(Report("b", {"a": 2.0}), 110.0)
    assert [sample.at_s for sample in table.recent(150.0)] == [100.0, 110.0, 130.0]
    assert [sample.at_s for sample in table.recent(165.0)] == [110.0, 130.0]
    assert [sample.at_s for sample in table.recent(175.0)] == [130.0]
    assert table.recent(200.0) == ()


ZONE, REGION = "topology.kubernetes.io/zone", "topology.kubernetes.io/region"


def _table(*labels: dict[str, str]) -> NodeTable:
    return NodeTable(tuple(Node(f"n{k}", labels=found) for k, found in enumerate(labels)))


def test_equal_names_under_other_places_are_other_places() -> None:
    rack = "cloud.provider.com/topology-rack"
    table = _table({ZONE: "a", rack: "1"}, {ZONE: "b", rack: "1"}, {ZONE: "a"}, {})
    levels = detect_levels(table)
    assert levels == (ZONE, rack)
    places = places_of(table, levels)
    assert places[0, 1] != places[1, 1]
    assert places[0, 0] == places[2, 0]
    assert places[2, 1] == places[3, 0] == places[3, 1] == -1


def test_the_preset_that_most_nodes_have_is_taken() -> None:
    table = _table(
        {REGION: "r", "fabric.topograph.run/tier-0": "s1", "fabric.topograph.run/tier-1": "t"},
        {"topology.k8s.aws/network-node-layer-1": "x"},
    )
    assert detect_levels(table) == (
        REGION,
        "fabric.topograph.run/tier-1",
        "fabric.topograph.run/tier-0",
    )
    assert detect_levels(_table({}, {})) == ()
