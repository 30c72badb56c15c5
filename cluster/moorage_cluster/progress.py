"""How far a view of one kind has come, and when it was last proven fresh."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

EventType = Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]


class Progress:
    """The newest revision seen, the number of objects, and the time of the last proof.

    Revisions only grow; what comes with an older or repeated one is refused.
    """

    def __init__(self) -> None:
        self.revision = 0
        self.items = 0
        self.fresh_s = float("-inf")

    def listed(self, revision: int, items: int, asked_s: float) -> None:
        """Note a whole list, asked for at ``asked_s``."""
        self.revision = revision
        self.items = items
        self.fresh_s = asked_s

    def accepts(self, event: EventType, revision: int, now_s: float) -> bool:
        """Note an event if it is news, and return whether it is.

        A bookmark may repeat the newest revision: it says that nothing has happened since.
        """
        if revision < self.revision or (revision == self.revision and event != "BOOKMARK"):
            return False
        self.revision = revision
        self.items += {"ADDED": 1, "DELETED": -1}.get(event, 0)
        self.fresh_s = now_s
        return True

    def proven(self, revisions: Iterable[int], asked_s: float) -> bool:
        """Compare with the revisions of all objects listed later; note the proof if they agree.

        They do when there are as many and none is newer than what was seen: what was added or
        changed since would be newer, and what only went would be missing.
        """
        listed = list(revisions)
        if len(listed) != self.items or any(revision > self.revision for revision in listed):
            return False
        self.fresh_s = asked_s
        return True
