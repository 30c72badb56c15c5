from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from moorage_cluster.bind import Binding, BindRefused, Bound, BoundElsewhere, PodGone
from moorage_cluster.errors import Failure, to_error
from moorage_extender.verbs.bind import Bind
from moorage_policies.state import PodChanged
from moorage_policies.testing import make_node, make_pod

REQUEST = {"PodName": "p", "PodNamespace": "default", "PodUID": "uid-p", "Node": "a"}


def _pending(extender: Any) -> None:
    extender.told([make_node("a"), make_node("b")], [make_pod("p", uid="uid-p", gpus=3)])


def _free(extender: Any, node: str = "a") -> int:
    snapshot = extender.ctx.state.snapshot()
    return int(snapshot.free_of("nvidia.com/gpu")[snapshot.node_index[node]])


async def _binds(extender: Any, outcome: str) -> float:
    value: float = await extender.metric(f'moorage_extender_binds_total{{outcome="{outcome}"}}')
    return value


async def test_the_room_counts_before_the_api_server_has_answered(extender: Any) -> None:
    _pending(extender)
    seen: list[int] = []

    async def look(_: object) -> Binding:
        seen.append(_free(extender))
        return Bound()

    extender.binder = look
    assert await extender.ask("bind", REQUEST) == {"Error": ""}
    assert seen == [5]
    assert _free(extender) == 5
    assert await _binds(extender, "bound") == 1


def _error(status: int, message: str) -> Exception:
    return to_error(Failure("POST", "/binding", status, message))


@pytest.mark.parametrize(
    ("outcome", "ends", "room", "blames"),
    [
        pytest.param(BoundElsewhere("b"), "elsewhere", 8, False, id="bound-elsewhere"),
        pytest.param(BindRefused("gated"), "refused", 8, True, id="refused"),
        pytest.param(PodGone(), "gone", 8, False, id="pod-gone"),
        pytest.param(_error(403, "no"), "failed", 8, True, id="forbidden"),
        pytest.param(_error(429, "later"), "throttled", 8, False, id="throttled"),
        # it may have happened: the room stays counted until the watch or time tells
        pytest.param(_error(0, "reset"), "unknown", 5, False, id="no-answer"),
        pytest.param(_error(503, "down"), "unknown", 5, False, id="unavailable"),
        pytest.param(Bound(earlier=True), "already", 5, None, id="bound-by-an-earlier-call"),
    ],
)
async def test_outcomes(
    extender: Any, outcome: Binding | Exception, ends: str, room: int, blames: bool | None
) -> None:
    async def binder(_: object) -> Binding:
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    _pending(extender)
    extender.binder = binder
    answer = await extender.ask("bind", REQUEST)
    assert (answer["Error"] == "") == (ends == "already")
    assert _free(extender) == room
    assert await _binds(extender, ends) == 1
    assert list(extender.ctx.failed_binds.nodes_of("uid-p")) == (["a"] if blames else [])
    (record,) = await extender.decisions()
    assert (record["verb"], record["outcome"], record["node"]) == ("bind", ends, "a")


async def test_the_same_binding_asked_thrice_at_once_is_made_once(extender: Any) -> None:
    _pending(extender)
    calls: list[object] = []
    everyone_asked = asyncio.Event()

    async def slow(order: object) -> Binding:
        calls.append(order)
        await everyone_asked.wait()
        return Bound()

    verb = Bind(extender.ctx, slow)
    order = verb.decode(json.dumps(REQUEST).encode())
    asked = [asyncio.create_task(verb.decide(order, 0.0)) for _ in range(3)]
    asked[-1].get_loop().call_soon(everyone_asked.set)  # runs after each of the three has asked
    replies = await asyncio.gather(*asked)
    assert [reply.body for reply in replies] == [b'{"Error":""}'] * 3
    assert len(calls) == 1


