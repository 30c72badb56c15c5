"""The anytime solver: same input same answer, never worse, ends in time, streams what is sound."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from moorage_policies.packing.check import find_violations, is_not_below
from moorage_policies.packing.instance import Instance, make_instance
from moorage_policies.packing.objective import full_score
from moorage_policies.packing.search import Answer
from moorage_policies.packing.solve import Params, solve
from moorage_policies.types import IntArray


def crowded(seed: int, *, nodes: int = 12, pods: int = 90, usage: float = 1.0) -> Instance:
    """Return a uniform instance with four priorities, placed by first fit in random order."""
    noise = np.random.default_rng(seed)
    requests = noise.integers(100, 1001, size=(pods, 2))
    capacity = np.tile(np.ceil(requests.sum(axis=0) / usage / nodes), (nodes, 1)).astype(np.int64)
    free, current = capacity.copy(), np.full(pods, -1)
    for pod in noise.permutation(pods):
        fits = np.flatnonzero((free >= requests[pod]).all(axis=1))
        if len(fits):
            current[pod] = fits[0]
            free[fits[0]] -= requests[pod]
    priority = noise.integers(1, 5, size=pods)
    return make_instance(capacity=capacity, requests=requests, priority=priority, current=current)


class TickingClock:
    """A clock that moves on by a fixed step whenever it is read."""

    def __init__(self, step_s: float) -> None:
        self.now_s, self._step_s = 0.0, step_s

    def __call__(self) -> float:
        self.now_s += self._step_s
        return self.now_s


@pytest.mark.parametrize("seed", [1, 2])
def test_same_input_same_answer(seed: int) -> None:
    instance = crowded(seed)
    first, second = (solve(instance, Params(deadline_s=0.4, seed=seed)) for _ in range(2))
    np.testing.assert_array_equal(first.placement, second.placement)
    assert first.certificate == second.certificate


@pytest.mark.parametrize("seed", range(6))
def test_a_crowded_cluster_is_improved_and_sound(seed: int) -> None:
    instance = crowded(seed)
    solution = solve(instance, Params(deadline_s=0.3, seed=seed))
    assert find_violations(instance, solution.placement) == ()
    assert is_not_below(instance, solution.placement)
    assert solution.vector > solution.today
    for tier in solution.certificate.tiers:
        assert tier.placed <= tier.bound <= tier.wanted


@pytest.mark.parametrize("deadline_s", [0.0, 0.001, 0.05])
def test_any_deadline_gives_a_sound_answer(deadline_s: float) -> None:
    instance = crowded(3)
    solution = solve(instance, Params(deadline_s=deadline_s))
    assert find_violations(instance, solution.placement) == ()
    assert full_score(instance, solution.placement) >= full_score(instance, instance.current)


def test_work_stays_within_the_deadline() -> None:
    solution = solve(crowded(4), Params(deadline_s=0.5))
    assert solution.certificate.work <= 0.5


def test_the_clock_ends_the_search() -> None:
    clock = TickingClock(step_s=0.01)
    solve(crowded(5), Params(deadline_s=1.0), clock=clock)
    assert clock.now_s < 1.1


def test_every_incumbent_is_sound_and_better_than_the_one_before() -> None:
    instance = crowded(6)
    heard: list[IntArray] = [instance.current]
    solution = solve(
        instance, Params(deadline_s=0.3), on_incumbent=lambda p: heard.append(p.copy())
    )
    scores = [full_score(instance, placement) for placement in heard]
    assert scores == sorted(set(scores))
    assert all(not find_violations(instance, placement) for placement in heard)
    np.testing.assert_array_equal(heard[-1], solution.placement)


def test_parallel_search_tasks_give_the_answer_of_tasks_in_turn() -> None:
    instance = crowded(7, nodes=150, pods=900)

    with ThreadPoolExecutor(2) as pool:

        def run_all(tasks: Sequence[Callable[[], Answer]]) -> list[Answer]:
            return list(pool.map(lambda task: task(), tasks))

        params = Params(deadline_s=0.5, workers=2, polish=False)
        together = solve(instance, params, run_all=run_all)
    in_turn = solve(instance, params)
    np.testing.assert_array_equal(together.placement, in_turn.placement)


def test_nothing_waits_nothing_changes() -> None:
    instance = make_instance(
        capacity=np.array([[4, 4]]),
        requests=np.array([[1, 1]]),
        priority=np.array([0]),
        current=np.array([0]),
    )
    solution = solve(instance, Params())
    assert solution.certificate.verdict == "Unchanged"
    assert solution.certificate.cost == (0,)


@pytest.mark.parametrize("pods", [0, 3])
def test_a_cluster_without_nodes_or_pods(pods: int) -> None:
    instance = make_instance(
        capacity=np.zeros((0, 1)),
        requests=np.ones((pods, 1)),
        priority=np.zeros(pods),
        current=np.full(pods, -1),
        resources=("gpu",),
    )
    solution = solve(instance, Params())
    assert sum(solution.vector) == 0
    assert solution.certificate.is_proven
