"""The network's say in the ranking: scores worked out beforehand, only looked up here."""

from __future__ import annotations

from collections.abc import Callable

from moorage_policies.state import Snapshot
from moorage_policies.types import FloatArray, IntArray, Pod


class NetworkNodes:
    """Scores nodes by where the pod's class of workload runs fastest; see ``network/README.md``.

    Args:
        values_of: returns the pod's scores by row of the snapshot, or ``None`` without any.
    """

    name = "network"

    def __init__(self, values_of: Callable[[Pod, Snapshot], FloatArray | None]) -> None:
        self._values_of = values_of

    def score(self, pod: Pod, snapshot: Snapshot, rows: IntArray) -> FloatArray | None:
        """Return 0 to 1 per candidate; ``None`` when the network tells nothing about the pod."""
        values = self._values_of(pod, snapshot)
        return None if values is None else values[rows]
