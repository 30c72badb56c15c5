from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec
import pytest

from moorage_crds.names import HINT_ANNOTATION, HINT_INTENTS_ANNOTATION, POOL_LABEL
from moorage_extender.hints import MAX_WAITING, Hints, PoolObject
from moorage_extender.metrics import Metrics
from moorage_policies.hints import text_digest
from moorage_policies.testing import make_node, make_pod

CLASS = "nvidia.com/gpu.product"
NODES = [
    make_node("a", labels={CLASS: "NVIDIA-A100-SXM4-80GB"}),
    make_node("h", labels={CLASS: "NVIDIA-H100-80GB-HBM3"}),
    make_node("t", labels={CLASS: "Tesla-T4"}),
]


def _request(text: str = "", **meta: Any) -> dict[str, Any]:
    annotations = {HINT_ANNOTATION: text} if text else {}
    annotations |= meta.pop("annotations", {})
    resources = {"requests": {"nvidia.com/gpu": "1"}}
    pod = {
        "metadata": {
            "name": "new",
            "namespace": "default",
            "uid": "uid-new",
            "annotations": annotations,
            **meta,
        },
        "spec": {"containers": [{"name": "c", "resources": resources}]},
    }
    return {"Pod": pod, "Nodes": None, "NodeNames": ["a", "h", "t"]}


async def _chosen(extender: Any, request: dict[str, Any]) -> str:
    """Ask as the scheduler does: prioritize only if filter leaves a choice."""
    left: list[str] = (await extender.ask("filter", request))["NodeNames"]
    if len(left) == 1:
        return left[0]
    scores = {entry["Host"]: entry["Score"] for entry in await extender.ask("prioritize", request)}
    assert sorted(scores.values()) == [0, 0, 10]
    return max(scores, key=lambda name: scores[name])


async def _outcomes(extender: Any) -> dict[str, float]:
    _, text = await extender.get("/metrics")
    prefix = 'moorage_extender_hinted_rankings_total{outcome="'
    lines = [line.removeprefix(prefix) for line in text.splitlines() if line.startswith(prefix)]
    return {line.partition('"')[0]: float(line.split()[-1]) for line in lines}


async def test_a_hint_orders_nodes_from_the_first_pod_on(extender: Any) -> None:
    """The watch may be behind: filter's question is enough to know the hint at prioritize."""
    extender.told(NODES)
    assert await _chosen(extender, _request()) == "a"
    assert await _chosen(extender, _request("H100 please")) == "h"
    assert await _chosen(extender, _request("avoid the A100 and the H100")) == "t"
    assert await _outcomes(extender) == {"counted": 2.0}


async def test_a_pod_whose_hint_nobody_read_is_ranked_without_it_and_counted(extender: Any) -> None:
    extender.told(NODES)
    request = _request("H100 please")
    scores = {e["Host"]: e["Score"] for e in await extender.ask("prioritize", request)}
    assert scores == {"a": 10, "h": 0, "t": 0}
    assert await _outcomes(extender) == {"not-read-yet": 1.0}


async def test_the_record_tells_hint_intents_and_what_each_added(extender: Any) -> None:
    extender.told(NODES)
    await _chosen(extender, _request("must have H100, if possible not on T4, frobnicate the qux"))
    hint = (await extender.decisions())[0]["hint"]
    assert hint["outcome"] == "counted"
    assert hint["origin"] == "Text"
    assert hint["text"].startswith("must have H100")
    assert [intent["intent"]["class"] for intent in hint["intents"]] == ["Accelerator"] * 2
    # weights 1 and 1/4 of 5/4
    assert hint["intents"][0]["added"] == {"h": 0.8, "a": 0.0, "t": 0.0}
    assert hint["intents"][1]["added"] == {"h": 0.2, "a": 0.2, "t": 0.0}
    assert hint["notUnderstood"]


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        pytest.param("x" * 1_000_000, "too-long", id="a-megabyte"),
        pytest.param("bitte auf die schnellen Maschinen im Keller stellen", "not-english", id="de"),
        pytest.param("24 GHz of memory", "nothing-understood", id="units-that-do-not-fit"),
        pytest.param("near the object store", "tells-no-nodes-apart", id="no-such-pod"),
        pytest.param("\ud800 H100", "not-text", id="half-a-character"),
    ],
)
async def test_bad_hints_are_counted_and_change_nothing(
    extender: Any, text: str, outcome: str
) -> None:
    extender.told(NODES)
    request = _request(text)
    body = json.dumps(request)
    if outcome == "not-text":  # what no JSON text may hold is refused before it is a hint
        status, _ = await extender.send("prioritize", body.encode())
        assert status in (200, 400)
        return
    assert await _chosen(extender, request) == "a"
    assert await _outcomes(extender) == {outcome: 1.0}


