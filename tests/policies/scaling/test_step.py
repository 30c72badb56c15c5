"""What every tick keeps to, whatever it is told; and what single ticks decide."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moorage_policies.errors import BadInputError
from moorage_policies.scaling import (
    Observation,
    Params,
    RatioBand,
    RoleParams,
    RoleReading,
    State,
    Targets,
    begin,
    check_params,
    step,
)

ROLES = ("prefill", "decode")
BAND = RatioBand("prefill", "decode", 0.25, 1.0)


def make_params(**fields: object) -> Params:
    roles = (
        RoleParams("prefill", 1, 20, 4, 60.0, guard="ttft"),
        RoleParams("decode", 1, 20, 8, 60.0, guard="itl"),
    )
    given_fields = {"ratio": BAND, "ttft_target_s": 1.0, "itl_target_s": 0.05, **fields}
    return check_params(Params(**{"roles": roles, **given_fields}))  # type: ignore[arg-type]


def see(
    prefill: float | None, decode: float | None, have: tuple[int, int], **fields: object
) -> tuple[RoleReading, ...]:
    loads = zip(ROLES, (prefill, decode), have, strict=True)
    return tuple(
        RoleReading(role, "measured", n, n, load=load, **fields)  # type: ignore[arg-type]
        for role, load, n in loads
    )


def run_ticks(
    params: Params, readings: tuple[RoleReading, ...], ticks: int, *, follow: bool = True
) -> tuple[State, list[Targets]]:
    """Return what is decided tick after tick while the load stays; counts follow at once."""
    state, decided = begin(len(params.roles)), []
    for tick in range(ticks):
        state, decision = step(state, Observation(tick * params.tick_s, readings), params)
        decided.append(decision.value)
        if follow:
            readings = tuple(
                replace(r, desired=n, ready=n)
                for r, n in zip(readings, decision.value.counts, strict=True)
            )
    return state, decided


def test_without_a_history_queues_of_constant_times_size_the_role_that_prompts_wait_at() -> None:
    params = make_params(ttft_target_s=0.3)
    busy = replace(see(2.0, 2.0, (1, 1))[0], service_s=0.2)
    readings = (busy, see(2.0, 2.0, (1, 1))[1])
    _, [first] = run_ticks(params, readings, 1, follow=False)
    # slack 0.1 s: at most 2 x 0.1 / (0.2 + 2 x 0.1) = half busy, so 2 / 0.5
    assert first.counts[0] == 4
    _, later = run_ticks(params, readings, 30, follow=False)
    assert later[-1].counts[0] < 4


amounts = st.one_of(
    st.none(),
    st.floats(0, 30),
    st.sampled_from([math.nan, math.inf, -math.inf, -1.0, 1e308]),
)


@st.composite
def observations(draw: st.DrawFn) -> Observation:
    readings = []
    for role in ROLES:
        ready = draw(st.integers(0, 20))
        readings.append(
            RoleReading(
                role,
                draw(st.sampled_from(["measured", "measured", "idle", "blind"])),
                draw(st.integers(0, 20)),
                ready,
                draw(st.integers(0, 5)),
                draw(amounts),
                draw(st.sampled_from([0.0, 3.0, 1e9, math.nan])),
                draw(amounts),
                draw(amounts),
                draw(amounts),
                draw(st.sampled_from([0.0, 0.0, 2.0])),
            )
        )
    floors = draw(st.sampled_from([(), (0, 3), (2, 0)]))
    return Observation(draw(st.floats(0, 1e9)), tuple(readings), floors)


@st.composite
def any_params(draw: st.DrawFn) -> Params:
    roles = tuple(
        RoleParams(
            role,
            low := draw(st.integers(0, 3)),
            low + draw(st.integers(0, 15)),
            draw(st.integers(1, 8)),
            draw(st.sampled_from([0.0, 60.0, 300.0])),
            draw(st.sampled_from([0.0, 0.2])),
            draw(st.sampled_from([0.0, 1.0])),
            draw(st.sampled_from([0.0, 50.0])),
            guard=guard,
        )
        for role, guard in zip(ROLES, ("ttft", "itl"), strict=True)
    )
    least = sum(role.min_replicas * role.gpus for role in roles)
    return check_params(
        Params(
            roles,
            draw(st.sampled_from([None, BAND, RatioBand("prefill", "decode", 0.0, 0.5)])),
            draw(st.sampled_from([None, 1.0])),
            draw(st.sampled_from([None, 0.05])),
            draw(st.one_of(st.none(), st.integers(least, least + 80))),
            draw(st.integers(0, 2)),
            forecasts=draw(st.booleans()),
        )
    )


stories = st.tuples(any_params(), st.lists(observations(), min_size=1, max_size=4))


@given(stories)
def test_counts_keep_bounds_budget_and_ratio_or_do_not_move(
    story: tuple[Params, list[Observation]],
) -> None:
    params, seen = story
    state = begin(2)
    for observation in seen:
        state, decision = step(state, observation, params)
        targets = decision.value
        before = tuple(r.desired for r in observation.roles)
        if targets.is_blind or targets.counts == before:
            continue
        for count, role in zip(targets.counts, params.roles, strict=True):
            assert role.min_replicas <= count <= role.max_replicas
        cost = sum(n * r.gpus for n, r in zip(targets.counts, params.roles, strict=True))
        assert params.max_gpus is None or cost <= params.max_gpus
        above, below = targets.counts
        if params.ratio is not None and below > 0:
            assert above >= params.ratio.low * below - 1e-6
            assert above <= max(1.0, params.ratio.high * below + 1e-6)


@given(stories)
def test_a_blind_pool_loses_nothing_and_grows_by_small_steps(
    story: tuple[Params, list[Observation]],
) -> None:
    params, seen = story
    params = replace(params, ratio=None)
    state = begin(2)
    for seen_whole in seen:
        one = replace(seen_whole.roles[0], sight="blind")
        observation = replace(seen_whole, roles=(one, seen_whole.roles[1]), floors=())
        state, decision = step(state, observation, params)
        for target, role in zip(decision.value.roles, params.roles, strict=True):
            assert decision.value.is_blind
            assert target.replicas >= target.before
            grown = max(1, math.ceil(params.blind_ratio * target.before))
            assert target.replicas <= max(target.before + grown, role.min_replicas)


@given(stories)
def test_nothing_that_is_no_number_is_remembered_or_asked_for(
    story: tuple[Params, list[Observation]],
) -> None:
    params, seen = story
    state = begin(2)
    for observation in seen:
        state, decision = step(state, observation, params)
        assert all(isinstance(count, int) for count in decision.value.counts)
        for track in state.tracks:
            numbers = (track.level, track.trend_per_s, track.error_ratio, track.burst)
            assert all(math.isfinite(number) for number in (*numbers, *track.promised))


@given(stories)
def test_the_same_tick_is_decided_the_same_way(story: tuple[Params, list[Observation]]) -> None:
    params, seen = story
    first = step(begin(2), seen[0], params)
    again = step(begin(2), seen[0], params)
    assert first[0] == again[0]
    assert first[1].value == again[1].value
    assert first[1].reason == again[1].reason


@settings(max_examples=10)
@given(st.floats(0.5, 12), st.floats(0.5, 12))
def test_a_steady_load_ends_at_counts_that_stay(prefill: float, decode: float) -> None:
    params = make_params(roles=make_params().roles, ratio=None)
    _, decided = run_ticks(params, see(prefill, decode, (3, 3)), 400)
    late = [targets.counts for targets in decided[-100:]]
    for before, after in itertools.pairwise(late):  # only the learnt error still falls
        assert all(b >= a for b, a in zip(before, after, strict=True))
    for count, load in zip(late[-1], (prefill, decode), strict=True):
        assert late[0][0] - late[-1][0] <= 1
        assert load <= count * (1 + params.out_ratio) <= load * 1.5 + 3


def test_both_roles_change_in_one_decision() -> None:
    _, [targets] = run_ticks(make_params(), see(3.0, 8.0, (1, 2)), 1)
    assert targets.verdict == "out"
    assert all(target.replicas > target.before for target in targets.roles)
    assert all(target.reason for target in targets.roles)
    assert any(option.counts == (1, 2) for option in targets.rejected)


def test_a_role_without_a_load_of_its_own_follows_the_ratio() -> None:
    _, [targets] = run_ticks(make_params(), see(None, 12.0, (1, 2)), 1)
    prefill, decode = targets.counts
    assert decode >= 12
    assert BAND.low * decode <= prefill <= BAND.high * decode


def test_a_swap_is_one_decision() -> None:
    params = make_params(max_gpus=48, ratio=None)
    _, decided = run_ticks(params, see(0.5, 5.0, (4, 4)), 200)
    swaps = [targets for targets in decided if targets.verdict == "swap"]
    assert swaps
    for targets in decided:
        assert targets.counts[0] * 4 + targets.counts[1] * 8 <= 48


def test_no_load_falls_to_the_bounds_only_after_the_delay() -> None:
    roles = tuple(replace(role, min_replicas=0) for role in make_params().roles)
    params = make_params(roles=roles, idle_s=300.0)
    idle = tuple(RoleReading(role, "idle", 3, 3, load=0.0) for role in ROLES)
    _, decided = run_ticks(params, idle, 40)
    counts = [targets.counts for targets in decided]
    assert all(n >= 1 for pair in counts[:20] for n in pair)
    assert counts[21] == (0, 0)
    assert counts[-1] == (0, 0)


def test_a_waiting_request_starts_one_of_each() -> None:
    roles = tuple(replace(role, min_replicas=0) for role in make_params().roles)
    params = make_params(roles=roles)
    asleep = tuple(RoleReading(role, "idle", 0, 0, load=0.0, activations=2.0) for role in ROLES)
    _, [targets] = run_ticks(params, asleep, 1)
    assert targets.counts == (1, 1)


@pytest.mark.parametrize(
    ("itl_s", "expected"),
    [
        pytest.param(0.049, 10, id="kept-nothing-added"),
        pytest.param(0.0555, 11, id="mild-a-tenth"),
        pytest.param(0.065, 12, id="severe-a-fifth"),
    ],
)
def test_a_missed_latency_adds_by_grades(itl_s: float, expected: int) -> None:
    params = make_params(ratio=None, forecasts=False)
    _, [targets] = run_ticks(params, see(1.0, 9.0, (1, 10), itl_s=itl_s), 1)
    assert targets.roles[1].replicas == expected


def test_a_missed_latency_takes_nothing_away() -> None:
    params = make_params(ratio=None, forecasts=False, in_window_s=0.0)
    readings = see(1.0, 2.0, (1, 10), itl_s=0.051)
    _, decided = run_ticks(params, readings, 30)
    assert min(targets.counts[1] for targets in decided) == 10


def test_spares_stand_above_the_need() -> None:
    without = run_ticks(make_params(ratio=None), see(2.0, 4.0, (1, 1)), 60)[1][-1]
    spared = run_ticks(make_params(ratio=None, standby=2), see(2.0, 4.0, (1, 1)), 60)[1][-1]
    assert spared.counts == tuple(count + 2 for count in without.counts)


def test_a_floor_of_the_day_is_kept() -> None:
    params = make_params(ratio=None)
    observation = Observation(0.0, see(0.1, 0.1, (1, 1)), (0, 7))
    _, decision = step(begin(2), observation, params)
    assert decision.value.counts == (1, 7)


def test_what_a_burst_took_stays_when_the_load_has_gone_back() -> None:
    params = make_params(ratio=None)
    state, readings = begin(2), see(0.5, 0.5, (6, 6), peak_ratio=0.0)
    for tick in range(100):
        is_burst = tick in range(60, 64)
        load, peak = (5.0, 1.5) if is_burst else (0.5, 0.0)
        readings = tuple(replace(r, ready=6, load=load, peak_ratio=peak) for r in readings)
        state, decision = step(state, Observation(tick * 15.0, readings), params)
        readings = tuple(
            replace(r, desired=n) for r, n in zip(readings, decision.value.counts, strict=True)
        )
    fading = math.exp(-36 * 15.0 / params.burst_memory_s)
    assert min(decision.value.counts) >= 0.5 + (6 * 1.5 - 0.5) * fading


def test_a_rising_load_is_met_before_it_is_there() -> None:
    params = make_params(ratio=None)
    state, readings = begin(2), see(1.0, 1.0, (3, 3))
    for tick in range(120):
        load = 2.0 + tick * 0.04
        readings = tuple(replace(r, load=load) for r in readings)
        state, decision = step(state, Observation(tick * 15.0, readings), params)
        readings = tuple(
            replace(r, desired=n) for r, n in zip(readings, decision.value.counts, strict=True)
        )
    ahead = 2.0 + (119 + 5) * 0.04  # one start-up and one tick later
    assert min(decision.value.counts) >= ahead


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        pytest.param(
            {"roles": (RoleParams("decode", 3, 2),), "ratio": None}, "decode", id="bounds"
        ),
        pytest.param({"ratio": RatioBand("prefill", "prefill", 0, 1)}, "ratio", id="one-role"),
        pytest.param({"ratio": RatioBand("prefill", "decode", 2, 1)}, "ratio", id="empty-band"),
        pytest.param({"tick_s": 0.0}, "tick_s", id="no-tick"),
        pytest.param({"itl_target_s": 0.0}, "itl_target_s", id="target-zero"),
        pytest.param({"out_ratio": math.nan}, "out_ratio", id="no-number"),
        pytest.param({"max_gpus": 3}, "maxGpus", id="budget-below-the-floors"),
    ],
)
def test_contradicting_parameters_are_refused_by_name(
    fields: dict[str, object], named: str
) -> None:
    with pytest.raises(BadInputError) as refused:
        make_params(**fields)
    assert named in refused.value.field


def test_an_observation_of_other_roles_is_refused() -> None:
    with pytest.raises(BadInputError, match="roles"):
        step(begin(1), Observation(0.0, see(1.0, 1.0, (1, 1))[:1]), make_params())
