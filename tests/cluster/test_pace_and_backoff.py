"""Rates and pauses, in fake time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage_cluster.backoff import Backoff
from moorage_cluster.pace import RateLimit
from moorage_cluster.testing import FakeClock


@given(
    draws=st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=80),
    retry_after_s=st.one_of(st.none(), st.floats(0, 100)),
)
def test_pauses_stay_between_retry_after_and_the_cap(
    draws: list[float], retry_after_s: float | None
) -> None:
    backoff = Backoff(iter(draws).__next__, base_s=0.5, cap_s=30.0)
    for number, draw in enumerate(draws):
        pause_s = backoff.next_s(retry_after_s) - (retry_after_s or 0.0)
        assert pause_s == pytest.approx(draw * min(30.0, 0.5 * 2**number))


def test_a_success_starts_the_pauses_anew() -> None:
    backoff = Backoff(lambda: 0.5)
    assert [backoff.next_s(), backoff.next_s()] == [0.25, 0.5]
    backoff.reset()
    assert backoff.next_s() == 0.25


async def test_calls_above_the_rate_wait_for_their_turn() -> None:
    clock = FakeClock()
    limit = RateLimit(8.0, clock=clock, sleep=clock.sleep)
    for _ in range(8):  # a second's worth at once
        await limit.take()
    assert clock.slept == []
    for _ in range(16):
        await limit.take()
    assert sum(clock.slept) == 2.0
    clock.now_s += 100.0
    clock.slept.clear()
    for _ in range(8):
        await limit.take()
    assert clock.slept == []


async def test_no_rate_is_no_wait() -> None:
    clock = FakeClock()
    limit = RateLimit(None, clock=clock, sleep=clock.sleep)
    for _ in range(1000):
        await limit.take()
    assert clock.slept == []