async def test_intents_written_by_hand_count_before_the_text(extender: Any) -> None:
    extender.told(NODES)
    intents = json.dumps({"intents": [{"class": "Accelerator", "target": "t4"}]})
    request = _request("H100 please", annotations={HINT_INTENTS_ANNOTATION: intents})
    assert await _chosen(extender, request) == "t"
    request = _request("H100 please", annotations={HINT_INTENTS_ANNOTATION: '{"intents": 1}'})
    assert await _chosen(extender, request) == "h"
    problem = (await extender.decisions())[0]["hint"]["problem"]
    assert problem == "intents: must be a list of intents"


def _pool(text: str = "", **fields: Any) -> PoolObject:
    body = {"metadata": {"name": "chat", "namespace": "default"}, "spec": {"hints": text, **fields}}
    return msgspec.json.decode(json.dumps(body), type=PoolObject)


async def test_hints_of_pools_and_their_templates_are_read_before_pods_exist(extender: Any) -> None:
    template = {"template": {"metadata": {"annotations": {HINT_ANNOTATION: "avoid spot"}}}}
    pool = _pool("H100 please", roles=[{"name": "decode", "accelerators": [template]}])
    extender.ctx.hints.list_pools([pool])
    book = extender.ctx.hints.book
    for _ in range(1000):
        if len(book) == 2:
            break
        await asyncio.sleep(0)
    extender.told(NODES)
    request = _request(labels={POOL_LABEL: "chat"})
    await extender.ask("prioritize", request)  # no filter before it
    assert await _outcomes(extender) == {"counted": 1.0}


async def test_a_pools_hint_is_that_of_its_pods_as_long_as_it_stands(extender: Any) -> None:
    extender.told(NODES)
    ours, others = ({"labels": {POOL_LABEL: name}} for name in ("chat", "other"))
    extender.ctx.hints.put_pool(_pool("H100 please"))
    assert await _chosen(extender, _request(**ours)) == "h"
    assert await _chosen(extender, _request(**others)) == "a"
    assert await _chosen(extender, _request("prefer T4", **ours)) == "t"  # its template's own
    extender.ctx.hints.put_pool(_pool("prefer T4"))
    assert await _chosen(extender, _request(**ours)) == "t"
    extender.ctx.hints.put_pool(_pool())
    assert await _chosen(extender, _request(**ours)) == "a"


async def test_intents_by_hand_on_a_pool_count_before_its_text(extender: Any) -> None:
    extender.told(NODES)
    pool = _pool("H100 please")
    intents = json.dumps({"intents": [{"class": "Accelerator", "target": "t4"}]})
    pool.metadata.annotations[HINT_INTENTS_ANNOTATION] = intents
    extender.ctx.hints.put_pool(pool)
    assert await _chosen(extender, _request(labels={POOL_LABEL: "chat"})) == "t"


async def test_what_a_model_read_for_a_pool_counts_for_its_pods_alone(extender: Any) -> None:
    extender.told(NODES)
    text = "something with a lot of Hopper in it"
    hint = {
        "of": text_digest(text),
        "parser": "LanguageModel",
        "intents": [{"class": "Accelerator", "target": "t4"}],
    }
    body = {
        "metadata": {"name": "chat", "namespace": "default"},
        "spec": {"hints": text},
        "status": {"hint": hint},
    }
    extender.ctx.hints.put_pool(msgspec.json.decode(json.dumps(body), type=PoolObject))
    assert await _chosen(extender, _request(labels={POOL_LABEL: "chat"})) == "t"
    assert await _chosen(extender, _request(text, labels={POOL_LABEL: "chat"})) == "h"
    assert await _chosen(extender, _request(text)) == "h"
    extender.ctx.hints.drop_pool(_pool())
    assert await _chosen(extender, _request(labels={POOL_LABEL: "chat"})) == "a"


async def test_a_flood_of_hints_waits_in_bounded_room() -> None:
    hints = Hints(Metrics())
    for number in range(MAX_WAITING + 100):
        hints.notice(make_pod(f"p{number}", annotations={HINT_ANNOTATION: f"near pod {number}"}))
    assert len(hints._waiting) == MAX_WAITING


async def test_old_nodes_are_stable_ones(extender: Any) -> None:
    now_s = extender.ctx.wall_clock()
    ages_s = {"a": 60.0, "h": 8e6, "t": 3e5}
    extender.told([make_node(name, created_s=now_s - age_s) for name, age_s in ages_s.items()])
    assert await _chosen(extender, _request("proven, stable nodes")) == "h"
