from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moorage_policies.errors import BadInputError
from moorage_policies.scoring import RankingParams
from moorage_policies.scoring.mix import CLASS_LABEL
from moorage_policies.tuning import (
    BUILT,
    FITTED,
    HINDSIGHT,
    STOCK,
    TUNED,
    Day,
    Recorded,
    Tuning,
    cut_by_count,
    cut_by_time,
    draw_nodes,
    solve_day,
    steps,
    tune,
)
from moorage_policies.tuning.days import DAY_S, FEWEST_PODS, gpus_of
from moorage_policies.tuning.fit import with_shares
from moorage_policies.tuning.replay import replay
from moorage_policies.types import (
    CPU,
    MEMORY,
    NVIDIA_GPU,
    PODS,
    Affinity,
    Node,
    NodeSelectorTerm,
    Pod,
    Requirement,
)

MODELS = ("A", "B")


def _node(number: int, gpus: int, model: str = "A") -> Node:
    name = f"node-{number}"
    labels = {CLASS_LABEL: model}
    amounts = {CPU: 8000 * gpus, MEMORY: 64 * gpus, PODS: 110, NVIDIA_GPU: gpus}
    return Node(name, uid=name, labels=labels, allocatable=amounts)


def _pod(number: int, gpus: int, models: Sequence[str] = (), cpu: int = 1000) -> Pod:
    requests = {CPU: cpu, MEMORY: 1, NVIDIA_GPU: gpus}
    pod = Pod(f"pod-{number}", "default", f"pod-{number}", requests=requests)
    if not models:
        return pod
    term = NodeSelectorTerm((Requirement(CLASS_LABEL, "In", tuple(models)),))
    return replace(pod, affinity=Affinity(required_node_terms=(term,)))


def _random_day(seed: int, pods: int = 30, load_ratio: float = 1.05) -> Day:
    chance = np.random.default_rng(seed)
    nodes = [_node(at, int(chance.choice([2, 4, 8])), MODELS[at % 2]) for at in range(60)]
    some = tuple(
        _pod(
            seed * 10_000 + at,
            int(chance.choice([0, 1, 2, 4, 8], p=[0.1, 0.4, 0.2, 0.2, 0.1])),
            MODELS[:1] if chance.random() < 0.3 else (),
        )
        for at in range(pods)
    )
    return Day(f"day {seed}", draw_nodes(nodes, some, load_ratio, chance), some)


def _fits(day: Day, served: frozenset[str]) -> bool:
    """Return whether totals at least allow these pods: no more GPUs than there are, by model."""
    picky = sum(gpus_of(p) for p in day.pods if p.uid in served and p.affinity.required_node_terms)
    of_a = sum(n.allocatable[NVIDIA_GPU] for n in day.nodes if n.labels[CLASS_LABEL] == "A")
    return day.gpus(served) <= day.offered_gpus and picky <= of_a


def test_days_follow_the_calendar_and_small_ones_join_the_next() -> None:
    times = [*np.linspace(10, 20, FEWEST_PODS - 1), DAY_S + 5, *np.linspace(3, 4, 30) * DAY_S]
    recorded = [Recorded(_pod(at, 1), time_s) for at, time_s in enumerate(times)]
    cut = dict(cut_by_time(recorded[::-1]))
    # 19 pods of day 0 join the one of day 1; day 4 begins with the last pod, and is left out
    assert {name: len(pods) for name, pods in cut.items()} == {"day 1": 20, "day 3": 29}
    assert [pod.uid for pod in cut["day 1"]] == [f"pod-{at}" for at in range(20)]


def test_a_recording_without_times_is_cut_into_equal_parts_in_its_order() -> None:
    pods = [_pod(at, 1) for at in range(101)]
    cut = list(cut_by_count(pods, 4))
    assert [len(part) for _, part in cut] == [26, 25, 25, 25]
    assert [pod for _, part in cut for pod in part] == pods
    with pytest.raises(BadInputError, match="too few"):
        list(cut_by_count(pods, 6))


@given(seed=st.integers(0, 999), load_percent=st.integers(50, 200))
def test_a_day_gets_nodes_until_pods_ask_for_the_wanted_share(seed: int, load_percent: int) -> None:
    day = _random_day(seed, load_ratio=load_percent / 100)
    wanted = day.asked_gpus / load_percent * 100
    most = 8  # GPUs of the largest node, the last one drawn
    assert wanted - 1e-6 <= day.offered_gpus + 1e-6
    assert day.offered_gpus < wanted + most + 1e-6
    assert len({node.name for node in day.nodes}) == len(day.nodes)


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 999))
def test_replays_and_hindsight_serve_no_more_than_there_is(seed: int) -> None:
    day = _random_day(seed)
    for params in (None, RankingParams()):
        (served,) = replay([day], params, seed)
        assert _fits(day, served)
    assert _fits(day, solve_day(day, deadline_s=0.05, seed=seed))


