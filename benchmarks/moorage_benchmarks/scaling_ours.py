"""Our tick machine on what a simulated tick shows, and a clairvoyant beside it."""

from __future__ import annotations

import numpy as np

from moorage_benchmarks.scaling_profiles import Profile
from moorage_benchmarks.scaling_service import (
    DECODE,
    PREFILL,
    Played,
    Setting,
    Tick,
    simulate,
)
from moorage_benchmarks.scaling_traces import Trace
from moorage_policies.scaling import (
    Observation,
    Params,
    RatioBand,
    RoleParams,
    RoleReading,
    begin,
    check_params,
    step,
)
from moorage_policies.types import FloatArray, IntArray

ROLES = ("prefill", "decode")
MOST = 400
GOOD_RATIO = 0.9999


class Moorage:
    """The tick machine of ``moorage_policies.scaling``.

    Args:
        profile: service times, from which the targets per replica come.
        tick_s: time between two ticks.
        start_up_s: what the start-up was measured to be.
        service_s: mean time of a prompt.
        ratio: prefill to decode replicas that the mean request needs.
        reactive: without forecast, its margin and the room for bursts.
        standby: spare replicas per role.
    """

    def __init__(
        self,
        profile: Profile,
        tick_s: float,
        *,
        start_up_s: float,
        service_s: float,
        ratio: float,
        reactive: bool = False,
        standby: int = 0,
    ) -> None:
        self._profile, self._tick_s = profile, tick_s
        roles = (
            RoleParams(
                "prefill",
                1,
                MOST,
                profile.gpus,
                start_up_s,
                service_s,
                profile.wait_target_s,
                guard="ttft",
            ),
            RoleParams(
                "decode", 1, MOST, profile.gpus, start_up_s, slots=profile.good_batch, guard="itl"
            ),
        )
        self._params = check_params(
            Params(
                roles,
                RatioBand("prefill", "decode", ratio / 2.0, ratio * 2.0),
                ttft_target_s=profile.wait_target_s,
                itl_target_s=profile.itl_target_s,
                tick_s=tick_s,
                standby=standby,
                forecasts=not reactive,
            )
        )
        self._state = begin(2)

    def decide(self, tick: Tick) -> tuple[int, int]:
        """Return the joint counts."""
        observation = Observation(tick.now_s, (self._prefill(tick), self._decode(tick)))
        self._state, decision = step(self._state, observation, self._params)
        prefill, decode = decision.value.counts
        return prefill, decode

    def _prefill(self, tick: Tick) -> RoleReading:
        return RoleReading(
            "prefill",
            "measured",
            tick.desired[PREFILL],
            tick.ready[PREFILL],
            tick.leaving[PREFILL],
            load=tick.arrived_work_s / self._tick_s,
            backlog=tick.prefill_queue_s,
            ttft_s=tick.wait_s,
            peak_ratio=tick.peak_wait_s / self._profile.wait_target_s,
        )

    def _decode(self, tick: Tick) -> RoleReading:
        per_replica = self._profile.good_tokens_per_s
        each = tick.finished_tokens / tick.finished if tick.finished else 0.0
        return RoleReading(
            "decode",
            "measured",
            tick.desired[DECODE],
            tick.ready[DECODE],
            tick.leaving[DECODE],
            load=tick.tokens / self._tick_s / per_replica,
            backlog=tick.decode_queue * each / per_replica,
            itl_s=tick.itl_s,
            peak_ratio=tick.peak_itl_s / self._profile.itl_target_s,
        )


class Scripted:
    """Counts by tick, known beforehand."""

    def __init__(self, counts: IntArray, tick_s: float) -> None:
        self._counts, self._tick_s = counts, tick_s

    def decide(self, tick: Tick) -> tuple[int, int]:
        """Return the counts of the next tick."""
        place = min(len(self._counts) - 1, round(tick.now_s / self._tick_s))
        return int(self._counts[place, PREFILL]), int(self._counts[place, DECODE])


def find_needs(trace: Trace, profile: Profile, tick_s: float, *, rounds: int = 8) -> IntArray:
    """Return the fewest ready replicas per tick that keep the targets, shape ``(ticks, 2)``.

    Prefill tick by tick: the fewest with which everybody who waits or arrives begins in time.
    Decode from the batch that is there when every request runs at just its target. Both are then
    played on the simulator, with no start-up time, and ticks in which requests missed a target get
    one more of the role that failed them, as long as that helps.
    """
    needs = np.column_stack(
        (_prefill_needs(trace, profile, tick_s), np.ones(_ticks(trace, tick_s), dtype=np.int64))
    )
    needs[:, DECODE] = _decode_needs(trace, profile, tick_s)
    best, best_ratio = needs.copy(), -1.0
    for _ in range(rounds):
        first = int(needs[0, PREFILL]), int(needs[0, DECODE])
        played = simulate(
            trace, Scripted(needs, tick_s), Setting(profile, 0.0, first, tick_s=tick_s)
        )
        ratio = float(played.good.mean())
        if ratio > best_ratio + 1e-4:
            best, best_ratio = needs.copy(), ratio
        if ratio >= GOOD_RATIO:
            break
        _raise_where_missed(needs, trace, played, profile, tick_s)
    return best


