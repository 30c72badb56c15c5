"""Whether the process is alive, and whether its answers rest on fresh facts."""

from __future__ import annotations

import asyncio

from moorage_extender.context import Context

HEARTBEAT_S = 1.0
DEAD_AFTER_S = 30.0


class Health:
    """A heartbeat of the event loop, and readiness.

    Args:
        ctx: the extender's context.
    """

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._beat_s = ctx.clock()
        self._lag_s = 0.0
        self._draining = False
        ctx.metrics.watch(
            "moorage_extender_loop_lag_seconds",
            "How late the event loop's last heartbeat was.",
            lambda: self._lag_s,
        )

    async def beat(self) -> None:
        """Beat until cancelled."""
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            now_s = self._ctx.clock()
            self._lag_s = max(0.0, now_s - self._beat_s - HEARTBEAT_S)
            self._beat_s = now_s

    def drain(self) -> None:
        """Stop being ready: the end is near."""
        self._draining = True

    def why_not_alive(self) -> str:
        """Return what is broken for good, empty when nothing is."""
        silent_s = self._ctx.clock() - self._beat_s
        return f"no heartbeat for {silent_s:.0f} s" if silent_s > DEAD_AFTER_S else ""

    def why_not_ready(self) -> str:
        """Return why nobody should ask now, empty when everybody may."""
        return "shutting down" if self._draining else self._ctx.why_not_ready()
