"""What kube-scheduler sends, in both cache forms, answered by the extender's own application."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from moorage_cluster.bind import Binding, Bound
from moorage_crds.convert import to_node, to_pod
from moorage_crds.objects import NodeObject, PodObject
from moorage_extender.app import make_verbs_app
from moorage_extender.config import Settings
from moorage_extender.context import Context
from moorage_extender.verbs.bind import PodToNode
from moorage_policies.state import NodesListed, PodsListed

pytestmark = pytest.mark.control_plane

VERBS = ("filter", "prioritize", "preempt", "bind")
LOW, HIGH = "story-low", "story-high"
BY_NAME = {
    "filter": {"Pod", "Nodes", "NodeNames"},
    "prioritize": {"Pod", "Nodes", "NodeNames"},
    "preempt": {"Pod", "NodeNameToVictims", "NodeNameToMetaVictims"},
    "bind": {"PodName", "PodNamespace", "PodUID", "Node"},
}


class Application:
    """The extender's application without a server: its facts are read before every request."""

    def __init__(self, arena: Any, recorded: Any) -> None:
        self._arena = arena
        self._recorded = recorded
        settings = Settings(ranking_form="top-node")  # the form in which the scheduler asks all
        self.ctx = Context(settings, clock=time.monotonic, wall_clock=time.time)
        self._app = make_verbs_app(self.ctx, self._bind)

    def answer(self, verb: str) -> Callable[[dict[str, Any]], tuple[int, bytes]]:
        return lambda _: asyncio.run(self._answer(verb, self._recorded.bodies[-1][1]))

    async def _bind(self, order: PodToNode) -> Binding:
        request = {"PodName": order.name, "PodNamespace": order.namespace, "Node": order.node}
        self._arena.bind(request)
        return Bound()

    async def _answer(self, verb: str, body: bytes) -> tuple[int, bytes]:
        self._read_cluster()
        sent: list[Any] = []
        scope = {"type": "http", "method": "POST", "path": f"/{verb}", "headers": []}

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body}

        async def send(message: Any) -> None:
            sent.append(message)

        await self._app(scope, receive, send)
        return sent[0]["status"], sent[1]["body"]

    def _read_cluster(self) -> None:
        api = self._arena.api
        nodes = msgspec.convert(api.get("/api/v1/nodes")["items"], list[NodeObject])
        pods = msgspec.convert(api.get("/api/v1/pods")["items"], list[PodObject])
        self.ctx.state.apply(NodesListed(tuple(map(to_node, nodes))))
        self.ctx.state.apply(PodsListed(tuple(map(to_pod, pods))))


@pytest.mark.parametrize("by_name", [True, False], ids=["names", "whole-nodes"])
def test_every_verb_understands_the_scheduler_and_is_understood(
    arena: Any, scripted_extender: Any, by_name: bool
) -> None:
    application = Application(arena, scripted_extender)
    scripted_extender.scripts.update({verb: application.answer(verb) for verb in VERBS})
    arena.nodes("left", "right", gpus=1)
    arena.start_scheduler(scripted_extender, VERBS, node_cache_capable=by_name)
    arena.pod("first", gpus=1, priority=LOW)
    arena.wait_bound("first")
    arena.pod("second", gpus=1, priority=LOW)
    assert sorted(arena.wait_bound("first", "second")) == sorted(arena.names("left", "right"))
    arena.pod("urgent", gpus=1, priority=HIGH)
    arena.wait_bound("urgent")

    assert {verb for verb, _ in scripted_extender.bodies} == set(VERBS)
    for verb, body in scripted_extender.bodies:
        request = json.loads(body)
        assert set(request) == BY_NAME[verb]
        if verb in ("filter", "prioritize"):
            assert (request["Nodes"] is None) is by_name
            assert (request["NodeNames"] is not None) is by_name
    assert sorted(arena.names("left", "right")) == sorted(_first_nodes(scripted_extender, by_name))
    rejected = application.ctx.metrics.rejected.collect()[0].samples
    assert rejected == []


def _first_nodes(extender: Any, by_name: bool) -> list[str]:
    request = extender.asked("filter", "first")[0]
    if by_name:
        return list(request["NodeNames"])
    return [item["metadata"]["name"] for item in request["Nodes"]["items"]]
