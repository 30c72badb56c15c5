"""Exponential backoff with full jitter."""

from __future__ import annotations

from collections.abc import Callable


class Backoff:
    """How long to wait before the next try.

    Full jitter: uniform between zero and the doubled ceiling, so that clients which failed
    together do not come back together. A server's Retry-After is the floor, never shortened.

    Args:
        random: uniform numbers in [0, 1).
        base_s: ceiling of the first wait, seconds.
        cap_s: ceiling of every wait, seconds.
    """

    def __init__(
        self, random: Callable[[], float], *, base_s: float = 0.5, cap_s: float = 30.0
    ) -> None:
        self._random = random
        self._base_s = base_s
        self._cap_s = cap_s
        self.failures = 0

    def next_s(self, retry_after_s: float | None = None) -> float:
        """Count one failure and return the seconds to wait."""
        ceiling_s: float = min(self._cap_s, self._base_s * 2.0 ** min(self.failures, 32))
        self.failures += 1
        return (retry_after_s or 0.0) + self._random() * ceiling_s

    def reset(self) -> None:
        """Forget earlier failures after a success."""
        self.failures = 0
