"""Expected stranded GPUs: what a placement takes away from the pods that come next."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from moorage_policies.scoring.mix import MixLearner, RequestMix, shape_of
from moorage_policies.state import Snapshot
from moorage_policies.types import CPU, MEMORY, BoolArray, FloatArray, IntArray, Pod

MAX_GPUS = 4096
"""More devices than any node has; what asks for more fits nowhere."""


def stranded_delta(
    free: IntArray, demand: IntArray, shapes: IntArray, share: FloatArray
) -> FloatArray:
    """Return how many more GPUs each node strands if the pod lands on it.

    A free GPU counts as stranded for every pod shape that does not fit into what the node has left,
    weighted by how often the cluster sees that shape.

    Args:
        free: what nodes have left, GPUs first, shape ``(nodes, resources)``.
        demand: what the pod asks for, shape ``(resources,)``.
        shapes: pod shapes that the cluster sees, shape ``(classes, resources)``.
        share: probability of each shape, shape ``(classes,)``, sums to 1.

    Returns:
        GPUs per node, shape ``(nodes,)``. Lower is better, negative heals the node, and ``inf``
        marks a node where the pod does not fit.
    """
    left = free - demand
    growth = stranded(left, shapes, share) - stranded(free, shapes, share)
    asked = demand > 0
    growth[_any_below(left[:, asked], np.zeros(np.count_nonzero(asked)))] = np.inf
    return growth


def stranded(free: IntArray, shapes: IntArray, share: FloatArray) -> FloatArray:
    """Return the expected number of free GPUs that the next pod cannot use, shape ``(nodes,)``.

    Arguments are those of ``stranded_delta``. An over-committed node strands nothing.
    """
    gpus = np.clip(free[:, 0], 0, MAX_GPUS)
    levels = np.arange(min(int(shapes[:, 0].max()), MAX_GPUS) + 1)
    lost = levels * ((shapes[:, 0] > levels[:, None]) @ share)  # at the top level nothing is
    stranded_gpus: FloatArray = lost[np.minimum(gpus, len(lost) - 1)]
    # most nodes lack nothing but GPUs; only where something else may be short is each shape tried
    short = np.flatnonzero(_any_below(free[:, 1:], shapes[:, 1:].max(axis=0)))
    if len(short):
        misfits = (shapes > free[short, None, :]).any(axis=2)  # (short nodes, classes)
        stranded_gpus[short] = gpus[short] * (misfits @ share)
    return stranded_gpus


def _any_below(amounts: IntArray, limits: IntArray | FloatArray) -> BoolArray:
    """Return where any of the amounts is below its limit, shape ``(nodes,)``."""
    below = np.zeros(len(amounts), dtype=bool)
    for column, limit in enumerate(limits):  # columns are few: faster than reducing along rows
        below |= amounts[:, column] < limit
    return below


class Fragmentation:
    """Scores nodes by the GPUs that a placement strands.

    A score of 0.5 strands nothing more; 1 heals and 0 strands as many GPUs as the largest node has.

    Args:
        accelerators: accelerator resources; a pod is scored by the first that it asks for, and one
            that asks for none by the first of all.
    """

    name = "fragmentation"

    def __init__(self, accelerators: tuple[str, ...]) -> None:
        self._accelerators = accelerators
        self._learner = MixLearner(accelerators)
        self._mixes: Mapping[str, RequestMix] | None = None
        self._tables: dict[tuple[str, int, int], FloatArray] = {}

    def learn(self, snapshot: Snapshot) -> None:
        """Take the request mix from this snapshot; until the next call it stays as it is."""
        self._mixes = self._learner.learn(snapshot)
        self._tables.clear()

    def mix_for(self, pod: Pod, snapshot: Snapshot) -> RequestMix:
        """Return the mix that the pod is scored with, learned now if never before."""
        if self._mixes is None:
            self.learn(snapshot)
        assert self._mixes is not None
        return self._mixes[self.accelerator_of(pod)]

    def accelerator_of(self, pod: Pod) -> str:
        """Return the resource that the pod is scored by."""
        asked = (name for name in self._accelerators if pod.requests.get(name, 0) > 0)
        return next(asked, self._accelerators[0])

    def score(self, pod: Pod, snapshot: Snapshot, rows: IntArray) -> FloatArray | None:
        """Return 0 to 1 per candidate; ``None`` when no node has the accelerator."""
        resource = self.accelerator_of(pod)
        if resource not in snapshot.resources:
            return None
        mix = self.mix_for(pod, snapshot)
        columns = [snapshot.resources.index(name) for name in (resource, CPU, MEMORY)]
        gpus, cpu, memory = (snapshot.free[rows, column] for column in columns)
        demand = shape_of(pod, resource)
        largest = int(snapshot.allocatable[:, columns[0]].max())
        scores: FloatArray = self._by_gpus(mix, demand[0], largest).take(gpus, mode="clip")
        _, most_cpu, most_memory = mix.shapes.max(axis=0).tolist()
        short = (cpu < demand[1] + most_cpu) | (memory < demand[2] + most_memory)
        if short.any():  # there, shapes may also miss for want of CPU or memory
            free = np.stack([gpus[short], cpu[short], memory[short]], axis=1)
            delta = stranded_delta(free, np.array(demand), mix.shapes, mix.share)
            scores[short] = _to_score(delta, largest)
        return scores

    def _by_gpus(self, mix: RequestMix, demand_gpus: int, largest: int) -> FloatArray:
        """Return the score by free GPUs of nodes that are short of nothing else.

        Beyond the last entry nothing strands: every shape still fits after the pod.
        """
        key = (mix.resource, demand_gpus, largest)
        table = self._tables.get(key)
        if table is None:
            demand = min(demand_gpus, MAX_GPUS)
            levels = np.arange(min(int(mix.shapes[:, 0].max()), MAX_GPUS) + demand + 1)
            delta = stranded_delta(
                levels[:, None], np.array([demand]), mix.shapes[:, :1], mix.share
            )
            table = self._tables[key] = _to_score(delta, largest)
        return table


def _to_score(delta: FloatArray, largest: int) -> FloatArray:
    score: FloatArray = np.clip(0.5 - delta / (2.0 * max(largest, 1)), 0.0, 1.0)
    return score
