"""Time pays: no deadline gives less than a shorter one, and what is known stays on the menu."""

from __future__ import annotations

import numpy as np
import pytest

from moorage_benchmarks.rescheduling_cases import generate
from moorage_policies.rescheduling.bounds import bound_worth, relax
from moorage_policies.rescheduling.check import find_violations
from moorage_policies.rescheduling.exact import Limits, choose_patterns
from moorage_policies.rescheduling.greedy import improve_greedily
from moorage_policies.rescheduling.instance import Instance
from moorage_policies.rescheduling.objective import net_worth_of
from moorage_policies.rescheduling.patterns import rate_changes
from moorage_policies.rescheduling.realise import flow_of, realise
from moorage_policies.rescheduling.solve import Params, Solution, solve, warm_up
from moorage_policies.types import IntArray

DEADLINES_S = (0.2, 0.4, 0.8)


@pytest.fixture(scope="module", autouse=True)
def _warm_kernels() -> None:
    warm_up()


def places_of_greedy(instance: Instance) -> IntArray:
    places = instance.home.copy()
    for item, target in improve_greedily(instance):
        places[item] = target
    return places


def test_more_time_never_gives_less() -> None:
    for seed in range(2):
        instance = generate(seed, hosts=40, max_moves=20)
        found: list[Solution] = [
            solve(instance, Params(deadline_s=deadline_s, seed=seed)) for deadline_s in DEADLINES_S
        ]
        worths = [solution.worth for solution in found]

        assert worths == sorted(worths), (seed, worths)
        assert all(solution.worth <= solution.bound + 1e-6 for solution in found)
        for solution in found:
            moves = [(move.item, move.target) for move in solution.moves]
            assert find_violations(instance, moves) == ()


def test_ours_is_better_than_the_best_single_moves() -> None:
    for seed in range(2):
        instance = generate(seed + 10, hosts=40, max_moves=20)
        solution = solve(instance, Params(deadline_s=0.5, seed=seed))
        assert solution.worth > net_worth_of(instance, places_of_greedy(instance))


@pytest.mark.parametrize("most", [1, 40])
def test_choosing_from_any_menu_keeps_the_known_answer(most: int) -> None:
    for seed in range(3):
        instance = generate(seed, hosts=24, max_moves=12)
        known = places_of_greedy(instance)
        relaxed = relax(instance)
        assert relaxed is not None
        ratings = rate_changes(
            relaxed, instance.first_cell, instance.cell_host, bound_worth(instance, rounds=30)
        )
        assert ratings is not None
        menu = ratings.cut(most, 0.0, flow_of(instance, relaxed, known))
        hosts = len(instance.hosts)
        pick = choose_patterns(relaxed, menu, 12, hosts, Limits(None, 1.0, 1, seed))

        assert pick is not None
        chosen = realise(instance, relaxed, pick.flow)
        assert net_worth_of(instance, chosen) >= net_worth_of(instance, known)
        assert int((chosen != instance.home).sum()) <= 12


def test_a_flow_is_what_places_move() -> None:
    instance = generate(4, hosts=24, max_moves=12)
    relaxed = relax(instance)
    assert relaxed is not None
    places = places_of_greedy(instance)
    flow = flow_of(instance, relaxed, places)
    amount = relaxed.kinds.amount
    changed = instance.free(places) - instance.free(instance.home)
    wide = (flow.wide @ amount)[instance.cell_host]

    assert (places != instance.home).any()
    assert not flow.narrow.sum(axis=0).any()
    assert not flow.wide.sum(axis=0).any()
    units = flow.narrow @ amount + wide
    assert np.array_equal(units * relaxed.unit, changed[:, relaxed.column])
    again = flow_of(instance, relaxed, realise(instance, relaxed, flow))
    assert np.array_equal(again.narrow, flow.narrow)
