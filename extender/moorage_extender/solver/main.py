"""The ``moorage-solver`` program: keeps a warm worker behind a socket and replaces a dead one.

The socket belongs to this process, so that whoever asks while a worker is being replaced waits
instead of being refused.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from moorage_cluster.settings import load_settings
from moorage_extender.config import SOLVER_SOCKET
from moorage_policies.errors import BadInputError

BAD_INPUT_EXIT_CODE = 2
SHORTEST_LIFE_S = 5.0
BACKLOG = 4


class SolverSettings(BaseSettings):
    """Settings of the solver."""

    model_config = SettingsConfigDict(
        env_prefix="MOORAGE_SOLVER_",
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        cli_kebab_case=True,
        cli_prog_name="moorage-solver",
    )

    socket: Path = SOLVER_SOCKET
    """Socket on which the planner asks; the folder must be writable."""

    niceness: int = Field(default=10, ge=0, le=19)
    """How far the worker steps back behind other processes."""


def run() -> None:
    """Run until SIGTERM or SIGINT."""
    try:
        settings = load_settings(SolverSettings)
        listener = listen(settings.socket)
    except BadInputError as error:
        sys.stderr.write(f"moorage-solver: {error}\n")
        sys.exit(BAD_INPUT_EXIT_CODE)
    with listener:
        _supervise(listener, settings.niceness)


def listen(path: Path) -> socket.socket:
    """Return a socket that only this user can reach.

    Raises:
        BadInputError: it cannot be made.
    """
    listener = socket.socket(socket.AF_UNIX)
    try:
        path.unlink(missing_ok=True)
        listener.bind(str(path))
        path.chmod(0o600)
    except OSError as error:
        listener.close()
        message = f"{path} cannot be listened on ({error}); name a short path in a writable folder"
        raise BadInputError(message, field="socket") from None
    listener.listen(BACKLOG)
    return listener


def _supervise(listener: socket.socket, niceness: int) -> None:
    """Run one worker after the other."""
    while True:
        began_s = time.monotonic()
        worker = _spawn(listener, niceness)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_, worker=worker: _end(worker))
        code = worker.wait()
        sys.stderr.write(f"moorage-solver: the worker ended with {code}; starting another\n")
        if time.monotonic() - began_s < SHORTEST_LIFE_S:
            time.sleep(1.0)  # one that cannot even start must not spin


def _spawn(listener: socket.socket, niceness: int) -> subprocess.Popen[bytes]:
    number = listener.fileno()
    command = [sys.executable, "-m", "moorage_extender.solver.worker", str(number), str(niceness)]
    return subprocess.Popen(command, pass_fds=(number,))  # noqa: S603 - our own program


def _end(worker: subprocess.Popen[bytes]) -> None:
    worker.kill()
    os._exit(0)
