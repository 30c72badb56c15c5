"""Requests as the real kube-scheduler sent them, in both cache forms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from moorage_policies.testing import make_node, make_pod

Recorded = Callable[[str], dict[str, Any]]


@pytest.mark.parametrize("name", ["cap-filter-1", "cap-filter-2"])
async def test_filter_by_names_gives_every_name_back(
    start_extender: Any, recorded: Recorded, name: str
) -> None:
    extender = await start_extender(ranking_form="top-node")
    request = recorded(f"{name}.request.json")
    extender.told([make_node(node) for node in request["NodeNames"]])
    answer = await extender.ask("filter", request)
    assert answer == {
        "Nodes": None,
        "NodeNames": request["NodeNames"],
        "FailedNodes": {},
        "FailedAndUnresolvableNodes": {},
        "Error": "",
    }


async def test_filter_by_whole_nodes_gives_them_back_untouched(
    extender: Any, recorded: Recorded
) -> None:
    request = recorded("full-filter-1.request.json")
    answer = await extender.ask("filter", request)
    assert answer["Nodes"] == request["Nodes"]
    assert answer["FailedAndUnresolvableNodes"] == {}
    assert set(answer) >= set(recorded("full-filter-1.response.json"))


async def test_filter_by_whole_nodes_keeps_the_others_untouched(
    extender: Any, recorded: Recorded
) -> None:
    request = recorded("full-filter-1.request.json")
    extender.ctx.failed_binds.note(request["Pod"]["metadata"]["uid"], "gpu-0001")
    answer = await extender.ask("filter", request)
    others = [n for n in request["Nodes"]["items"] if n["metadata"]["name"] != "gpu-0001"]
    assert answer["Nodes"]["items"] == others
    assert list(answer["FailedAndUnresolvableNodes"]) == ["gpu-0001"]


@pytest.mark.parametrize("name", ["cap-prioritize-1", "cap-prioritize-2", "full-prioritize-1"])
async def test_prioritize_scores_every_node_in_order(
    extender: Any, recorded: Recorded, name: str
) -> None:
    request = recorded(f"{name}.request.json")
    nodes = request["NodeNames"] or [n["metadata"]["name"] for n in request["Nodes"]["items"]]
    extender.told([make_node(node) for node in nodes])
    answer = await extender.ask("prioritize", request)
    assert [entry["Host"] for entry in answer] == nodes
    assert [set(entry) for entry in answer] == [{"Host", "Score"}] * len(nodes)
    assert sorted(entry["Score"] for entry in answer) == [0] * (len(nodes) - 1) + [10]
    assert [set(e) for e in recorded(f"{name}.response.json")] == [set(e) for e in answer]


def _victims_of(request: dict[str, Any]) -> dict[str, list[str]]:
    meta = request["NodeNameToMetaVictims"]
    if meta is not None:
        return {node: [pod["UID"] for pod in v["Pods"]] for node, v in meta.items()}
    full = request["NodeNameToVictims"]
    return {node: [pod["metadata"]["uid"] for pod in v["Pods"]] for node, v in full.items()}


@pytest.mark.parametrize("name", ["cap-preempt-1", "full-preempt-1"])
async def test_preempt_answers_uids_whatever_the_form(
    extender: Any, recorded: Recorded, name: str
) -> None:
    request = recorded(f"{name}.request.json")
    proposed = _victims_of(request)
    extender.told(
        [make_node(node, gpus=8) for node in proposed],
        [
            make_pod(uid, uid=uid, gpus=8, node=node, priority=10)
            for node, uids in proposed.items()
            for uid in uids
        ],
    )
    answer = await extender.ask("preempt", request)
    chosen = answer["NodeNameToMetaVictims"]
    assert len(chosen) == 1
    ((node, victims),) = chosen.items()
    assert victims == {"Pods": [{"UID": uid} for uid in proposed[node]], "NumPDBViolations": 0}


@pytest.mark.parametrize("name", ["cap-bind-1", "cap-bind-2", "full-bind-1"])
async def test_bind_tells_the_api_server_once(extender: Any, recorded: Recorded, name: str) -> None:
    request = recorded(f"{name}.request.json")
    assert await extender.ask("bind", request) == recorded(f"{name}.response.json")
    (order,) = extender.bound
    assert (order.namespace, order.name, order.uid, order.node) == (
        request["PodNamespace"],
        request["PodName"],
        request["PodUID"],
        request["Node"],
    )


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda key: key[0].lower() + key[1:], id="camel-case"),
        pytest.param(str.lower, id="lower-case"),
        pytest.param(str.upper, id="upper-case"),
    ],
)
async def test_keys_are_accepted_in_any_case_as_go_does(
    extender: Any, recorded: Recorded, change: Callable[[str], str]
) -> None:
    for name in ("cap-filter-1", "cap-prioritize-1", "cap-preempt-1", "cap-bind-1"):
        request = recorded(f"{name}.request.json")
        verb = name.split("-")[1]
        plain = await extender.ask(verb, request)
        again = await extender.ask(verb, {change(key): value for key, value in request.items()})
        assert again == plain
