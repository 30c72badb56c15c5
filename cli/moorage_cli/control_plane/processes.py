"""Child processes that never outlive their owner, and waiting for them with a deadline."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from moorage_cli.control_plane.errors import ComponentFailedError

_GUARD: Final = Path(__file__).with_name("guard.py")
_POLL_EVERY_S: Final = 0.05
_ENDS_WITHIN_S: Final = 10.0
_LOG_TAIL_LINES: Final = 25
_LOG_TAIL_BYTES: Final = 32_768


@dataclass(frozen=True, slots=True)
class Component:
    """One running program.

    Args:
        name: unique among the processes of its owner.
        command: the whole command line.
        log: file that takes its standard output and error.
        process: the running child.
    """

    name: str
    command: tuple[str, ...]
    log: Path
    process: subprocess.Popen[bytes]

    def log_tail(self, lines: int = _LOG_TAIL_LINES) -> str:
        """The last lines of the log, as text."""
        with self.log.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - _LOG_TAIL_BYTES))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])


class ProcessGroup:
    """Components in one process group that a guard ends when this process dies.

    Args:
        directory: for logs.
        remove_directory: whether the guard also removes the directory after a crash.
    """

    def __init__(self, directory: Path, *, remove_directory: bool) -> None:
        self._directory = directory
        self._components: dict[str, Component] = {}
        doomed = str(directory) if remove_directory else ""
        self._guard = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_GUARD), str(os.getpid()), doomed],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            process_group=0,
        )

    @property
    def components(self) -> Mapping[str, Component]:
        """The components that were started and not killed, by name."""
        return self._components

    def spawn(
        self, name: str, command: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> Component:
        """Start a program; it dies with this process, whatever ends it."""
        if name in self._components:
            raise ComponentFailedError(f"{name} runs already; stop it before starting it again")
        log = self._directory / f"{name}.log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self._directory,
                env=environment,
                process_group=self._guard.pid,
            )
        component = Component(name, tuple(command), log, process)
        self._components[name] = component
        return component

    def kill(self, name: str, signal_number: int = signal.SIGKILL) -> Component:
        """End one component and wait until it is gone; returns what ran."""
        component = self.component(name)
        component.process.send_signal(signal_number)
        try:
            component.process.wait(_ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            component.process.kill()
            component.process.wait()
        del self._components[name]
        return component

    def component(self, name: str) -> Component:
        """The running component of this name."""
        if name not in self._components:
            running = ", ".join(self._components) or "nothing"
            raise ComponentFailedError(f"{name} is not running; running: {running}")
        return self._components[name]

    def close(self) -> None:
        """End all components, whatever they started, and the guard."""
        os.killpg(self._guard.pid, signal.SIGKILL)
        for component in self._components.values():
            component.process.wait()
        self._components.clear()
        self._guard.communicate()


def wait_until(
    ready: Callable[[], bool],
    what: str,
    *,
    deadline_s: float,
    component: Component | None = None,
) -> None:
    """Poll until ``ready()``; fail early when the component exits, late at the deadline.

    Raises:
        ComponentFailedError: with the end of the component's log.
    """
    started_s = time.monotonic()
    while not ready():
        if component is not None and component.process.poll() is not None:
            code = component.process.returncode
            raise ComponentFailedError(
                f"{component.name} exited with code {code} before {what}\n{component.log_tail()}"
            )
        if time.monotonic() - started_s > deadline_s:
            tail = f"\n{component.log_tail()}" if component is not None else ""
            raise ComponentFailedError(f"not within {deadline_s:g} s: {what}{tail}")
        time.sleep(_POLL_EVERY_S)
