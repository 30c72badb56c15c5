"""Which pools are due: wake-ups coalesce, a pool runs once at a time, spaced and held back."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Hashable
from typing import Generic, TypeVar

from moorage_policies.ports import Clock

Key = TypeVar("Key", bound=Hashable)


class Wakeups(Generic[Key]):
    """A queue of keys, each at most once, each given to one worker at a time.

    Args:
        clock: monotonic seconds.
        settle_s: how long a wake-up waits for others to join it.
        spacing_s: least time between two starts of one key.
    """

    def __init__(self, clock: Clock, *, settle_s: float = 0.05, spacing_s: float = 1.0) -> None:
        self._clock = clock
        self._settle_s = settle_s
        self._spacing_s = spacing_s
        self._due_s: dict[Key, float] = {}
        self._heap: list[tuple[float, int, Key]] = []
        self._order = itertools.count()
        self._running: set[Key] = set()
        self._started_s: dict[Key, float] = {}
        self._held_until_s: dict[Key, float] = {}
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._due_s)

    def wake(self, key: Key, *, after_s: float = 0.0, urgent: bool = False) -> None:
        """Let the key be worked on; an earlier wake-up that waits already stands.

        Args:
            key: the pool.
            after_s: not before this many seconds have gone.
            urgent: the input changed: forget that the key is held back.
        """
        if urgent:
            self._held_until_s.pop(key, None)
        now_s = self._clock()
        due_s = max(
            now_s + max(after_s, self._settle_s),
            self._started_s.get(key, float("-inf")) + self._spacing_s,
            self._held_until_s.get(key, float("-inf")),
        )
        if due_s < self._due_s.get(key, float("inf")):
            self._due_s[key] = due_s
            heapq.heappush(self._heap, (due_s, next(self._order), key))
            self._changed.set()

    def hold(self, key: Key, for_s: float) -> None:
        """Hold the key back after a failure, and wake it then."""
        self._held_until_s[key] = self._clock() + for_s
        self._due_s.pop(key, None)
        self.wake(key, after_s=for_s)

    def forget(self, key: Key) -> None:
        """Drop everything known of a key that is gone."""
        for table in (self._due_s, self._started_s, self._held_until_s):
            table.pop(key, None)

    async def next(self) -> Key:
        """Return the next key that is due, when it is; pass it to ``done`` afterwards."""
        while True:
            wait_s = self._time_to_next_s()
            if wait_s is not None and wait_s <= 0:
                return self._start()
            self._changed.clear()
            try:
                async with asyncio.timeout(wait_s):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def done(self, key: Key) -> None:
        """Give the key back; if it was woken meanwhile, it is due again."""
        self._running.discard(key)
        if key in self._due_s:
            heapq.heappush(self._heap, (self._due_s[key], next(self._order), key))
            self._changed.set()

    def _time_to_next_s(self) -> float | None:
        while self._heap:
            due_s, _, key = self._heap[0]
            if self._due_s.get(key) == due_s and key not in self._running:
                return due_s - self._clock()
            heapq.heappop(self._heap)  # an earlier wish won, the key is gone, or ``done`` renews it
        return None

    def _start(self) -> Key:
        _, _, key = heapq.heappop(self._heap)
        del self._due_s[key]
        self._running.add(key)
        self._started_s[key] = self._clock()
        if self._heap:
            self._changed.set()  # another worker may take the next one
        return key
