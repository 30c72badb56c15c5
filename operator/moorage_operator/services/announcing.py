"""Events for people, written while this process leads."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Literal

from moorage_cluster.errors import ApiError
from moorage_cluster.events import Subject, tell
from moorage_cluster.session import ApiSession
from moorage_crds.names import EVENTS
from moorage_policies.ports import Reporter

NAME = "moorage-operator"

Tell = Callable[[Subject, str, str], Awaitable[None]]
"""Writes an event: about what, reason, message."""


def make_tell(
    kind: Literal["Normal", "Warning"],
    session: ApiSession,
    leads: Callable[[], bool],
    count: Callable[[str, str], None],
    reporter: Reporter,
) -> Tell:
    """Return what writes events of a kind; one that is refused holds nothing up.

    Args:
        kind: Normal or Warning.
        session: the session.
        leads: whether this process leads right now; asked before every write.
        count: told the verb and the kind of every write.
        reporter: hears of events that could not be written.
    """

    async def write(subject: Subject, reason: str, message: str) -> None:
        if not leads():
            return
        count("create", EVENTS.kind)
        try:
            await tell(session, subject, kind=kind, reason=reason, message=message, reporter=NAME)
        except ApiError as error:
            reporter.report("event.unwritten", about=subject.name, error=str(error))

    return write
