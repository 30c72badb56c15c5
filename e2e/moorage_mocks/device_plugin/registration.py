"""Keeps a plugin registered for as long as the process lives, whatever the kubelet does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

import grpc
import grpc.aio

from moorage_cluster.pace import Sleep
from moorage_mocks.device_plugin import device_plugin_pb2 as pb
from moorage_mocks.device_plugin.plugin import OPTIONS
from moorage_mocks.device_plugin.rpc import API_VERSION, DevicePlugin, plugin_service, register
from moorage_policies.ports import Reporter

KUBELET_SOCKET = "kubelet.sock"

Identity = tuple[int, int]


async def stay_registered(
    plugin: DevicePlugin,
    directory: Path,
    resource: str,
    reporter: Reporter,
    *,
    poll_s: float = 1.0,
    sleep: Sleep = asyncio.sleep,
) -> None:
    """Serve a plugin and register it, again each time that the kubelet was restarted.

    A kubelet that starts empties the directory and makes its socket anew; either shows that it
    knows no plugin any more. Runs until cancelled.

    Args:
        plugin: what to serve.
        directory: where the kubelet's socket is, and the plugin's will be.
        resource: the extended resource that counts the devices.
        reporter: hears ``plugin.registered`` and ``plugin.unregistered``.
        poll_s: seconds between two looks at the directory.
        sleep: waits for a number of seconds.
    """
    kubelet = directory / KUBELET_SOCKET
    for turn in count():  # a name per turn: gRPC unlinks an old socket when it likes
        while (known := _identity(kubelet)) is None:
            await sleep(poll_s)
        own = directory / f"moorage-mock-{turn}.sock"
        request = pb.RegisterRequest(
            version=API_VERSION, endpoint=own.name, resource_name=resource, options=OPTIONS
        )
        why = "the kubelet was restarted"
        async with _serving(plugin, own):
            try:
                await register(kubelet, request)
            except grpc.aio.AioRpcError as error:
                why = error.details() or error.code().name
                await sleep(poll_s)
            else:
                reporter.report("plugin.registered", resource=resource, socket=str(own))
                while _identity(kubelet) == known and own.exists():
                    await sleep(poll_s)
        reporter.report("plugin.unregistered", resource=resource, reason=why)


@asynccontextmanager
async def _serving(plugin: DevicePlugin, socket: Path) -> AsyncIterator[None]:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((plugin_service(plugin),))
    _remove(socket)
    server.add_insecure_port(f"unix:{socket}")
    await server.start()
    try:
        yield
    finally:
        await server.stop(grace=None)
        _remove(socket)


def _remove(socket: Path) -> None:
    socket.unlink(missing_ok=True)


def _identity(socket: Path) -> Identity | None:
    """Return what tells one socket from the next at the same path; inodes are used again."""
    try:
        status = socket.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_ctime_ns
