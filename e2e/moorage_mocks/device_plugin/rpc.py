"""The two gRPC services of the kubelet's device plugin interface, by name and message."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Protocol

import grpc
import grpc.aio

from moorage_mocks.device_plugin import device_plugin_pb2 as pb

API_VERSION = "v1beta1"
HEALTHY, UNHEALTHY = "Healthy", "Unhealthy"
REGISTER = f"/{API_VERSION}.Registration/Register"
_REGISTER_TIMEOUT_S = 10.0

Call = grpc.aio.ServicerContext[Any, Any]


class DevicePlugin(Protocol):
    """What a device plugin answers to the kubelet."""

    async def options(self, request: pb.Empty, call: Call) -> pb.DevicePluginOptions:
        """Return which optional calls the plugin serves."""
        ...

    def list_and_watch(
        self, request: pb.Empty, call: Call
    ) -> AsyncIterator[pb.ListAndWatchResponse]:
        """Yield every device, again at each change."""
        ...

    async def prefer(
        self, request: pb.PreferredAllocationRequest, call: Call
    ) -> pb.PreferredAllocationResponse:
        """Return the devices that each container should get."""
        ...

    async def allocate(self, request: pb.AllocateRequest, call: Call) -> pb.AllocateResponse:
        """Return what each container needs to see its devices."""
        ...


def plugin_service(plugin: DevicePlugin) -> grpc.GenericRpcHandler:
    """Return the service that the kubelet calls."""
    one = grpc.unary_unary_rpc_method_handler
    return grpc.method_handlers_generic_handler(
        f"{API_VERSION}.DevicePlugin",
        {
            "GetDevicePluginOptions": one(
                plugin.options,
                request_deserializer=pb.Empty.FromString,
                response_serializer=pb.DevicePluginOptions.SerializeToString,
            ),
            "ListAndWatch": grpc.unary_stream_rpc_method_handler(
                plugin.list_and_watch,
                request_deserializer=pb.Empty.FromString,
                response_serializer=pb.ListAndWatchResponse.SerializeToString,
            ),
            "GetPreferredAllocation": one(
                plugin.prefer,
                request_deserializer=pb.PreferredAllocationRequest.FromString,
                response_serializer=pb.PreferredAllocationResponse.SerializeToString,
            ),
            "Allocate": one(
                plugin.allocate,
                request_deserializer=pb.AllocateRequest.FromString,
                response_serializer=pb.AllocateResponse.SerializeToString,
            ),
            "PreStartContainer": one(
                _pre_start,
                request_deserializer=pb.PreStartContainerRequest.FromString,
                response_serializer=pb.PreStartContainerResponse.SerializeToString,
            ),
        },
    )


async def register(kubelet: Path, request: pb.RegisterRequest) -> None:
    """Tell the kubelet behind a socket of a plugin.

    Raises:
        grpc.aio.AioRpcError: the kubelet cannot be reached or refuses.
    """
    async with grpc.aio.insecure_channel(f"unix:{kubelet}") as channel:
        call = channel.unary_unary(
            REGISTER,
            request_serializer=pb.RegisterRequest.SerializeToString,
            response_deserializer=pb.Empty.FromString,
        )
        await call(request, timeout=_REGISTER_TIMEOUT_S)


async def _pre_start(
    _request: pb.PreStartContainerRequest, _call: Call
) -> pb.PreStartContainerResponse:
    return pb.PreStartContainerResponse()
