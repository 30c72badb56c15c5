"""The request mix: which pod shapes a cluster sees and how often, learned from its own pods."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import compress
from operator import is_not

import numpy as np

from moorage_policies.state import MAX_QUANTITY, Snapshot
from moorage_policies.types import CPU, MEMORY, NVIDIA_GPU, FloatArray, IntArray, Pod

Shape = tuple[int, int, int]
"""Devices, millicores, bytes."""

PRIOR_SIZES = (1, 2, 4, 8)
PRIOR_PODS = 4.0
MAX_SHAPES = 16


@dataclass(frozen=True, slots=True, eq=False)
class RequestMix:
    """Shapes of pods that ask for one accelerator resource.

    Args:
        resource: the accelerator (``nvidia.com/gpu``).
        shapes: devices, millicores and bytes of each shape, shape ``(classes, 3)``.
        share: probability of each shape, shape ``(classes,)``, sums to 1.
    """

    resource: str
    shapes: IntArray
    share: FloatArray

    def describe(self) -> dict[int, float]:
        """Return the share of each device count, for records."""
        by_size: dict[int, float] = {}
        for size, share in zip(self.shapes[:, 0].tolist(), self.share.tolist(), strict=True):
            by_size[size] = by_size.get(size, 0.0) + share
        return {size: round(share, 4) for size, share in sorted(by_size.items())}


class MixLearner:
    """Counts shapes over snapshots; a node whose pods did not change costs no recount.

    Args:
        resources: accelerator resources to keep a mix of.
    """

    __slots__ = ("_counts", "_resources", "_rows")

    def __init__(self, resources: tuple[str, ...] = (NVIDIA_GPU,)) -> None:
        self._resources = resources
        self._rows: tuple[tuple[Pod, ...], ...] = ()
        self._counts: dict[str, Counter[Shape]] = {name: Counter() for name in resources}

    def learn(self, snapshot: Snapshot) -> Mapping[str, RequestMix]:
        """Return the mix of each resource over placed and waiting pods.

        The answer depends on the snapshot alone, not on what was learned before.
        """
        for old, new in _changed(self._rows, snapshot.node_pods):
            self._count(old, -1)
            self._count(new, 1)
        self._rows = snapshot.node_pods
        waiting = tuple(snapshot.pending.values())
        return {name: self._mix_of(name, waiting) for name in self._resources}

    def _count(self, pods: Iterable[Pod], sign: int) -> None:
        for pod in pods:
            for resource in self._resources:
                if pod.requests.get(resource, 0) > 0:
                    self._counts[resource][shape_of(pod, resource)] += sign

    def _mix_of(self, resource: str, waiting: Iterable[Pod]) -> RequestMix:
        counts = self._counts[resource] = +self._counts[resource]  # drops what fell to zero
        asked = Counter(
            shape_of(pod, resource) for pod in waiting if pod.requests.get(resource, 0) > 0
        )
        return mix_from(resource, counts + asked)


def mix_from(resource: str, counts: Mapping[Shape, int]) -> RequestMix:
    """Return the mix of counted shapes, smoothed by a prior.

    The prior adds ``PRIOR_PODS`` pods, equally spread over ``PRIOR_SIZES`` and without any need for
    CPU or memory, so that an empty cluster already has a mix. Beyond the ``MAX_SHAPES`` commonest,
    shapes are counted by their devices alone.
    """
    weights: dict[Shape, float] = {(n, 0, 0): PRIOR_PODS / len(PRIOR_SIZES) for n in PRIOR_SIZES}
    commonest_first = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    for rank, (shape, count) in enumerate(commonest_first):
        key = shape if rank < MAX_SHAPES else (shape[0], 0, 0)
        weights[key] = weights.get(key, 0.0) + count
    ordered = sorted(weights)
    share = np.array([weights[shape] for shape in ordered])
    return RequestMix(resource, np.array(ordered, dtype=np.int64), share / share.sum())


def shape_of(pod: Pod, resource: str) -> Shape:
    """Return what a pod asks for, in the columns of a mix."""
    requests = pod.requests
    return (
        min(requests.get(resource, 0), MAX_QUANTITY),
        min(requests.get(CPU, 0), MAX_QUANTITY),
        min(requests.get(MEMORY, 0), MAX_QUANTITY),
    )


def _changed(
    old: tuple[tuple[Pod, ...], ...], new: tuple[tuple[Pod, ...], ...]
) -> Iterator[tuple[tuple[Pod, ...], tuple[Pod, ...]]]:
    """Yield rows whose pods are not the very same tuple, as pairs of before and after."""
    if old is new:
        return
    common = min(len(old), len(new))
    for row in compress(range(common), map(is_not, old, new)):
        yield old[row], new[row]
    for gone in old[common:]:
        yield gone, ()
    for added in new[common:]:
        yield (), added
