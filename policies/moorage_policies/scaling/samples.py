"""Numbers of model servers made into readings: rates, resets, quantiles, doubts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from moorage_policies.scaling.observation import RoleReading, Sight

Buckets = tuple[tuple[float, float], ...]
"""Cumulative counts by upper bound, ascending."""


@dataclass(frozen=True, slots=True)
class PodSample:
    """What one pod said at one moment, by our names of the quantities.

    Args:
        uid: of the pod.
        at_s: when it was true, Unix seconds.
        values: gauges and counters; ``prefill_s`` counts the seconds spent on prompts.
        buckets: histograms.
        changed_s: when any of it last differed from the sample before.
    """

    uid: str
    at_s: float
    values: Mapping[str, float] = field(default_factory=dict)
    buckets: Mapping[str, Buckets] = field(default_factory=dict)
    changed_s: float = 0.0

    def is_believable(self) -> bool:
        """Return whether all is finite and nothing below zero."""
        numbers = [*self.values.values(), *(n for b in self.buckets.values() for _, n in b)]
        return all(math.isfinite(number) and number >= 0.0 for number in numbers)


@dataclass(frozen=True, slots=True)
class Signal:
    """What the load of a role is measured by.

    Args:
        quantity: our name of it.
        is_rate: whether its growth per second counts, not its value.
        target: how much of it one replica carries; 1 for ``prefill_s``.
    """

    quantity: str
    is_rate: bool
    target: float


@dataclass(frozen=True, slots=True)
class RoleFacts:
    """What is known of a role besides its samples.

    ``expected`` are the ready pods that served long enough to have two samples; ``None``: all.
    """

    role: str
    desired: int
    ready: int
    leaving: int = 0
    signal: Signal | None = None
    guard: str = ""
    ttft_target_s: float | None = None
    itl_target_s: float | None = None
    expected: int | None = None
    resting_s: tuple[float, ...] = ()


COVERED_RATIO = 0.5
"""Fewer ready pods than this part with a fresh sample make a role blind."""
ALERT_QUANTILE, PEAK_QUANTILE = 0.95, 0.99


def read_role(
    facts: RoleFacts,
    pairs: Sequence[tuple[PodSample, PodSample]],
    now_s: float,
    *,
    stale_s: float,
) -> tuple[RoleReading, str]:
    """Return the role's reading, and why it is blind, empty when it is not.

    Args:
        facts: the role.
        pairs: earlier and later sample of each serving pod.
        now_s: the moment.
        stale_s: age above which a sample does not count.
    """
    fresh = [(a, b) for a, b in pairs if _counts(a, b, now_s, stale_s)]
    if facts.ready == 0:
        sight: Sight = "idle" if facts.desired == 0 else "blind"
        why = "" if facts.desired == 0 else "no replica is ready"
        return _bare(facts, sight), why
    expected = max(1, facts.ready if facts.expected is None else facts.expected)
    if not fresh or len(fresh) < COVERED_RATIO * expected:
        return _bare(facts, "blind"), f"{len(fresh)} of {expected} ready replicas can be read"
    moving = [(a, b) for a, b in fresh if not _stands_still(facts.signal, a, b)]
    if facts.signal is not None and not _shows(facts.signal, moving or fresh):
        return _bare(facts, "blind"), f"no replica shows {facts.signal.quantity}"
    if not moving or len(moving) < COVERED_RATIO * expected:
        return _bare(facts, "blind"), ""  # told when it lasts: see `_counts`
    fresh = moving
    spread = max(1.0, expected / len(fresh))  # the young ones' part of the load was the others'
    load = _load(facts.signal, fresh, spread)
    waiting = sum(b.values.get("waiting", 0.0) for _, b in fresh) * spread
    ttft, itl = _latencies(fresh, "ttft_s"), _latencies(fresh, "itl_s")
    sight = "idle" if _is_quiet(fresh) else "measured"
    return (
        RoleReading(
            facts.role,
            sight,
            facts.desired,
            facts.ready,
            facts.leaving,
            load=0.0 if sight == "idle" and load is not None else load,
            backlog=waiting * _each(facts.signal, fresh),
            ttft_s=ttft[0],
            itl_s=itl[0],
            peak_ratio=_peak(facts, ttft[1], itl[1]),
            service_s=_service_s(facts.signal, fresh),
            resting_s=facts.resting_s,
        ),
        "",
    )


def growth(before: float, after: float) -> float:
    """Return how far a counter went; after a restart it began at zero."""
    return after - before if after >= before else after


def find_quantile(buckets: Buckets, quantile: float) -> float | None:
    """Return the value below which this part of the counts is, ``None`` without counts.

    Linear within a bucket; beyond the last finite bound, that bound.
    """
    total = buckets[-1][1] if buckets else 0.0
    if total <= 0.0:
        return None
    rank, low, below = quantile * total, 0.0, 0.0
    for bound, count in buckets:
        if count >= rank and count > below:
            if math.isinf(bound):
                return low
            return low + (bound - low) * (rank - below) / (count - below)
        low, below = (low if math.isinf(bound) else bound), count
    return low


def _counts(before: PodSample, after: PodSample, now_s: float, stale_s: float) -> bool:
    if not (before.is_believable() and after.is_believable() and after.at_s > before.at_s):
        return False
    frozen = after.values.get("running", 0.0) > 0.0 and now_s - after.changed_s > stale_s
    return now_s - after.at_s <= stale_s and not frozen


def _shows(signal: Signal, fresh: Sequence[tuple[PodSample, PodSample]]) -> bool:
    """Return whether anybody tells what the load is measured by; a prompt's time may be unknown."""
    if signal.quantity == "prefill_s":
        return True
    return any(_amount(signal, before, after) is not None for before, after in fresh)


