"""The listener for probes, metrics and records: /livez, /readyz, /metrics, /debug/scaling."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

SHUTDOWN_S = 1.0
Check = Callable[[], str]
"""Returns what is wrong, empty when all is well."""
Answer = Callable[[web.Request], Awaitable[web.Response]]


@dataclass(frozen=True, slots=True)
class Probes:
    """What the probes ask.

    Args:
        alive: whether the process should go on living.
        ready: whether it does its work, or stands by to take it over.
    """

    alive: Check
    ready: Check


@asynccontextmanager
async def listening(
    host: str,
    port: int,
    probes: Probes,
    registry: CollectorRegistry,
    find_record: Callable[[str, str], bytes | None] = lambda _namespace, _pool: None,
) -> AsyncIterator[int]:
    """Serve probes, metrics and scaling records while the block runs; yields the port."""
    app = web.Application()
    app.router.add_get("/livez", _probe(probes.alive))
    app.router.add_get("/healthz", _probe(probes.alive))
    app.router.add_get("/readyz", _probe(probes.ready))
    app.router.add_get("/metrics", _metrics(registry))
    app.router.add_get("/debug/scaling/{namespace}/{pool}", _records(find_record))
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=SHUTDOWN_S)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def _probe(check: Check) -> Answer:
    async def answer(_request: web.Request) -> web.Response:
        wrong = check()
        return web.Response(text=f"{wrong or 'ok'}\n", status=503 if wrong else 200)

    return answer


def _records(find: Callable[[str, str], bytes | None]) -> Answer:
    async def answer(request: web.Request) -> web.Response:
        record = find(request.match_info["namespace"], request.match_info["pool"])
        if record is None:
            return web.Response(text="no decision about this pool yet\n", status=404)
        return web.Response(body=record, content_type="application/json")

    return answer


def _metrics(registry: CollectorRegistry) -> Answer:
    async def answer(_request: web.Request) -> web.Response:
        headers = {"Content-Type": CONTENT_TYPE_PLAIN_0_0_4}
        return web.Response(body=generate_latest(registry), headers=headers)

    return answer
