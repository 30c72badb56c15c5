"""A running extender without a cluster: its state is told by hand, its binder is scripted."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from moorage_cluster.bind import Binding, Bound
from moorage_extender.app import make_health_app, make_verbs_app
from moorage_extender.config import Settings
from moorage_extender.context import Context
from moorage_extender.health import Health
from moorage_extender.server import make_health_server, make_verbs_server, open_socket
from moorage_extender.verbs.bind import PodToNode
from moorage_policies.state import NodesListed, PodsListed
from moorage_policies.types import Node, Pod

DATA = Path(__file__).with_name("data")


class FakeClock:
    """Seconds that pass only when told to, or by ``step_s`` at every look."""

    def __init__(self, now_s: float = 1000.0) -> None:
        self.now_s = now_s
        self.step_s = 0.0

    def __call__(self) -> float:
        self.now_s += self.step_s
        return self.now_s


class Client:
    """Speaks to one extender as kube-scheduler does."""

    def __init__(self, ctx: Context, clock: FakeClock, health: Health) -> None:
        self.ctx = ctx
        self.clock = clock
        self.health = health
        self.bound: list[PodToNode] = []
        self.binder: Callable[[PodToNode], Awaitable[Binding]] = self._bind
        self.verbs_url = ""
        self.health_url = ""
        self.http: aiohttp.ClientSession

    async def _bind(self, order: PodToNode) -> Binding:
        self.bound.append(order)
        return Bound()

    def told(self, nodes: Iterable[Node], pods: Iterable[Pod] = ()) -> None:
        """Let the extender know a whole cluster."""
        self.ctx.state.apply(NodesListed(tuple(nodes)))
        self.ctx.state.apply(PodsListed(tuple(pods)))

    async def send(self, verb: str, body: object) -> tuple[int, bytes]:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        async with self.http.post(f"{self.verbs_url}/{verb}", data=data) as answer:
            return answer.status, await answer.read()

    async def ask(self, verb: str, body: object) -> Any:
        status, answer = await self.send(verb, body)
        assert status == 200, (status, answer)
        return json.loads(answer)

    async def get(self, path: str) -> tuple[int, str]:
        async with self.http.get(f"{self.health_url}{path}") as answer:
            return answer.status, await answer.text()

    async def metric(self, series: str) -> float:
        _, text = await self.get("/metrics")
        values = [line.split()[-1] for line in text.splitlines() if line.startswith(f"{series} ")]
        return float(values[0]) if values else 0.0

    async def decisions(self) -> list[dict[str, Any]]:
        _, text = await self.get("/debug/decisions")
        answer: list[dict[str, Any]] = json.loads(text)
        return answer


StartExtender = Callable[..., Awaitable[Client]]


@pytest.fixture
async def start_extender() -> AsyncIterator[StartExtender]:
    async with contextlib.AsyncExitStack() as stack:

        async def start(**settings: Any) -> Client:
            return await stack.enter_async_context(_running(Settings(**settings)))

        yield start


@pytest.fixture
async def extender(start_extender: StartExtender) -> Client:
    return await start_extender()


@contextlib.asynccontextmanager
async def _running(settings: Settings) -> AsyncIterator[Client]:
    clock = FakeClock()
    ctx = Context(settings, clock=clock, wall_clock=FakeClock(1e9))
    client = Client(ctx, clock, Health(ctx))

    async def binder(order: PodToNode) -> Binding:
        return await client.binder(order)

    servers = (
        make_verbs_server(make_verbs_app(ctx, binder), settings, ctx.metrics),
        make_health_server(make_health_app(ctx, client.health)),
    )
    sockets = [open_socket("127.0.0.1", 0, "port") for _ in servers]
    client.verbs_url, client.health_url = (
        f"http://127.0.0.1:{one.getsockname()[1]}" for one in sockets
    )
    pairs = zip(servers, sockets, strict=True)
    serving = [asyncio.create_task(server.serve([one])) for server, one in pairs]
    reading = asyncio.create_task(ctx.hints.run())
    async with aiohttp.ClientSession() as client.http:
        yield client
    reading.cancel()
    for server in servers:
        server.should_exit = True
    await asyncio.gather(*serving)


def read_body(name: str) -> dict[str, Any]:
    body: dict[str, Any] = json.loads((DATA / name).read_text())
    return body


@pytest.fixture
def recorded() -> Callable[[str], dict[str, Any]]:
    """Return the reader of recorded bodies."""
    return read_body
