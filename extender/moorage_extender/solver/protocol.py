"""What planner and solver say to each other over a Unix socket.

The solver greets when it is warm. The planner sends one line that announces a snapshot, then the
snapshot. The solver answers line by line: every better placement as soon as it is known, then
answers, the last of which is final.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from moorage_policies.planning.answer import Answer

HELLO = b"ready\n"


class Announcement(msgspec.Struct):
    """What comes next.

    Args:
        size: bytes of the snapshot.
        deadline_s: seconds after which the solver's process ends, whatever it is doing.
        given: a placement found earlier, to be checked and turned into plans.
    """

    size: int
    deadline_s: float
    given: Mapping[str, str | None] | None = None


class Message(msgspec.Struct, omit_defaults=True):
    """One line of the solver.

    Args:
        kind: ``better`` and ``answer`` carry the field of that name; ``failed`` a text.
        better: node of each pod that changes place.
        answer: plans and words.
        final: whether nothing follows.
        failed: what went wrong.
    """

    kind: Literal["better", "answer", "failed"]
    better: Mapping[str, str | None] = {}
    answer: Answer | None = None
    final: bool = False
    failed: str = ""


MESSAGES = msgspec.json.Decoder(Message)
ANNOUNCEMENTS = msgspec.json.Decoder(Announcement)


def encode_line(item: Announcement | Message) -> bytes:
    """Return an item as one line."""
    return msgspec.json.encode(item) + b"\n"
