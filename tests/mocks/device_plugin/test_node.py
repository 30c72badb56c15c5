"""The plugin's node: what it asks for and what is written to it, on an API server in memory."""

from __future__ import annotations

import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import start_http_server

from moorage_cluster.fake_api import FakeApi, Fault
from moorage_cluster.testing import Heard, eventually
from moorage_mocks.device_plugin.board import read_board
from moorage_mocks.device_plugin.config import Settings
from moorage_mocks.device_plugin.metrics import device_metrics
from moorage_mocks.device_plugin.node import PROBLEM_ANNOTATION, NodeFollower
from moorage_mocks.device_plugin.plugin import MockPlugin

ROOT = Path(__file__).parents[3]
NODE = "/api/v1/nodes/n1"


def node(annotations: dict[str, str] | None = None, **labels: str) -> dict[str, Any]:
    prefixed = {f"mock.moorage.dev/{key}": value for key, value in labels.items()}
    return {"metadata": {"name": "n1", "labels": prefixed, "annotations": annotations or {}}}


def metadata(api: FakeApi, name: str = "n1") -> dict[str, Any]:
    (found,) = (item for item in api.items("/api/v1/nodes") if item["metadata"]["name"] == name)
    return found["metadata"]


@pytest.fixture
def plugin() -> MockPlugin:
    return MockPlugin(read_board("n1", {}, {}), Heard())


@pytest.fixture
async def api(plugin: MockPlugin, in_background: Any) -> Any:
    async with FakeApi() as fake:
        await fake.put(NODE, node(gpus="2", product="Tesla-T4"))
        await fake.put("/api/v1/nodes/n2", {"metadata": {"name": "n2", "labels": {}}})
        async with fake.session() as session:
            follower = NodeFollower(session, "n1", plugin, Heard(), sleep=_at_once)
            async with in_background(follower.run()):
                await eventually(lambda: len(plugin.board.gpus) == 2)
                yield fake


async def _at_once(_seconds: float) -> None:
    return


async def test_the_node_gets_the_labels_of_its_devices_once(api: FakeApi) -> None:
    await eventually(lambda: "nvidia.com/gpu.count" in metadata(api)["labels"])
    labels = metadata(api)["labels"]
    assert labels["nvidia.com/gpu.product"] == "Tesla-T4"
    assert labels["nvidia.com/gpu.memory"] == "15360"
    assert metadata(api, "n2")["labels"] == {}
    await api.put(NODE, node(gpus="2", product="Tesla-T4") | {"metadata": metadata(api)})
    assert api.count("PATCH") == 1


async def test_annotations_break_and_mend_devices(api: FakeApi, plugin: MockPlugin) -> None:
    await api.put(NODE, node({"mock.moorage.dev/faults": "1=48"}, gpus="2"))
    await eventually(lambda: [gpu.broken for gpu in plugin.board.gpus] == [False, True])
    await api.put(NODE, node(gpus="2"))
    await eventually(lambda: not any(gpu.broken for gpu in plugin.board.gpus))


async def test_a_wish_that_cannot_be_met_is_told_on_the_node_and_changes_nothing(
    api: FakeApi, plugin: MockPlugin
) -> None:
    await api.put(NODE, node(gpus="many"))
    await eventually(lambda: PROBLEM_ANNOTATION in metadata(api)["annotations"])
    assert "mock.moorage.dev/gpus" in metadata(api)["annotations"][PROBLEM_ANNOTATION]
    assert len(plugin.board.gpus) == 2
    await api.put(NODE, node(metadata(api)["annotations"], gpus="3"))
    await eventually(lambda: PROBLEM_ANNOTATION not in metadata(api)["annotations"])
    assert len(plugin.board.gpus) == 3


async def test_a_write_that_failed_is_tried_again(api: FakeApi, plugin: MockPlugin) -> None:
    await eventually(lambda: "nvidia.com/gpu.count" in metadata(api)["labels"])
    api.inject(Fault(status=503), method="PATCH", times=2)
    await api.put(NODE, node(gpus="5"))
    await eventually(lambda: metadata(api)["labels"].get("nvidia.com/gpu.count") == "5")


def test_driver_errors_are_served_under_the_exporters_name(plugin: MockPlugin) -> None:
    labels = {"mock.moorage.dev/gpus": "2"}
    plugin.show(read_board("n1", labels, {"mock.moorage.dev/faults": "1=79"}))
    server, thread = start_http_server(0, "127.0.0.1", device_metrics("n1", plugin))
    try:
        address = f"http://127.0.0.1:{server.server_port}/metrics"
        with urllib.request.urlopen(address) as answer:
            lines = answer.read().decode().splitlines()
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    samples = [line for line in lines if line.startswith("DCGM_FI_DEV_XID_ERRORS{")]
    assert [line.rpartition(" ")[2] for line in samples] == ["0.0", "79.0"]
    assert all('Hostname="n1"' in line for line in samples)


def test_the_manifest_fits_the_program() -> None:
    path = ROOT / "e2e/moorage_mocks/device_plugin/daemonset.yaml"
    documents = {doc["kind"]: doc for doc in yaml.safe_load_all(path.read_text())}
    (container,) = documents["DaemonSet"]["spec"]["template"]["spec"]["containers"]
    prefix = str(Settings.model_config["env_prefix"])
    known = {f"{prefix}{name}".upper() for name in Settings.model_fields}
    assert {entry["name"] for entry in container["env"]} <= known
    (mount,) = container["volumeMounts"]
    assert mount["mountPath"] == str(Settings.model_fields["plugin_dir"].default)
    (port,) = container["ports"]
    assert port["containerPort"] == Settings.model_fields["metrics_port"].default
    (rule,) = documents["ClusterRole"]["rules"]
    assert rule["resources"] == ["nodes"]