def plan_ahead(needs: IntArray, ticks: int) -> IntArray:
    """Return the cheapest counts to ask for that are never late, over a trace known beforehand.

    The dynamic programme over ticks (keep a replica over a valley, or let it go and pay its start
    again) has a closed answer: a start is paid for as long as it takes, so a replica is worth
    keeping exactly when it is needed again within one start-up. That is the greatest need from now
    until one start-up later.

    Args:
        needs: ready replicas per tick, shape ``(ticks, roles)``.
        ticks: start-up time in ticks.
    """
    planned: IntArray = needs.copy()
    for shift in range(1, ticks + 1):
        planned[:-shift] = np.maximum(planned[:-shift], needs[shift:])
    return planned


def _ticks(trace: Trace, tick_s: float) -> int:
    return int(np.ceil(trace.end_s / tick_s)) + 1


def _prefill_needs(trace: Trace, profile: Profile, tick_s: float) -> IntArray:
    work_s = profile.to_prefill_s(trace.prompt_tokens)
    ticks = _ticks(trace, tick_s)
    borders = np.searchsorted(trace.arrival_s, np.arange(ticks + 1) * tick_s)
    needs = np.ones(ticks, dtype=np.int64)
    late_s, waiting = np.empty(0), np.empty(0)  # when the waiting must begin, and their work
    for tick in range(ticks):
        now_s, ids = tick * tick_s, slice(int(borders[tick]), int(borders[tick + 1]))
        arrival_s = np.concatenate((np.full(len(waiting), now_s), trace.arrival_s[ids]))
        late = np.concatenate((late_s, trace.arrival_s[ids] + profile.wait_target_s))
        work = np.concatenate((waiting, work_s[ids]))
        before = np.concatenate(([0.0], np.cumsum(work)))[:-1]
        count = 1
        while True:
            start = np.maximum.accumulate(count * arrival_s - before) + before
            start_s = start / count
            if (start_s <= late + 1e-9).all() or count >= MOST:
                break
            count += 1
        needs[tick] = count
        rest = start_s > now_s + tick_s
        end_s = start_s + work / count  # a prompt that is half done leaves its rest to the next
        half = ~rest & (end_s > now_s + tick_s)
        work = np.where(half, (end_s - now_s - tick_s) * count, work)
        late = np.where(half, np.inf, late)
        late_s, waiting = late[rest | half], work[rest | half]
    return needs


def _decode_needs(trace: Trace, profile: Profile, tick_s: float) -> IntArray:
    prompt_s = profile.to_prefill_s(trace.prompt_tokens)
    start_s = trace.arrival_s + prompt_s + profile.to_transfer_s(trace.context_tokens)
    end_s = start_s + trace.output_tokens * profile.itl_target_s
    ticks = _ticks(trace, tick_s)
    steps = round(tick_s)
    batch = np.zeros(ticks * steps + 1)
    np.add.at(batch, np.minimum(start_s.astype(np.int64), ticks * steps), 1.0)
    np.add.at(batch, np.minimum(end_s.astype(np.int64), ticks * steps), -1.0)
    running = np.cumsum(batch)[:-1].reshape(ticks, steps).mean(axis=1)
    counts: IntArray = np.ceil(running / profile.good_batch - 0.05).astype(np.int64)
    needs: IntArray = np.maximum(1, counts)
    return needs


def _raise_where_missed(
    needs: IntArray, trace: Trace, played: Played, profile: Profile, tick_s: float
) -> None:
    late = played.wait_s > profile.wait_target_s
    begin_s = np.where(np.isfinite(played.start_s), played.start_s, trace.end_s)
    starved = late & (begin_s - trace.arrival_s > profile.wait_target_s / 2)
    slow = (played.itl_s > profile.itl_target_s) | (late & ~starved)
    end_s = np.where(np.isfinite(played.end_s), played.end_s, trace.end_s)
    _raise(needs[:, PREFILL], trace.arrival_s[starved], begin_s[starved], tick_s)
    _raise(needs[:, DECODE], begin_s[slow], end_s[slow], tick_s)


def _raise(needs: IntArray, from_s: FloatArray, to_s: FloatArray, tick_s: float) -> None:
    missed = np.zeros(len(needs) + 1, dtype=np.int64)
    first = np.clip((from_s // tick_s).astype(np.int64), 0, len(needs) - 1)
    last = np.clip((to_s // tick_s).astype(np.int64), 0, len(needs) - 1)
    np.add.at(missed, first, 1)
    np.add.at(missed, last + 1, -1)
    needs += np.cumsum(missed[:-1]) > 0
