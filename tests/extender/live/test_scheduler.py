from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.control_plane

BOTH_CACHE_FORMS = pytest.mark.parametrize(
    "node_cache_capable",
    [pytest.param(True, id="names"), pytest.param(False, id="whole-nodes")],
)


@BOTH_CACHE_FORMS
@pytest.mark.parametrize("form", ["scores", "top-node", "deciding-filter"])
def test_pods_are_bound_by_our_bind_verb_where_the_ranking_says(
    berth: Any, form: str, node_cache_capable: bool
) -> None:
    berth.nodes("a", "b", "c")
    berth.start(node_cache_capable=node_cache_capable, MOORAGE_EXTENDER_RANKING_FORM=form)
    pods = [f"replica-{number}" for number in range(4)]
    for pod in pods:
        berth.pod(pod, gpus=2)
        berth.wait_bound(pod)  # one after the other: each finds the books of the one before
    # four times two GPUs: whole nodes stay whole, and equal nodes go by name
    assert berth.wait_bound(*pods) == ["a"] * 4
    assert berth.metric('moorage_extender_binds_total{outcome="bound"}') == 4
    assert {event["involvedObject"]["name"] for event in berth.events("Scheduled")} == set(pods)
    verbs = {record["verb"] for record in berth.decisions("replica-1")}
    assert verbs == {"bind", "filter" if form == "deciding-filter" else "prioritize"}
    ranked = next(r for r in berth.decisions("replica-1") if r["verb"] != "bind")
    assert ranked["node"] == f"a-{berth.tag}"
    assert berth.metric("moorage_extender_degraded_total") == 0
    assert berth.metric("moorage_extender_rejected_requests_total") == 0


def test_a_burst_fills_the_nodes_and_overcommits_none(berth: Any) -> None:
    berth.nodes("a", "b", "c")
    berth.start()
    pods = [f"replica-{number}" for number in range(12)]
    for pod in pods:
        berth.pod(pod, gpus=2)
    nodes = berth.wait_bound(*pods)
    assert sorted(nodes) == ["a"] * 4 + ["b"] * 4 + ["c"] * 4
    assert berth.metric('moorage_extender_binds_total{outcome="bound"}') == 12


def test_preferred_affinity_wins_over_packing(berth: Any) -> None:
    berth.nodes("plain")
    berth.nodes("liked", labels={"tier": "fast"})
    berth.start()
    berth.pod("first", gpus=4, nodeSelector={"kubernetes.io/hostname": f"plain-{berth.tag}"})
    berth.wait_bound("first")
    term = {"matchExpressions": [{"key": "tier", "operator": "In", "values": ["fast"]}]}
    wish = [{"weight": 1, "preference": term}]
    affinity = {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": wish}}
    berth.pod("wishes-nothing", gpus=2)
    assert berth.wait_bound("wishes-nothing") == ["plain"]
    berth.pod("wishes", gpus=2, affinity=affinity)
    assert berth.wait_bound("wishes") == ["liked"]


@BOTH_CACHE_FORMS
def test_a_high_priority_takes_one_victim_and_no_more(berth: Any, node_cache_capable: bool) -> None:
    berth.nodes("a", "b")
    berth.start(node_cache_capable=node_cache_capable)
    lows = [f"low-{number}" for number in range(4)]
    for pod in lows:
        berth.pod(pod, gpus=4, priority="extender-low")
    berth.wait_bound(*lows)
    berth.pod("high", gpus=4)
    berth.wait_bound("high")
    assert [berth.gone(pod) for pod in lows].count(True) == 1
    assert berth.metric('moorage_extender_binds_total{outcome="bound"}') == 5
    victims = [r["victims"] for r in berth.decisions("high") if r.get("victims")]
    assert [len(uids) for uids in victims[-1].values()] == [1]


def test_a_node_that_the_api_server_refuses_is_not_chosen_again_at_once(berth: Any) -> None:
    berth.nodes("a", "b")
    berth.start()
    berth.pod("probe", gpus=1, schedulerName="nobody")
    berth.forbid_bindings_to("a", probe="probe")
    berth.pod("pod", gpus=4)  # equal nodes go by name: a is tried first
    assert berth.wait_bound("pod") == ["b"]
    binds = [record for record in berth.decisions("pod") if record["verb"] == "bind"]
    assert [(bind["node"], bind["outcome"]) for bind in reversed(binds)] == [
        (f"a-{berth.tag}", "refused"),
        (f"b-{berth.tag}", "bound"),
    ]
    assert "not this node" in binds[-1]["reason"]
    assert berth.metric("moorage_extender_refused_nodes_total") == 1
