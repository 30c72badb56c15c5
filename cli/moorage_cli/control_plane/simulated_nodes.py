"""Simulated GPU nodes: what a node of an NVIDIA cluster looks like to the API server."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

from moorage_cli.control_plane.api import ApiClient
from moorage_cli.control_plane.command_lines import LOOPBACK, SIMULATED_NODE_ANNOTATION
from moorage_policies.types import Taint

_REQUESTS_IN_FLIGHT: Final = 16
_TTL_ANNOTATION: Final = "node.alpha.kubernetes.io/ttl"
_NOT_READY_TAINTS: Final = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")


@dataclass(frozen=True, slots=True)
class GpuModel:
    """One accelerator as GPU feature discovery labels it."""

    product: str
    memory_mib: int


H100: Final = GpuModel("NVIDIA-H100-80GB-HBM3", 81_559)
A100: Final = GpuModel("NVIDIA-A100-SXM4-40GB", 40_960)


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """A node to simulate.

    Args:
        name: unique in the cluster.
        gpus: whole GPUs; 0 makes a node without accelerators.
        gpu: their model.
        zone: ``topology.kubernetes.io/zone``; empty: no such label.
        cpus: cores.
        memory_gib: main memory.
        pods: most pods that it takes.
        labels: further labels; they win over the ones made here.
        taints: the node's taints.
    """

    name: str
    gpus: int = 8
    gpu: GpuModel = H100
    zone: str = ""
    cpus: int = 128
    memory_gib: int = 1024
    pods: int = 110
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[Taint, ...] = ()


def gpu_nodes(
    count: int,
    *,
    zones: Sequence[str] = ("zone-a", "zone-b", "zone-c"),
    models: Sequence[GpuModel] = (H100,),
    gpus: int = 8,
    prefix: str = "gpu",
) -> tuple[NodeSpec, ...]:
    """``count`` nodes spread over the zones in turn, each zone's nodes over the models."""
    return tuple(
        NodeSpec(
            name=f"{prefix}-{row:04d}",
            gpus=gpus,
            gpu=models[row // len(zones) % len(models)],
            zone=zones[row % len(zones)],
        )
        for row in range(count)
    )


def node_manifest(spec: NodeSpec, kubelet_version: str) -> dict[str, Any]:
    """The core/v1 Node, Ready from its first moment."""
    resources = {
        "cpu": str(spec.cpus),
        "memory": f"{spec.memory_gib}Gi",
        "ephemeral-storage": "1Ti",
        "pods": str(spec.pods),
        **({"nvidia.com/gpu": str(spec.gpus)} if spec.gpus else {}),
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": spec.name,
            "labels": _labels(spec),
            "annotations": {SIMULATED_NODE_ANNOTATION: "fake", _TTL_ANNOTATION: "0"},
        },
        "spec": {
            "taints": [
                {"key": taint.key, "value": taint.value, "effect": taint.effect}
                for taint in spec.taints
            ]
        },
        "status": {
            "capacity": resources,
            "allocatable": resources,
            "addresses": [
                {"type": "InternalIP", "address": LOOPBACK},
                {"type": "Hostname", "address": spec.name},
            ],
            "conditions": [_ready_condition()],
            "nodeInfo": _node_info(kubelet_version),
        },
    }


def create_nodes(api: ApiClient, specs: Iterable[NodeSpec], kubelet_version: str) -> None:
    """POST all nodes, some at a time."""
    manifests = [node_manifest(spec, kubelet_version) for spec in specs]
    with ThreadPoolExecutor(_REQUESTS_IN_FLIGHT) as pool:
        for _created in pool.map(lambda node: api.create("/api/v1/nodes", node), manifests):
            pass


def delete_nodes(api: ApiClient, names: Iterable[str]) -> None:
    """DELETE these nodes, some at a time."""
    with ThreadPoolExecutor(_REQUESTS_IN_FLIGHT) as pool:
        for _deleted in pool.map(lambda name: api.delete(f"/api/v1/nodes/{name}"), names):
            pass


def ready_nodes(api: ApiClient) -> frozenset[str]:
    """Names of the nodes that are Ready and carry no taint that says otherwise."""
    nodes = api.get("/api/v1/nodes", resourceVersion="0")["items"]
    return frozenset(node["metadata"]["name"] for node in nodes if _is_ready(node))


def _labels(spec: NodeSpec) -> dict[str, str]:
    labels = {
        "kubernetes.io/hostname": spec.name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        # Set by the controller manager otherwise, at the price of one more write a node.
        "beta.kubernetes.io/os": "linux",
        "beta.kubernetes.io/arch": "amd64",
    }
    if spec.zone:
        labels["topology.kubernetes.io/zone"] = spec.zone
    if spec.gpus:
        labels["nvidia.com/gpu.present"] = "true"
        labels["nvidia.com/gpu.product"] = spec.gpu.product
        labels["nvidia.com/gpu.count"] = str(spec.gpus)
        labels["nvidia.com/gpu.memory"] = str(spec.gpu.memory_mib)
    return {**labels, **spec.labels}


def _ready_condition() -> dict[str, str]:
    now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "type": "Ready",
        "status": "True",
        "reason": "Simulated",
        "message": "simulated node",
        "lastHeartbeatTime": now,
        "lastTransitionTime": now,
    }


def _node_info(kubelet_version: str) -> dict[str, str]:
    empty = ("bootID", "machineID", "systemUUID", "kernelVersion", "osImage", "kubeProxyVersion")
    return {
        **dict.fromkeys(empty, ""),
        "architecture": "amd64",
        "operatingSystem": "linux",
        "containerRuntimeVersion": "simulated",
        "kubeletVersion": kubelet_version,
    }


def _is_ready(node: Mapping[str, Any]) -> bool:
    taints = {taint["key"] for taint in node["spec"].get("taints", ())}
    return taints.isdisjoint(_NOT_READY_TAINTS) and any(
        condition["type"] == "Ready" and condition["status"] == "True"
        for condition in node["status"].get("conditions", ())
    )
