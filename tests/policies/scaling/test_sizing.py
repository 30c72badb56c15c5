"""Sizing against the formulas' own limits and a brute-force queue."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage_policies.errors import BadInputError
from moorage_policies.scaling.sizing import initial_replicas, mean_ttft_s, replicas_for_wait


def test_the_time_to_first_token_of_a_half_busy_replica() -> None:
    # R D = 0.5, so the wait is 1 * 0.25 / (2 * 0.5) = 0.25
    assert mean_ttft_s(1.0, 0.5) == pytest.approx(0.75)
    assert mean_ttft_s(0.0, 0.5) == 0.5
    assert mean_ttft_s(2.0, 0.5) == math.inf


@given(st.floats(0.1, 50), st.floats(0.01, 1), st.floats(0.01, 2))
def test_the_first_size_is_the_least_that_keeps_the_target(
    rate: float, service_s: float, slack_s: float
) -> None:
    target_s = service_s + slack_s
    count = initial_replicas(rate, service_s, target_s)
    assert mean_ttft_s(rate / count, service_s) <= target_s * (1 + 1e-6)
    if count > 1:
        assert mean_ttft_s(rate / (count - 1), service_s) > target_s * (1 - 1e-6)


def test_a_target_below_one_prompt_is_refused() -> None:
    with pytest.raises(BadInputError, match="ttftMs"):
        initial_replicas(1.0, 1.0, 0.5)


@given(st.floats(0.01, 60), st.floats(0.01, 1), st.floats(0.1, 2))
def test_more_load_never_needs_fewer(load: float, service_s: float, wait_s: float) -> None:
    count = replicas_for_wait(load, service_s, wait_s, 0.001)
    assert count > load
    assert replicas_for_wait(load * 1.1, service_s, wait_s, 0.001) >= count


def test_few_requests_wait_too_long_at_the_size_found() -> None:
    rng = np.random.default_rng(1)
    load, service_s, wait_s = 4.0, 0.2, 0.3
    count = replicas_for_wait(load, service_s, wait_s, 0.01)
    arrivals = np.cumsum(rng.exponential(service_s / load, 60_000))
    free = np.zeros(count)
    late = 0
    for arrival in arrivals:
        first = int(free.argmin())
        start = max(arrival, free[first])
        late += start - arrival > wait_s
        free[first] = start + service_s
    assert late / len(arrivals) <= 0.01
