"""The cluster, the events and the requests of protocol ``extender``, all from one seed."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import msgspec
import numpy as np

from moorage_crds.convert import to_pod
from moorage_crds.names import HINT_ANNOTATION
from moorage_crds.objects import PodObject
from moorage_policies.state import Event, NodeChanged, PodChanged, PodDeleted
from moorage_policies.testing import make_node
from moorage_policies.types import Node, Owner, Pod

GPUS = (1, 1, 1, 2, 2, 4, 8)
POOLS = 50
PODS_PER_NODE = 3
IMAGE = "registry.example.com/engines/vllm:0.9"
PADDING = 4600
"""Bytes of managed fields, so that a pod takes about 6.5 KB as in production."""

FIRST_EVENT = 10_000_000
FIRST_REQUEST = 20_000_000
FIRST_WAITING = 30_000_000
"""Numbers of pods, apart from those that run from the start."""
WAITING = 20
"""Pods that a solver makes room for."""
LIVING = 100
"""Pods that came by events and have not gone yet."""

_decode = msgspec.json.Decoder(PodObject).decode


@dataclass(frozen=True)
class Load:
    """A cluster of ``nodes_count`` 8-GPU nodes, about 60 % of their GPUs in use."""

    nodes_count: int
    seed: int

    def node_name(self, number: int) -> str:
        """Return the name of a node."""
        return f"gpu-node-{number:05d}"

    def nodes(self) -> tuple[Node, ...]:
        """Return the nodes: three zones, two products, two of three hold the image."""
        return tuple(
            make_node(
                self.node_name(number),
                labels={
                    "topology.kubernetes.io/zone": f"zone-{number % 3}",
                    "nvidia.com/gpu.product": ("NVIDIA-H100-80GB-HBM3", "NVIDIA-L40S")[number % 2],
                },
                images={IMAGE: 9 << 30} if number % 3 else {},
            )
            for number in range(self.nodes_count)
        )

    def placed_pods(self) -> tuple[Pod, ...]:
        """Return the pods that run."""
        random = np.random.default_rng(self.seed)
        placed = []
        for number in range(self.nodes_count):
            left = 8
            for slot in range(PODS_PER_NODE):
                gpus = int(random.choice(GPUS))
                if gpus <= left:
                    left -= gpus
                    manifest = self.manifest(number * PODS_PER_NODE + slot, gpus)
                    pod = to_pod(_decode(json.dumps(manifest)))
                    placed.append(replace(pod, node=self.node_name(number)))
        return tuple(placed)

    def movable_pods(self) -> tuple[Pod, ...]:
        """Return the running pods as a solver may move or evict them: lower, ready, owned."""
        return tuple(
            replace(pod, priority=10, phase="Running", ready=True, owner=_owner_of(pod))
            for pod in self.placed_pods()
        )

    def waiting_pods(self) -> tuple[Pod, ...]:
        """Return pods that want whole nodes and fit nowhere."""
        manifests = (self.manifest(FIRST_WAITING + number, 8) for number in range(WAITING))
        pods = (to_pod(_decode(json.dumps(manifest))) for manifest in manifests)
        return tuple(replace(pod, unschedulable=True) for pod in pods)

    def manifest(self, number: int, gpus: int) -> dict[str, Any]:
        """Return a pod as the API server serves it."""
        pool = f"pool-{number % POOLS}"
        return {
            "metadata": {
                "name": f"{pool}-decode-{number}",
                "namespace": "serving",
                "uid": f"00000000-0000-0000-0000-{number:012d}",
                "labels": {"app": pool, "moorage.dev/pool": pool, "moorage.dev/role": "decode"},
                "managedFields": [{"manager": "x" * PADDING}],
            },
            "spec": {
                "schedulerName": "moorage-scheduler",
                "priority": 1000,
                "containers": [
                    {
                        "name": "engine",
                        "image": IMAGE,
                        "env": [{"name": f"SETTING_{i}", "value": "value"} for i in range(20)],
                        "resources": {
                            "requests": {
                                "cpu": "4",
                                "memory": "32Gi",
                                "nvidia.com/gpu": str(gpus),
                            },
                            "limits": {"nvidia.com/gpu": str(gpus)},
                        },
                    }
                ],
                "affinity": {
                    "nodeAffinity": {
                        "preferredDuringSchedulingIgnoredDuringExecution": [
                            {
                                "weight": 10,
                                "preference": {
                                    "matchExpressions": [
                                        {
                                            "key": "topology.kubernetes.io/zone",
                                            "operator": "In",
                                            "values": [f"zone-{number % 3}"],
                                        }
                                    ]
                                },
                            }
                        ]
                    }
                },
                "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
            },
            "status": {"phase": "Pending"},
        }

    def events(self) -> Iterator[Callable[[], Event]]:
        """Yield endless events: pods come and go, every fourth time a node's cordon changes."""
        nodes = self.nodes()
        random = np.random.default_rng(self.seed + 1)
        living: deque[str] = deque()
        number = FIRST_EVENT
        while True:
            number += 1
            node = nodes[int(random.integers(len(nodes)))]
            if number % 4 == 0:
                yield partial(_cordon, node, cordoned=number % 8 == 0)
            elif len(living) >= LIVING:
                yield partial(PodDeleted, living.popleft())
            else:
                manifest = self.manifest(number, 1)
                manifest["spec"]["nodeName"] = node.name
                living.append(manifest["metadata"]["uid"])
                yield partial(_pod_changed, json.dumps(manifest))

    def requests(self, names: int, count: int, hints: Sequence[str] = ()) -> list[bytes]:
        """Return bodies for filter and prioritize: another pod and another order each time.

        Args:
            names: nodes that each request names.
            count: how many.
            hints: hints that the pods carry in turn, if any.
        """
        random = np.random.default_rng(self.seed + 2)
        bodies = []
        for number in range(count):
            rows = random.choice(self.nodes_count, size=names, replace=False)
            pod = self.manifest(FIRST_REQUEST + number, int(random.choice(GPUS)))
            if hints:
                pod["metadata"]["annotations"] = {HINT_ANNOTATION: hints[number % len(hints)]}
            body = {
                "Pod": pod,
                "Nodes": None,
                "NodeNames": [self.node_name(int(row)) for row in rows],
            }
            bodies.append(json.dumps(body, separators=(",", ":")).encode())
        return bodies


def _owner_of(pod: Pod) -> Owner:
    pool = pod.labels["app"]
    return Owner("ReplicaSet", f"{pool}-decode-0", f"owner-{pool}")


def _cordon(node: Node, *, cordoned: bool) -> Event:
    return NodeChanged(replace(node, unschedulable=cordoned))


def _pod_changed(body: str) -> Event:
    return PodChanged(to_pod(_decode(body)))
