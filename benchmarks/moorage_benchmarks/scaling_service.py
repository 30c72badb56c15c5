"""A disaggregated service, simulated: prefill behind one queue, decode in shared batches.

Prefill serves request after request, first come first served; ``n`` replicas work off ``n`` seconds
of prompts a second, which is exact for one replica and off by less than a prompt's own time for
more. Decode keeps a clock of tokens that runs once per step of the mean batch: requests are spread
evenly, join within a step and leave when the clock has gone on by their tokens. Batches and caches
are bounded; what does not fit waits in order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from moorage_benchmarks.scaling_profiles import Profile
from moorage_benchmarks.scaling_stages import STEP_S, Decode, Prefill, Replicas
from moorage_benchmarks.scaling_traces import Trace
from moorage_policies.types import BoolArray, FloatArray, IntArray

PREFILL, DECODE = 0, 1


@dataclass(frozen=True, slots=True)
class Tick:
    """What a policy sees of the last tick, as metrics of real engines would show it.

    Args:
        now_s: end of the tick.
        desired: replicas asked for, prefill and decode.
        ready: replicas that serve.
        leaving: replicas on their way out.
        requests: requests that arrived.
        prompt_tokens: their tokens that no cache holds.
        arrived_work_s: the prefill time that they take.
        prefill_busy: part of the time that prefill replicas worked.
        prefill_queue: prompts that wait.
        prefill_queue_s: the prefill time that they take.
        ttft_s: time to the first token, 95th percentile, 0 when none started.
        wait_s: wait for prefill and decode, 95th percentile.
        tokens: tokens that were decoded.
        finished: requests that ended, ``finished_tokens`` the tokens of their outputs.
        finished_tokens: see ``finished``.
        batch: mean batch of a decode replica.
        decode_queue: requests that wait for room in a batch.
        kv_ratio: cache in use, part of that of the ready replicas.
        itl_s: time between tokens, 95th percentile over the tick.
        peak_wait_s: as ``wait_s``, 99th percentile.
        peak_itl_s: as ``itl_s``, 99th percentile.
    """

    now_s: float
    desired: tuple[int, int]
    ready: tuple[int, int]
    leaving: tuple[int, int]
    requests: int
    prompt_tokens: float
    arrived_work_s: float
    prefill_busy: float
    prefill_queue: int
    prefill_queue_s: float
    ttft_s: float
    wait_s: float
    tokens: float
    finished: float
    finished_tokens: float
    batch: float
    decode_queue: int
    kv_ratio: float
    itl_s: float
    peak_wait_s: float
    peak_itl_s: float


class Policy(Protocol):
    """Decides replicas from ticks."""

    def decide(self, tick: Tick) -> tuple[int, int]:
        """Return the replicas of prefill and decode to ask for."""
        ...


@dataclass(frozen=True, slots=True)
class Setting:
    """How a service is simulated.

    Args:
        profile: service times.
        start_up_s: time until a replica that was asked for serves.
        first: replicas that serve at the start.
        most: most replicas of each role.
        tick_s: time between two decisions.
        max_gpus: accelerators that both roles may hold, ``None`` for no limit.
    """

    profile: Profile
    start_up_s: float
    first: tuple[int, int]
    most: tuple[int, int] = (400, 400)
    tick_s: float = 15.0
    max_gpus: int | None = None


@dataclass(slots=True)
class Played:
    """What became of every request, and the counts of every tick.

    Args:
        wait_s: wait before prefill and before decode together, ``inf`` when it never began.
        itl_s: mean time between the tokens of a request, ``inf`` when it never ended.
        good: whether both kept their targets.
        start_s: when prefill began, ``inf`` when never.
        end_s: when the last token came, ``inf`` when never.
        desired: replicas asked for, shape ``(ticks, 2)``.
        ready: replicas that serve, shape ``(ticks, 2)``.
        paid_gpu_s: accelerator time of each tick, starting and leaving replicas included.
        in_flight: requests inside the service at the end.
        finished: requests that left it.
    """

    wait_s: FloatArray
    itl_s: FloatArray
    good: BoolArray
    start_s: FloatArray
    end_s: FloatArray
    desired: FloatArray
    ready: FloatArray
    paid_gpu_s: FloatArray
    in_flight: int
    finished: int


class _Simulation:
    """One replay of a trace under one policy."""

    def __init__(self, trace: Trace, policy: Policy, setting: Setting) -> None:
        self._trace, self._policy, self._setting = trace, policy, setting
        profile = setting.profile
        self._work_s = profile.to_prefill_s(trace.prompt_tokens)
        self._transfer_s = profile.to_transfer_s(trace.context_tokens)
        self._prefill = Prefill(len(trace), self._work_s)
        self._decode = Decode(trace, profile)
        self._replicas = tuple(
            Replicas(first, most, setting.start_up_s)
            for first, most in zip(setting.first, setting.most, strict=True)
        )
        self._due: IntArray = np.empty(0, dtype=np.int64)
        self._due_s = np.empty(0)
        self._clock: list[float] = [0.0]
        self._mean_s = (float(self._work_s.mean()) if len(trace) else 0.0, 10.0)

    def play(self) -> Played:
        """Return what became of the requests; the service is emptied after the last arrival."""
        setting, trace = self._setting, self._trace
        ticks = int(np.ceil(trace.end_s / setting.tick_s))
        borders = np.searchsorted(trace.arrival_s, np.arange(ticks + 1) * setting.tick_s)
        desired, ready = np.empty((ticks, 2)), np.empty((ticks, 2))
        paid = np.empty(ticks)
        for number in range(ticks):
            tick, paid[number] = self._tick(number, int(borders[number]), int(borders[number + 1]))
            desired[number], ready[number] = tick.desired, tick.ready
            self._ask(self._policy.decide(tick), tick.now_s)
        number = ticks
        while self._is_busy() and number < ticks + 240:
            tick, _ = self._tick(number, len(trace), len(trace))
            self._ask(self._policy.decide(tick), tick.now_s)
            number += 1
        return self._judge(desired, ready, paid)

    def _is_busy(self) -> bool:
        return bool(self._prefill.waiting or len(self._due) or self._decode.running >= 0.5)

    def _ask(self, counts: tuple[int, int], now_s: float) -> None:
        limit, gpus = self._setting.max_gpus, self._setting.profile.gpus
        for place, (replicas, count) in enumerate(zip(self._replicas, counts, strict=True)):
            others = sum(r.held for r in self._replicas) - replicas.desired
            most = count if limit is None else max(replicas.desired, limit // gpus - others)
            replicas.ask(min(count, most), now_s, self._mean_s[place])

    def _tick(self, number: int, first: int, last: int) -> tuple[Tick, float]:
        tick_s = self._setting.tick_s
        steps = round(tick_s / STEP_S)
        times_s: FloatArray = number * tick_s + np.arange(steps + 1, dtype=np.float64) * STEP_S
        held = 0.0
        counts: list[tuple[int, int]] = []
        for start_s in times_s[:-1]:
            for replicas in self._replicas:
                replicas.advance(float(start_s))
            held += sum(r.held for r in self._replicas) * STEP_S
            counts.append((self._replicas[0].ready, self._replicas[1].ready))
        started = self._prefill.play(
            self._trace.arrival_s[first:last], times_s, [count[0] for count in counts]
        )
        finished, finished_tokens = self._decode.finished, self._decode.finished_tokens
        token_s, tokens, batch = self._decode_steps(started, times_s, counts)
        done = self._decode.finished - finished
        done_tokens = self._decode.finished_tokens - finished_tokens
        if done:
            self._mean_s = (self._mean_s[0], done_tokens / done * float(np.mean(token_s)))
        return (
            self._describe(
                float(times_s[-1]),
                first,
                last,
                started,
                counts,
                token_s,
                tokens,
                batch,
                done,
                done_tokens,
            ),
            held * self._setting.profile.gpus,
        )

    def _decode_steps(
        self, started: IntArray, times_s: FloatArray, counts: list[tuple[int, int]]
    ) -> tuple[list[float], float, float]:
        """Play the steps; return times between tokens, tokens decoded and the mean batch."""
        due_s = self._prefill.start_s[started] + self._work_s[started] + self._transfer_s[started]
        ids: IntArray = np.concatenate((self._due, started))
        waits: FloatArray = np.concatenate((self._due_s, due_s))
        order = np.argsort(waits, kind="stable")
        ids, waits = ids[order], waits[order]
        borders = np.searchsorted(waits, times_s[1:]).tolist()
        token_s, tokens, batch, begin = [], 0.0, 0.0, 0
        decode = self._decode
        for (_, replicas), end, now_s in zip(counts, borders, times_s[1:].tolist(), strict=True):
            taken = decode.step(ids[begin:end], waits[begin:end], now_s, replicas)
            begin = end
            self._clock.append(decode.clock)
            if replicas:
                token_s.append(taken if decode.running else self._decode_alone())
                tokens += decode.running * STEP_S / taken
                batch += decode.running / replicas
        self._due, self._due_s = ids[begin:], waits[begin:]
        return token_s or [self._decode_alone()], tokens, batch / len(counts)

    def _decode_alone(self) -> float:
        return float(self._setting.profile.token_s[1])

    def _describe(
        self,
        now_s: float,
        first: int,
        last: int,
        started: IntArray,
        counts: list[tuple[int, int]],
        token_s: list[float],
        tokens: float,
        batch: float,
        done: float,
        done_tokens: float,
    ) -> Tick:
        prefill, decode = self._replicas
        waits = self._prefill.start_s[started] - self._trace.arrival_s[started]
        capacity_s = sum(count[0] for count in counts) * STEP_S
        cache = decode.ready * self._setting.profile.kv_tokens
        ttft = waits + self._work_s[started]
        return Tick(
            now_s=now_s,
            desired=(prefill.desired, decode.desired),
            ready=(prefill.ready, decode.ready),
            leaving=(len(prefill.leaving), len(decode.leaving)),
            requests=last - first,
            prompt_tokens=float(self._trace.prompt_tokens[first:last].sum()),
            arrived_work_s=float(self._work_s[first:last].sum()),
            prefill_busy=self._prefill.busy_s / capacity_s if capacity_s else 0.0,
            prefill_queue=self._prefill.waiting,
            prefill_queue_s=self._prefill.waiting_s,
            ttft_s=float(np.quantile(ttft, 0.95)) if len(ttft) else 0.0,
            wait_s=float(np.quantile(waits, 0.95)) if len(waits) else 0.0,
            tokens=tokens,
            finished=done,
            finished_tokens=done_tokens,
            batch=batch,
            decode_queue=len(self._decode.queue),
            kv_ratio=self._decode.cache / cache if cache else 0.0,
            itl_s=float(np.quantile(token_s, 0.95)),
            peak_wait_s=float(np.quantile(waits, 0.99)) if len(waits) else 0.0,
            peak_itl_s=float(np.quantile(token_s, 0.99)),
        )

    def _judge(self, desired: FloatArray, ready: FloatArray, paid: FloatArray) -> Played:
        decode, trace = self._decode, self._trace
        clock = np.array(self._clock)
        times_s = np.arange(len(clock)) * STEP_S
        joined = np.isfinite(decode.joined_s)
        ends_at = np.where(joined, decode.joined_at + trace.output_tokens, np.inf)
        ended = ends_at <= clock[-1]
        end_s, itl_s = np.full(len(trace), np.inf), np.full(len(trace), np.inf)
        end_s[ended] = np.interp(ends_at[ended], clock, times_s)
        began_s = np.interp(decode.joined_at[ended], clock, times_s)
        itl_s[ended] = (end_s[ended] - began_s) / trace.output_tokens[ended]
        start_s = self._prefill.start_s
        to_decode_s = start_s + self._work_s + self._transfer_s
        wait_s = np.full(len(trace), np.inf)
        wait_s[joined] = (start_s - trace.arrival_s)[joined]
        wait_s[joined] += np.maximum(0.0, decode.joined_s[joined] - to_decode_s[joined])
        profile = self._setting.profile
        good = (wait_s <= profile.wait_target_s) & (itl_s <= profile.itl_target_s * (1 + 1e-9))
        finished = round(decode.finished)
        return Played(
            wait_s,
            itl_s,
            good,
            start_s,
            end_s,
            desired,
            ready,
            paid,
            len(trace) - finished,
            finished,
        )


def simulate(trace: Trace, policy: Policy, setting: Setting) -> Played:
    """Return what a service under a policy makes of a trace."""
    return _Simulation(trace, policy, setting).play()
