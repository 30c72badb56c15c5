"""Forecast of a load at the horizon of the start-up time, with the error it was found to have."""

from __future__ import annotations

import math
from dataclasses import replace

from moorage_policies.scaling.state import Track

LEVEL_S = 60.0
"""Time over which the level follows the load."""
TREND_S = 600.0
"""Time over which the trend follows the level: longer than a burst."""
ERROR_S = 3600.0
"""Time over which the error is averaged."""
FIRST_ERROR_RATIO = 0.15
"""Error that is assumed before one was seen."""
LEARNING_TICKS = 20
"""Ticks before the trend is believed."""
LEAST_ERROR_RATIO = 0.02


def follow(track: Track, load: float, *, tick_s: float, horizon_s: float) -> Track:
    """Return the track after one more measured load.

    Level and trend are Holt's; the error is the root of the mean squared ratio by which loads
    missed what was forecast for them one horizon before.
    """
    if track.ticks == 0:
        return Track(level=load, last=load, sustained=load, error_ratio=FIRST_ERROR_RATIO, ticks=1)
    gain, slope_gain = _gain(tick_s, LEVEL_S), _gain(tick_s, TREND_S)
    level = track.level + track.trend_per_s * tick_s
    level = max(0.0, level + gain * (load - level))
    growth_per_s = (level - track.level) / tick_s
    trend = track.trend_per_s + slope_gain * (growth_per_s - track.trend_per_s)
    moved = replace(
        track,
        level=level,
        trend_per_s=trend,
        last=load,
        sustained=min(load, track.last),
        ticks=track.ticks + 1,
    )
    return _settle(moved, load, tick_s, max(1, round(horizon_s / tick_s)))


def forecast(track: Track, horizon_s: float) -> float:
    """Return the load expected one horizon from now; not below nothing, no more than double."""
    if track.ticks < LEARNING_TICKS:
        return track.level
    drift = track.trend_per_s * horizon_s
    return max(0.0, track.level + min(max(drift, -track.level / 2), track.level))


def _settle(track: Track, load: float, tick_s: float, ticks: int) -> Track:
    """Compare the load with what was forecast for it, and promise the next."""
    promised = (*track.promised, forecast(track, ticks * tick_s))
    error = track.error_ratio
    if len(promised) > ticks:
        due, promised = promised[-ticks - 1], promised[-ticks:]
        if due > 0.0 and load > 0.0:
            miss = min(abs(load - due) / due, 1.0)
            error = math.sqrt(error**2 + _gain(tick_s, ERROR_S) * (miss**2 - error**2))
    return replace(track, promised=promised, error_ratio=max(LEAST_ERROR_RATIO, error))


def _gain(tick_s: float, time_s: float) -> float:
    return 1.0 - math.exp(-tick_s / time_s)
