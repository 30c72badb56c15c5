"""The reporter of callers that listen to none."""

from __future__ import annotations


class Silent:
    """A ``Reporter`` that drops what it hears."""

    def report(self, event: str, /, **facts: object) -> None:
        """Drop one event."""
