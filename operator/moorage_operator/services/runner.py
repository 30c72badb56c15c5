"""Workers that reconcile whatever pool is due, and what a failure means for its next turn."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from moorage_cluster.backoff import Backoff
from moorage_operator.errors import NotLeadingError
from moorage_operator.metrics import Metrics
from moorage_operator.services.outcome import Outcome
from moorage_operator.wakeups import Wakeups
from moorage_policies.errors import UnavailableError
from moorage_policies.ports import Clock, Reporter

FIRST_PAUSE_S = 0.5

Key = TypeVar("Key", bound=Hashable)


class Runner(Generic[Key]):
    """Takes keys of pools or plans from the queue and reconciles them.

    One that fails waits longer and longer, alone; all others go on. Only the loss of leadership
    ends the workers.

    Args:
        wakeups: the queue.
        reconcile: does the work for one of them.
        kind: what they are, for the reports.
        clock: monotonic seconds.
        uniform: random numbers in [0, 1), for the jitter.
        retry_cap_s: longest pause of one that keeps failing.
        metrics: counts and times.
        reporter: hears of failures.
    """

    def __init__(
        self,
        wakeups: Wakeups[Key],
        reconcile: Callable[[Key], Awaitable[Outcome]],
        *,
        kind: str = "pool",
        clock: Clock,
        uniform: Callable[[], float],
        retry_cap_s: float,
        metrics: Metrics,
        reporter: Reporter,
    ) -> None:
        self._wakeups = wakeups
        self._reconcile = reconcile
        self._kind = kind
        self._clock = clock
        self._uniform = uniform
        self._retry_cap_s = retry_cap_s
        self._metrics = metrics
        self._reporter = reporter
        self._failures: dict[Key, Backoff] = {}
        self._busy_since_s: dict[Key, float] = {}
        self._idle = asyncio.Event()
        self._idle.set()

    def stalled_s(self) -> float:
        """Return how long the oldest reconcile under way has taken, 0 when none is."""
        now_s = self._clock()
        return max((now_s - since_s for since_s in self._busy_since_s.values()), default=0.0)

    async def run(self, workers: int) -> None:
        """Work until cancelled.

        Raises:
            NotLeadingError: another process leads now.
        """
        async with asyncio.TaskGroup() as group:
            for _ in range(workers):
                group.create_task(self._work())

    async def drain(self, within_s: float) -> None:
        """Wait until nothing is under way, but no longer than this."""
        try:
            async with asyncio.timeout(within_s):
                await self._idle.wait()
        except TimeoutError:
            self._reporter.report(
                "runner.drain_timeout", kind=self._kind, busy=len(self._busy_since_s)
            )

    async def _work(self) -> None:
        while True:
            key = await self._wakeups.next()
            started_s = self._busy_since_s[key] = self._clock()
            self._idle.clear()
            try:
                await self._attempt(key)
            finally:
                del self._busy_since_s[key]
                self._metrics.reconcile_seconds.observe(self._clock() - started_s)
                self._wakeups.done(key)
                if not self._busy_since_s:
                    self._idle.set()

    async def _attempt(self, key: Key) -> None:
        try:
            outcome = await self._reconcile(key)
        except NotLeadingError:
            raise
        except UnavailableError as error:
            self._metrics.reconciles.labels("unavailable").inc()
            self._hold(key, str(error), error.retry_after_s)
        except Exception as error:  # noqa: BLE001 - a bug in one must not stop the others
            self._metrics.reconciles.labels("failed").inc()
            self._hold(key, f"{type(error).__name__}: {error}", None)
        else:
            self._settle(key, outcome)

    def _settle(self, key: Key, outcome: Outcome) -> None:
        if outcome.is_refused:
            self._metrics.reconciles.labels("refused").inc()
            self._hold(key, "the API server refused a part; the status says which", None)
            return
        self._metrics.reconciles.labels("done").inc()
        self._failures.pop(key, None)
        if outcome.look_again_s is not None:
            self._wakeups.wake(key, after_s=outcome.look_again_s)

    def _hold(self, key: Key, why: str, retry_after_s: float | None) -> None:
        backoff = self._failures.setdefault(
            key, Backoff(self._uniform, base_s=FIRST_PAUSE_S, cap_s=self._retry_cap_s)
        )
        pause_s = backoff.next_s(retry_after_s)
        self._wakeups.hold(key, pause_s)
        name = "/".join(key) if isinstance(key, tuple) else key
        facts: dict[str, object] = {self._kind: name, "why": why, "pause_s": round(pause_s, 2)}
        self._reporter.report(f"{self._kind}.held", **facts)
