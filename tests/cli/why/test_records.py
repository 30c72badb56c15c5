from __future__ import annotations

from typing import Any, cast

import msgspec
import pytest

from moorage_cli.why.records import Decision, ask_address, ask_cluster
from moorage_cluster.errors import ClusterUnavailableError, Failure
from moorage_cluster.session import ApiSession
from moorage_policies.errors import BadInputError, UnavailableError


def _pod(name: str, *ports: dict[str, Any]) -> dict[str, Any]:
    containers = [{"ports": [{"name": "verbs", "containerPort": 8888}]}, {"ports": list(ports)}]
    return {
        "metadata": {"name": name, "namespace": "sys"},
        "spec": {"containers": containers},
    }


class Proxy:
    """An API server that passes requests on to extenders; ``None`` is one that hangs."""

    def __init__(self, pods: list[dict[str, Any]], answers: dict[str, bytes | None]) -> None:
        self.pods = pods
        self.answers = answers

    async def get_json(self, path: str, *, params: dict[str, str]) -> dict[str, Any]:
        assert path == "/api/v1/pods"
        assert params == {"fieldSelector": "spec.serviceAccountName=moorage-extender"}
        return {"items": self.pods}

    async def request(self, method: str, path: str, *, timeout_s: float) -> bytes:
        assert method == "GET"
        assert timeout_s > 0
        answer = self.answers[path]
        if answer is None:
            raise ClusterUnavailableError(Failure(method, path, 0, "silence"))
        return answer


def _decided(at_s: float) -> bytes:
    return msgspec.json.encode([Decision("team/p", "u", "because", at_s=at_s)])


def _path(pod: str, port: int) -> str:
    return f"/api/v1/namespaces/sys/pods/{pod}:{port}/proxy/debug/decisions/team/p"


async def _ask(proxy: Proxy) -> list[Decision]:
    return await ask_cluster(cast("ApiSession", proxy), "team", "p")


async def test_every_extender_is_asked_on_its_own_port_and_the_newest_comes_first() -> None:
    pods = [_pod("a"), _pod("b", {"name": "health", "containerPort": 9}), _pod("dead")]
    answers = {
        _path("a", 8889): _decided(1.0),
        _path("b", 9): _decided(2.0),
        _path("dead", 8889): None,
    }
    assert [decision.at_s for decision in await _ask(Proxy(pods, answers))] == [2.0, 1.0]


async def test_without_any_extender_the_remedy_is_named() -> None:
    with pytest.raises(BadInputError, match="--extender"):
        await _ask(Proxy([], {}))


@pytest.mark.parametrize("answer", [None, b"<html>", b'{"not": "a list"}'])
async def test_no_extender_that_answers_is_said(answer: bytes | None) -> None:
    with pytest.raises(UnavailableError, match="no extender answers"):
        await _ask(Proxy([_pod("a")], {_path("a", 8889): answer}))


async def test_an_address_where_nobody_listens_is_said() -> None:
    with pytest.raises(UnavailableError, match="does not answer"):
        await ask_address("http://127.0.0.1:9", "team", "p")
