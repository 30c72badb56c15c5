"""A cluster and the pods that it sees, from node and pod lists; the stream of pods drawn from them.

The form of the lists is that of :mod:`moorage_cli.train.lists`; when pods come and go is not looked
at.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from moorage_cli.train.lists import ListedPod, list_name, read_nodes, read_pods
from moorage_policies.scoring.mix import WHOLE_MILLI, Shape
from moorage_policies.simulation.shared_devices import SharedNodes
from moorage_policies.types import IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """A cluster and the pods that it sees.

    Args:
        name: name of the pod list.
        nodes: the empty nodes; copy before changing.
        shapes: distinct pod shapes, memory in MiB.
        pods: index into ``shapes`` of each pod, shape ``(pods,)``.
    """

    name: str
    nodes: SharedNodes
    shapes: tuple[Shape, ...]
    pods: IntArray

    @property
    def capacity_milli(self) -> int:
        """Return the thousandths of GPUs that all nodes have."""
        return int(self.nodes.milli.sum())

    @property
    def gpus_milli(self) -> IntArray:
        """Return the thousandths of GPUs that each shape asks for."""
        return np.array([s.devices * s.milli for s in self.shapes], dtype=np.int64)

    def arrivals(self, percent: float, seed: int) -> IntArray:
        """Return shapes in order of arrival until they ask for a share of all GPUs.

        The list in random order; then, while it asks for too little, pods drawn from it at random,
        or, if it asks for too much, without as many of its pods.
        """
        noise = np.random.default_rng(seed)
        gpus, wanted = self.gpus_milli, percent / 100 * self.capacity_milli
        order = noise.permutation(self.pods)
        total = np.cumsum(gpus[order])
        if total[-1] >= wanted:
            return order[: int(np.searchsorted(total, wanted, side="right"))]
        more = [order]
        while total[-1] < wanted:
            drawn = noise.choice(self.pods, len(self.pods))
            more.append(drawn)
            total = np.concatenate((total, total[-1] + np.cumsum(gpus[drawn])))
        keep = int(np.searchsorted(total, wanted, side="right"))
        return np.concatenate(more)[:keep]

    def thinned(self, every: int) -> Trace:
        """Return the trace with every so manieth node, which fewer pods fill."""
        nodes = self.nodes
        few = SharedNodes(
            nodes.cpu[::every], nodes.memory[::every], nodes.milli[::every], nodes.classes[::every]
        )
        return replace(self, nodes=few)


def read_trace(nodes_file: Path, pods_file: Path) -> Trace:
    """Return the trace of two files.

    Raises:
        BadInputError: a file cannot be used; names file, line and column.
    """
    nodes = _to_shared(nodes_file)
    index: dict[Shape, int] = {}
    pods: list[int] = []
    for pod, count in read_pods(pods_file):
        pods += [index.setdefault(_shape(pod), len(index))] * count
    return Trace(list_name(pods_file), nodes, tuple(index), np.array(pods, dtype=np.int64))


def _shape(pod: ListedPod) -> Shape:
    models = frozenset(pod.models) or None
    return Shape(pod.gpus, pod.cpu_milli, pod.memory_mib, pod.gpu_milli, models)


def _to_shared(file: Path) -> SharedNodes:
    every = [node for node, count in read_nodes(file) for _ in range(count)]
    gpus = np.array([node.gpus for node in every], dtype=np.int64)
    return SharedNodes(
        cpu=np.array([node.cpu_milli for node in every], dtype=np.int64),
        memory=np.array([node.memory_mib for node in every], dtype=np.int64),
        milli=np.where(np.arange(gpus.max()) < gpus[:, None], WHOLE_MILLI, 0),
        classes=tuple(node.model for node in every),
    )
