"""What nodes do not say in labels: measured or told by others, optional, unknown as NaN."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from moorage_policies.state import Snapshot
from moorage_policies.types import FloatArray, IntArray, Pod

Opinion = Callable[[Pod, Snapshot, IntArray], FloatArray | None]
"""Scores candidate rows for a pod from 0 to 1, best; ``None`` when it cannot tell them apart."""


@dataclass(frozen=True, slots=True, eq=False)
class Signals:
    """Facts about nodes in the snapshot's row order; ``None`` when nobody measures them.

    Args:
        rtt_ms: round-trip time from row to column, ms, shape ``(nodes, nodes)``.
        now_s: Unix seconds, which tell the age of nodes.
        age_s: seconds since the node joined, shape ``(nodes,)``; worked out from ``now_s`` if left
            out.
        noise_ratio: how much neighbours disturb, 0 quiet to 1, shape ``(nodes,)``.
        price_usd_per_h: price of the node, shape ``(nodes,)``; its label counts before it.
        power_w: power it draws, shape ``(nodes,)``; its label counts before it.
        bandwidth_bits_per_s: what its network carries, shape ``(nodes,)``.
        places: code of the node's place on each level of the network, outermost first, -1 for
            none, shape ``(nodes, levels)``.
        frugality_of: how little energy a pod takes there, where nobody says watts.
        peace_of: how little a pod and its neighbours there disturb each other.
    """

    rtt_ms: FloatArray | None = None
    now_s: float | None = None
    age_s: FloatArray | None = None
    noise_ratio: FloatArray | None = None
    price_usd_per_h: FloatArray | None = None
    power_w: FloatArray | None = None
    bandwidth_bits_per_s: FloatArray | None = None
    places: IntArray | None = None
    frugality_of: Opinion | None = None
    peace_of: Opinion | None = None


NO_SIGNALS = Signals()
