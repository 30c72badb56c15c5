"""Energy: joules that a token costs on a class, and watts of nodes that would have to wake up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from moorage_policies.pools.classes import class_name
from moorage_policies.scoring.fragmentation import accelerators_in
from moorage_policies.scoring.mix import CLASS_LABEL
from moorage_policies.scoring.row_memory import RowMemory
from moorage_policies.state import ABSENT, LabelColumn, Snapshot
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
        self._column: LabelColumn | None = None
        self._codes = (np.zeros(0), np.zeros(0))
        self._waking = RowMemory()

    def score(self, pod: Pod, snapshot: Snapshot, rows: IntArray) -> FloatArray | None:
        """Return 0 to 1 per candidate; ``None`` for pods without accelerators, or without data."""
        names = accelerators_in(snapshot, (NVIDIA_GPU,))
        if not self._draws or not len(rows) or not any(pod.requests.get(name) for name in names):
            return None
        column = snapshot.table.label(self._class_label)
        joules, idle_w = self._by_code(column)
        token = _relative(joules.take(column.codes[rows] - ABSENT))
        waking = self._waking.recall(
            names,
            snapshot,
            rows,
            lambda stale: np.where(
                _has_work(snapshot, names, stale), 0.0, idle_w[column.codes[stale] - ABSENT]
            ),
        )
        costs = [cost for cost in (token, _relative(waking)) if cost is not None]
        if not costs:
            return None
        score: FloatArray = 1.0 - np.add.reduce(costs) / len(costs)
        return score

    def _by_code(self, column: LabelColumn) -> tuple[FloatArray, FloatArray]:
        """Return joules per token and idle watts by code after absence, NaN where unknown."""
        if self._column is not column:
            known = [Draw(), *(self._draw_of(value) for value in column.values)]
            joules = np.array([_or_nan(draw.joules_per_token) for draw in known])
            self._column, self._codes = (
                column,
                (joules, np.array([_or_nan(d.idle_w) for d in known])),
            )
            self._waking.clear()
        return self._codes

    def _draw_of(self, product: str) -> Draw:
        return self._draws.get(product) or self._draws.get(class_name(product)) or Draw()


def _or_nan(amount: float | None) -> float:
    return float("nan") if amount is None else amount


def _has_work(snapshot: Snapshot, accelerators: tuple[str, ...], rows: IntArray) -> BoolArray:
    """Return where any accelerator is taken, shape ``(rows,)``."""
    busy = np.zeros(len(rows), dtype=bool)
    for name in accelerators:
        column = snapshot.columns.get(name)
        if column is not None:
            busy |= snapshot.requested[rows, column] > 0
    return busy


def _relative(costs: FloatArray) -> FloatArray | None:
    """Return costs over the largest; unknown ones cost the mean; ``None`` if they tell nothing."""
    unknown = np.isnan(costs)
    if unknown.all():
        return None
    if unknown.any():
        costs = np.where(unknown, costs[~unknown].mean(), costs)
    largest = costs.max()
    if largest <= costs.min():
        return None
    relative: FloatArray = costs / largest
    return relative
