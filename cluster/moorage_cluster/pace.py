"""Keeps calls below a rate, and long work from holding the event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

Sleep = Callable[[float], Awaitable[None]]


class RateLimit:
    """Lets ``per_s`` calls a second through, a second's worth of them at once.

    Args:
        per_s: calls per second, ``None`` for no limit.
        clock: monotonic seconds.
        sleep: waits for a number of seconds.
    """

    def __init__(
        self,
        per_s: float | None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._per_s = per_s
        self._clock = clock
        self._sleep = sleep
        self._paid_until_s = 0.0

    async def take(self) -> None:
        """Wait for this call's turn."""
        if self._per_s is None:
            return
        now_s = self._clock()
        self._paid_until_s = max(self._paid_until_s, now_s) + 1.0 / self._per_s
        ahead_s = self._paid_until_s - now_s
        if ahead_s > 1.0:
            await self._sleep(ahead_s - 1.0)


class Breather:
    """Hands the event loop to others whenever work has held it for ``limit_s``."""

    def __init__(self, limit_s: float = 0.001) -> None:
        self._limit_s = limit_s
        self._since_s = time.perf_counter()

    async def breathe(self) -> None:
        """Yield to other tasks if this one has run for long enough."""
        if time.perf_counter() - self._since_s >= self._limit_s:
            await asyncio.sleep(0)
            self._since_s = time.perf_counter()
