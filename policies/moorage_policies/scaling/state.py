"""What the tick machine remembers from tick to tick; small, and all of it in the record."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Track:
    """What is remembered of one role's load.

    Args:
        level: smoothed load, replicas.
        trend_per_s: its growth per second.
        last: the load of the last tick.
        sustained: what the load did not fall below in the last two ticks.
        error_ratio: standard error of the forecast at the horizon, as a part of the load.
        burst: replicas above the smoothed load that past bursts would have needed.
        promised: forecasts that are not due yet, oldest first.
        needs: replicas needed at the last ticks, oldest first.
        ticks: ticks with a measured load so far.
    """

    level: float = 0.0
    trend_per_s: float = 0.0
    last: float = 0.0
    sustained: float = 0.0
    error_ratio: float = 0.0
    burst: float = 0.0
    promised: tuple[float, ...] = ()
    needs: tuple[int, ...] = ()
    ticks: int = 0


@dataclass(frozen=True, slots=True)
class State:
    """What is remembered of a pool.

    Args:
        tracks: load by place of the role.
        grown_s: when replicas were last added, by place of the role.
        guarded_s: when a latency last added replicas, by place of the role.
        busy_s: when any load was last seen, ``None`` before the first tick.
        ticked_s: when the last tick was.
        seen_s: when no role was blind for the last time, or the first tick.
    """

    tracks: tuple[Track, ...] = ()
    grown_s: tuple[float, ...] = ()
    guarded_s: tuple[float, ...] = ()
    busy_s: float | None = None
    ticked_s: float | None = None
    seen_s: float | None = None


LONG_AGO_S = -1e18


def begin(roles: int) -> State:
    """Return the state before the first tick of a pool with this many scaled roles."""
    never = (LONG_AGO_S,) * roles
    return State((Track(),) * roles, never, never)
