"""What a small body tells of bandwidth once its connection is up to speed."""

from __future__ import annotations

import math

from moorage_extender.probe.node_facts import BITS_PER_BYTE
from moorage_policies.ports import Clock

SINK_MBPS = "Moorage-Sink-Mbps"
"""Header in which the sink says how fast the second half of a body came."""

BITS_PER_MEGABIT = 1e6
LEAST_HALF_S = 2e-3
"""A half that came more quickly came from buffers; only the whole tells then."""

MOST_RATIO = 4.0
"""The sink's word counts up to so many times what the whole body says: peers may lie."""

FIRST_WINDOW_BYTES = 14_600
EXTRA_ROUNDS = 2.0
"""TCP starts with ten segments and doubles them each round trip; two more connect and answer."""


class SecondHalf:
    """Measures how fast the second half of a body arrives: the first pays for TCP's start.

    Args:
        size: bytes of the body.
        clock: seconds.
    """

    __slots__ = ("_clock", "_half", "_size", "_taken")

    def __init__(self, size: int, clock: Clock) -> None:
        self._size = size
        self._clock = clock
        self._taken = 0
        self._half: tuple[float, int] | None = None

    def take(self, count: int) -> None:
        """Note that so many bytes arrived."""
        self._taken += count
        if self._half is None and 2 * self._taken >= self._size:
            self._half = (self._clock(), self._taken)

    def mbps(self) -> float | None:
        """Return megabits per second, ``None`` when it came too quickly to tell."""
        if self._half is None:
            return None
        began_s, before = self._half
        took_s = self._clock() - began_s
        if took_s < LEAST_HALF_S or self._taken <= before:
            return None
        return to_mbps(self._taken - before, took_s)


def to_mbps(size: int, took_s: float) -> float:
    """Return megabits per second."""
    return size * BITS_PER_BYTE / BITS_PER_MEGABIT / max(took_s, 1e-6)


def believed_mbps(size: int, took_s: float, rtt_s: float, told: str | None) -> float:
    """Return the bandwidth from what the whole body says and what the sink told of its half.

    Args:
        size: bytes of the body.
        took_s: from sending it to the answer.
        rtt_s: round trip to the sink; TCP's start takes some of them, no more.
        told: the sink's word.
    """
    whole = to_mbps(size, took_s)
    try:
        half = float(told or "")
    except ValueError:
        return whole
    if not math.isfinite(half) or half <= whole:
        return whole
    start_s = rtt_s * (EXTRA_ROUNDS + math.log2(1.0 + size / FIRST_WINDOW_BYTES))
    return min(half, to_mbps(size, max(took_s - start_s, took_s / MOST_RATIO)))
