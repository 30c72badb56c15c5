"""Outlives its parent by a moment, to end everything that the parent left running.

Runs as its own program, started with ``python -I -S guard.py PARENT_PID DIRECTORY``. It leads the
process group that every component joins before it executes, so that no component can be missed.
The parent holds the other end of standard input: its end of file, or another parent, means that it
died. A parent that ends in peace kills the whole group by itself, this program with it.
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
    """Wait until the parent dies, then clean up behind it."""
    parent_pid, directory = int(sys.argv[1]), sys.argv[2]
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    wait_for_the_parents_end(parent_pid)
    if os.fork():
        signal.pause()  # the child kills the whole group, this process with it
    end_group(os.getpgid(0))
    if directory:
        shutil.rmtree(directory, ignore_errors=True)


def wait_for_the_parents_end(parent_pid: int) -> None:
    """Block until the parent is gone."""
    while os.getppid() == parent_pid:
        readable, _, _ = select.select([0], [], [], _LOOK_AT_PARENT_EVERY_S)
        if readable and not os.read(0, 1):
            return


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
