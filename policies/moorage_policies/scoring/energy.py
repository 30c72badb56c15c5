"""Energy: joules that a token costs on a class, and watts of nodes that would have to wake up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from moorage_policies.pools.classes import class_name
from moorage_policies.scoring.fragmentation import accelerators_in
from moorage_policies.scoring.mix import CLASS_LABEL
from moorage_policies.state import ABSENT, Snapshot
from moorage_policies.types import NVIDIA_GPU, BoolArray, FloatArray, IntArray, Pod


@dataclass(frozen=True, slots=True)
class Draw:
    """What a class of nodes draws.

    Args:
        joules_per_token: energy of one generated token, ``None`` when unknown.
        idle_w: watts of a node on which no accelerator is in use, ``None`` when unknown.
    """

    joules_per_token: float | None = None
    idle_w: float | None = None


class Energy:
    """Scores nodes by what a pod would cost there.

    Args:
        draws: what is known, by accelerator class (its short name or the label's value).
        class_label: node label that names a node's accelerator class.
    """

    name = "energy"

    def __init__(self, draws: Mapping[str, Draw], class_label: str = CLASS_LABEL) -> None:
        self._draws = draws
        self._class_label = class_label

    def score(self, pod: Pod, snapshot: Snapshot, rows: IntArray) -> FloatArray | None:
        """Return 0 to 1 per candidate; ``None`` for pods without accelerators, or without data."""
        names = accelerators_in(snapshot, (NVIDIA_GPU,))
        if not self._draws or not len(rows) or not any(pod.requests.get(name) for name in names):
            return None
        column = snapshot.table.label(self._class_label)
        known = [Draw(), *(self._draw_of(value) for value in column.values)]
        codes = column.codes[rows] - ABSENT
        token = _relative(np.array([_or_nan(d.joules_per_token) for d in known])[codes])
        waking = np.array([_or_nan(d.idle_w) for d in known])[codes]
        waking[_has_work(snapshot, names)[rows]] = 0.0
        costs = [cost for cost in (token, _relative(waking)) if cost is not None]
        if not costs:
            return None
        score: FloatArray = 1.0 - np.mean(costs, axis=0)
        return score

    def _draw_of(self, product: str) -> Draw:
        return self._draws.get(product) or self._draws.get(class_name(product)) or Draw()


def _or_nan(amount: float | None) -> float:
    return float("nan") if amount is None else amount


def _has_work(snapshot: Snapshot, accelerators: tuple[str, ...]) -> BoolArray:
    """Return where any accelerator is taken, shape ``(nodes,)``."""
    busy = np.zeros(len(snapshot.nodes), dtype=bool)
    for name in accelerators:
        column = snapshot.columns.get(name)
        if column is not None:
            busy |= snapshot.requested[:, column] > 0
    return busy


def _relative(costs: FloatArray) -> FloatArray | None:
    """Return costs over the largest; unknown ones cost the mean; ``None`` if they tell nothing."""
    known = ~np.isnan(costs)
    if not known.any():
        return None
    filled = np.where(known, costs, costs[known].mean())
    if np.ptp(filled) <= 0:
        return None
    relative: FloatArray = filled / filled.max()
    return relative
