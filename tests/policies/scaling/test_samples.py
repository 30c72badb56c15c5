"""Samples made into readings: rates, resets, quantiles, and what must not be believed."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage_policies.scaling.samples import (
    PodSample,
    RoleFacts,
    Signal,
    find_quantile,
    growth,
    read_role,
)

TOKENS = Signal("generated_tokens", is_rate=True, target=100.0)
FACTS = RoleFacts("decode", 3, 2, signal=TOKENS, guard="itl", itl_target_s=0.05)
BOUNDS = (0.01, 0.05, 0.1, math.inf)


def pair(
    uid: str, before: float, after: float, *, seconds: float = 10.0, **values: float
) -> tuple[PodSample, PodSample]:
    rest = {"running": 1.0, "waiting": 0.0, **values}
    first = PodSample(uid, 100.0, {"generated_tokens": before, **rest})
    return first, PodSample(
        uid, 100.0 + seconds, {"generated_tokens": after, **rest}, changed_s=100.0 + seconds
    )


def read(*pairs: tuple[PodSample, PodSample], facts: RoleFacts = FACTS, now_s: float = 110.0):  # type: ignore[no-untyped-def]  # noqa: ANN201
    return read_role(facts, pairs, now_s, stale_s=30.0)


def test_the_load_is_the_growth_per_second_in_targets() -> None:
    # 2,000 and 1,000 tokens in 10 s are 300 a second, three replicas of 100
    reading, why = read(pair("a", 0, 2000), pair("b", 5000, 6000))
    assert (reading.sight, reading.load, why) == ("measured", 3.0, "")


def test_a_pod_that_does_not_answer_is_taken_like_the_others() -> None:
    assert read(pair("a", 0, 2000))[0].load == 4.0


def test_a_counter_that_begins_anew_went_from_zero() -> None:
    assert growth(1000.0, 30.0) == 30.0
    assert read(pair("a", 9000, 1000), pair("b", 0, 0, running=0.0))[0].load == 1.0


def test_a_pod_that_stands_still_while_it_runs_requests_is_no_proof_of_little_load() -> None:
    assert read(pair("a", 0, 2000), pair("b", 500, 500))[0].load == 4.0
    reading, why = read(pair("a", 500, 500), pair("b", 0, 0))
    assert (reading.sight, reading.load) == ("blind", None)
    assert why == "", "a long prompt may do that: it is told when it lasts"


@pytest.mark.parametrize(
    "pairs",
    [
        pytest.param([], id="nobody-answers"),
        pytest.param([pair("a", 0, math.nan), pair("b", 0, math.nan)], id="nan"),
        pytest.param([pair("a", 0, -5), pair("b", 0, -5)], id="negative"),
        pytest.param([pair("a", 0, math.inf), pair("b", 0, 1, kv_ratio=-1)], id="infinite"),
        pytest.param([pair("a", 0, 10, seconds=0.0), pair("b", 0, 1, seconds=0)], id="one-sample"),
    ],
)
def test_what_cannot_be_believed_makes_blind(pairs: list[tuple[PodSample, PodSample]]) -> None:
    reading, why = read(*pairs)
    assert reading.sight == "blind"
    assert reading.load is None
    assert "0 of 2" in why


def test_old_samples_make_blind() -> None:
    assert read(pair("a", 0, 10), pair("b", 0, 10), now_s=141.0)[0].sight == "blind"


def test_numbers_that_stand_still_while_requests_run_make_blind() -> None:
    before, after = pair("a", 10, 10)
    frozen = (before, replace(after, changed_s=50.0))
    assert read(frozen, frozen)[0].sight == "blind"


def test_a_renamed_metric_is_blind_and_not_zero() -> None:
    bare = PodSample("a", 100.0, {"running": 1.0}), PodSample("a", 110.0, {"running": 1.0})
    reading, why = read(*[(a, replace(b, changed_s=110.0)) for a, b in [bare, bare]])
    assert (reading.sight, reading.load) == ("blind", None)
    assert "generated_tokens" in why


def test_nothing_running_and_nothing_done_is_idle_and_not_blind() -> None:
    quiet = pair("a", 70, 70, running=0.0)
    reading, why = read(quiet, quiet)
    assert (reading.sight, reading.load, why) == ("idle", 0.0, "")


def test_no_ready_replica_is_blind_and_none_asked_for_is_idle() -> None:
    assert read(facts=replace(FACTS, ready=0))[0].sight == "blind"
    assert read(facts=replace(FACTS, ready=0, desired=0))[0].sight == "idle"


def test_a_backlog_is_counted_in_replica_seconds() -> None:
    # 10 requests took 2,000 tokens: 200 each, 2 replica-seconds; 5 wait
    before, after = pair("a", 0, 2000, waiting=5.0)
    before = replace(before, values={**before.values, "requests": 0.0})
    after = replace(after, values={**after.values, "requests": 10.0})
    reading, _ = read((before, after), facts=replace(FACTS, ready=1))
    assert reading.backlog == pytest.approx(10.0)


def test_latencies_are_those_between_the_samples() -> None:
    before, after = pair("a", 0, 100)
    old = tuple(zip(BOUNDS, (1000.0, 1000.0, 1000.0, 1000.0), strict=True))
    new = tuple(zip(BOUNDS, (1000.0, 1000.0, 1100.0, 1100.0), strict=True))
    reading, _ = read(
        (replace(before, buckets={"itl_s": old}), replace(after, buckets={"itl_s": new})),
        facts=replace(FACTS, ready=1),
    )
    # all of the last hundred between 0.05 and 0.1
    assert reading.itl_s == pytest.approx(0.0975)
    assert reading.peak_ratio == pytest.approx(0.0995 / 0.05)


@given(st.lists(st.floats(0.001, 0.5), min_size=30, max_size=200), st.floats(0.05, 0.95))
def test_a_quantile_lies_in_the_bucket_of_the_true_one(values: list[float], q: float) -> None:
    bounds = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, math.inf]
    buckets = tuple((b, float(sum(v <= b for v in values))) for b in bounds)
    found = find_quantile(buckets, q)
    true = float(np.quantile(values, q, method="inverted_cdf"))
    place = next(i for i, bound in enumerate(bounds) if true <= bound)
    assert found is not None
    assert (bounds[place - 1] if place else 0.0) <= found <= bounds[place] + 1e-9


def test_no_counts_have_no_quantile() -> None:
    assert find_quantile((), 0.5) is None
    assert find_quantile(((1.0, 0.0), (math.inf, 0.0)), 0.5) is None
    assert find_quantile(((1.0, 0.0), (math.inf, 5.0)), 0.9) == 1.0
