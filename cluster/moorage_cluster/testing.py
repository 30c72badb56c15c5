"""What tests of code that talks to the cluster need: a fake clock, an ear, patience.

``moorage_cluster.fake_api`` has an API server that fails on demand.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable


class FakeClock:
    """A clock that only moves when told, and a sleep that moves it.

    ``slept`` holds every wait that was asked for, in seconds.
    """

    def __init__(self, now_s: float = 1000.0) -> None:
        self.now_s = now_s
        self.slept: list[float] = []

    def __call__(self) -> float:
        """Return the fake seconds."""
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        """Let ``seconds`` pass at once, and others run."""
        self.slept.append(seconds)
        self.now_s += seconds
        await asyncio.sleep(0)


class Heard:
    """A reporter that keeps what it hears."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, object]]] = []

    def report(self, event: str, /, **facts: object) -> None:
        """Keep one event."""
        self.events.append((event, facts))

    def facts(self, event: str) -> list[dict[str, object]]:
        """Return the facts of every event of this name, in order."""
        return [facts for name, facts in self.events if name == event]


async def eventually(
    condition: Callable[[], bool | Awaitable[bool]], *, deadline_s: float = 10.0
) -> None:
    """Return when a condition, plain or awaitable, holds.

    Raises:
        TimeoutError: it did not within ``deadline_s``.
    """
    async with asyncio.timeout(deadline_s):
        while True:
            holds = condition()
            if await holds if inspect.isawaitable(holds) else holds:
                return
            await asyncio.sleep(0.005)
