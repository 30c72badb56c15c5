"""Seeded workloads: the instances of "Priority Matters", uniform mixes, GPU-shape mixes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from moorage_policies.errors import BadInputError
from moorage_policies.types import CPU, MEMORY, NVIDIA_GPU, PODS, Node, Owner, Pod

MB = 1_000_000
GIB = 1024**3
POD_SLOTS = 110


@dataclass(frozen=True, slots=True)
class Workload:
    """Nodes, and pods in the order in which they come.

    Args:
        nodes: an empty cluster.
        waves: one workload object's replicas each.
    """

    nodes: tuple[Node, ...]
    waves: tuple[tuple[Pod, ...], ...]

    @property
    def pods(self) -> tuple[Pod, ...]:
        """Return all pods in the order in which they come."""
        return tuple(pod for wave in self.waves for pod in wave)


def priority_matters(
    seed: int, *, nodes: int, pods_per_node: int, priorities: int, usage_percent: int
) -> Workload:
    """Return one instance of the generator of "Priority Matters".

    Identical nodes; ReplicaSets of 1 to 4 equal replicas until ``nodes * pods_per_node`` pods;
    CPU of 100 to 1000 m, memory of 100 to 1000 MB to the byte, priority 1 to ``priorities``, all
    uniform, each from its own random stream.

    Args:
        seed: seed of the instance.
        nodes: how many nodes.
        pods_per_node: pods per node on average.
        priorities: how many priority levels; a larger number is more important.
        usage_percent: what all pods request, per cent of what all nodes offer; above 100 not
            everything can be placed.
    """
    if min(nodes, pods_per_node, priorities, usage_percent) < 1:
        raise BadInputError("nodes, pods per node, priorities and usage must be at least 1")
    sizes, cpus, memories, levels = np.random.default_rng(seed).spawn(4)
    waves: list[tuple[Pod, ...]] = []
    missing = nodes * pods_per_node
    while missing:
        size = min(int(sizes.integers(1, 5)), missing)
        requests = {
            CPU: int(cpus.integers(100, 1001)),
            MEMORY: int(memories.integers(100 * MB, 1000 * MB + 1)),
        }
        priority = int(levels.integers(1, priorities + 1))
        waves.append(replicas(f"set-{len(waves)}", size, requests, priority))
        missing -= size
    capacity = {
        name: _capacity(
            [pod.requests[name] for wave in waves for pod in wave], nodes, usage_percent
        )
        for name in (CPU, MEMORY)
    }
    return Workload(tuple(_plain_nodes(nodes, {**capacity, PODS: POD_SLOTS})), tuple(waves))


def gpu_nodes(
    count: int,
    *,
    gpus: int = 8,
    zones: int = 3,
    cpu_m_per_gpu: int = 16_000,
    memory_per_gpu: int = 128 * GIB,
) -> tuple[Node, ...]:
    """Return equal GPU nodes, dealt out to zones in turn."""
    allocatable = {
        CPU: cpu_m_per_gpu * gpus,
        MEMORY: memory_per_gpu * gpus,
        PODS: POD_SLOTS,
        NVIDIA_GPU: gpus,
    }
    return tuple(
        Node(
            name=f"gpu-{number:04d}",
            uid=f"node-gpu-{number:04d}",
            labels={
                "kubernetes.io/hostname": f"gpu-{number:04d}",
                "topology.kubernetes.io/zone": f"zone-{number % zones}",
            },
            allocatable=allocatable,
        )
        for number in range(count)
    )


def gpu_mix(
    rng: np.random.Generator,
    gpus: int,
    *,
    shares: Mapping[int, float] | None = None,
    priorities: Sequence[int] = (0,),
    largest_set: int = 4,
) -> tuple[tuple[Pod, ...], ...]:
    """Return workloads of pods with 1, 2, 4 or 8 GPUs until they ask for ``gpus`` in all.

    Args:
        rng: draws shapes, sizes and priorities.
        gpus: GPUs that all pods together ask for; the last workload may go over by one pod's.
        shares: probability of each shape, by GPUs; equal shares of 1, 2, 4, 8 when ``None``.
        priorities: levels to draw from, all alike.
        largest_set: workloads have 1 to so many replicas.
    """
    mix = dict.fromkeys((1, 2, 4, 8), 0.25) if shares is None else shares
    shapes, weights = list(mix), np.array(list(mix.values()), dtype=np.float64)
    if not shapes or min(shapes) < 1 or weights.sum() <= 0:
        raise BadInputError("give at least one shape of 1 GPU or more with a share", field="shares")
    waves: list[tuple[Pod, ...]] = []
    while gpus > 0:
        shape = int(rng.choice(shapes, p=weights / weights.sum()))
        size = min(int(rng.integers(1, largest_set + 1)), -(-gpus // shape))
        requests = {CPU: 4000 * shape, MEMORY: 32 * GIB * shape, NVIDIA_GPU: shape}
        priority = int(priorities[int(rng.integers(len(priorities)))])
        waves.append(replicas(f"gpu{shape}-{len(waves)}", size, requests, priority))
        gpus -= shape * size
    return tuple(waves)


def replicas(name: str, count: int, requests: Mapping[str, int], priority: int) -> tuple[Pod, ...]:
    """Return the pods of one workload, alike but for their names."""
    owner = Owner("ReplicaSet", name, f"owner-{name}")
    return tuple(
        Pod(
            uid=f"{name}-{number}",
            namespace="default",
            name=f"{name}-{number}",
            priority=priority,
            requests=requests,
            labels={"app": name},
            owner=owner,
        )
        for number in range(count)
    )


def _plain_nodes(count: int, allocatable: Mapping[str, int]) -> Iterator[Node]:
    for number in range(count):
        name = f"node-{number:04d}"
        labels = {"kubernetes.io/hostname": name}
        yield Node(name=name, uid=f"uid-{name}", labels=labels, allocatable=allocatable)


def _capacity(amounts: Sequence[int], nodes: int, usage_percent: int) -> int:
    """Return what one node must offer so that all amounts make up the usage asked for."""
    offered = -(-sum(amounts) * 100 // usage_percent)
    return max(*amounts, 0, -(-offered // nodes))
