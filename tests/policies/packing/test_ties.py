"""Each kind of constraint in a case that it allows and one that it forbids."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from moorage_policies.errors import BadInputError
from moorage_policies.packing.check import find_violations
from moorage_policies.packing.instance import (
    Attraction,
    Budget,
    Conflict,
    Gang,
    Instance,
    Limit,
    Spread,
    make_instance,
)
from moorage_policies.packing.solve import Params, Solution, solve

EFFORT = Params(deadline_s=1.0)


def small(
    *,
    free: list[int],
    requests: list[int],
    current: list[int] | None = None,
    priority: list[int] | None = None,
    same_tier_eviction: bool = False,
) -> Instance:
    """Return an instance with one resource; everything waits unless ``current`` is given."""
    pods = len(requests)
    return make_instance(
        capacity=np.array(free).reshape(-1, 1),
        requests=np.array(requests).reshape(-1, 1),
        priority=np.array(priority or [0] * pods),
        current=np.array(current or [-1] * pods),
        resources=("gpu",),
        same_tier_eviction=same_tier_eviction,
    )


def answer(instance: Instance) -> Solution:
    solution = solve(instance, EFFORT)
    assert find_violations(instance, solution.placement) == ()
    assert solution.certificate.is_proven
    return solution


ROWS = np.arange
TWO_NODES = ROWS(2)  # each node its own domain


@pytest.mark.parametrize(
    ("instance", "placed"),
    [
        # 8 GPUs hold 4 + 4, not 4 + 4 + 1
        pytest.param(small(free=[8], requests=[4, 4, 1]), 2, id="room"),
        pytest.param(
            replace(small(free=[8, 8], requests=[8, 8]), eligible=np.array([[True, False]])),
            1,
            id="only-one-node-accepts",
        ),
        # 3 of 4 members fit: the gang stays out, the single pod comes in
        pytest.param(
            replace(small(free=[6], requests=[2, 2, 2, 2, 1]), gangs=(Gang("g", ROWS(4)),)),
            1,
            id="gang-all-or-nothing",
        ),
        pytest.param(
            replace(small(free=[8], requests=[2, 2, 2, 2]), gangs=(Gang("g", ROWS(4)),)),
            4,
            id="gang-fits",
        ),
        # two pods of 4 fit over two racks, but the gang wants one rack
        pytest.param(
            replace(small(free=[4, 4], requests=[4, 4]), gangs=(Gang("g", ROWS(2), TWO_NODES),)),
            0,
            id="gang-in-one-domain-has-no-room",
        ),
        pytest.param(
            replace(
                small(free=[4, 4], requests=[4, 4]), gangs=(Gang("g", ROWS(2), np.zeros(2, int)),)
            ),
            2,
            id="gang-in-one-domain-over-two-nodes",
        ),
        pytest.param(
            replace(
                small(free=[8, 8], requests=[1, 1, 1]),
                limits=(Limit("l", ROWS(3), TWO_NODES, np.array([1, 1])),),
            ),
            2,
            id="anti-affinity-one-per-node",
        ),
        pytest.param(
            replace(
                small(free=[8], requests=[1, 1]),
                conflicts=(Conflict("c", ROWS(1), ROWS(1, 2), np.zeros(1, int)),),
            ),
            1,
            id="repelled-pod-waits",
        ),
        pytest.param(
            replace(
                small(free=[8, 0], requests=[1, 1, 1]),
                spreads=(Spread("s", ROWS(3), ROWS(3), TWO_NODES, np.zeros(2, int), 2),),
            ),
            2,  # the second node takes none: skew 2 allows two on the first
            id="spread-holds-back",
        ),
        pytest.param(
            replace(
                small(free=[8, 8], requests=[1, 1, 1]),
                spreads=(Spread("s", ROWS(3), ROWS(3), TWO_NODES, np.zeros(2, int), 1),),
            ),
            3,
            id="spread-is-kept-by-placing-both-sides",
        ),
        pytest.param(
            replace(
                small(free=[8, 8], requests=[1]),
                attractions=(
                    Attraction("a", ROWS(1), ROWS(0), TWO_NODES, np.array([False, False])),
                ),
            ),
            0,
            id="affinity-without-company",
        ),
        pytest.param(
            replace(
                small(free=[8, 8], requests=[1, 1]),
                attractions=(Attraction("a", ROWS(1), ROWS(1, 2), TWO_NODES, np.zeros(2, bool)),),
            ),
            2,
            id="affinity-drawn-by-a-pod-that-comes-too",
        ),
        pytest.param(
            replace(
                small(free=[8, 8], requests=[1, 1]),
                attractions=(
                    Attraction(
                        "a", ROWS(2), ROWS(2), TWO_NODES, np.zeros(2, bool), self_match=True
                    ),
                ),
            ),
            2,
            id="affinity-to-oneself-opens-a-domain",
        ),
    ],
)
def test_what_each_constraint_lets_in(instance: Instance, placed: int) -> None:
    assert sum(answer(instance).vector) == placed


# 4 GPUs are free over two nodes; moving one of the 2-GPU pods makes a hole of 4.
SCATTERED = small(free=[4, 4], requests=[2, 2, 4], current=[0, 1, -1])


def test_scattered_room_is_joined_by_one_move() -> None:
    solution = answer(SCATTERED)
    assert solution.vector == (3,)
    assert solution.certificate.verdict == "Optimal"
    assert solution.certificate.cost == (2,)


@pytest.mark.parametrize(
    ("change", "placed"),
    [
        pytest.param({"movable": np.array([False, False, True])}, 2, id="pinned"),
        pytest.param({"movable": np.array([True, False, True])}, 3, id="one-may-move"),
        pytest.param({"budgets": (Budget("b", ROWS(2), 0),)}, 2, id="budget-closed"),
        pytest.param({"budgets": (Budget("b", ROWS(2), 1),)}, 3, id="budget-of-one"),
    ],
)
def test_who_may_be_moved(change: dict[str, object], placed: int) -> None:
    assert sum(answer(replace(SCATTERED, **change)).vector) == placed  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("priorities", "same_tier", "vector"),
    [
        # one pod of 4 runs, two of 2 wait: only a strictly higher priority may take its place
        pytest.param([5, 5, 5], False, (1,), id="equals-are-not-evicted"),
        pytest.param([5, 5, 5], True, (2,), id="equals-are-evicted-where-allowed"),
        pytest.param([5, 9, 9], False, (2, 0), id="higher-priority-evicts"),
        pytest.param([9, 5, 5], True, (1, 0), id="lower-priority-never-evicts"),
    ],
)
def test_who_may_be_evicted(
    priorities: list[int], same_tier: bool, vector: tuple[int, ...]
) -> None:
    instance = small(
        free=[4],
        requests=[4, 2, 2],
        current=[0, -1, -1],
        priority=priorities,
        same_tier_eviction=same_tier,
    )
    assert answer(instance).vector == vector


def test_a_protected_pod_is_not_evicted() -> None:
    instance = small(free=[4], requests=[4, 4], current=[0, -1], priority=[1, 9])
    kept = replace(instance, evictable=np.array([False, True]))
    assert answer(instance).vector == (1, 0)
    solution = answer(kept)
    assert solution.vector == (0, 1)
    assert solution.certificate.verdict == "Unchanged"


def test_today_must_fit() -> None:
    with pytest.raises(BadInputError, match="capacity: node node-00000 holds more"):
        small(free=[4], requests=[3, 3], current=[0, 0])


def test_today_must_keep_its_ties() -> None:
    instance = replace(
        small(free=[4], requests=[1, 1, 1], current=[0, 0, -1]),
        limits=(Limit("l", ROWS(2), np.zeros(1, int), np.array([1])),),
    )
    with pytest.raises(BadInputError, match="current: today's placement breaks a rule"):
        solve(instance, EFFORT)
