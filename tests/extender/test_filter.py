from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage_crds.names import HINT_ANNOTATION
from moorage_extender.reservations import TAKEN, nodes_being_filled
from moorage_extender.verbs.filter import FAILED_BIND
from moorage_policies.state import ClusterState, NodesListed, PodsListed
from moorage_policies.testing import make_node, make_pod


def request_for(name: str, gpus: int, nodes: list[str], uid: str = "") -> dict[str, Any]:
    resources = {"requests": {"cpu": "1", "nvidia.com/gpu": str(gpus)}}
    return {
        "Pod": {
            "metadata": {"name": name, "namespace": "default", "uid": uid or f"uid-{name}"},
            "spec": {"containers": [{"name": "c", "resources": resources}]},
        },
        "Nodes": None,
        "NodeNames": nodes,
    }


def _assume(extender: Any, name: str, gpus: int, node: str) -> None:
    pod = make_pod(name, uid=f"uid-{name}", gpus=gpus)
    extender.ctx.state.assume(pod, node, extender.clock())


async def test_room_taken_by_a_pod_being_bound_is_refused_with_the_reason(extender: Any) -> None:
    extender.told([make_node("a"), make_node("b")])
    _assume(extender, "first", 6, "a")
    answer = await extender.ask("filter", request_for("second", 4, ["a", "b"]))
    assert answer["NodeNames"] == ["b"]
    assert answer["FailedAndUnresolvableNodes"] == {"a": TAKEN}
    assert answer["FailedNodes"] == {}
    (record,) = await extender.decisions()
    assert record["reason"] == "1 of 2 nodes pass"
    assert record["refused"] == {TAKEN: 1}


async def test_an_empty_answer_is_an_empty_list_with_a_reason_for_every_node(
    extender: Any,
) -> None:
    extender.told([make_node("a"), make_node("b")])
    _assume(extender, "first", 6, "a")
    _assume(extender, "second", 6, "b")
    answer = await extender.ask("filter", request_for("third", 4, ["a", "b"]))
    assert answer["NodeNames"] == []
    assert answer["FailedAndUnresolvableNodes"] == {"a": TAKEN, "b": TAKEN}
    series = 'moorage_extender_request_seconds_count{outcome="refused",verb="filter"}'
    assert await extender.metric(series) == 1
    assert await extender.metric(f'moorage_extender_refused_nodes_total{{reason="{TAKEN}"}}') == 2


async def test_a_node_that_is_full_without_our_doing_passes_as_the_scheduler_knows_better(
    extender: Any,
) -> None:
    extender.told([make_node("a")], [make_pod("old", gpus=8, node="a")])
    _assume(extender, "first", 1, "a")
    answer = await extender.ask("filter", request_for("second", 4, ["a"]))
    assert answer["NodeNames"] == ["a"]


async def test_a_pod_is_not_in_the_way_of_itself(extender: Any) -> None:
    extender.told([make_node("a")])
    _assume(extender, "again", 8, "a")
    answer = await extender.ask("filter", request_for("again", 8, ["a"]))
    assert answer["NodeNames"] == ["a"]


async def test_a_node_that_just_failed_the_pod_is_left_out_for_a_while(start_extender: Any) -> None:
    extender = await start_extender(ranking_form="top-node")
    extender.told([make_node("a"), make_node("b")])
    extender.ctx.failed_binds.note("uid-p", "a")
    answer = await extender.ask("filter", request_for("p", 1, ["a", "b"]))
    assert answer["FailedAndUnresolvableNodes"] == {"a": FAILED_BIND}
    other = await extender.ask("filter", request_for("other", 1, ["a", "b"]))
    assert other["NodeNames"] == ["a", "b"]
    extender.clock.now_s += extender.ctx.settings.failed_bind_memory_s
    later = await extender.ask("filter", request_for("p", 1, ["a", "b"]))
    assert later["NodeNames"] == ["a", "b"]


@pytest.mark.parametrize("nodes", [["a"], ["a", "full"]])
async def test_the_only_node_left_passes_even_if_it_just_failed(
    extender: Any, nodes: list[str]
) -> None:
    extender.told([make_node("a"), make_node("full")])
    _assume(extender, "first", 8, "full")
    extender.ctx.failed_binds.note("uid-p", "a")
    answer = await extender.ask("filter", request_for("p", 1, nodes))
    assert answer["NodeNames"] == ["a"]


