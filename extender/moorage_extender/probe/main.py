"""``moorage-probe``: measure, and tell who asks, until a signal comes."""

from __future__ import annotations

import asyncio
import signal
import sys
import time

import structlog
from aiohttp import web
from prometheus_client import generate_latest

from moorage_cluster.settings import load_settings
from moorage_extender.logs import configure_logs
from moorage_extender.probe.bandwidth import SINK_MBPS, SecondHalf
from moorage_extender.probe.prober import Prober
from moorage_extender.probe.report import encode
from moorage_extender.probe.selection import KIB
from moorage_extender.probe.settings import ProbeSettings
from moorage_policies.errors import BadInputError

BAD_INPUT_EXIT_CODE = 2
MOST_SINK_BYTES = 64 * 1024 * KIB

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


def make_app(prober: Prober) -> web.Application:
    """Return the application: telemetry, metrics, health, and the sink of bandwidth tests."""

    async def telemetry(_request: web.Request) -> web.Response:
        return web.Response(body=encode(prober.report()), content_type="application/json")

    async def metrics(_request: web.Request) -> web.Response:
        body = generate_latest(prober.registry)
        return web.Response(body=body, headers={"Content-Type": "text/plain; version=0.0.4"})

    async def live(_request: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def sink(request: web.Request) -> web.Response:
        size = request.content_length
        if size is None or size > MOST_SINK_BYTES:
            raise web.HTTPRequestEntityTooLarge(MOST_SINK_BYTES, size or 0)
        if not prober.may_accept.take(size):
            raise web.HTTPTooManyRequests
        half = SecondHalf(size, time.perf_counter)
        async for chunk in request.content.iter_any():
            half.take(len(chunk))
        mbps = half.mbps()
        return web.Response(status=204, headers={} if mbps is None else {SINK_MBPS: f"{mbps:.2f}"})

    app = web.Application()
    app.add_routes(
        [
            web.get("/v1/telemetry", telemetry),
            web.get("/metrics", metrics),
            web.get("/livez", live),
            web.post("/v1/sink", sink),
        ]
    )
    return app


async def serve(settings: ProbeSettings) -> None:
    """Measure and answer until SIGTERM or SIGINT."""
    prober = Prober(settings, time.monotonic)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: prober.echo, local_addr=(settings.host, settings.echo_port)
    )
    runner = web.AppRunner(make_app(prober), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, settings.host, settings.port).start()
    log.info("listening", http=runner.addresses, echo=transport.get_extra_info("sockname")[:2])
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    measuring = asyncio.create_task(prober.run())
    await stop.wait()
    measuring.cancel()
    transport.close()
    await runner.cleanup()


def run() -> None:
    """Run the program."""
    try:
        settings = load_settings(ProbeSettings)
    except BadInputError as error:
        for line in str(error).splitlines():
            sys.stderr.write(f"moorage-probe: {line}\n")
        sys.exit(BAD_INPUT_EXIT_CODE)
    configure_logs(settings.log_level)
    asyncio.run(serve(settings))


if __name__ == "__main__":
    run()