async def test_a_caller_that_goes_away_does_not_stop_the_binding(extender: Any) -> None:
    _pending(extender)
    go, done = asyncio.Event(), asyncio.Event()

    async def slow(_: object) -> Binding:
        await go.wait()
        done.set()
        return Bound()

    verb = Bind(extender.ctx, slow)
    asked = asyncio.create_task(verb.decide(verb.decode(json.dumps(REQUEST).encode()), 0.0))
    await asyncio.sleep(0)
    asked.cancel()
    go.set()
    await asyncio.wait_for(done.wait(), 10)
    assert _free(extender) == 5


async def test_asking_again_after_the_watch_has_confirmed_tells_nobody(extender: Any) -> None:
    _pending(extender)
    await extender.ask("bind", REQUEST)
    extender.ctx.state.apply(PodChanged(make_pod("p", uid="uid-p", gpus=3, node="a")))
    assert await extender.ask("bind", REQUEST) == {"Error": ""}
    assert len(extender.bound) == 1
    assert _free(extender) == 5


async def test_many_pods_are_bound_at_once(extender: Any) -> None:
    extender.told([make_node("a")], [make_pod(f"p{i}", uid=f"uid-{i}", gpus=0) for i in range(12)])
    under_way, most, everyone = 0, 0, asyncio.Event()

    async def slow(_: object) -> Binding:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        if most == 12:
            everyone.set()
        await everyone.wait()
        under_way -= 1
        return Bound()

    extender.binder = slow
    requests = [{**REQUEST, "PodName": f"p{i}", "PodUID": f"uid-{i}"} for i in range(12)]
    answers = await asyncio.gather(*(extender.ask("bind", request) for request in requests))
    assert answers == [{"Error": ""}] * 12
    assert most == 12


async def test_an_api_server_that_does_not_answer_in_time(start_extender: Any) -> None:
    extender = await start_extender(bind_timeout_s=0.01)
    _pending(extender)

    async def never(_: object) -> Binding:
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    extender.binder = never
    answer = await extender.ask("bind", REQUEST)
    assert "no answer" in answer["Error"]
    assert await _binds(extender, "unknown") == 1
    assert _free(extender) == 5
    extender.clock.now_s += extender.ctx.settings.assume_ttl_s
    extender.ctx.forget_old()
    assert _free(extender) == 8
    assert await extender.metric("moorage_extender_assumed_expired_total") == 1


async def test_a_pod_known_from_filter_alone_is_counted_too(extender: Any) -> None:
    extender.told([make_node("a")])
    resources = {"requests": {"nvidia.com/gpu": "2"}}
    pod = {
        "metadata": {"name": "p", "namespace": "default", "uid": "uid-p"},
        "spec": {"containers": [{"name": "c", "resources": resources}]},
    }
    await extender.ask("filter", {"Pod": pod, "Nodes": None, "NodeNames": ["a"]})
    await extender.ask("bind", REQUEST)
    assert _free(extender) == 6


async def test_a_pod_that_nobody_knows_is_bound_and_counted_as_degraded(extender: Any) -> None:
    extender.told([make_node("a")])
    assert await extender.ask("bind", REQUEST) == {"Error": ""}
    series = 'moorage_extender_degraded_total{reason="unknown-pod",verb="bind"}'
    assert await extender.metric(series) == 1
    assert _free(extender) == 8


async def test_our_own_bug_is_an_error_without_a_trace(extender: Any) -> None:
    async def broken(_: object) -> Binding:
        raise RuntimeError("a secret of ours")

    _pending(extender)
    extender.binder = broken
    answer = await extender.ask("bind", REQUEST)
    assert "was not bound" in answer["Error"]
    assert "secret" not in answer["Error"]


@pytest.mark.parametrize("field", list(REQUEST))
async def test_empty_and_missing_fields_are_named(extender: Any, field: str) -> None:
    for request in ({**REQUEST, field: ""}, {k: v for k, v in REQUEST.items() if k != field}):
        status, body = await extender.send("bind", request)
        assert status == 400
        assert field.encode() in body
    assert extender.bound == []