async def test_names_that_we_do_not_know_pass_and_none_is_added(extender: Any) -> None:
    extender.told([make_node("a"), make_node("b")])
    answer = await extender.ask("filter", request_for("p", 1, ["new", "a"]))
    assert answer["NodeNames"] == ["new", "a"]


async def test_before_the_cluster_is_listed_all_pass_and_it_is_counted(extender: Any) -> None:
    extender.ctx.listed = lambda: False
    answer = await extender.ask("filter", request_for("p", 1, ["a", "b"]))
    assert answer["NodeNames"] == ["a", "b"]
    series = 'moorage_extender_degraded_total{reason="not-listed",verb="filter"}'
    assert await extender.metric(series) == 1


async def test_deciding_filter_answers_the_best_node_alone(extender: Any) -> None:
    extender.told([make_node("a"), make_node("b")], [make_pod("p", gpus=4, node="b")])
    answer = await extender.ask("filter", request_for("new", 4, ["a", "b", "unknown"]))
    assert answer["NodeNames"] == ["b"]
    assert answer["FailedAndUnresolvableNodes"] == {}
    (record,) = await extender.decisions()
    assert record["node"] == "b"
    assert [best["node"] for best in record["best"]] == ["b", "a"]


async def test_deciding_filter_never_chooses_a_refused_node(start_extender: Any) -> None:
    extender = await start_extender(ranking_form="deciding-filter")
    extender.told([make_node("a"), make_node("b"), make_node("c")])
    extender.ctx.failed_binds.note("uid-new", "a")
    answer = await extender.ask("filter", request_for("new", 4, ["a", "b", "c"]))
    assert answer["NodeNames"] == ["b"]
    assert answer["FailedAndUnresolvableNodes"] == {"a": FAILED_BIND}


async def test_deciding_filter_leaves_the_choice_open_until_a_hint_is_read(extender: Any) -> None:
    extender.told([make_node("a"), make_node("b")])
    request = request_for("new", 4, ["a", "b"])
    request["Pod"]["metadata"]["annotations"] = {HINT_ANNOTATION: "not on node a"}
    assert (await extender.ask("filter", request))["NodeNames"] == ["a", "b"]
    async with asyncio.timeout(10.0):
        while len((await extender.ask("filter", request))["NodeNames"]) > 1:
            pass
    assert (await extender.decisions())[0]["hint"]["outcome"] != "not-read-yet"


async def test_deciding_filter_out_of_time_lets_all_pass(start_extender: Any) -> None:
    extender = await start_extender(ranking_form="deciding-filter")
    extender.told([make_node("a"), make_node("b")])
    extender.clock.step_s = 1.0
    answer = await extender.ask("filter", request_for("new", 4, ["a", "b"]))
    assert answer["NodeNames"] == ["a", "b"]
    series = 'moorage_extender_degraded_total{reason="deadline",verb="filter"}'
    assert await extender.metric(series) == 1


async def test_whole_nodes_that_are_all_refused_give_an_empty_list_of_nodes(
    extender: Any,
) -> None:
    extender.told([make_node("a")])
    _assume(extender, "first", 8, "a")
    request = request_for("p", 1, [])
    request["NodeNames"], request["Nodes"] = None, {"items": [{"metadata": {"name": "a"}}]}
    answer = await extender.ask("filter", request)
    assert answer["Nodes"] == {"metadata": {}, "items": []}
    assert answer["FailedAndUnresolvableNodes"] == {"a": TAKEN}


sizes = st.lists(st.integers(0, 6), max_size=3)


@given(bound=sizes, assumed=sizes, demand=st.integers(0, 8))
def test_a_node_is_named_only_if_assumptions_alone_make_it_too_small(
    bound: list[int], assumed: list[int], demand: int
) -> None:
    state = ClusterState()
    state.apply(NodesListed((make_node("a"),)))
    pods = [make_pod(f"b{i}", gpus=gpus, node="a") for i, gpus in enumerate(bound)]
    state.apply(PodsListed(tuple(pods)))
    for i, gpus in enumerate(assumed):
        state.assume(make_pod(f"a{i}", gpus=gpus), "a", 0.0)
    fits_with = demand == 0 or sum(bound) + sum(assumed) + demand <= 8
    fits_without = demand == 0 or sum(bound) + demand <= 8
    named = nodes_being_filled(make_pod("new", gpus=demand), state.snapshot())
    assert (named == {"a": TAKEN}) == (not fits_with and fits_without)
