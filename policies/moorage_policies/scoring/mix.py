"""The request mix: which pod shapes a cluster sees and how often, learned from its own pods."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import compress
from operator import is_not
from typing import NamedTuple

import numpy as np

from moorage_policies.state import MAX_QUANTITY, Snapshot
from moorage_policies.types import CPU, MEMORY, NVIDIA_GPU, FloatArray, IntArray, Pod

WHOLE_MILLI = 1000
PRIOR_SIZES = (1, 2, 4, 8)
PRIOR_PODS = 4.0
MAX_SHAPES = 128
HALF_LIFE_S = 86_400.0
"""Seconds after which a pod that is gone counts half."""
FORGOTTEN = 0.01
CLASS_LABEL = "nvidia.com/gpu.product"


class Shape(NamedTuple):
    """What pods of one kind ask for.

    Args:
        devices: accelerator devices.
        cpu: millicores.
        memory: bytes.
        milli: thousandths of each device; fewer than all only where devices are shared.
        classes: accelerator classes that are acceptable; ``None`` for all.
    """

    devices: int
    cpu: int = 0
    memory: int = 0
    milli: int = WHOLE_MILLI
    classes: frozenset[str] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class RequestMix:
    """Shapes of pods that ask for one accelerator resource.

    Args:
        resource: the accelerator (``nvidia.com/gpu``).
        shapes: devices, millicores, bytes and thousandths of a device of each shape,
            shape ``(shapes, 4)``.
        share: probability of each shape, shape ``(shapes,)``, sums to 1.
        classes: acceptable accelerator classes of each shape, ``None`` for all.
    """

    resource: str
    shapes: IntArray
    share: FloatArray
    classes: tuple[frozenset[str] | None, ...]

    def describe(self) -> dict[int, float]:
        """Return the share of each device count, for records."""
        by_size: dict[int, float] = {}
        for size, share in zip(self.shapes[:, 0].tolist(), self.share.tolist(), strict=True):
            by_size[size] = by_size.get(size, 0.0) + share
        return {size: round(share, 4) for size, share in sorted(by_size.items())}

    def on(self, accelerator_class: str | None) -> RequestMix:
        """Return the part of the mix that nodes of a class may get; all of it if that is nothing.

        Args:
            accelerator_class: ``None`` for nodes of no known class: they get whoever takes all.
        """
        open_to = [c is None or accelerator_class in c for c in self.classes]
        if all(open_to) or not any(open_to):
            return self
        keep = np.array(open_to)
        share = self.share[keep]
        classes = tuple(compress(self.classes, open_to))
        return RequestMix(self.resource, self.shapes[keep], share / share.sum(), classes)


class MixLearner:
    """Counts shapes over snapshots; a node whose pods did not change costs no recount.

    Pods that are gone are remembered, and forgotten by half every half life, so that a quiet
    hour does not change what is expected.

    Args:
        resources: accelerator resources to keep a mix of.
        class_label: node label that names a node's accelerator class.
        half_life_s: seconds after which a pod that is gone counts half.
    """

    __slots__ = (
        "_class_label", "_counts", "_gone", "_half_life_s", "_resources", "_rows", "_seen",
        "_taught_s",
    )  # fmt: skip

    def __init__(
        self,
        resources: tuple[str, ...] = (NVIDIA_GPU,),
        class_label: str = CLASS_LABEL,
        half_life_s: float = HALF_LIFE_S,
    ) -> None:
        self._resources = resources
        self._half_life_s = half_life_s
        self._class_label = class_label
        self._rows: tuple[tuple[Pod, ...], ...] = ()
        self._counts: dict[str, Counter[Shape]] = {name: Counter() for name in resources}
        self._seen: dict[str, Counter[Shape]] = {}
        self._gone: dict[str, dict[Shape, float]] = {name: {} for name in resources}
        self._taught_s = 0.0

    def learn(self, snapshot: Snapshot, now_s: float) -> Mapping[str, RequestMix]:
        """Return the mix of each resource over placed, waiting and remembered pods.

        Args:
            snapshot: the cluster.
            now_s: seconds on any clock that only goes forward.
        """
        for old, new in changed_rows(self._rows, snapshot.node_pods):
            self._count(old, -1)
            self._count(new, 1)
        self._rows = snapshot.node_pods
        waiting = tuple(snapshot.pending.values())
        kept_ratio = 0.5 ** (max(0.0, now_s - self._taught_s) / self._half_life_s)
        self._taught_s = now_s
        return {name: self._mix_of(name, waiting, kept_ratio) for name in self._resources}

    def _count(self, pods: Iterable[Pod], sign: int) -> None:
        for pod in pods:
            for resource in self._resources:
                if pod.requests.get(resource, 0) > 0:
                    self._counts[resource][shape_of(pod, resource, self._class_label)] += sign

    def _mix_of(self, resource: str, waiting: Iterable[Pod], kept_ratio: float) -> RequestMix:
        counts = self._counts[resource] = +self._counts[resource]  # drops what fell to zero
        there = counts + Counter(
            shape_of(pod, resource, self._class_label)
            for pod in waiting
            if pod.requests.get(resource, 0) > 0
        )
        gone = {shape: kept * kept_ratio for shape, kept in self._gone[resource].items()}
        for shape, count in (self._seen.get(resource, Counter()) - there).items():
            gone[shape] = gone.get(shape, 0.0) + count
        self._seen[resource] = there
        remembered = {shape: kept for shape, kept in gone.items() if kept > FORGOTTEN}
        self._gone[resource] = remembered
        shapes = {*there, *remembered}
        return mix_from(resource, {s: there[s] + remembered.get(s, 0.0) for s in shapes})


def mix_from(resource: str, counts: Mapping[Shape, float]) -> RequestMix:
    """Return the mix of counted shapes, smoothed by a prior.

    The prior adds ``PRIOR_PODS`` pods, equally spread over ``PRIOR_SIZES`` and without any need for
    CPU or memory, so that an empty cluster already has a mix. Beyond the ``MAX_SHAPES`` commonest,
    shapes that differ in CPU and memory alone are counted as one with the mean of both.
    """
    weights: dict[Shape, float] = {Shape(n): PRIOR_PODS / len(PRIOR_SIZES) for n in PRIOR_SIZES}
    commonest_first = sorted(counts.items(), key=lambda item: (-item[1], _order(item[0])))
    for shape, count in commonest_first[:MAX_SHAPES]:
        weights[shape] = weights.get(shape, 0.0) + count
    for shape, count in _merged(commonest_first[MAX_SHAPES:]):
        weights[shape] = weights.get(shape, 0.0) + count
    ordered = sorted(weights, key=_order)
    share = np.array([weights[shape] for shape in ordered])
    shapes = np.array([shape[:4] for shape in ordered], dtype=np.int64)
    return RequestMix(resource, shapes, share / share.sum(), tuple(s.classes for s in ordered))


def _merged(rare: Iterable[tuple[Shape, float]]) -> Iterator[tuple[Shape, float]]:
    """Yield one shape, with mean CPU and memory, for each number and kind of devices."""
    groups: dict[Shape, list[tuple[Shape, float]]] = {}
    for shape, count in rare:
        groups.setdefault(shape._replace(cpu=0, memory=0), []).append((shape, count))
    for kind, members in groups.items():
        total = sum(count for _, count in members)
        cpu = sum(shape.cpu * count for shape, count in members) / total
        memory = sum(shape.memory * count for shape, count in members) / total
        yield kind._replace(cpu=round(cpu), memory=round(memory)), total


def shape_of(pod: Pod, resource: str, class_label: str = CLASS_LABEL) -> Shape:
    """Return what a pod asks for, and of which accelerator classes it has to be."""
    requests = pod.requests
    return Shape(
        min(requests.get(resource, 0), MAX_QUANTITY),
        min(requests.get(CPU, 0), MAX_QUANTITY),
        min(requests.get(MEMORY, 0), MAX_QUANTITY),
        classes=acceptable_classes(pod, class_label),
    )


def acceptable_classes(pod: Pod, class_label: str = CLASS_LABEL) -> frozenset[str] | None:
    """Return the values of the class label that selector and required affinity leave open.

    ``None`` when they say nothing about the label, or something else than which values it may have.
    """
    selected = pod.node_selector.get(class_label)
    if selected is not None:
        return frozenset((selected,))
    open_classes: set[str] = set()
    for term in pod.affinity.required_node_terms:
        listed = (
            frozenset(expression.values)
            for expression in term.expressions
            if expression.key == class_label and expression.operator == "In"
        )
        allowed = next(listed, None)
        if allowed is None:
            return None
        open_classes |= allowed
    return frozenset(open_classes) or None


def _order(shape: Shape) -> tuple[int, int, int, int, tuple[str, ...]]:
    return (*shape[:4], tuple(sorted(shape.classes)) if shape.classes is not None else ())


def changed_rows(
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
