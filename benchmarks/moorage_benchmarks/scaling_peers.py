"""Autoscaling laws as their projects publish them, each on what a tick shows."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence

from moorage_benchmarks.scaling_profiles import Profile
from moorage_benchmarks.scaling_service import DECODE, PREFILL, Policy, Tick

Make = Callable[[Profile, float], Policy]
"""Makes a policy for a profile and a tick in seconds."""


class StaticPeak:
    """The counts that the peak needs, always."""

    def __init__(self, counts: tuple[int, int]) -> None:
        self._counts = counts

    def decide(self, tick: Tick) -> tuple[int, int]:  # noqa: ARG002 - the load does not matter
        """Return the same counts at every tick."""
        return self._counts


class UtilisationHpa:
    """Kubernetes' HPA on accelerator utilisation per role, with its published defaults.

    ``ceil(n * utilisation / target)``, tolerance a tenth, least recommendation to shrink taken over
    300 s, growth of at most 4 replicas or all of them again per 15 s. A decoding accelerator reads
    the same at light load: memory-bound, it shows 0.8 + 0.1 of the load while any request runs.
    """

    TARGET, TOLERANCE, WINDOW_S = 0.7, 0.1, 300.0

    def __init__(self, profile: Profile, tick_s: float) -> None:
        self._good = profile.good_batch
        self._past = tuple(deque[int](maxlen=max(1, round(self.WINDOW_S / tick_s))) for _ in "pd")

    def decide(self, tick: Tick) -> tuple[int, int]:
        """Return the counts by the formula of the HPA."""
        load = min(2.0, tick.batch / self._good)
        decode = 0.8 + 0.1 * load if tick.batch > 0 else 0.0
        return (
            self._one(PREFILL, tick, tick.prefill_busy),
            self._one(DECODE, tick, decode),
        )

    def _one(self, role: int, tick: Tick, utilisation: float) -> int:
        have, ratio = tick.desired[role], utilisation / self.TARGET
        asked = have if abs(ratio - 1.0) <= self.TOLERANCE else math.ceil(tick.ready[role] * ratio)
        self._past[role].append(max(1, asked))
        asked = min(asked, have + max(4, have))
        return asked if asked >= have else max(self._past[role])


class Concurrency:
    """Knative's KPA: requests in flight per replica over 60 s, 6 s in a panic.

    A panic begins when the short window asks for twice what is ready, lasts 60 s and never shrinks.
    """

    TARGET, STABLE_S, PANIC_RATIO = 0.7, 60.0, 2.0

    def __init__(self, profile: Profile, tick_s: float) -> None:
        self._per_replica = (1.0, float(profile.good_batch))
        self._past = tuple(deque[float](maxlen=max(1, round(self.STABLE_S / tick_s))) for _ in "pd")
        self._panic_until_s = [-math.inf, -math.inf]

    def decide(self, tick: Tick) -> tuple[int, int]:
        """Return the counts that the concurrency asks for."""
        in_prefill = tick.prefill_busy * tick.ready[PREFILL] + tick.prefill_queue
        in_decode = tick.batch * tick.ready[DECODE] + tick.decode_queue
        return self._one(PREFILL, tick, in_prefill), self._one(DECODE, tick, in_decode)

    def _one(self, role: int, tick: Tick, requests: float) -> int:
        self._past[role].append(requests)
        per_replica = self.TARGET * self._per_replica[role]
        stable = math.ceil(sum(self._past[role]) / len(self._past[role]) / per_replica)
        burst = math.ceil(requests / per_replica)
        if burst >= self.PANIC_RATIO * max(1, tick.ready[role]):
            self._panic_until_s[role] = tick.now_s + self.STABLE_S
        if tick.now_s < self._panic_until_s[role]:
            return max(tick.desired[role], burst, stable)
        return max(1, stable)


class TokensPerRole:
    """Proportional on tokens per second, each role for itself.

    Out above 1.1 of the target, in below 0.9, cool-downs of 180 s and 600 s.
    """

    THRESHOLD, OUT_S, IN_S = 0.1, 180.0, 600.0

    def __init__(self, profile: Profile, tick_s: float) -> None:
        self._profile, self._tick_s = profile, tick_s
        self._acted_s = [-math.inf, -math.inf]
        self._rate = [1.0, 0.85 * profile.good_tokens_per_s]

    def decide(self, tick: Tick) -> tuple[int, int]:
        """Return the counts by tokens per second."""
        worked_s = max(0.0, tick.prefill_busy * tick.ready[PREFILL] * self._tick_s)
        load = worked_s / self._tick_s / 0.7, tick.tokens / self._tick_s / self._rate[DECODE]
        return self._one(PREFILL, tick, load[0]), self._one(DECODE, tick, load[1])

    def _one(self, role: int, tick: Tick, load: float) -> int:
        have = max(1, tick.desired[role])
        ratio, waited_s = load / have, tick.now_s - self._acted_s[role]
        out = ratio > 1.0 + self.THRESHOLD and waited_s >= self.OUT_S
        into = ratio < 1.0 - self.THRESHOLD and waited_s >= self.IN_S
        if not (out or into):
            return have
        self._acted_s[role] = tick.now_s
        return max(1, math.ceil(load) if out else round(load))


class HeteroScale:
    """HeteroScale's rule: proportional on decode tokens per second, prefill in a fixed ratio.

    Latency overrides it: 1.2 of the target adds a fifth, 1.1 a tenth.
    """

    THRESHOLD, OUT_S, IN_S = 0.1, 180.0, 600.0

    def __init__(self, profile: Profile, tick_s: float, ratio: float) -> None:
        self._profile, self._tick_s, self._ratio = profile, tick_s, ratio
        self._acted_s = -math.inf
        self._rate = 0.85 * profile.good_tokens_per_s

    def decide(self, tick: Tick) -> tuple[int, int]:
        """Return decode by its tokens, prefill by the ratio."""
        load = tick.tokens / self._tick_s / self._rate
        have = max(1, tick.desired[DECODE])
        waited_s = tick.now_s - self._acted_s
        late = max(
            tick.wait_s / self._profile.wait_target_s, tick.itl_s / self._profile.itl_target_s
        )
        if late >= 1.1 and waited_s >= self.OUT_S:
            target = math.ceil(have * (1.2 if late >= 1.2 else 1.1))
        else:
            out = load / have > 1.0 + self.THRESHOLD and waited_s >= self.OUT_S
            into = load / have < 1.0 - self.THRESHOLD and waited_s >= self.IN_S
            target = round(load) if out or (into and late < 1.0) else have
        target = max(1, target)
        if target != have:
            self._acted_s = tick.now_s
        return max(1, round(self._ratio * target)), target


class LatencySteps:
    """Steps on latency alone: two more above 1.1 of the target, one less below 0.8."""

    OUT_S, IN_S = 60.0, 300.0

    def __init__(self, profile: Profile, tick_s: float) -> None:
        self._targets = (profile.wait_target_s, profile.itl_target_s)
        self._acted_s = [-math.inf, -math.inf]
        del tick_s

    def decide(self, tick: Tick) -> tuple[int, int]:
        """Return the counts after at most one step."""
        return self._one(PREFILL, tick, tick.wait_s), self._one(DECODE, tick, tick.itl_s)

    def _one(self, role: int, tick: Tick, latency_s: float) -> int:
        have, waited_s = tick.desired[role], tick.now_s - self._acted_s[role]
        ratio = latency_s / self._targets[role]
        step = 2 if ratio > 1.1 and waited_s >= self.OUT_S else 0
        step = -1 if ratio < 0.8 and waited_s >= self.IN_S else step
        if step:
            self._acted_s[role] = tick.now_s
        return max(1, have + step)


class SlaPlanner:
    """Dynamo's SLA planner: next interval's requests over the profiled throughput per replica.

    Every 180 s: prefill ``ceil(requests * input / interval * min(1, correction) / throughput)``,
    decode ``ceil(requests * output / interval / throughput)`` at the largest batch that keeps the
    corrected time between tokens. Corrections are observed over expected latency. The load is
    predicted by a straight line through the last intervals.
    """

    INTERVAL_S = 180.0

    def __init__(self, profile: Profile, tick_s: float) -> None:
        self._profile, self._tick_s = profile, tick_s
        self._ticks: list[Tick] = []
        self._history: deque[tuple[float, float, float]] = deque(maxlen=5)
        self._held: tuple[int, int] | None = None

    def decide(self, tick: Tick) -> tuple[int, int]:
        """Return the counts of the interval."""
        self._ticks.append(tick)
        if len(self._ticks) * self._tick_s < self.INTERVAL_S:
            return self._held or tick.desired
        ticks, self._ticks = self._ticks, []
        requests = sum(t.requests for t in ticks)
        done = sum(t.finished for t in ticks)
        if requests == 0:
            return self._held or tick.desired
        work_s = sum(t.arrived_work_s for t in ticks) / requests
        output = sum(t.finished_tokens for t in ticks) / done if done else 0.0
        self._history.append((requests / self.INTERVAL_S, work_s, output))
        rate, work_s, output = (_line(values) for values in zip(*self._history, strict=True))
        ttft = sum(t.ttft_s for t in ticks) / len(ticks)
        correct = min(1.0, ttft / max(work_s, 1e-6))
        prefill = math.ceil(rate * work_s * max(correct, 0.0))
        decode = math.ceil(rate * output / self._throughput(ticks))
        self._held = max(1, prefill), max(1, decode)
        return self._held

    def _throughput(self, ticks: Sequence[Tick]) -> float:
        token_s = self._profile.token_s
        batch = sum(t.batch for t in ticks) / len(ticks)
        expected_s = float(token_s[min(len(token_s) - 1, round(batch))])
        correct = max(0.5, sum(t.itl_s for t in ticks) / len(ticks) / expected_s)
        within = [
            b for b, s in enumerate(token_s) if b and s <= self._profile.itl_target_s / correct
        ]
        best = max(within, default=1)
        return best / float(token_s[best])


class Saturation:
    """llm-d's saturation rule: spare cache and spare queue of replicas that are not saturated.

    Saturated: cache at 0.8 or 5 requests queued. One more when the mean spare cache is below 0.1 or
    the mean spare queue below 3; one less when the rest would keep both; none while one starts.
    """

    CACHE, QUEUE, SPARE_CACHE, SPARE_QUEUE = 0.8, 5.0, 0.1, 3.0

    def __init__(self, profile: Profile, tick_s: float) -> None:
        self._acted_s = [-math.inf, -math.inf]
        del profile, tick_s

    def decide(self, tick: Tick) -> tuple[int, int]:
        """Return the counts after at most one step."""
        prefill = tick.prefill_queue / max(1, tick.ready[PREFILL])
        decode = tick.decode_queue / max(1, tick.ready[DECODE])
        return (
            self._one(PREFILL, tick, 0.0, prefill),
            self._one(DECODE, tick, tick.kv_ratio, decode),
        )

    def _one(self, role: int, tick: Tick, cache: float, queue: float) -> int:
        have = tick.desired[role]
        if tick.ready[role] < have:
            return have
        if self.CACHE - cache < self.SPARE_CACHE or self.QUEUE - queue < self.SPARE_QUEUE:
            return have + 1
        rest = have / max(1, have - 1)
        kept = self.CACHE - cache * rest >= self.SPARE_CACHE
        return (
            have - 1
            if have > 1 and kept and self.QUEUE - queue * rest >= self.SPARE_QUEUE
            else have
        )


def _line(values: Sequence[float]) -> float:
    """Return the next value of a straight line through equally spaced ones."""
    count = len(values)
    if count < 3:
        return values[-1]
    middle, mean = (count - 1) / 2, sum(values) / count
    slope = sum((i - middle) * v for i, v in enumerate(values)) / sum(
        (i - middle) ** 2 for i in range(count)
    )
    return max(0.0, mean + slope * (count - middle))
