"""Typed builders for tests, benchmarks and examples: short to call, valid by default."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from moorage_policies.state import Snapshot, snapshot_of
from moorage_policies.types import NVIDIA_GPU, PODS, Node, Pod

GIB = 1024**3


def make_node(
    name: str,
    *,
    gpus: int = 8,
    cpu_m: int = 64_000,
    memory: int = 512 * GIB,
    pods: int = 110,
    labels: Mapping[str, str] | None = None,
    **fields: Any,
) -> Node:
    """Return a node with ``gpus`` NVIDIA devices and a hostname label."""
    allocatable = {"cpu": cpu_m, "memory": memory, PODS: pods}
    if gpus:
        allocatable[NVIDIA_GPU] = gpus
    return Node(
        name=name,
        uid=fields.pop("uid", f"node-{name}"),
        labels={"kubernetes.io/hostname": name, **(labels or {})},
        allocatable=fields.pop("allocatable", allocatable),
        **fields,
    )


def make_pod(
    name: str,
    *,
    gpus: int = 1,
    cpu_m: int = 1000,
    memory: int = GIB,
    namespace: str = "default",
    **fields: Any,
) -> Pod:
    """Return a pod that asks for ``gpus`` NVIDIA devices."""
    requests = {"cpu": cpu_m, "memory": memory}
    if gpus:
        requests[NVIDIA_GPU] = gpus
    return Pod(
        uid=fields.pop("uid", f"pod-{namespace}-{name}"),
        namespace=namespace,
        name=name,
        requests=fields.pop("requests", requests),
        **fields,
    )


def make_snapshot(nodes: Iterable[Node], pods: Iterable[Pod] = ()) -> Snapshot:
    """Return the snapshot of these nodes and pods; pods without a node are pending."""
    return snapshot_of(nodes, pods)
