"""Expected stranded GPUs: what a placement takes away from the pods that come next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import reduce

import numpy as np

from moorage_policies.scoring.mix import (
    CLASS_LABEL,
    HALF_LIFE_S,
    MixLearner,
    RequestMix,
    shape_of,
)
from moorage_policies.scoring.outlook import Outlook, count_stranded, expect
from moorage_policies.scoring.row_memory import RowMemory
from moorage_policies.state import ABSENT, Snapshot
from moorage_policies.types import CPU, MEMORY, BoolArray, FloatArray, IntArray, Pod

MIG_PREFIX = "nvidia.com/mig-"
"""Resources of partitioned GPUs, one for each profile (``nvidia.com/mig-1g.10gb``)."""
MIG_SLICES = 7
"""Compute slices of a whole GPU."""


def device_worth(resource: str) -> float:
    """Return how much of a GPU one device of the resource is."""
    slices = resource.removeprefix(MIG_PREFIX).partition("g")[0]
    if resource.startswith(MIG_PREFIX) and slices.isdecimal():
        return int(slices) / MIG_SLICES
    return 1.0


@dataclass(frozen=True, slots=True, eq=False)
class _Pool:
    """Outlooks of one resource, laid side by side for nodes of every class.

    Args:
        facts: those of all classes one after the other, shape ``(6, (classes + 1) * levels)``; the
            first are for nodes without a class.
        levels: free devices that are told apart, the last one included.
    """

    facts: FloatArray
    levels: int

    def of(self, codes: IntArray, free: IntArray) -> FloatArray:
        """Return the facts of nodes by class code and free devices, shape ``(6, nodes)``."""
        at = (codes - ABSENT) * self.levels + np.clip(free, 0, self.levels - 1)
        return self.facts.take(at, axis=1)


class Fragmentation:
    """Scores nodes by the GPUs that a placement is expected to strand.

    A score of 0.5 strands nothing more; 1 heals and 0 strands as many GPUs as the largest node has.

    Args:
        accelerators: accelerator resources; a pod is scored by the first that it asks for, and one
            that asks for none by the first of all. Those of partitioned GPUs join by themselves.
        class_label: node label that names a node's accelerator class.
        half_life_s: seconds after which a pod that is gone counts half in the mix.
    """

    name = "fragmentation"

    def __init__(
        self,
        accelerators: tuple[str, ...],
        class_label: str = CLASS_LABEL,
        half_life_s: float = HALF_LIFE_S,
    ) -> None:
        self._listed = accelerators
        self._class_label = class_label
        self._half_life_s = half_life_s
        self._accelerators: tuple[str, ...] = ()
        self._learner = MixLearner(accelerators, class_label, half_life_s)
        self._mixes: Mapping[str, RequestMix] | None = None
        self._pools: dict[tuple[str, int, tuple[str, ...]], _Pool] = {}
        self._growths = RowMemory()
        self._largest: tuple[IntArray | None, dict[str, int]] = (None, {})

    def learn(self, snapshot: Snapshot, now_s: float = 0.0) -> None:
        """Take the request mix from this snapshot; until the next call it stays as it is.

        Args:
            snapshot: the cluster.
            now_s: seconds on any clock that only goes forward; pods that are gone fade with it.
        """
        accelerators = accelerators_in(snapshot, self._listed)
        if accelerators != self._accelerators:
            self._accelerators = accelerators
            self._learner = MixLearner(accelerators, self._class_label, self._half_life_s)
        self._mixes = self._learner.learn(snapshot, now_s)
        self._pools.clear()
        self._growths.clear()
        classes = snapshot.table.label(self._class_label).values
        for resource in accelerators:  # now, so that no decision has to wait for it
            if resource in snapshot.columns:
                self._pool(resource, snapshot, classes)

    @property
    def mixes(self) -> Mapping[str, RequestMix]:
        """Return the mix of each accelerator resource as last learned, nothing before."""
        return self._mixes or {}

    def mix_for(self, pod: Pod, snapshot: Snapshot) -> RequestMix:
        """Return the mix that the pod is scored with, learned now if never before."""
        return self._learned(snapshot)[self.accelerator_of(pod)]

    def accelerator_of(self, pod: Pod) -> str:
        """Return the resource that the pod is scored by."""
        asked = (name for name in self._accelerators or self._listed if pod.requests.get(name, 0))
        return next(asked, self._listed[0])

    def score(self, pod: Pod, snapshot: Snapshot, rows: IntArray) -> FloatArray | None:
        """Return 0 to 1 per candidate; ``None`` when no node has an accelerator."""
        growth = self.stranded_growth(pod, snapshot, rows)
        if growth is None:
            return None
        largest = self._largest_node(self._scale_of(pod, snapshot), snapshot)
        score: FloatArray = np.clip(0.5 - growth / (2.0 * max(largest, 1)), 0.0, 1.0)
        return score

    def stranded_growth(self, pod: Pod, snapshot: Snapshot, rows: IntArray) -> FloatArray | None:
        """Return by how many GPUs more each candidate is expected to strand, shape ``(rows,)``.

        Lower is better, negative heals the node, and ``inf`` marks a node where the pod does not
        fit. ``None`` when no node has an accelerator.
        """
        present = [name for name in self._learned(snapshot) if name in snapshot.columns]
        if not present or not len(rows):
            return None
        largest = tuple(self._largest_node(name, snapshot) for name in present)
        asked = tuple(pod.requests.get(name, 0) for name in (*present, CPU, MEMORY))
        key = (tuple(present), largest, asked)
        return self._growths.recall(
            key, snapshot, rows, lambda stale: self._grow(pod, snapshot, stale, present)
        )

    def _grow(self, pod: Pod, snapshot: Snapshot, rows: IntArray, present: list[str]) -> FloatArray:
        every = list(self._facts(pod, snapshot, rows, present))
        before = reduce(np.add, (facts for facts, _, _ in every))
        after = reduce(np.add, (taken for _, taken, _ in every))
        short = reduce(np.logical_or, (lacking for _, _, lacking in every))
        cpu, memory = (snapshot.free_of(name)[rows] for name in (CPU, MEMORY))
        _, cpu_asked, memory_asked, *_ = shape_of(pod, present[0])
        growth = count_stranded(after, cpu - cpu_asked, memory - memory_asked)
        growth -= count_stranded(before, cpu, memory)
        growth[short | (cpu < cpu_asked) | (memory < memory_asked)] = np.inf
        return growth

    def _facts(
        self, pod: Pod, snapshot: Snapshot, rows: IntArray, present: list[str]
    ) -> Iterator[tuple[FloatArray, FloatArray, BoolArray]]:
        """Yield per resource the facts before and after the pod, and who has too few devices."""
        column = snapshot.table.label(self._class_label)
        codes = column.codes[rows]
        for resource in present:
            pool = self._pool(resource, snapshot, column.values)
            free = snapshot.free_of(resource)[rows]
            asked = pod.requests.get(resource, 0)
            facts = pool.of(codes, free)
            taken = pool.of(codes, free - min(asked, pool.levels)) if asked else facts
            yield facts, taken, free < asked

    def _pool(self, resource: str, snapshot: Snapshot, classes: tuple[str, ...]) -> _Pool:
        largest = self._largest_node(resource, snapshot)
        key = (resource, largest, classes)
        pool = self._pools.get(key)
        if pool is None:
            mix, worth = self._learned(snapshot)[resource], device_worth(resource)
            outlooks: list[Outlook] = [expect(mix.on(c), largest) for c in (None, *classes)]
            facts = np.concatenate([outlook.whole for outlook in outlooks], axis=1)
            facts[:2] *= worth
            pool = self._pools[key] = _Pool(facts, outlooks[0].whole.shape[1])
        return pool

    def _largest_node(self, resource: str, snapshot: Snapshot) -> int:
        """Return the most devices of any node, remembered while no node changes."""
        if self._largest[0] is not snapshot.allocatable:
            self._largest = (snapshot.allocatable, {})
        known = self._largest[1]
        if resource not in known:
            column = snapshot.allocatable[:, snapshot.columns[resource]]
            known[resource] = int(column.max(initial=0))
        return known[resource]

    def _learned(self, snapshot: Snapshot) -> Mapping[str, RequestMix]:
        if self._mixes is None:
            self.learn(snapshot)
        assert self._mixes is not None
        return self._mixes

    def _scale_of(self, pod: Pod, snapshot: Snapshot) -> str:
        asked = self.accelerator_of(pod)
        return (
            asked
            if asked in snapshot.columns
            else next(name for name in self._accelerators if name in snapshot.columns)
        )


def accelerators_in(snapshot: Snapshot, listed: tuple[str, ...]) -> tuple[str, ...]:
    """Return the listed accelerator resources and those of partitioned GPUs that nodes offer."""
    parts = (name for name in snapshot.resources if name.startswith(MIG_PREFIX))
    return (*listed, *sorted(set(parts).difference(listed)))