def _stands_still(signal: Signal | None, before: PodSample, after: PodSample) -> bool:
    """Return whether requests run and yet nothing was done between the samples."""
    if signal is not None and not signal.is_rate:
        return False
    same = (before.values, before.buckets) == (after.values, after.buckets)
    return same and after.values.get("running", 0.0) > 0.0


def _load(
    signal: Signal | None, fresh: Sequence[tuple[PodSample, PodSample]], spread: float
) -> float | None:
    if signal is None:
        return None
    amounts = [_amount(signal, before, after) for before, after in fresh]
    known = [amount for amount in amounts if amount is not None]
    if not known:
        return None
    return sum(known) * spread * len(fresh) / len(known) / signal.target


def _amount(signal: Signal, before: PodSample, after: PodSample) -> float | None:
    now = after.values.get(signal.quantity)
    if now is None or not signal.is_rate:
        return now
    then = before.values.get(signal.quantity)
    return None if then is None else growth(then, now) / (after.at_s - before.at_s)


def _is_quiet(fresh: Iterable[tuple[PodSample, PodSample]]) -> bool:
    """Return whether nothing runs, waits or was worked on."""
    for before, after in fresh:
        if after.values.get("running", 0.0) or after.values.get("waiting", 0.0):
            return False
        for name in ("prompt_tokens", "generated_tokens", "requests"):
            if name in after.values and after.values[name] != before.values.get(name):
                return False
    return True


def _each(signal: Signal | None, fresh: Sequence[tuple[PodSample, PodSample]]) -> float:
    """Return the replica-seconds that one waiting request takes, as the finished ones did."""
    if signal is None or not signal.is_rate or signal.quantity == "requests":
        return 0.0
    done = sum(_grown(pair, "requests") for pair in fresh)
    used = sum(_grown(pair, signal.quantity) for pair in fresh)
    return used / done / signal.target if done else 0.0


def _service_s(signal: Signal | None, fresh: Sequence[tuple[PodSample, PodSample]]) -> float:
    """Return the time that one request takes, 0 unless the load is measured in such times."""
    return _each(signal, fresh) if signal is not None and signal.quantity == "prefill_s" else 0.0


def _grown(pair: tuple[PodSample, PodSample], name: str) -> float:
    before, after = pair
    if name not in before.values or name not in after.values:
        return 0.0
    return growth(before.values[name], after.values[name])


def _latencies(
    fresh: Sequence[tuple[PodSample, PodSample]], name: str
) -> tuple[float | None, float | None]:
    merged = _merge([p for p in fresh if name in p[0].buckets and name in p[1].buckets], name)
    return find_quantile(merged, ALERT_QUANTILE), find_quantile(merged, PEAK_QUANTILE)


def _merge(fresh: Sequence[tuple[PodSample, PodSample]], name: str) -> Buckets:
    """Return what was counted between the samples, over all pods with the same bounds."""
    summed: dict[float, float] = {}
    bounds: tuple[float, ...] | None = None
    for before, after in fresh:
        mine = tuple(bound for bound, _ in after.buckets[name])
        bounds = bounds or mine
        if mine != bounds:
            continue
        then = dict(before.buckets[name])
        restarted = any(count < then.get(bound, 0.0) for bound, count in after.buckets[name])
        for bound, count in after.buckets[name]:
            grown = count if restarted else count - then.get(bound, 0.0)
            summed[bound] = summed.get(bound, 0.0) + grown
    return tuple(sorted(summed.items()))


def _peak(facts: RoleFacts, ttft_s: float | None, itl_s: float | None) -> float | None:
    latency, target = {
        "ttft": (ttft_s, facts.ttft_target_s),
        "itl": (itl_s, facts.itl_target_s),
    }.get(facts.guard, (None, None))
    return None if latency is None or not target else latency / target


def _bare(facts: RoleFacts, sight: Sight) -> RoleReading:
    load = 0.0 if sight == "idle" and facts.signal is not None else None
    return RoleReading(
        facts.role,
        sight,
        facts.desired,
        facts.ready,
        facts.leaving,
        load=load,
        resting_s=facts.resting_s,
    )
