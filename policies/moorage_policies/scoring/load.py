"""Load: how busy nodes really are, measured in batches and carried on between them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from moorage_policies.ports import Clock
from moorage_policies.scoring.row_memory import RowMemory
from moorage_policies.state import Snapshot
from moorage_policies.types import CPU, MEMORY, FloatArray, IntArray, Pod

MAX_AGE_S = 120.0
"""Measurements older than this say nothing."""
LEAST_USE_RATIO = 0.1
"""A pod is taken to use at least this share of what it asks for."""


@dataclass(frozen=True, slots=True, eq=False)
class Utilisation:
    """One batch of measurements, with what pods asked for when it was taken.

    Args:
        measured_s: when it was taken, seconds on the scorer's clock.
        names: nodes by row of the arrays.
        used_ratio: CPU, memory, network and accelerators in use, 0 to 1, NaN where nobody measures,
            shape ``(nodes, 4)``.
        asked_ratio: CPU and memory that pods asked for at that time, shape ``(nodes, 2)``.
    """

    measured_s: float
    names: tuple[str, ...]
    used_ratio: FloatArray
    asked_ratio: FloatArray


UtilisationOf = Callable[[], Utilisation | None]
"""Tells the last batch, ``None`` while there is none."""


class Load:
    """Scores nodes by how much of them is idle.

    Pods that came since the batch was taken count with what they ask for, times the share of their
    requests that pods of this cluster really use; so old batches mislead little.

    Args:
        utilisation_of: see :data:`UtilisationOf`.
        clock: the clock of ``Utilisation.measured_s``.
    """

    name = "load"

    def __init__(self, utilisation_of: UtilisationOf, clock: Clock) -> None:
        self._utilisation_of = utilisation_of
        self._clock = clock
        self._rows: tuple[Utilisation | None, tuple[str, ...], IntArray] = (
            None, (), np.zeros(0, dtype=np.int64),
        )  # fmt: skip
        self._batch: Utilisation | None = None
        self._used = RowMemory()
        self._use: tuple[Utilisation | None, FloatArray] = (None, np.ones(2))

    def score(self, pod: Pod, snapshot: Snapshot, rows: IntArray) -> FloatArray | None:
        """Return 0 to 1 per candidate; ``None`` without a batch that is fresh enough."""
        batch = self._utilisation_of()
        if batch is None or self._clock() - batch.measured_s > MAX_AGE_S or not len(rows):
            return None
        if self._batch is not batch:
            self._batch = batch
            self._used.clear()
        demand = (pod.requests.get(CPU, 0), pod.requests.get(MEMORY, 0))
        used = self._used.recall(
            demand, snapshot, rows, lambda stale: self._expect_used(batch, demand, snapshot, stale)
        )
        return _idle(used)

    def _expect_used(
        self, batch: Utilisation, demand: tuple[int, int], snapshot: Snapshot, rows: IntArray
    ) -> FloatArray:
        """Return the mean use of what is measured once the pod is there, NaN where nothing is."""
        at = self._rows_in(batch, snapshot)[rows]
        used = np.where((at >= 0)[:, None], batch.used_ratio[at], np.nan)
        offered = _offered(snapshot, rows)
        came = _over(_asked(snapshot, rows), offered) - np.where(
            (at >= 0)[:, None], batch.asked_ratio[at], 0
        )
        use = self._ratio_of(batch)
        used[:, :2] += (came + _over(np.array(demand), offered)) * use
        known = ~np.isnan(used)
        count = known.sum(axis=1)
        total = np.where(known, np.clip(used, 0.0, 1.0), 0.0).sum(axis=1)
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)

    def _ratio_of(self, batch: Utilisation) -> FloatArray:
        if self._use[0] is not batch:
            self._use = (batch, _use_ratio(batch))
        return self._use[1]

    def _rows_in(self, batch: Utilisation, snapshot: Snapshot) -> IntArray:
        """Return the batch's row of each node, -1 for one that it does not know."""
        known, names, rows = self._rows
        if known is not batch or names is not snapshot.node_names:
            names = snapshot.node_names
            index = {name: row for row, name in enumerate(batch.names)}
            rows = np.array([index.get(name, -1) for name in names], dtype=np.int64)
            self._rows = (batch, names, rows)
        return rows


def asked_ratio(snapshot: Snapshot) -> FloatArray:
    """Return CPU and memory that pods ask for, of what nodes offer, shape ``(nodes, 2)``."""
    rows = np.arange(len(snapshot.nodes))
    return _over(_asked(snapshot, rows), _offered(snapshot, rows))


def _asked(snapshot: Snapshot, rows: IntArray) -> IntArray:
    columns = (snapshot.columns[CPU], snapshot.columns[MEMORY])
    return np.stack([snapshot.requested[rows, column] for column in columns], axis=1)


def _offered(snapshot: Snapshot, rows: IntArray) -> IntArray:
    columns = (snapshot.columns[CPU], snapshot.columns[MEMORY])
    return np.stack([snapshot.allocatable[rows, column] for column in columns], axis=1)


def _over(amounts: IntArray, offered: IntArray) -> FloatArray:
    ratio: FloatArray = amounts / np.maximum(offered, 1)
    return ratio


def _use_ratio(batch: Utilisation) -> FloatArray:
    """Return which share of their CPU and memory requests pods use, over all nodes."""
    used = np.nansum(batch.used_ratio[:, :2], axis=0)
    asked = batch.asked_ratio[~np.isnan(batch.used_ratio[:, :2]).any(axis=1)].sum(axis=0)
    ratio: FloatArray = np.clip(used / np.maximum(asked, 1e-9), LEAST_USE_RATIO, 1.0)
    return ratio


def _idle(used: FloatArray) -> FloatArray | None:
    """Return 1 less the use of each node; unmeasured nodes get the mean of others."""
    unknown = np.isnan(used)
    if not unknown.any():
        return 1.0 - used
    if unknown.all():
        return None
    idle: FloatArray = 1.0 - np.where(unknown, used[~unknown].mean(), used)
    return idle
