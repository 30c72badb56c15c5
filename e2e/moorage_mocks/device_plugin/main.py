"""The ``moorage-mock-device-plugin`` program."""

from __future__ import annotations

import asyncio
import signal
import sys

from prometheus_client import start_http_server

from moorage_cluster.session import ApiSession
from moorage_cluster.settings import load_settings
from moorage_mocks.device_plugin.board import read_board
from moorage_mocks.device_plugin.config import Settings
from moorage_mocks.device_plugin.metrics import device_metrics
from moorage_mocks.device_plugin.node import NodeFollower
from moorage_mocks.device_plugin.plugin import MockPlugin
from moorage_mocks.device_plugin.registration import stay_registered
from moorage_mocks.logs import LogReporter, configure_logs
from moorage_policies.errors import BadInputError

EXIT_BAD_INPUT = 2


def run() -> None:
    """Run until SIGTERM or SIGINT; settings that cannot be used end it with status 2."""
    try:
        settings = load_settings(Settings)
        configure_logs(settings.log_level)
        asyncio.run(_until_signal(settings))
    except BadInputError as error:
        for line in str(error).splitlines():
            sys.stderr.write(f"moorage-mock-device-plugin: {line}\n")
        sys.exit(EXIT_BAD_INPUT)


async def _until_signal(settings: Settings) -> None:
    serving = asyncio.create_task(serve(settings))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, serving.cancel)
    try:
        await serving
    except asyncio.CancelledError:
        return


async def serve(settings: Settings) -> None:
    """Offer the node's mock devices until cancelled."""
    reporter = LogReporter()
    plugin = MockPlugin(read_board(settings.node_name, {}, {}), reporter)
    registry = device_metrics(settings.node_name, plugin)
    server, _ = start_http_server(settings.metrics_port, settings.metrics_host, registry)
    try:
        async with await ApiSession.connect(
            settings.kubeconfig, user_agent="moorage-mock-device-plugin"
        ) as session:
            follower = NodeFollower(session, settings.node_name, plugin, reporter)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(follower.run())
                await follower.read.wait()  # else the kubelet would hear of no devices first
                await stay_registered(
                    plugin,
                    settings.plugin_dir,
                    settings.resource,
                    reporter,
                    poll_s=settings.poll_s,
                )
    finally:
        server.shutdown()
