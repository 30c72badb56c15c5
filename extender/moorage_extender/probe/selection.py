"""Which peers a round measures: all of a small cluster, landmarks and a sample of a large one."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from moorage_extender.probe.echo import PACKET_BYTES
from moorage_extender.probe.settings import ProbeSettings

KIB = 1024
SECONDS_PER_MINUTE = 60.0


def select(addresses: Sequence[str], round_number: int, most: int) -> list[str]:
    """Return the addresses to measure in a round, at most ``most``.

    Half of them are landmarks, the same for every probe, so that any two nodes have been measured
    against the same third ones; the rest go on from round to round through all others.
    """
    if len(addresses) <= most:
        return sorted(addresses)
    ranked = sorted(addresses, key=lambda address: sha256(address.encode()).digest())
    landmarks, others = ranked[: most // 2], ranked[most // 2 :]
    count = most - len(landmarks)
    start = round_number * count % len(others)
    return landmarks + (others + others)[start : start + count]


def affordable_peers(settings: ProbeSettings) -> int:
    """Return how many peers a round may measure within the budget: questions and answers."""
    rounds_per_min = SECONDS_PER_MINUTE / settings.interval_s
    per_peer = 2 * settings.exchanges * PACKET_BYTES * rounds_per_min
    afford = int(settings.budget_kib_per_min * KIB / per_peer)
    return max(2, min(settings.peers_per_round, afford))
