"""One warm worker: takes one question at a time and ends itself at the question's deadline."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys
import time
from contextlib import suppress

import msgspec

from moorage_crds.snapshot_file import PlannerSnapshot, decode
from moorage_extender.solver.protocol import (
    ANNOUNCEMENTS,
    HELLO,
    Announcement,
    Message,
    encode_line,
)
from moorage_policies.errors import MoorageError
from moorage_policies.packing.solve import warm_up
from moorage_policies.planning.answer import Answer
from moorage_policies.planning.solving import Changes, answer

EXPLAIN_S = 3.0
_PR_SET_PDEATHSIG = 1


def main(listener_number: int, niceness: int) -> None:
    """Serve until killed."""
    _die_with_parent()
    os.nice(niceness)
    warm_up()
    with socket.socket(fileno=listener_number) as listener:
        while True:
            connection, _ = listener.accept()
            with connection:
                _serve(connection)


def _die_with_parent() -> None:
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _serve(connection: socket.socket) -> None:
    """Answer one question; whoever hangs up is not waited for."""
    try:
        with connection.makefile("rb") as heard:
            connection.sendall(HELLO)
            announced = heard.readline()
            if not announced:
                return
            head = ANNOUNCEMENTS.decode(announced)
            snapshot = decode(heard.read(head.size))
        # the kernel ends the process at the deadline: no search can hold out against it
        signal.setitimer(signal.ITIMER_REAL, head.deadline_s)
        _answer(connection, head, snapshot)
    except OSError:
        return
    except (MoorageError, msgspec.MsgspecError) as error:
        _refuse(connection, error)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)


def _refuse(connection: socket.socket, error: Exception) -> None:
    with suppress(OSError):
        connection.sendall(encode_line(Message("failed", failed=str(error), final=True)))


def _answer(connection: socket.socket, head: Announcement, snapshot: PlannerSnapshot) -> None:
    first_s: list[float] = []

    def hear(given: Answer) -> None:
        first_s.append(time.monotonic())
        connection.sendall(encode_line(Message("answer", answer=given)))

    def note(better: Changes) -> None:
        connection.sendall(encode_line(Message("better", better=better)))

    final = answer(
        snapshot.facts,
        snapshot.params,
        on_better=note,
        on_answer=hear,
        go_on=lambda: time.monotonic() - first_s[0] < EXPLAIN_S,
        given=head.given,
    )
    connection.sendall(encode_line(Message("answer", answer=final, final=True)))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
