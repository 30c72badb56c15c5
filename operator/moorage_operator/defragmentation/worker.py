"""Searches for moves: reads questions from standard input, answers each, ends with the input."""

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
    """Answer question after question."""
    os.nice(NICENESS)
    questions, answers = sys.stdin.buffer, sys.stdout.buffer
    while first := questions.readline():
        try:
            task = msgspec.json.decode(first, type=Task)
            outcome = _answer(task, questions.read(task.size))
        except (MoorageError, msgspec.MsgspecError) as error:
            outcome = Outcome(failed=str(error))
        answers.write(msgspec.json.encode(outcome) + b"\n")
        answers.flush()


def _answer(task: Task, body: bytes) -> Outcome:
    snapshot = decode(body)
    if task.is_look:
        return Outcome(picture=look(snapshot.facts, snapshot.params, task.params))
    found = propose(snapshot.facts, snapshot.params, task.params, clock=time.monotonic)
    return Outcome(proposal=found)


if __name__ == "__main__":
    main()
