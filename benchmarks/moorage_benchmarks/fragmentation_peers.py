"""The peers of protocol ``fragmentation``: scoring rules from the literature and from Kubernetes.

Each is compiled and scores a node again only after it changed. Scores are whole numbers from 0 to
100, as plugins of kube-scheduler give them, and ties are part of the method.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp

import numpy as np

from moorage_benchmarks.fragmentation_trace import Trace
from moorage_policies.packing.compiled import compiled
from moorage_policies.scoring.mix import WHOLE_MILLI, Shape
from moorage_policies.types import BoolArray, FloatArray, IntArray

FGD, BEST_FIT, DOT_PRODUCT, LEAST_ALLOCATED, MOST_ALLOCATED = range(5)
LAST_NAME, AT_RANDOM = range(2)

MOST_CPU_MILLI = 128_000.0
MOST_GPU_MILLI = 8_000.0
"""What scores are scaled by: the largest node of the trace, a constant of the authors."""
TYPICAL_RATIO = 0.95
"""Share of all pods that the typical shapes of FGD cover."""

CPU, MEMORY, DEVICES, MILLI = range(4)
NOT_FEASIBLE = -1.0
UNKNOWN = -2.0


@dataclass(frozen=True, slots=True)
class Peer:
    """One rule.

    Args:
        name: name of the arm.
        rule: which score.
        ties: ``LAST_NAME``, as the patched scheduler of FGD's authors; ``AT_RANDOM``, as
            kube-scheduler.
        stretched: whether scores are stretched over 0 to 100 among the candidates.
    """

    name: str
    rule: int
    ties: int
    stretched: bool = False


PEERS = (
    Peer("least-allocated", LEAST_ALLOCATED, AT_RANDOM),
    Peer("most-allocated", MOST_ALLOCATED, AT_RANDOM),
    Peer("best-fit", BEST_FIT, AT_RANDOM, stretched=True),
    Peer("dot-product", DOT_PRODUCT, AT_RANDOM),
    Peer("fgd-random-ties", FGD, AT_RANDOM),
    Peer("fgd", FGD, LAST_NAME),
)


def replay(trace: Trace, stream: IntArray, peer: Peer, seed: int) -> BoolArray:
    """Return which pods of the stream found a node, shape ``(pods,)``."""
    models = list(dict.fromkeys(trace.nodes.classes))
    shapes = np.array([shape[:4] for shape in trace.shapes], dtype=np.int64)
    shapes = np.stack([shapes[:, 1], shapes[:, 2], shapes[:, 0], shapes[:, 3]], axis=1)
    accepted = np.array(
        [[s.classes is None or m in s.classes for m in models] for s in trace.shapes]
    )
    code = np.array([models.index(name) for name in trace.nodes.classes])
    typical, share = _typical(trace)
    nodes = trace.nodes
    sizes = np.stack([nodes.cpu, nodes.memory, (nodes.milli > 0).sum(axis=1)], axis=1)
    placed: BoolArray = _replay(
        stream,
        (shapes, accepted),
        (sizes[:, :2].copy(), sizes, nodes.milli.copy(), code),
        (shapes[typical], accepted[typical], share),
        (peer.rule, peer.ties, peer.stretched, seed),
    )
    return placed


def _typical(trace: Trace) -> tuple[IntArray, FloatArray]:
    """Return shapes that stand for the list, memory left out, and their shares."""
    counts: dict[Shape, int] = {}
    first: dict[Shape, int] = {}
    for index, count in enumerate(np.bincount(trace.pods, minlength=len(trace.shapes)).tolist()):
        shape = trace.shapes[index]._replace(memory=0)
        counts[shape] = counts.get(shape, 0) + count
        first.setdefault(shape, index)
    commonest = sorted(counts, key=lambda s: (-counts[s], -s.cpu, -s.milli, -s.devices))
    total = np.cumsum([counts[shape] for shape in commonest])
    kept = commonest[: int(np.searchsorted(total, TYPICAL_RATIO * total[-1])) + 1]
    share = np.array([counts[shape] for shape in kept], dtype=np.float64)
    return np.array([first[shape] for shape in kept]), share / share.sum()


@compiled
def _fits(left: IntArray, milli: IntArray, pod: IntArray) -> bool:
    if pod[CPU] > left[CPU] or pod[MEMORY] > left[MEMORY]:
        return False
    devices = 0
    for free in milli:
        devices += free >= pod[MILLI]
    return bool(devices >= pod[DEVICES])


@compiled
def _take(milli: IntArray, pod: IntArray, device: int) -> None:
    """Take a pod's devices: the named one if it shares, else the first whole ones."""
    if pod[MILLI] < WHOLE_MILLI:
        milli[device] -= pod[MILLI]
        return
    wanted = pod[DEVICES]
    for i in range(len(milli)):
        if wanted > 0 and milli[i] == WHOLE_MILLI:
            milli[i] = 0
            wanted -= 1


@compiled
def _tightest(milli: IntArray, pod: IntArray) -> int:
    best = -1
    for i in range(len(milli)):
        if milli[i] >= pod[MILLI] and (best < 0 or milli[i] < milli[best]):
            best = i
    return best


