"""What becomes of a node's free devices if pods of the mix keep coming."""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd, pi, sqrt

import numpy as np

from moorage_policies.scoring.mix import WHOLE_MILLI, RequestMix
from moorage_policies.types import FloatArray, IntArray

STRANDED, FREE, CPU_MEAN, CPU_VARIANCE, MEMORY_MEAN, MEMORY_VARIANCE = range(6)
FACTS = 6
MILLI = 3
"""Column of a mix's shapes."""

STEERED_RATIO = 0.6
"""How much CPU and memory a node has to keep for its free devices, as a share of what random pods
would need: the ranking itself sends the hungry ones elsewhere."""

PATIENCE = 100.0
"""How many pods a free device may wait for, on average, before it counts as stranded for good."""

NEVER_SCALES = 30.0
"""Scales of the logistic distribution beyond which its tail is nothing."""
SMALLEST_SCALE = 1e-9

MAX_DEVICES = 1024
"""Free devices beyond this count as this many."""


@dataclass(frozen=True, slots=True, eq=False)
class Outlook:
    """Expected future of free devices, by how many a node has left.

    Each row of an array is a fact, each column a level. Facts add up: over whole devices and the
    shared ones of a node, and over its accelerator resources.

    Args:
        whole: by free whole devices, shape ``(6, devices + 1)``: devices that stay stranded because
            no pod fits their number, the free devices themselves, and mean and variance of CPU
            (millicores) and memory (bytes) that the pods to come take with them.
        part: the same by what is left of one shared device, in steps of ``step_milli``,
            shape ``(6, 1000 / step_milli)``; only column 0 where devices are not shared.
        step_milli: thousandths of a device per column of ``part``.
    """

    whole: FloatArray
    part: FloatArray
    step_milli: int

    def of_whole(self, devices: IntArray) -> FloatArray:
        """Return the facts of that many free whole devices, shape ``(6, *devices.shape)``."""
        return self.whole.take(devices, axis=1, mode="clip")

    def of_part(self, left_milli: IntArray) -> FloatArray:
        """Return the facts of shared devices with that much left, shape ``(6, *left.shape)``."""
        return self.part.take(left_milli // self.step_milli, axis=1)


def expect(mix: RequestMix, devices: int) -> Outlook:
    """Return the outlook of nodes with up to ``devices`` free devices under a mix.

    Pods are drawn from the mix one after the other; one that does not fit goes elsewhere. After
    each the device goes on waiting with probability ``1 - 1 / PATIENCE``, so that what only rare
    pods can use counts as stranded most of the time.
    """
    milli = mix.shapes[:, MILLI]
    shared = milli < WHOLE_MILLI
    step = gcd(WHOLE_MILLI, *milli[shared].tolist())
    needs = mix.shapes[:, 1:3].astype(np.float64)
    part = _absorb(
        (milli[shared] // step).astype(np.int64),
        mix.share[shared],
        _first_facts(needs[shared]),
        WHOLE_MILLI // step if shared.any() else 1,
        step / WHOLE_MILLI,
        patience_grows=False,
    )
    opened = _first_facts(needs)
    rest = part[:, (WHOLE_MILLI - milli[shared]) // step]
    opened[:, shared] += rest
    levels = min(devices, MAX_DEVICES) + 1
    sizes = np.where(shared, 1, mix.shapes[:, 0])
    whole = _absorb(sizes, mix.share, opened, levels, 1.0, patience_grows=True)
    return Outlook(whole, part, step)


def _first_facts(needs: FloatArray) -> FloatArray:
    """Return what one pod of each shape adds by itself, shape ``(6, shapes)``."""
    facts = np.zeros((FACTS, len(needs)))
    facts[CPU_MEAN], facts[MEMORY_MEAN] = needs[:, 0], needs[:, 1]
    return facts


def _absorb(
    sizes: IntArray,
    share: FloatArray,
    added: FloatArray,
    levels: int,
    unit: float,
    *,
    patience_grows: bool,
) -> FloatArray:
    """Return the facts by level when pods fill a container level by level.

    Args:
        sizes: levels that each shape takes, shape ``(shapes,)``.
        share: probability of each shape among all arrivals, shape ``(shapes,)``.
        added: facts that a pod of each shape brings along, shape ``(6, shapes)``.
        levels: number of levels, the empty one included.
        unit: devices per level.
        patience_grows: a container of n levels sees n times as many pods.
    """
    facts = np.zeros((FACTS, levels))
    facts[FREE] = np.arange(levels) * unit
    squares = np.zeros((2, levels))
    means, variances = [CPU_MEAN, MEMORY_MEAN], [CPU_VARIANCE, MEMORY_VARIANCE]
    for level in range(1, levels):
        go_on = 1.0 - 1.0 / (PATIENCE * (level if patience_grows else 1))
        fits = np.flatnonzero(sizes <= level)
        weight, left = share[fits], level - sizes[fits]
        scale = go_on / (1.0 - go_on * (1.0 - weight.sum()))
        stays = (1.0 - go_on) / (1.0 - go_on * (1.0 - weight.sum()))
        stranded = weight @ (added[STRANDED, fits] + facts[STRANDED, left])
        facts[STRANDED, level] = stays * level * unit + scale * stranded
        total = added[means][:, fits] + facts[means][:, left]
        spread = added[variances][:, fits] + squares[:, left] - facts[means][:, left] ** 2
        facts[means, level] = scale * (total @ weight)
        squares[:, level] = scale * ((total**2 + spread) @ weight)
    facts[variances] = np.maximum(squares - facts[means] ** 2, 0.0)
    return facts


def count_stranded(facts: FloatArray, cpu: IntArray, memory: IntArray) -> FloatArray:
    """Return the expected stranded devices of nodes, shape ``facts.shape[1:]``.

    Args:
        facts: summed facts of each node's free devices, shape ``(6, ...)``.
        cpu: millicores left, of the same shape as one fact.
        memory: bytes left, of the same shape.
    """
    kept = 1.0 - _short_ratio(cpu, facts[CPU_MEAN], facts[CPU_VARIANCE])
    kept *= 1.0 - _short_ratio(memory, facts[MEMORY_MEAN], facts[MEMORY_VARIANCE])
    stranded: FloatArray = facts[FREE] - (facts[FREE] - facts[STRANDED]) * kept
    return stranded


def _short_ratio(left: IntArray, mean: FloatArray, variance: FloatArray) -> FloatArray:
    """Return which share of a random need (logistic) finds nothing left, 0 to 1."""
    need = STEERED_RATIO * mean
    scale = np.sqrt(variance)
    scale *= STEERED_RATIO * sqrt(3.0) / pi
    ratio = np.zeros(need.shape)
    # on most nodes there is far more than anybody needs; only the others cost logarithms
    tight = np.nonzero((left - need < NEVER_SCALES * scale) & (need > 0))
    need, scale = need[tight], scale[tight] + SMALLEST_SCALE
    ratio[tight] = np.minimum(scale * np.logaddexp(0.0, (need - left[tight]) / scale) / need, 1.0)
    return ratio
