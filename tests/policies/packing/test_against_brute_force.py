"""Every verdict on tiny instances, with every kind of tie, against all placements there are."""

from __future__ import annotations

import itertools
import os

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moorage_policies.packing.bounds import stage_bounds
from moorage_policies.packing.check import find_violations, is_not_below
from moorage_policies.packing.instance import (
    Attraction,
    Budget,
    Conflict,
    Gang,
    Instance,
    Limit,
    Spread,
)
from moorage_policies.packing.objective import full_score, placed_score, placed_vector
from moorage_policies.packing.patterns import group, pattern_bound
from moorage_policies.packing.solve import Params, solve
from moorage_policies.types import IntArray

EXAMPLES = int(os.environ.get("MOORAGE_PACKING_EXAMPLES", "150"))
TINY = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


def best_by_brute_force(instance: Instance) -> IntArray:
    """Return the allowed placement with the best score among all that exist."""
    nodes, pods = len(instance.nodes), len(instance.pods)
    every = np.array(list(itertools.product(range(-1, nodes), repeat=pods)), dtype=np.int64)
    fits = np.ones(len(every), dtype=np.bool_)
    for node in range(nodes):
        load = (every == node) @ instance.requests
        fits &= (load <= instance.capacity[node]).all(axis=1)
    feasible = every[fits]
    ranked = sorted(feasible, key=lambda row: full_score(instance, row), reverse=True)
    return next(row for row in ranked if not find_violations(instance, row))


@st.composite
def instances(draw: st.DrawFn, *, ties: bool = True) -> Instance:
    nodes = draw(st.integers(1, 3))
    pods = draw(st.integers(1, 5 if nodes < 3 else 4))
    size = st.integers(0, 4)
    capacity = np.array([[draw(st.integers(2, 7)) for _ in range(2)] for _ in range(nodes)])
    requests = np.array([[draw(size), draw(size)] for _ in range(pods)])
    current = np.full(pods, -1)
    free = capacity.copy()
    for pod in range(pods):
        node = draw(st.integers(-1, nodes - 1))
        if node >= 0 and (free[node] >= requests[pod]).all():
            current[pod] = node
            free[node] -= requests[pod]
    rows = np.arange(pods)

    def subset(least: int = 1) -> IntArray:
        return np.array(sorted(draw(st.sets(st.sampled_from(rows.tolist()), min_size=least))))

    def domain(missing: int = -1) -> IntArray:
        return np.array([draw(st.integers(missing, 1)) for _ in range(nodes)])

    flags = st.lists(st.sampled_from([True, True, True, False]), min_size=pods, max_size=pods)
    kinds = draw(st.integers(1, 2))
    eligible = np.array([[draw(st.integers(0, 3)) > 0 for _ in range(nodes)] for _ in range(kinds)])
    kind = st.sampled_from(["gang", "limit", "conflict", "spread", "attraction", "budget"])
    chosen = draw(st.sets(kind, max_size=2)) if ties else set()
    return Instance(
        resources=("cpu", "memory"),
        nodes=tuple(f"n{row}" for row in range(nodes)),
        capacity=capacity,
        pods=tuple(f"p{row}" for row in range(pods)),
        requests=requests,
        priority=np.array([draw(st.sampled_from([0, 10, 100])) for _ in range(pods)]),
        current=current,
        movable=np.array(draw(flags)),
        evictable=np.array(draw(flags)),
        move_cost=np.array([draw(st.integers(1, 3)) for _ in range(pods)]),
        evict_cost=np.array([draw(st.integers(1, 4)) for _ in range(pods)]),
        kind=np.array([draw(st.integers(0, kinds - 1)) for _ in range(pods)]),
        eligible=eligible,
        gangs=(Gang("g", subset(), draw(st.sampled_from([None, domain()]))),)
        if "gang" in chosen
        else (),
        limits=(Limit("l", subset(), domain(), np.array([1, draw(st.integers(0, 2))])),)
        if "limit" in chosen
        else (),
        conflicts=_conflicts(subset(), domain(), pods) if "conflict" in chosen else (),
        spreads=(
            Spread(
                "s",
                subset(),
                subset(),
                domain(),
                np.array([draw(st.integers(0, 2)) for _ in range(2)]),
                draw(st.integers(1, 2)),
                draw(st.integers(1, 3)),
            ),
        )
        if "spread" in chosen
        else (),
        attractions=(
            Attraction(
                "a",
                subset(),
                subset(),
                domain(),
                np.array([draw(st.booleans()), False]),
                draw(st.booleans()),
            ),
        )
        if "attraction" in chosen
        else (),
        budgets=(Budget("b", subset(), draw(st.integers(0, 2))),) if "budget" in chosen else (),
        same_tier_eviction=draw(st.booleans()),
    )


def _conflicts(left: IntArray, domain: IntArray, pods: int) -> tuple[Conflict, ...]:
    right = np.setdiff1d(np.arange(pods), left)
    return (Conflict("c", left, right, domain),) if len(right) else ()


def is_sound_today(instance: Instance) -> bool:
    return not find_violations(instance, instance.current)


@TINY
@given(instances().filter(is_sound_today))
def test_the_proven_best_is_the_best_there_is(instance: Instance) -> None:
    best = best_by_brute_force(instance)
    solution = solve(instance, Params(deadline_s=0.2, seed=3))

    assert find_violations(instance, solution.placement) == ()
    assert is_not_below(instance, solution.placement)
    reached, ideal = full_score(instance, solution.placement), full_score(instance, best)
    assert reached <= ideal
    if solution.certificate.is_proven:
        assert placed_score(instance, solution.placement) == placed_score(instance, best)
    if solution.certificate.cost_proven:
        assert reached == ideal
    for tier, most in zip(solution.certificate.tiers, placed_vector(instance, best), strict=True):
        assert tier.bound >= most
        if most != tier.placed:
            break


@TINY
@given(instances().filter(is_sound_today))
def test_tiny_instances_are_always_proven(instance: Instance) -> None:
    solution = solve(instance, Params(deadline_s=2.0, seed=5, polish=False))
    assert solution.certificate.is_proven
    unchanged = solution.vector == solution.today
    assert (solution.certificate.verdict == "Unchanged") == unchanged


@TINY
@given(instances(ties=False).filter(is_sound_today))
def test_no_bound_is_below_the_best_there_is(instance: Instance) -> None:
    best = best_by_brute_force(instance)
    counts = placed_score(instance, best)
    groups = group(instance)
    assert groups is not None
    for stage, bound in enumerate(stage_bounds(instance, counts)):
        tight = pattern_bound(groups, best, counts, stage, go_on=lambda: True).bound
        assert counts[stage] <= tight
        assert counts[stage] <= bound
