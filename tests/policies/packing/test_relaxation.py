"""Why a pod cannot be placed: every relaxation is enough, and nothing in it can be left out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moorage_policies.packing.instance import Budget, Conflict, Gang, Instance, make_instance
from moorage_policies.packing.relaxation import Explanation, Kind, explain
from moorage_policies.packing.solve import Params, solve

EFFORT = Params(deadline_s=0.5)


def gpus(
    free: list[int], requests: list[int], current: list[int], priority: list[int] | None = None
) -> Instance:
    return make_instance(
        capacity=np.array(free).reshape(-1, 1),
        requests=np.array(requests).reshape(-1, 1),
        priority=np.array(priority or [0] * len(requests)),
        current=np.array(current),
        resources=("nvidia.com/gpu",),
    )


def kinds(explanation: Explanation) -> list[tuple[Kind, ...]]:
    return [tuple(one.kind for one in chosen) for chosen in explanation.relaxations]


FULL = gpus([4], [4, 2], [0, -1])
SCATTERED = gpus([4, 4], [2, 2, 4], [0, 1, -1])
PINNED = replace(SCATTERED, movable=np.array([False, False, True]))
CLOSED = replace(SCATTERED, budgets=(Budget("web", np.arange(2), 0),))
RACKS = replace(gpus([4, 4], [4, 4], [-1, -1]), gangs=(Gang("g", np.arange(2), np.arange(2)),))
TAINTED = replace(gpus([4, 4], [4, 4], [0, -1]), eligible=np.array([[True, False]]))
REPELLED = replace(
    gpus([4], [1, 1], [0, -1]),
    movable=np.array([False, True]),
    evictable=np.array([False, True]),
    conflicts=(Conflict("host", np.array([1]), np.array([0]), np.zeros(1, int)),),
)
PROTECTED = replace(
    gpus([4], [4, 4], [0, -1], [1, 9]),
    evictable=np.array([False, True]),
    movable=np.array([False, True]),
)


@pytest.mark.parametrize(
    ("instance", "wanted", "expected"),
    [
        pytest.param(FULL, [1], [("AddNode",)], id="full"),
        pytest.param(PINNED, [2], [("AddNode",)], id="pinned-equals"),
        pytest.param(CLOSED, [2], [("RaiseBudget",), ("AddNode",)], id="closed-budget"),
        pytest.param(RACKS, [0], [("LiftTie",)], id="no-rack-has-room"),
        pytest.param(TAINTED, [1], [("LiftNodeRules",), ("AddNode",)], id="tainted"),
        pytest.param(REPELLED, [1], [("LiftTie",), ("AddNode",)], id="repelled"),
        pytest.param(PROTECTED, [1], [("ReleaseProtected",), ("AddNode",)], id="protected"),
    ],
)
def test_single_relaxations(
    instance: Instance, wanted: list[int], expected: list[tuple[Kind, ...]]
) -> None:
    explanation = explain(instance, np.array(wanted), EFFORT)
    assert explanation.verdict == "Infeasible"
    found = kinds(explanation)
    assert found[: len(expected)] == expected or set(expected) <= set(found)


def test_a_pod_that_a_move_makes_room_for_is_placeable() -> None:
    assert explain(SCATTERED, np.array([2]), EFFORT) == Explanation("Placeable", ())


def test_two_pods_that_fit_alone_but_not_together() -> None:
    instance = gpus([4], [3, 3], [-1, -1])
    assert explain(instance, np.array([0]), EFFORT).verdict == "Placeable"
    together = explain(instance, np.array([0, 1]), EFFORT)
    assert together.verdict == "Infeasible"
    assert kinds(together) == [("AddNode",)]
    assert together.relaxations[0][0].text == "add one node with 6 nvidia.com/gpu free"


def test_pairs_are_offered_where_no_single_helps() -> None:
    # The only node that would do is closed to the pod, and repels it by a second rule.
    instance = replace(
        gpus([4, 1], [1, 4], [0, -1]),
        movable=np.array([False, True]),
        evictable=np.array([False, True]),
        eligible=np.array([[False, False]]),
    )
    explanation = explain(instance, np.array([1]), EFFORT)
    assert explanation.verdict == "Infeasible"
    assert kinds(explanation) == [("LiftNodeRules", "AddNode")]


@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
@given(st.integers(0, 10_000))
def test_every_relaxation_is_enough_and_minimal(seed: int) -> None:
    instance = random_instance(seed)
    waiting = np.flatnonzero(instance.current < 0)[:1]
    explanation = explain(instance, waiting, EFFORT)
    alone = only(instance, int(waiting[0]))
    row = np.array([len(alone.pods) - 1])
    for chosen in explanation.relaxations:
        for left_out in range(-1, len(chosen)):
            changed = alone
            for index, relaxation in enumerate(chosen):
                if index != left_out:
                    changed = relaxation.apply(changed)
            placed = bool((solve(changed, EFFORT).placement[row] >= 0).all())
            assert placed == (left_out == -1)


def random_instance(seed: int) -> Instance:
    """Return a crowded instance with pinned pods, a closed budget and node rules; one pod waits."""
    noise = np.random.default_rng(seed)
    requests = noise.integers(1, 5, size=6)
    current, free = np.full(6, -1), noise.integers(3, 7, size=3)
    capacity = free.copy()
    for pod in range(5):
        node = int(noise.integers(0, 3))
        if free[node] >= requests[pod]:
            current[pod] = node
            free[node] -= requests[pod]
    keep = np.flatnonzero((current >= 0) | (np.arange(6) == 5))
    pods = len(keep)
    built = gpus(
        capacity.tolist(),
        requests[keep].tolist(),
        current[keep].tolist(),
        noise.integers(0, 2, size=pods).tolist(),
    )
    movable = noise.random(pods) < 0.5
    movable[-1] = True
    return replace(
        built,
        movable=movable,
        evictable=movable,
        eligible=noise.random((1, 3)) < 0.6,
        budgets=(Budget("b", np.arange(pods - 1), int(noise.integers(0, 2))),),
    )


def only(instance: Instance, wanted: int) -> Instance:
    assert wanted == len(instance.pods) - 1
    assert (instance.current[:-1] >= 0).all()
    return instance