@compiled
def _fragments(
    cpu: int, milli: IntArray, code: int, typical: IntArray, accepted: BoolArray, share: FloatArray
) -> float:
    """Return FGD's expected fragment of a node, thousandths of GPUs."""
    free = milli.sum()
    lost = 0.0
    for k in range(len(typical)):
        pod = typical[k]
        if pod[DEVICES] == 0 or pod[CPU] > cpu or not accepted[k, code]:
            lost += share[k] * free
            continue
        devices, slivers = 0, 0
        for left in milli:
            if left >= pod[MILLI]:
                devices += 1
            else:
                slivers += left
        lost += share[k] * (slivers if devices >= pod[DEVICES] else free)
    return lost


@compiled
def _fgd(
    left: IntArray,
    milli: IntArray,
    code: int,
    pod: IntArray,
    typical: IntArray,
    accepted: BoolArray,
    share: FloatArray,
) -> tuple[float, int]:
    """Return FGD's score and the device that gives it, the first of equal ones."""
    cpu = left[CPU] - pod[CPU]
    before = _fragments(left[CPU], milli, code, typical, accepted, share)
    best, chosen = NOT_FEASIBLE, -1
    trial = milli.copy()
    for i in range(len(milli) if pod[MILLI] < WHOLE_MILLI else 1):
        if pod[MILLI] < WHOLE_MILLI and milli[i] < pod[MILLI]:
            continue
        trial[:] = milli
        _take(trial, pod, i)
        after = _fragments(cpu, trial, code, typical, accepted, share)
        score = np.floor(100.0 / (1.0 + exp((after - before) / 1000.0)))
        if score > best:
            best, chosen = score, i
    return best, chosen


@compiled
def _score(rule: int, left: IntArray, size: IntArray, milli: IntArray, pod: IntArray) -> float:
    """Return the score of the rules that look at sums alone."""
    cpu, gpu = float(left[CPU]), float(milli.sum())
    asked = float(pod[DEVICES] * pod[MILLI])
    if rule == BEST_FIT:
        rest = (cpu - pod[CPU]) / MOST_CPU_MILLI + (gpu - asked) / MOST_GPU_MILLI
        return float(np.floor(100.0 * (1.0 - 0.5 * rest)))
    if rule == DOT_PRODUCT:
        product = cpu * pod[CPU] / MOST_CPU_MILLI**2 + gpu * asked / MOST_GPU_MILLI**2
        return float(np.floor(100.0 * (1.0 - 0.5 * product)))
    cpu_ratio = (cpu - pod[CPU]) / max(size[CPU], 1)
    memory_ratio = (left[MEMORY] - pod[MEMORY]) / max(size[MEMORY], 1)
    if rule == LEAST_ALLOCATED:
        return float(np.floor(50.0 * (cpu_ratio + memory_ratio)))
    gpu_ratio = (gpu - asked) / max(size[DEVICES] * WHOLE_MILLI, 1)
    return float(np.floor(100.0 * (1.0 - (cpu_ratio + memory_ratio + gpu_ratio) / 3.0)))


@compiled
def _choose(scores: FloatArray, ties: int, stretched: bool) -> int:
    """Return the best node, -1 when none is feasible."""
    low, high = np.inf, NOT_FEASIBLE
    for score in scores:
        if score >= 0.0:
            low, high = min(low, score), max(high, score)
    best, chosen, equals = NOT_FEASIBLE, -1, 0
    for node in range(len(scores)):
        score = scores[node]
        if score < 0.0:
            continue
        if stretched:
            score = np.floor((score - low) * 100.0 / (high - low)) if high > low else 0.0
        if score > best:
            best, chosen, equals = score, node, 1
        elif score == best:
            equals += 1
            if ties == LAST_NAME or np.random.random() * equals < 1.0:  # noqa: NPY002 - compiled
                chosen = node
    return chosen


@compiled
def _replay(
    stream: IntArray,
    pods: tuple[IntArray, BoolArray],
    nodes: tuple[IntArray, IntArray, IntArray, IntArray],
    mix: tuple[IntArray, BoolArray, FloatArray],
    how: tuple[int, int, bool, int],
) -> BoolArray:
    """Return which pods were placed.

    Args:
        stream: shapes in order of arrival.
        pods: requests of each shape, and which models it accepts.
        nodes: CPU and memory left, sizes, thousandths left of each device, model; it is changed.
        mix: FGD's typical shapes, the models they accept, their shares.
        how: rule, ties, whether scores are stretched, seed.
    """
    shapes, accepted = pods
    left, size, milli, code = nodes
    typical, typical_accepted, share = mix
    rule, ties, stretched, seed = how
    np.random.seed(seed)  # noqa: NPY002 - compiled code has no generators of its own
    scores = np.full((len(shapes), len(left)), UNKNOWN)
    devices = np.zeros(scores.shape, dtype=np.int64)
    placed = np.zeros(len(stream), dtype=np.bool_)
    for at in range(len(stream)):
        k = stream[at]
        pod = shapes[k]
        for node in range(len(left)):
            if scores[k, node] != UNKNOWN:
                continue
            if not accepted[k, code[node]] or not _fits(left[node], milli[node], pod):
                scores[k, node] = NOT_FEASIBLE
            elif rule == FGD:
                scores[k, node], devices[k, node] = _fgd(
                    left[node], milli[node], code[node], pod, typical, typical_accepted, share
                )
            else:
                scores[k, node] = _score(rule, left[node], size[node], milli[node], pod)
                devices[k, node] = _tightest(milli[node], pod)
        node = _choose(scores[k], ties, stretched)
        if node < 0:
            continue
        placed[at] = True
        left[node, CPU] -= pod[CPU]
        left[node, MEMORY] -= pod[MEMORY]
        _take(milli[node], pod, devices[k, node])
        scores[:, node] = UNKNOWN
    return placed
