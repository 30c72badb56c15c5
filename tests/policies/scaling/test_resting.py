"""Replicas leave the Service before they go, and return when they are missed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage_policies.scaling import (
    Observation,
    Params,
    RoleParams,
    RoleReading,
    State,
    Targets,
    begin,
    step,
)
from moorage_policies.scaling.resting import Rest, keep_budget, rest

OBSERVE_S = 60.0
TICK_S = 15.0


@pytest.mark.parametrize(
    ("before", "serving", "since_s", "expected"),
    [
        pytest.param(5, 3, (), Rest(5, 2), id="leaves-the-service-first"),
        pytest.param(5, 3, (60.0, 90.0), Rest(5, 2), id="is-watched"),
        pytest.param(5, 3, (40.0, 90.0), Rest(4, 1), id="goes-when-watched-long-enough"),
        pytest.param(5, 4, (0.0, 0.0), Rest(4, 0), id="returns-when-needed-although-watched"),
        pytest.param(5, 5, (0.0,), Rest(5, 0), id="all-are-needed-again"),
        pytest.param(5, 7, (0.0,), Rest(7, 0), id="grows-by-what-is-left-after-the-return"),
        pytest.param(2, 3, (0.0, 0.0, 0.0), Rest(3, 0), id="more-rest-than-there-should-be"),
    ],
)
def test_what_becomes_of_those_that_are_not_needed(
    before: int, serving: int, since_s: Sequence[float], expected: Rest
) -> None:
    assert rest(before, serving, since_s, 100.0, OBSERVE_S, returns=False) == expected


counts = st.integers(0, 12)


@given(counts, counts, st.lists(st.floats(0.0, 100.0), max_size=6), st.booleans())
def test_nobody_goes_unwatched_and_all_that_should_serve_do(
    before: int, serving: int, since_s: list[float], returns: bool
) -> None:
    said = rest(before, serving, since_s, 100.0, OBSERVE_S, returns=returns)
    watched = sum(100.0 - at_s >= OBSERVE_S for at_s in since_s)
    assert before - said.replicas <= watched
    assert said.replicas - said.resting >= serving
    assert said.replicas <= max(before, serving)
    if returns and since_s:
        assert said == Rest(max(before, serving), 0)


@given(
    st.lists(st.tuples(counts, st.integers(0, 6), st.integers(0, 8)), min_size=1, max_size=3),
    st.integers(0, 100),
)
def test_the_budget_takes_those_that_rest_and_nobody_else(
    roles: list[tuple[int, int, int]], max_gpus: int
) -> None:
    rests = [Rest(serving + resting, resting) for serving, resting, _ in roles]
    gpus = [each for _, _, each in roles]
    kept = keep_budget(rests, gpus, max_gpus)
    assert [r.replicas - r.resting for r in kept] == [serving for serving, _, _ in roles]
    cost = sum(r.replicas * g for r, g in zip(kept, gpus, strict=True))
    least = sum(serving * each for serving, _, each in roles)
    assert cost <= max(max_gpus, least)
    whole = sum(r.replicas * g for r, g in zip(rests, gpus, strict=True))
    if whole <= max_gpus:
        assert list(kept) == rests


PARAMS = Params(
    (RoleParams("server", 1, 12, 1, 60.0, guard="itl", observe_s=OBSERVE_S),), itl_target_s=0.05
)


class Role:
    """A role of which the count and the rests follow each decision at once."""

    def __init__(self, replicas: int) -> None:
        self.state: State = begin(1)
        self.now_s = 0.0
        self.reading = RoleReading("server", "measured", replicas, replicas)

    def tick(self, load: float, itl_s: float = 0.02, **fields: object) -> Targets:
        self.now_s += TICK_S
        seen = replace(self.reading, load=load, itl_s=itl_s, **fields)  # type: ignore[arg-type]
        self.state, decision = step(self.state, Observation(self.now_s, (seen,)), PARAMS)
        [target] = decision.value.roles
        since = self.reading.resting_s[: target.resting]
        since += (self.now_s,) * (target.resting - len(since))
        count = target.replicas
        self.reading = replace(self.reading, desired=count, ready=count, resting_s=since)
        return decision.value

    @property
    def counts(self) -> tuple[int, int]:
        """Return how many there are, and how many of them rest."""
        return self.reading.desired, len(self.reading.resting_s)

    def until_rest(self, load: float) -> None:
        for _ in range(30):
            self.tick(load)
            if self.counts[1]:
                return
        raise AssertionError("nobody rests")


def test_a_replica_rests_for_the_window_and_goes() -> None:
    role = Role(6)
    role.until_rest(3.5)
    began_s, before = role.now_s, role.counts
    assert before == (6, 1)
    while role.now_s < began_s + OBSERVE_S - TICK_S:
        role.tick(3.5)
        assert role.counts == before
    role.tick(3.5)
    assert role.counts == (5, 0)


def test_a_missed_latency_brings_it_back_at_once_and_for_a_while() -> None:
    role = Role(6)
    role.until_rest(3.5)
    targets = role.tick(3.5, itl_s=0.06)
    assert role.counts == (6, 0)
    assert targets.roles[0].resting == 0
    for _ in range(3):
        role.tick(3.5)
        assert role.counts == (6, 0), "not sent away again before a window says so"


def test_load_that_comes_back_is_served_by_those_that_rest() -> None:
    role = Role(6)
    role.until_rest(3.5)
    for _ in range(2):  # a load counts when it stays for two ticks
        role.tick(5.9)
    assert role.counts == (6, 0)


def test_who_cannot_see_lets_nobody_go_and_brings_all_back_after_a_window() -> None:
    role = Role(6)
    role.until_rest(3.5)
    began_s = role.now_s
    while role.now_s < began_s + OBSERVE_S - TICK_S:
        role.tick(3.5, sight="blind")
        assert role.counts == (6, 1)
    role.tick(3.5, sight="blind")
    assert role.counts == (6, 0)


def test_without_any_load_nobody_is_watched() -> None:
    role = Role(6)
    for _ in range(40):
        role.tick(0.0, sight="idle")
        assert role.counts[1] == 0 or role.counts[0] > 1
    assert role.counts == (1, 0)


def test_a_new_process_goes_on_where_the_last_one_was() -> None:
    role = Role(6)
    role.until_rest(3.5)
    role.state = begin(1)
    role.tick(3.5, sight="blind")  # it has one sample of each pod yet
    assert role.counts == (6, 1)
    for _ in range(4):
        role.tick(3.5)
    assert role.counts == (5, 0)
