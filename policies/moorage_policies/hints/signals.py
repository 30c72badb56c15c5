"""What nodes do not say in labels: measured by others, optional, unknown as NaN."""

from __future__ import annotations

from dataclasses import dataclass

from moorage_policies.types import FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Signals:
    """Facts about nodes in the snapshot's row order; ``None`` when nobody measures them.

    Args:
        rtt_ms: round-trip time from row to column, ms, shape ``(nodes, nodes)``.
        age_s: seconds since the node joined, shape ``(nodes,)``.
        noise_ratio: how much neighbours disturb, 0 quiet to 1, shape ``(nodes,)``.
        price_usd_per_h: price of the node, shape ``(nodes,)``.
        power_w: power it draws, shape ``(nodes,)``.
        bandwidth_bits_per_s: what its network carries, shape ``(nodes,)``.
    """

    rtt_ms: FloatArray | None = None
    age_s: FloatArray | None = None
    noise_ratio: FloatArray | None = None
    price_usd_per_h: FloatArray | None = None
    power_w: FloatArray | None = None
    bandwidth_bits_per_s: FloatArray | None = None


NO_SIGNALS = Signals()
