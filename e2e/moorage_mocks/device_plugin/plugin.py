"""What the mock answers to the kubelet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc

from moorage_mocks.device_plugin import device_plugin_pb2 as pb
from moorage_mocks.device_plugin.board import Board
from moorage_mocks.device_plugin.preference import preferred
from moorage_mocks.device_plugin.rpc import HEALTHY, UNHEALTHY, Call
from moorage_policies.ports import Reporter

VISIBLE_DEVICES = "NVIDIA_VISIBLE_DEVICES"
OPTIONS = pb.DevicePluginOptions(get_preferred_allocation_available=True)


class MockPlugin:
    """Serves the devices of the board that was shown last."""

    def __init__(self, board: Board, reporter: Reporter) -> None:
        self._board = board
        self._reporter = reporter
        self._changed = asyncio.Event()

    @property
    def board(self) -> Board:
        """Return the board that was shown last."""
        return self._board

    def show(self, board: Board) -> None:
        """Serve this board from now on; every kubelet that listens is told."""
        if board == self._board:
            return
        self._board = board
        self._changed.set()
        self._changed = asyncio.Event()

    async def options(self, _request: pb.Empty, _call: Call) -> pb.DevicePluginOptions:
        """Return that allocations may be preferred."""
        return OPTIONS

    async def list_and_watch(
        self, _request: pb.Empty, _call: Call
    ) -> AsyncIterator[pb.ListAndWatchResponse]:
        """Yield every device with its health, again at each change."""
        while True:
            changed = self._changed  # taken before the board is read: no change falls between
            yield _devices(self._board)
            await changed.wait()

    async def prefer(
        self, request: pb.PreferredAllocationRequest, _call: Call
    ) -> pb.PreferredAllocationResponse:
        """Return the best linked devices for each container."""
        answers = (
            preferred(
                self._board.gpus,
                asked.available_deviceIDs,
                asked.must_include_deviceIDs,
                asked.allocation_size,
            )
            for asked in request.container_requests
        )
        return pb.PreferredAllocationResponse(
            container_responses=[
                pb.ContainerPreferredAllocationResponse(deviceIDs=ids) for ids in answers
            ]
        )

    async def allocate(self, request: pb.AllocateRequest, call: Call) -> pb.AllocateResponse:
        """Return the variable that names a container's devices; refuse what is not on the board."""
        asked = [list(container.devices_ids) for container in request.container_requests]
        self._reporter.report("plugin.allocate", devices=asked, refused=self._board.refuses)
        if self._board.refuses:
            await call.abort(grpc.StatusCode.FAILED_PRECONDITION, "the node was told to refuse")
        known = {gpu.uuid for gpu in self._board.gpus}
        if unknown := {uuid for uuids in asked for uuid in uuids} - known:
            names = ", ".join(sorted(unknown))
            await call.abort(grpc.StatusCode.INVALID_ARGUMENT, f"no such device here: {names}")
        return pb.AllocateResponse(
            container_responses=[
                pb.ContainerAllocateResponse(envs={VISIBLE_DEVICES: ",".join(uuids)})
                for uuids in asked
            ]
        )


def _devices(board: Board) -> pb.ListAndWatchResponse:
    return pb.ListAndWatchResponse(
        devices=[
            pb.Device(
                ID=gpu.uuid,
                health=UNHEALTHY if gpu.broken else HEALTHY,
                topology=pb.TopologyInfo(nodes=[pb.NUMANode(ID=gpu.numa)]),
            )
            for gpu in board.gpus
        ]
    )
