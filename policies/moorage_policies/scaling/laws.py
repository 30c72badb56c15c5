"""The laws of one role: how many replicas its load and its latency ask for."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from moorage_policies.scaling.forecast import LEARNING_TICKS, follow, forecast
from moorage_policies.scaling.observation import RoleReading
from moorage_policies.scaling.params import Params, RoleParams
from moorage_policies.scaling.sizing import initial_replicas, replicas_for_wait
from moorage_policies.scaling.state import Track

DRAIN_S = 60.0
"""Time in which a backlog should be worked off, at least."""
BURST_RATIO = 2.0
"""A latency above this many targets is no burst any more."""
CALM_RATIO = 0.7
"""Below this many targets a burst is forgotten."""
ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Wish:
    """What the laws ask for one role.

    Args:
        replicas: the count; the other roles, the bounds and the budget come later.
        need: replicas that the load asks for now, ``None`` when none of its own is measured.
        reason: why.
        by_load: what the load alone would have asked for.
        guarded: whether a latency added replicas.
    """

    replicas: int
    need: int | None
    reason: str
    by_load: int
    guarded: bool = False


def remember(track: Track, reading: RoleReading, role: RoleParams, params: Params) -> Track:
    """Return the track after this tick; what cannot be seen changes nothing."""
    if reading.sight == "blind" or reading.load is None:
        return track
    load = 0.0 if reading.sight == "idle" else reading.load
    horizon_s = role.start_up_s + params.tick_s
    moved = follow(track, load, tick_s=params.tick_s, horizon_s=horizon_s)
    ticks = _window_ticks(role, params)
    expected = _expected(moved, load, role, params)
    burst = _remember_burst(track, reading, role, params)
    moved = replace(moved, burst=burst)
    need = _carry(expected * (1.0 + params.in_ratio), moved, role, params)
    return replace(moved, needs=(*moved.needs, need)[-ticks:])


def wish(
    track: Track,
    reading: RoleReading,
    role: RoleParams,
    params: Params,
    *,
    since_growth_s: float,
    since_guard_s: float,
) -> Wish:
    """Return what load and latency ask for a role that can be seen.

    Args:
        track: its load, this tick included.
        reading: what is known now.
        role: its parameters.
        params: those of the pool.
        since_growth_s: time since replicas were last added.
        since_guard_s: time since a latency last added any.
    """
    if reading.load is None:
        by_load = Wish(reading.desired, None, "no load of its own, follows", reading.desired)
    else:
        by_load = _by_load(track, reading, role, params, since_growth_s)
    return _guard(by_load, reading, role, params, since_guard_s)


def latency_ratio(reading: RoleReading, role: RoleParams, params: Params) -> float | None:
    """Return the latency that speaks for the role, in targets; ``None`` when there is none."""
    latency, target = {
        "ttft": (reading.ttft_s, params.ttft_target_s),
        "itl": (reading.itl_s, params.itl_target_s),
    }.get(role.guard, (None, None))
    return None if latency is None or target is None else latency / target


def _by_load(
    track: Track, reading: RoleReading, role: RoleParams, params: Params, since_growth_s: float
) -> Wish:
    load = reading.load or 0.0
    expected = _expected(track, load, role, params)
    backlog = reading.backlog / max(DRAIN_S, role.start_up_s)
    need = _carry((expected + backlog) / (1.0 + params.out_ratio), track, role, params)
    need = max(need, _first_size(track, reading, role, params))
    kept = max(track.needs, default=need)
    have = reading.desired
    text = f"load {load:.2f}, {expected:.2f} expected"
    if need > have:
        reason = f"{text}, backlog {reading.backlog:.1f}: {need} needed"
        return Wish(need, need, reason, need)
    if kept >= have:
        return Wish(have, need, f"{text}: {have} carry it", have)
    if len(track.needs) < _window_ticks(role, params):
        return Wish(have, need, f"{text}: not looked at for long enough to take away", kept)
    if since_growth_s < params.cool_down_s:
        return Wish(have, need, f"{text}: {kept} would do, cooling down after growth", kept)
    step = max(1, math.floor(have * params.in_step_ratio))
    fewer = max(kept, have - step)
    return Wish(fewer, need, f"{text}: {kept} did for {len(track.needs)} ticks", kept)


def _first_size(track: Track, reading: RoleReading, role: RoleParams, params: Params) -> int:
    """Return what queues of constant service times need, as long as there is no history."""
    target_s, service_s, load = params.ttft_target_s, reading.service_s, reading.load or 0.0
    known = track.ticks >= LEARNING_TICKS or role.guard != "ttft"
    if known or target_s is None or not 0.0 < service_s < target_s or load <= ROUNDING:
        return 0
    return initial_replicas(load / service_s, service_s, target_s)


def _guard(
    found: Wish, reading: RoleReading, role: RoleParams, params: Params, since_guard_s: float
) -> Wish:
    ratio = latency_ratio(reading, role, params)
    if ratio is None or ratio <= 1.0:
        return found
    text = f"{role.guard} at {ratio:.2f} of its target"
    have = reading.desired
    if found.replicas < have:
        found = replace(found, replicas=have, reason=f"{text}: nothing is taken away")
    waits = reading.ready < have or since_guard_s < role.start_up_s + 2.0 * params.tick_s
    if ratio < params.mild_ratio or waits or found.replicas > have:
        return found
    part = 0.2 if ratio >= params.severe_ratio else 0.1
    more = have + max(1, math.ceil(part * have - ROUNDING))
    return replace(found, replicas=more, reason=f"{text}: {more - have} added", guarded=True)


def _expected(track: Track, load: float, role: RoleParams, params: Params) -> float:
    """Return the load to be ready for: now and when replicas asked for now would serve."""
    if not params.forecasts:
        return max(load, track.level)
    later = forecast(track, role.start_up_s + params.tick_s)
    smooth = max(track.level, later) * (1.0 + params.quantile_z * track.error_ratio)
    return max(smooth, track.sustained)


def _remember_burst(track: Track, reading: RoleReading, role: RoleParams, params: Params) -> float:
    """Return the room to keep for bursts: what the last ones took, less and less of it.

    It is counted from the level before the burst, not from the margin of that moment: a margin that
    has gone since would leave the next burst of the same size without what this one had.

    A burst that made the slowest wait twice as long as they should would have needed twice the
    replicas that served it; a latency far off tells of an overload instead, which the load and the
    backlog answer. Close to the target nothing is forgotten.
    """
    ratio = reading.peak_ratio
    if not params.forecasts or ratio is None:
        return 0.0
    calm = ratio < CALM_RATIO
    kept = track.burst * (math.exp(-params.tick_s / params.burst_memory_s) if calm else 1.0)
    if ratio <= 1.0 or reading.ready < 1:
        return kept
    taken = reading.ready * min(ratio, BURST_RATIO) - track.level
    return max(kept, min(taken, float(role.max_replicas)))


def _window_ticks(role: RoleParams, params: Params) -> int:
    window_s = max(params.in_window_s, role.start_up_s)
    return max(1, math.ceil(window_s / params.tick_s))


def _carry(load: float, track: Track, role: RoleParams, params: Params) -> int:
    """Return the replicas that carry a load, or a burst on top of the level if that takes more."""
    if load <= ROUNDING:
        return 0
    if role.slots > 0.0:
        load += params.slots_z * math.sqrt(load / role.slots)
    with_burst = math.ceil(max(load, track.level + track.burst) - ROUNDING)
    if role.service_s > 0.0 and role.wait_s > 0.0:
        for_wait = replicas_for_wait(
            min(load, float(role.max_replicas)), role.service_s, role.wait_s, params.miss_ratio
        )
        return max(for_wait, with_burst)
    return with_burst
