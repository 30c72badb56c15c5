"""Outlives its parent by a moment, to end everything that the parent left running.

Runs as its own program, started with ``python -I -S guard.py PARENT_PID DIRECTORY``. It leads the
process group that every component joins before it executes, so that no component can be missed.
The parent holds the other end of standard input: the word ``q`` there means that the parent has
cleaned up by itself; end of file, or another parent, means that it died.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import sys
import time

_LOOK_AT_PARENT_EVERY_S = 0.5
_GIVE_UP_AFTER_S = 30.0


def main() -> None:
    """Wait until the parent says farewell or dies; then clean up behind it."""
    parent_pid, directory = int(sys.argv[1]), sys.argv[2]
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    if parent_said_farewell(parent_pid):
        return
    if os.fork():
        signal.pause()  # the child kills the whole group, this process with it
    end_group(os.getpgid(0))
    if directory:
        shutil.rmtree(directory, ignore_errors=True)


def parent_said_farewell(parent_pid: int) -> bool:
    """Block until the parent is done; ``False`` when it died without a word."""
    while os.getppid() == parent_pid:
        readable, _, _ = select.select([0], [], [], _LOOK_AT_PARENT_EVERY_S)
        if readable:
            return os.read(0, 1) == b"q"
    return False


def end_group(group: int) -> None:
    """Kill every process of the group and wait until none is left."""
    os.setsid()  # leave the group first
    deadline = time.monotonic() + _GIVE_UP_AFTER_S
    while time.monotonic() < deadline:
        try:
            os.killpg(group, signal.SIGKILL)
        except ProcessLookupError:
            return
        time.sleep(0.02)


if __name__ == "__main__":
    main()