def test_hindsight_keeps_the_whole_node_for_who_comes_last() -> None:
    # in order: two pods of one GPU, then one of two; a greedy that spreads leaves no pair
    day = Day("", (_node(0, 2), _node(1, 2)), (_pod(0, 1), _pod(1, 1), _pod(2, 2)))
    (spread,) = replay([day], None, 1)
    assert day.gpus(spread) == 2
    assert day.gpus(solve_day(day, deadline_s=0.1, seed=1)) == 4


def test_hindsight_serves_pods_without_gpus_before_all_others() -> None:
    hungry = replace(_pod(0, 0), requests={CPU: 16_000, MEMORY: 1})
    day = Day("", (_node(0, 2),), (hungry, _pod(1, 2)))
    assert solve_day(day, deadline_s=0.1, seed=1) == {"pod-0"}


def test_hindsight_respects_models() -> None:
    day = Day("", (_node(0, 2, "B"),), (_pod(0, 2, ["A"]), _pod(1, 1, ["A", "B"])))
    assert solve_day(day, deadline_s=0.1, seed=1) == {"pod-1"}


def test_only_the_tuned_weights_change_and_ten_is_the_built_in_share() -> None:
    base = RankingParams()
    changed = with_shares(base, (20, 0, 10)).weights
    assert changed["fragmentation"] == 2 * base.weights["fragmentation"]
    assert changed["heterogeneity"] == 0
    assert all(changed[name] == base.weights[name] for name in base.weights if name not in TUNED)
    assert with_shares(base, (10, 10, 10)).weights == base.weights


@pytest.fixture(scope="module")
def week() -> list[Day]:
    return [_random_day(seed, pods=20) for seed in range(5)]


@pytest.fixture(scope="module")
def heard() -> list[str]:
    return []


@pytest.fixture(scope="module")
def tuning(week: list[Day], heard: list[str]) -> Tuning:
    return tune(week, RankingParams(), held_out=1, seed=3, solve=_nobody, told=heard.append)


def test_fitted_weights_are_the_best_that_were_tried(tuning: Tuning, heard: list[str]) -> None:
    learned = slice(0, 4)
    assert tuning.gpus[FITTED][learned].sum() >= tuning.gpus[BUILT][learned].sum()
    assert tuning.tried[tuning.shares] == tuning.gpus[FITTED][learned].sum()
    assert tuning.tried[tuning.shares] == max(tuning.tried.values())
    assert heard[-1] == "day 4 in hindsight"
    assert len(heard) <= steps(5)


def test_held_out_days_do_not_change_the_weights(week: list[Day], tuning: Tuning) -> None:
    other = [*week[:4], _random_day(77, pods=20)]
    again = tune(other, RankingParams(), held_out=1, seed=3, solve=_nobody)
    assert again.tried == tuning.tried
    assert again.shares == tuning.shares


def test_hindsight_is_at_least_what_any_replay_served(tuning: Tuning) -> None:
    for arm in (STOCK, BUILT, FITTED):
        assert (tuning.gpus[HINDSIGHT] >= tuning.gpus[arm]).all()


def test_the_gap_is_counted_from_heuristic_to_hindsight(tuning: Tuning) -> None:
    rows = {STOCK: [0, 0, 0, 50, 50], BUILT: [0, 0, 0, 90, 90], FITTED: [9, 9, 9, 70, 70]}
    gpus = {arm: np.array(values) for arm, values in rows.items()}
    hindsight = np.array([9, 9, 9, 90, 90])
    tuning = replace(tuning, held_out=2, gpus={**gpus, HINDSIGHT: hindsight})
    assert tuning.closed_ratio(STOCK) == pytest.approx(0.5)  # (140 - 100) / (180 - 100)
    assert np.isnan(tuning.closed_ratio(BUILT))
    assert tuning.interval(STOCK, np.random.default_rng(1)) == pytest.approx((0.5, 0.5))


@pytest.mark.parametrize(("days", "held_out"), [(3, 1), (5, 0), (5, 3)])
def test_too_few_days_to_learn_from_are_refused(week: list[Day], days: int, held_out: int) -> None:
    with pytest.raises(BadInputError, match="held"):
        tune(week[:days], RankingParams(), held_out=held_out, seed=1)


def _nobody(_day: Day) -> frozenset[str]:
    return frozenset()
