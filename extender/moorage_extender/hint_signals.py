"""What the extender knows of nodes beyond their labels and pods, for hints."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from moorage_extender.network import Network
from moorage_policies.hints import Signals
from moorage_policies.ports import Clock
from moorage_policies.scoring import Energy, Interference, Ranker
from moorage_policies.scoring.load import MAX_AGE_S, Utilisation
from moorage_policies.state import Snapshot
from moorage_policies.types import FloatArray

MEMORY_COLUMN = 1
"""Memory that is full disturbs nobody; CPU, network and accelerators in use do."""


class HintSignals:
    """Gathers what others measure or were told.

    Args:
        ranker: has been told what classes of accelerators draw, and of workloads lose.
        network: knows round trips and levels.
        utilisation: tells the last batch of what nodes really use.
        clock: the clock of that batch.
        wall_clock: Unix seconds, for the age of nodes.
    """

    def __init__(
        self,
        ranker: Ranker,
        network: Network,
        utilisation: Callable[[], Utilisation | None],
        clock: Clock,
        wall_clock: Clock,
    ) -> None:
        self._network = network
        self._utilisation = utilisation
        self._clock = clock
        self._wall_clock = wall_clock
        self._frugality = partial(ranker.opinion, Energy.name)
        self._peace = partial(ranker.opinion, Interference.name)
        self._noise: tuple[object, object, FloatArray] | None = None

    def of(self, snapshot: Snapshot) -> Signals:
        """Return what is known of the snapshot's nodes."""
        return Signals(
            rtt_ms=self._network.round_trips_ms(snapshot),
            now_s=self._wall_clock(),
            noise_ratio=self._noise_ratio(snapshot),
            places=self._network.places(snapshot.table),
            frugality_of=self._frugality,
            peace_of=self._peace,
        )

    def _noise_ratio(self, snapshot: Snapshot) -> FloatArray | None:
        """Return the share in use of each node's busiest measured resource that is shared."""
        batch = self._utilisation()
        if batch is None or self._clock() - batch.measured_s > MAX_AGE_S:
            return None
        names = snapshot.node_names
        if self._noise is None or self._noise[0] is not batch or self._noise[1] is not names:
            self._noise = (batch, names, _busiest(batch, snapshot))
        ratio = self._noise[2]
        return None if np.isnan(ratio).all() else ratio


def _busiest(batch: Utilisation, snapshot: Snapshot) -> FloatArray:
    used = np.delete(batch.used_ratio, MEMORY_COLUMN, axis=1)
    known = np.isfinite(used).any(axis=1)
    busiest = np.where(known, np.where(np.isfinite(used), used, 0.0).max(axis=1), np.nan)
    ratio = np.full(len(snapshot.nodes), np.nan)
    for row, name in enumerate(batch.names):
        at = snapshot.node_index.get(name)
        if at is not None:
            ratio[at] = busiest[row]
    return ratio
