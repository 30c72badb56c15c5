"""The plugin against a fake kubelet, over real gRPC on unix sockets."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import grpc
import pytest

from moorage_cluster.testing import Heard, eventually
from moorage_mocks.device_plugin import device_plugin_pb2 as pb
from moorage_mocks.device_plugin.board import read_board
from moorage_mocks.device_plugin.plugin import MockPlugin
from moorage_mocks.device_plugin.registration import stay_registered

GPU = "nvidia.com/gpu"


def board(gpus: int = 4, links: str = "pairs", **annotations: str) -> Any:
    labels = {"mock.moorage.dev/gpus": str(gpus), "mock.moorage.dev/links": links}
    prefixed = {
        f"mock.moorage.dev/{key.replace('_', '-')}": value for key, value in annotations.items()
    }
    return read_board("n1", labels, prefixed)


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def plugin(heard: Heard) -> MockPlugin:
    return MockPlugin(board(), heard)


@pytest.fixture
async def registered(
    plugin: MockPlugin, kubelet: Any, directory: Path, heard: Heard, in_background: Any
) -> Any:
    await kubelet.start()
    async with in_background(stay_registered(plugin, directory, GPU, heard, poll_s=0.01)):
        await kubelet.until(4, 4)
        yield


async def test_it_registers_and_tells_its_devices(registered: None, kubelet: Any) -> None:
    (request,) = kubelet.requests
    assert (request.version, request.resource_name) == ("v1beta1", GPU)
    assert request.options.get_preferred_allocation_available
    assert not request.options.pre_start_required
    assert sorted(kubelet.numa.values()) == [0, 0, 1, 1]
    options = await kubelet.ask("GetDevicePluginOptions", pb.Empty(), pb.DevicePluginOptions)
    assert options == request.options


async def test_health_flips_reach_the_kubelet_and_back(
    registered: None, kubelet: Any, plugin: MockPlugin
) -> None:
    plugin.show(board(faults="1,2=79"))
    await kubelet.until(4, 2)
    ids = [gpu.uuid for gpu in plugin.board.gpus]
    told = kubelet.devices[GPU]
    assert [told[uuid] for uuid in ids] == ["Healthy", "Unhealthy", "Unhealthy", "Healthy"]
    plugin.show(board())
    await kubelet.until(4, 4)


async def test_nothing_is_told_while_nothing_changes(
    registered: None, kubelet: Any, plugin: MockPlugin
) -> None:
    told = kubelet.lists
    plugin.show(board())
    plugin.show(board(faults="0"))
    await kubelet.until(4, 3)
    assert kubelet.lists == told + 1


async def test_devices_come_and_go(registered: None, kubelet: Any, plugin: MockPlugin) -> None:
    plugin.show(board(8))
    await kubelet.until(8, 8)
    plugin.show(board(0))
    await kubelet.until(0, 0)


async def test_containers_see_their_devices(
    registered: None, kubelet: Any, plugin: MockPlugin
) -> None:
    one, two, three, _ = (gpu.uuid for gpu in plugin.board.gpus)
    assert await kubelet.allocate([one, two], [three]) == [
        {"NVIDIA_VISIBLE_DEVICES": f"{one},{two}"},
        {"NVIDIA_VISIBLE_DEVICES": three},
    ]


async def test_linked_devices_are_preferred(
    registered: None, kubelet: Any, plugin: MockPlugin
) -> None:
    ids = [gpu.uuid for gpu in plugin.board.gpus]
    asked = pb.ContainerPreferredAllocationRequest(
        available_deviceIDs=[ids[3], ids[0], ids[2]], allocation_size=2
    )
    request = pb.PreferredAllocationRequest(container_requests=[asked])
    answer = await kubelet.ask("GetPreferredAllocation", request, pb.PreferredAllocationResponse)
    (container,) = answer.container_responses
    assert list(container.deviceIDs) == ids[2:]


@pytest.mark.parametrize(
    ("refuses", "ids", "code"),
    [
        pytest.param("true", None, grpc.StatusCode.FAILED_PRECONDITION, id="told-to-refuse"),
        pytest.param("false", ["GPU-x"], grpc.StatusCode.INVALID_ARGUMENT, id="unknown-device"),
    ],
)
async def test_allocations_that_are_refused(
    registered: None,
    kubelet: Any,
    plugin: MockPlugin,
    refuses: str,
    ids: list[str] | None,
    code: grpc.StatusCode,
) -> None:
    plugin.show(board(refuse_allocations=refuses))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await kubelet.allocate(ids or [plugin.board.gpus[0].uuid])
    assert caught.value.code() == code


async def test_a_restarted_kubelet_is_registered_with_again(
    registered: None, kubelet: Any, plugin: MockPlugin, heard: Heard
) -> None:
    for restart in (1, 2):
        await kubelet.stop()
        plugin.show(board(faults="0" if restart == 1 else ""))  # changed while nobody listened
        await kubelet.start()
        await kubelet.until(4, 3 if restart == 1 else 4)
        assert len(kubelet.requests) == restart + 1
    reasons = [facts["reason"] for facts in heard.facts("plugin.unregistered")]
    assert reasons == ["the kubelet was restarted"] * 2


async def test_an_emptied_folder_is_a_restart_too(
    registered: None, kubelet: Any, directory: Path
) -> None:
    (directory / kubelet.requests[0].endpoint).unlink()
    await eventually(lambda: len(kubelet.requests) == 2)
    await kubelet.until(4, 4)


async def test_it_waits_for_a_kubelet_and_through_its_refusals(
    plugin: MockPlugin, kubelet: Any, directory: Path, heard: Heard, in_background: Any
) -> None:
    kubelet.refusal = "unsupported version"
    async with in_background(stay_registered(plugin, directory, GPU, heard, poll_s=0.01)):
        await kubelet.start()
        await eventually(lambda: len(heard.facts("plugin.unregistered")) >= 2)
        assert heard.facts("plugin.unregistered")[0]["reason"] == "unsupported version"
        kubelet.refusal = ""
        await kubelet.until(4, 4)


async def test_it_leaves_no_socket_behind(
    plugin: MockPlugin, kubelet: Any, directory: Path, heard: Heard, in_background: Any
) -> None:
    await kubelet.start()
    async with in_background(stay_registered(plugin, directory, GPU, heard, poll_s=0.01)):
        await kubelet.until(4, 4)
    assert [entry.name for entry in os.scandir(directory)] == ["kubelet.sock"]
