"""How much may still be done: one deadline on a clock that is passed in, or a number of steps."""

from __future__ import annotations

from moorage_policies.ports import Clock

STEP_WORK = 2.5e-7  # seconds of one core that one proposal of the search kernel takes, about
SHARE_KEPT_BACK = 0.03  # of the deadline, for what cannot be interrupted


class Effort:
    """Counts down to the deadline, in seconds of the clock or in work where there is no clock.

    Work is deterministic: proposals of the kernel and CP-SAT's deterministic time, in units of
    roughly one second of one core.
    """

    def __init__(self, deadline_s: float, clock: Clock | None) -> None:
        self._clock = clock
        self._total = deadline_s * (1 - SHARE_KEPT_BACK)
        self._started_s = clock() if clock else 0.0
        self._rate = STEP_WORK  # seconds per proposal as measured so far
        self.work = 0.0

    @property
    def is_timed(self) -> bool:
        """Return whether a clock counts, rather than work."""
        return self._clock is not None

    def elapsed(self) -> float:
        """Return what has been used of the deadline."""
        return self._clock() - self._started_s if self._clock else self.work

    def left(self, share: float = 1.0) -> float:
        """Return what is left until this share of the deadline is used."""
        return self._total * share - self.elapsed()

    def spend(self, work: float) -> None:
        """Record work that was done."""
        self.work += work

    def steps(self, wanted: int, share: float = 1.0) -> int:
        """Return how many proposals may be made now, at most ``wanted``."""
        return max(0, min(wanted, int(self.left(share) / self._rate)))

    def learn(self, steps: int, seconds: float) -> None:
        """Take note of how long proposals really took, so that the last round ends in time."""
        if self.is_timed and steps:
            self._rate = max(seconds / steps, STEP_WORK / 10)
