"""Branch and bound against trying every subset."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from moorage_policies.preemption.search import (
    LOWEST_PRIORITY,
    Harm,
    Limits,
    Movable,
    VictimSearch,
)

# few distinct values: many pods of one kind, many ties
SHAPES = st.tuples(
    st.sampled_from([None, -(2**31), 0, 0, 5]),
    st.tuples(st.integers(0, 3), st.integers(0, 2)),
    st.sets(st.integers(0, 1), max_size=2).map(lambda s: tuple(sorted(s))),
    st.sampled_from([0.0, 1.0, 7.0]),
)


Shape = tuple[int | None, tuple[int, ...], tuple[int, ...], float]


def movables_of(shapes: Sequence[Shape]) -> list[Movable]:
    kinds: dict[object, int] = {}
    return [
        Movable(
            index,
            priority,
            frees,
            budgets if priority is not None else (),
            cost if priority is not None else 0.0,
            kinds.setdefault((priority, frees, budgets), len(kinds)),
        )
        for index, (priority, frees, budgets, cost) in enumerate(shapes)
    ]


def harm_of(chosen: Sequence[Movable], allowed: Sequence[int]) -> Harm:
    real = [m for m in chosen if m.priority is not None]
    used = [sum(b in m.budgets for m in real) for b in range(len(allowed))]
    if not real:
        return Harm()
    priorities = [m.priority for m in real if m.priority is not None]
    return Harm(
        sum(max(0, u - a) for u, a in zip(used, allowed, strict=True)),
        max(priorities),
        sum(p - LOWEST_PRIORITY for p in priorities),
        len(real),
        sum(m.cost for m in real),
    )


def brute_force(
    movables: Sequence[Movable],
    need: tuple[int, ...],
    limits: Limits,
    refused: frozenset[int],
) -> Harm | None:
    harms = []
    for size in range(min(limits.max_victims, len(movables)) + 1):
        for chosen in combinations(movables, size):
            freed = [sum(m.frees[r] for m in chosen) for r in range(len(need))]
            harm = harm_of(chosen, limits.allowed)
            enough = all(f >= n for f, n in zip(freed, need, strict=True))
            kinds = frozenset(m.kind for m in chosen)
            if enough and not (limits.strict and harm.budget_violations) and kinds != refused:
                harms.append(harm)
    return min(harms, default=None)


@settings(max_examples=1500, deadline=None)
@given(
    shapes=st.lists(SHAPES, max_size=7),
    need=st.tuples(st.integers(0, 6), st.integers(0, 3)),
    allowed=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    strict=st.booleans(),
    max_victims=st.integers(1, 7),
    refused=st.frozensets(st.integers(0, 3), max_size=2),
)
def test_finds_the_least_harm(
    shapes: list[Shape],
    need: tuple[int, int],
    allowed: tuple[int, int],
    strict: bool,
    max_victims: int,
    refused: frozenset[int],
) -> None:
    movables = movables_of(shapes)
    limits = Limits(allowed, strict, max_victims, steps=10**6)

    def accepts(chosen: Sequence[int]) -> bool:
        return frozenset(movables[i].kind for i in chosen) != refused

    found = VictimSearch(movables, need, limits, accepts, below=None).run()
    expected = brute_force(movables, need, limits, refused)
    if found is None:
        assert expected is None
        return
    harm, indices = found
    chosen = [movables[i] for i in indices]
    assert harm == expected == harm_of(chosen, allowed)
    assert len(chosen) <= max_victims
    assert accepts(indices)


def one_gpu_pods(count: int) -> list[Movable]:
    return [Movable(i, i % 3, (1,), (), float(i), kind=i % 3) for i in range(count)]


def test_only_sets_below_the_bound_are_of_interest() -> None:
    movables = one_gpu_pods(4)
    limits = Limits((), strict=True, max_victims=4, steps=1000)
    best = VictimSearch(movables, (2,), limits, lambda _: True, below=None).run()
    assert best is not None
    assert VictimSearch(movables, (2,), limits, lambda _: True, below=best[0]).run() is None


def test_two_hundred_pods_of_three_kinds_take_few_steps() -> None:
    limits = Limits((), strict=True, max_victims=100, steps=5_000)
    found = VictimSearch(one_gpu_pods(200), (8,), limits, lambda _: True, below=None).run()
    assert found is not None
    # 67 pods of priority 0 are the cheapest 0, 3, 6, ...: the first eight of them
    assert found[0] == Harm(0, 0, 8 * 2**31, 8, float(sum(range(0, 24, 3))))
    assert limits.steps > 0


@pytest.mark.parametrize("steps", [0, 1, 5])
def test_running_out_of_steps_gives_nothing_rather_than_too_little(steps: int) -> None:
    limits = Limits((), strict=True, max_victims=9, steps=steps)
    found = VictimSearch(one_gpu_pods(9), (6,), limits, lambda _: True, below=None).run()
    assert found is None
