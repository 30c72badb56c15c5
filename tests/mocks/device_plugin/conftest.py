"""A kubelet as a device plugin sees it: real gRPC over unix sockets."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from moorage_cluster.testing import eventually
from moorage_mocks.device_plugin import device_plugin_pb2 as pb
from moorage_mocks.device_plugin.registration import KUBELET_SOCKET

PLUGIN = "/v1beta1.DevicePlugin/"


class FakeKubelet:
    """Takes registrations, follows each plugin's devices and asks what a kubelet asks.

    ``devices`` holds id to health as last told, per resource; ``refusal`` is what registrations are
    refused with.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.requests: list[pb.RegisterRequest] = []
        self.devices: dict[str, dict[str, str]] = {}
        self.numa: dict[str, int] = {}
        self.lists = 0
        self.refusal = ""
        self._server: Any = None
        self._following: set[asyncio.Task[None]] = set()
        self._channel: Any = None

    async def start(self) -> None:
        """Empty the folder, as a kubelet does, and listen."""
        for path in self.directory.iterdir():
            path.unlink()
        self._server = grpc.aio.server()
        register = grpc.unary_unary_rpc_method_handler(
            self._register,
            request_deserializer=pb.RegisterRequest.FromString,
            response_serializer=pb.Empty.SerializeToString,
        )
        handler = grpc.method_handlers_generic_handler(
            "v1beta1.Registration", {"Register": register}
        )
        self._server.add_generic_rpc_handlers((handler,))
        self._server.add_insecure_port(f"unix:{self.directory / KUBELET_SOCKET}")
        await self._server.start()

    async def stop(self) -> None:
        for task in self._following:
            task.cancel()
        await asyncio.gather(*self._following, return_exceptions=True)
        self._following.clear()
        if self._channel:
            await self._channel.close()
        if self._server:
            await self._server.stop(grace=None)
        (self.directory / KUBELET_SOCKET).unlink(missing_ok=True)
        self.devices.clear()

    async def _register(self, request: pb.RegisterRequest, call: Any) -> pb.Empty:
        if self.refusal:
            await call.abort(grpc.StatusCode.UNKNOWN, self.refusal)
        self.requests.append(request)
        self._channel = grpc.aio.insecure_channel(f"unix:{self.directory / request.endpoint}")
        self._following.add(asyncio.create_task(self._follow(request.resource_name)))
        return pb.Empty()

    async def _follow(self, resource: str) -> None:
        stream = self._channel.unary_stream(
            PLUGIN + "ListAndWatch",
            request_serializer=pb.Empty.SerializeToString,
            response_deserializer=pb.ListAndWatchResponse.FromString,
        )
        try:
            async for told in stream(pb.Empty()):
                self.lists += 1
                self.devices[resource] = {d.ID: d.health for d in told.devices}
                self.numa = {d.ID: d.topology.nodes[0].ID for d in told.devices}
        except grpc.aio.AioRpcError:
            self.devices.pop(resource, None)  # the plugin's stream ended: no devices any more

    async def ask(self, method: str, request: Any, answer: type[Any]) -> Any:
        call = self._channel.unary_unary(
            PLUGIN + method,
            request_serializer=type(request).SerializeToString,
            response_deserializer=answer.FromString,
        )
        return await call(request, timeout=5)

    async def allocate(self, *containers: list[str]) -> list[dict[str, str]]:
        asked = [pb.ContainerAllocateRequest(devices_ids=ids) for ids in containers]
        request = pb.AllocateRequest(container_requests=asked)
        answer = await self.ask("Allocate", request, pb.AllocateResponse)
        return [dict(container.envs) for container in answer.container_responses]

    def healthy(self, resource: str = "nvidia.com/gpu") -> int:
        return sum(health == "Healthy" for health in self.devices.get(resource, {}).values())

    async def until(self, total: int, healthy: int) -> None:
        """Wait until so many devices are known, so many of them healthy."""
        await eventually(
            lambda: (
                len(self.devices.get("nvidia.com/gpu", {})) == total and self.healthy() == healthy
            )
        )


@pytest.fixture
def directory() -> Iterator[Path]:
    """A folder whose name is short: the path of a unix socket has 107 characters at most."""
    path = Path(tempfile.mkdtemp(prefix="dp-", dir="/tmp"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
async def kubelet(directory: Path) -> AsyncIterator[FakeKubelet]:
    fake = FakeKubelet(directory)
    yield fake
    await fake.stop()


@asynccontextmanager
async def running(work: Any) -> AsyncIterator[asyncio.Task[None]]:
    """Let a coroutine run in the background; fail if it ended by itself."""
    task = asyncio.create_task(work)
    try:
        yield task
        assert not task.done(), task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def in_background() -> Any:
    return running
