"""The ``moorage-sample-engine`` program."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from moorage_cluster.settings import load_settings
from moorage_mocks.engine.app import Routes
from moorage_mocks.engine.batch import Batch
from moorage_mocks.engine.config import Settings
from moorage_mocks.engine.metrics import EngineMetrics
from moorage_mocks.engine.server import ModelServer
from moorage_mocks.logs import LogReporter, configure_logs
from moorage_policies.errors import BadInputError

EXIT_BAD_INPUT = 2
VISIBLE_DEVICES = "NVIDIA_VISIBLE_DEVICES"


def run() -> None:
    """Serve until SIGTERM or SIGINT, then drain; bad settings end it with status 2."""
    try:
        settings = load_settings(Settings)
        configure_logs(settings.log_level)
        asyncio.run(_serve_until_signal(settings))
    except BadInputError as error:
        for line in str(error).splitlines():
            sys.stderr.write(f"moorage-sample-engine: {line}\n")
        sys.exit(EXIT_BAD_INPUT)


async def _serve_until_signal(settings: Settings) -> None:
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    reporter = LogReporter()
    async with serving(settings, os.environ.get(VISIBLE_DEVICES, "")) as (server, port):
        reporter.report("engine.listening", port=port, model=settings.model, role=settings.role)
        await told.wait()
        left = await server.drain(settings.drain_s)
        reporter.report("engine.drained", left=left)


@asynccontextmanager
async def serving(settings: Settings, devices: str) -> AsyncIterator[tuple[ModelServer, int]]:
    """Serve as the settings say and yield the server and its port."""
    metrics = EngineMetrics(settings.metrics, settings.model, time.monotonic)
    batch = Batch(settings.pace(), settings.room())
    metrics.watch(batch)
    server = ModelServer(batch, time.monotonic, asyncio.sleep, metrics)
    app = Routes(server, metrics, settings, devices).app()
    # a client that leaves cancels its handler, which gives its place in the batch back
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=1.0)
    await runner.setup()
    stepping = asyncio.create_task(server.run(settings.warm_up_s))
    try:
        await web.TCPSite(runner, settings.host, settings.port).start()
        yield server, int(runner.addresses[0][1])
    finally:
        stepping.cancel()
        await runner.cleanup()
        await asyncio.gather(stepping, return_exceptions=True)
