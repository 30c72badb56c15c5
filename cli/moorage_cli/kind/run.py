"""Programs run to their end: what they print, or an error that says what they said."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from moorage_cli.kind.errors import StepFailedError

_TAIL_LINES: Final = 25
_DEADLINE_S: Final = 900.0


def run(
    command: Sequence[str | Path],
    *,
    environment: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: bytes | None = None,
    deadline_s: float = _DEADLINE_S,
) -> str:
    """Return what the program prints.

    Raises:
        StepFailedError: it is not there, failed or took too long.
    """
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words,
            env={**os.environ, **(environment or {})},
            cwd=cwd,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            timeout=deadline_s,
            check=False,
        )
    except FileNotFoundError as error:
        raise StepFailedError(f"no program {words[0]} on PATH") from error
    except subprocess.TimeoutExpired as error:
        raise StepFailedError(f"not within {deadline_s:g} s: {shlex.join(words)}") from error
    if done.returncode:
        said = (done.stderr + done.stdout).decode(errors="replace")
        tail = "\n".join(said.strip().splitlines()[-_TAIL_LINES:])
        raise StepFailedError(f"exit code {done.returncode}: {shlex.join(words)}\n{tail}")
    return done.stdout.decode(errors="replace")


def succeeds(
    command: Sequence[str | Path],
    *,
    environment: Mapping[str, str] | None = None,
    deadline_s: float = _DEADLINE_S,
) -> bool:
    """Return whether the program is there and ends with success."""
    try:
        run(command, environment=environment, deadline_s=deadline_s)
    except StepFailedError:
        return False
    return True
