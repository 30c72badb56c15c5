"""What decisions ask of the outside, as protocols that doors and tests implement."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """A monotonic clock, passed in wherever a decision has a deadline."""

    def __call__(self) -> float:
        """Return seconds since an arbitrary fixed point."""
        ...


class Reporter(Protocol):
    """Hears what a search does; progress bars, logs and traces implement it."""

    def report(self, event: str, /, **facts: object) -> None:
        """Take note of one event and its facts."""
        ...
