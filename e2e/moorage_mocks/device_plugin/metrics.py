"""The driver errors of the devices, under the name that NVIDIA's exporter uses."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from moorage_mocks.device_plugin.plugin import MockPlugin

XID_METRIC = "DCGM_FI_DEV_XID_ERRORS"


class _DriverErrors(Collector):
    def __init__(self, node: str, plugin: MockPlugin) -> None:
        self._node = node
        self._plugin = plugin

    def collect(self) -> Iterator[GaugeMetricFamily]:
        board = self._plugin.board
        family = GaugeMetricFamily(
            XID_METRIC,
            "Number of the last driver error; 0 for none.",
            labels=("gpu", "UUID", "device", "modelName", "Hostname"),
        )
        for gpu in board.gpus:
            name = f"nvidia{gpu.index}"
            labels = (str(gpu.index), gpu.uuid, name, board.product.name, self._node)
            family.add_metric(labels, gpu.xid)
        yield family


def device_metrics(node: str, plugin: MockPlugin) -> CollectorRegistry:
    """Return the metrics of a node's devices."""
    registry = CollectorRegistry()
    registry.register(_DriverErrors(node, plugin))
    return registry
