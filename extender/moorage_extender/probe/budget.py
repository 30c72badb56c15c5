"""How many bytes may still be moved: a bucket that fills with time."""

from __future__ import annotations

from moorage_policies.ports import Clock

SECONDS_PER_MINUTE = 60.0


class Budget:
    """Bytes per minute, at most a minute's worth at once.

    Args:
        bytes_per_min: how many.
        clock: monotonic seconds.
    """

    __slots__ = ("_clock", "_left", "_most", "_seen_s")

    def __init__(self, bytes_per_min: float, clock: Clock) -> None:
        self._most = bytes_per_min
        self._left = bytes_per_min
        self._clock = clock
        self._seen_s = clock()

    def take(self, amount: float) -> bool:
        """Return whether so many bytes may be moved now, and count them if so."""
        now_s = self._clock()
        gained = (now_s - self._seen_s) * self._most / SECONDS_PER_MINUTE
        self._left, self._seen_s = min(self._most, self._left + gained), now_s
        if amount > self._left:
            return False
        self._left -= amount
        return True
