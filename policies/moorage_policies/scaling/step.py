"""The tick machine: state and observation in, state and one joint decision out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from moorage_policies.errors import BadInputError
from moorage_policies.scaling.joint import Frame, join
from moorage_policies.scaling.laws import Wish, latency_ratio, remember, wish
from moorage_policies.scaling.observation import Observation, RoleReading
from moorage_policies.scaling.params import Params
from moorage_policies.scaling.resting import Rest, keep_budget, rest
from moorage_policies.scaling.state import State, begin
from moorage_policies.scaling.targets import Alternative, RoleTarget, Targets
from moorage_policies.types import Decision


@dataclass(frozen=True, slots=True)
class _Tick:
    """One tick on its way: what was seen, and what was remembered of it."""

    params: Params
    observation: Observation
    state: State
    is_blind: bool
    is_idle: bool
    suffers: bool


def step(state: State, observation: Observation, params: Params) -> tuple[State, Decision[Targets]]:
    """Return what to remember, and the replicas that each role should have.

    A pool of which one role is blind loses no replica, of no role.

    Raises:
        BadInputError: the observation does not speak of the roles of the parameters.
    """
    tick = _look(state, observation, params)
    wishes = tuple(_wish(tick, place) for place in range(len(params.roles)))
    frame = frame_of(params, tick.observation, is_blind=tick.is_blind)
    wished = tuple(_with_floor(tick, place, w) for place, w in enumerate(wishes))
    counts = join(wished, frame)
    limit = _limit(wished, counts, frame)
    if counts is None:
        counts = tuple(reading.desired for reading in tick.observation.roles)
    rests = _rest(tick, observation, counts)
    targets = Targets(
        tuple(
            RoleTarget(
                r.role,
                r.desired,
                rests[p].replicas,
                w.need,
                _reason(w, wished[p], counts[p]),
                rests[p].resting,
            )
            for p, (r, w) in enumerate(zip(observation.roles, wishes, strict=True))
        ),
        tuple(_rejected(tick, wishes, wished, counts)),
        tick.is_blind,
        limit,
    )
    inputs = {"observation": observation, "params": params, "state": state}
    return _remember(tick, wishes, counts), Decision(targets, _summary(targets), inputs)


def _look(state: State, observation: Observation, params: Params) -> _Tick:
    if [r.role for r in observation.roles] != [r.role for r in params.roles]:
        raise BadInputError("must name the scaled roles in their order", field="observation.roles")
    if len(state.tracks) != len(params.roles):
        state = begin(len(params.roles))
    seen = tuple(reading.of_serving() for reading in observation.roles)
    readings = tuple(r if r.is_credible else _blinded(r) for r in seen)
    tracks = tuple(
        remember(track, reading, role, params)
        for track, reading, role in zip(state.tracks, readings, params.roles, strict=True)
    )
    is_blind = any(reading.sight == "blind" for reading in readings)
    is_busy = is_blind or any(r.sight == "measured" or r.activations > 0 for r in readings)
    busy_s = observation.now_s if is_busy or state.busy_s is None else state.busy_s
    return _Tick(
        params,
        replace(observation, roles=readings),
        replace(
            state,
            tracks=tracks,
            busy_s=busy_s,
            ticked_s=observation.now_s,
            seen_s=observation.now_s if not is_blind or state.seen_s is None else state.seen_s,
        ),
        is_blind,
        not is_busy and observation.now_s - busy_s >= params.idle_s,
        any(
            (latency_ratio(reading, role, params) or 0.0) > 1.0
            for reading, role in zip(readings, params.roles, strict=True)
        ),
    )


def _rest(tick: _Tick, observation: Observation, counts: Sequence[int]) -> tuple[Rest, ...]:
    """Return what becomes of the replicas that do not have to serve."""
    rests = [
        rest(
            reading.desired,
            count,
            reading.resting_s,
            observation.now_s,
            0.0 if tick.is_idle else role.observe_s,
            returns=_returns(tick),
            holds=tick.is_blind,
        )
        for reading, role, count in zip(observation.roles, tick.params.roles, counts, strict=True)
    ]
    return keep_budget(rests, [role.gpus for role in tick.params.roles], tick.params.max_gpus)


def _returns(tick: _Tick) -> bool:
    """Return whether those that rest serve again: they are missed, or nobody could tell so long."""
    window_s = max(role.observe_s for role in tick.params.roles)
    unseen_s = tick.observation.now_s - (tick.state.seen_s or 0.0)
    return tick.suffers or (tick.is_blind and unseen_s >= window_s)


def _blinded(reading: RoleReading) -> RoleReading:
    """Return the reading without the numbers, of which one at least cannot be true."""
    rests = tuple(at_s for at_s in reading.resting_s if math.isfinite(at_s))
    return RoleReading(
        reading.role, "blind", reading.desired, reading.ready, reading.leaving, resting_s=rests
    )


def _wish(tick: _Tick, place: int) -> Wish:
    params, now_s = tick.params, tick.observation.now_s
    reading, role = tick.observation.roles[place], params.roles[place]
    have = reading.desired
    if reading.sight == "blind":
        return Wish(have, None, "blind: nothing is known, nothing is taken away", have)
    if tick.is_idle:
        return Wish(0, 0, f"no load for {params.idle_s:g} s", 0)
    found = wish(
        tick.state.tracks[place],
        reading,
        role,
        params,
        since_growth_s=now_s - tick.state.grown_s[place],
        since_guard_s=now_s - tick.state.guarded_s[place],
    )
    least = max(have, 1) if tick.is_blind else 1
    if reading.sight == "idle" and reading.activations <= 0:
        least = min(have, max(least, found.replicas))
    if reading.activations > 0 and have == 0:
        return replace(found, replicas=max(1, found.replicas), reason="requests wait at none")
    return replace(found, replicas=max(least, found.replicas))


def _with_floor(tick: _Tick, place: int, found: Wish) -> int:
    """Return the wish with spares, above the floors of schedules and people."""
    spares = tick.params.standby if found.need else 0
    asked = found.replicas
    if spares and found.need is not None:
        asked = max(asked, min(found.need + spares, found.replicas + spares))
    reading = tick.observation.roles[place]
    if tick.is_blind:
        room = max(1, math.ceil(tick.params.blind_ratio * reading.desired))
        asked = min(asked, reading.desired + room)
    return max(asked, tick.observation.floor_of(place))


def frame_of(params: Params, observation: Observation, *, is_blind: bool) -> Frame:
    """Return what the counts of all roles must keep to; while blind, nothing may shrink."""
    highs = [role.max_replicas for role in params.roles]
    lows = [
        min(max(role.min_replicas, observation.floor_of(place)), role.max_replicas)
        for place, role in enumerate(params.roles)
    ]
    if is_blind:
        lows = [max(low, r.desired) for low, r in zip(lows, observation.roles, strict=True)]
        highs = [max(high, low) for high, low in zip(highs, lows, strict=True)]
    band = params.ratio
    pair = (params.place_of(band.numerator), params.place_of(band.denominator)) if band else None
    gpus = tuple(role.gpus for role in params.roles)
    return Frame(tuple(lows), tuple(highs), gpus, params.max_gpus, pair, band)


def _limit(wished: Sequence[int], counts: Sequence[int] | None, frame: Frame) -> str:
    if counts is None:
        return "no counts keep bounds, ratio and budget together; widen one of them"
    if all(count >= want for count, want in zip(counts, wished, strict=True)):
        return ""
    if any(want > high for want, high in zip(wished, frame.highs, strict=True)):
        return "maxReplicas; raise it in spec.scaling.bounds"
    return "maxGpus or the ratio; raise spec.maxGpus or widen spec.scaling.ratio"


def _reason(found: Wish, wished: int, count: int) -> str:
    if wished != found.replicas:
        return f"{found.reason}; floors and spares make {wished}, bounds and ratio {count}"
    return found.reason if count == wished else f"{found.reason}; bounds and ratio make {count}"


def _rejected(
    tick: _Tick, wishes: Sequence[Wish], wished: Sequence[int], counts: tuple[int, ...]
) -> list[Alternative]:
    before = tuple(reading.desired for reading in tick.observation.roles)  # those that serve
    by_load = tuple(w.by_load for w in wishes)
    found = [
        Alternative("hold", before, "the load asks for other counts"),
        Alternative("load-alone", by_load, "latency, cool-down, steps and floors come first"),
        Alternative("roles-apart", tuple(wished), "bounds, ratio and budget hold for all together"),
    ]
    return [option for option in found if option.counts != counts]


def _summary(targets: Targets) -> str:
    parts = (
        f"{t.role} {t.before} to {t.replicas}"
        f"{f', {t.resting} out of the Service' if t.resting else ''} ({t.reason})"
        for t in targets.roles
    )
    text = f"{targets.verdict}: " + "; ".join(parts)
    return f"{text}; limited by {targets.limit}" if targets.limit else text


def _remember(tick: _Tick, wishes: Sequence[Wish], counts: Sequence[int]) -> State:
    now_s, state = tick.observation.now_s, tick.state
    readings = tick.observation.roles
    grown = tuple(
        now_s if count > reading.desired else since_s
        for count, reading, since_s in zip(counts, readings, state.grown_s, strict=True)
    )
    # those that had to return are not sent away again before a whole window says so
    tracks = tuple(
        replace(track, needs=()) if reading.resting_s and _returns(tick) else track
        for track, reading in zip(state.tracks, readings, strict=True)
    )
    guarded = tuple(
        now_s if found.guarded else since_s
        for found, since_s in zip(wishes, state.guarded_s, strict=True)
    )
    return replace(state, tracks=tracks, grown_s=grown, guarded_s=guarded)
