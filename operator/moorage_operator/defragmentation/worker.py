"""One search for moves: reads a question from standard input, answers, and ends."""

from __future__ import annotations

import os
import sys
import time

import msgspec

from moorage_crds.snapshot_file import decode
from moorage_operator.defragmentation.searching import Outcome, Task
from moorage_policies.errors import MoorageError
from moorage_policies.rescheduling.defragment import look, propose

NICENESS = 10


def main() -> None:
    """Answer the one question."""
    os.nice(NICENESS)
    try:
        outcome = _answer(sys.stdin.buffer.readline(), sys.stdin.buffer.read())
    except (MoorageError, msgspec.MsgspecError) as error:
        outcome = Outcome(failed=str(error))
    sys.stdout.buffer.write(msgspec.json.encode(outcome))


def _answer(first: bytes, rest: bytes) -> Outcome:
    task = msgspec.json.decode(first, type=Task)
    snapshot = decode(rest)
    if task.is_look:
        return Outcome(picture=look(snapshot.facts, snapshot.params, task.params))
    found = propose(snapshot.facts, snapshot.params, task.params, clock=time.monotonic)
    return Outcome(proposal=found)


if __name__ == "__main__":
    main()
