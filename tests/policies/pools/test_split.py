from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage_policies.pools.split import ClassOption, split_replicas


def best(**fields: int | bool) -> ClassOption:
    return ClassOption("best", **fields)  # type: ignore[arg-type]


def next_(**fields: int | bool) -> ClassOption:
    return ClassOption("next", **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wanted", "options", "expected"),
    [
        pytest.param(3, [best(free_replicas=8), next_(free_replicas=8)], [3, 0], id="best-first"),
        pytest.param(3, [best(free_replicas=2), next_(free_replicas=8)], [2, 1], id="then-next"),
        pytest.param(5, [best(free_replicas=2), next_(free_replicas=1)], [4, 1], id="rest-waits"),
        pytest.param(
            3,
            [best(free_replicas=8), next_(assigned=3, bound=3)],
            [0, 3],
            id="a-running-replica-is-not-moved-to-a-better-class",
        ),
        pytest.param(
            2,
            [best(assigned=2, bound=2), next_(assigned=2, bound=2)],
            [2, 0],
            id="shrinking-leaves-the-worse-class-first",
        ),
        pytest.param(
            2,
            [best(assigned=2, bound=1), next_(assigned=1, bound=1)],
            [1, 1],
            id="shrinking-takes-the-waiting-before-the-running",
        ),
        pytest.param(
            3,
            [best(assigned=3, bound=1, stuck=2), next_(free_replicas=1)],
            [2, 1],
            id="refused-replicas-spill-into-room",
        ),
        pytest.param(
            2,
            [best(assigned=2, stuck=2), next_(stuck=1, assigned=0, free_replicas=9)],
            [2, 0],
            id="no-spill-into-a-class-that-refuses-too",
        ),
        pytest.param(
            2,
            [best(has_nodes=False), next_(free_replicas=0)],
            [0, 2],
            id="waits-where-nodes-are",
        ),
        pytest.param(2, [best(has_nodes=False)], [2], id="waits-for-the-first-node"),
    ],
)
def test_split(wanted: int, options: list[ClassOption], expected: list[int]) -> None:
    split = split_replicas(wanted, options).value
    assert list(split.counts.values()) == expected
    assert split.unplaceable == 0


def test_without_a_class_nothing_is_asked() -> None:
    decision = split_replicas(2, [])
    assert decision.value.counts == {}
    assert decision.value.unplaceable == 2
    assert "no class to go to" in decision.reason


@st.composite
def option_lists(draw: st.DrawFn) -> list[ClassOption]:
    def one(name: str) -> ClassOption:
        assigned = draw(st.integers(0, 6))
        bound = draw(st.integers(0, 7))
        return ClassOption(
            name,
            assigned=assigned,
            bound=bound,
            stuck=draw(st.integers(0, max(0, assigned - bound))),
            free_replicas=draw(st.integers(0, 6)),
            has_nodes=draw(st.booleans()),
        )

    return [one(f"c{i}") for i in range(draw(st.integers(1, 4)))]


@given(st.integers(0, 12), option_lists())
def test_nothing_is_lost_and_no_running_replica_moves(
    wanted: int, options: list[ClassOption]
) -> None:
    split = split_replicas(wanted, options).value
    kept = sum(option.kept for option in options)
    assert sum(split.counts.values()) + split.unplaceable == wanted
    assert all(count >= 0 for count in split.counts.values())
    if wanted >= kept:
        assert all(split.counts[o.name] >= o.kept for o in options)
    else:
        assert all(split.counts[o.name] <= o.kept for o in options)


@given(st.integers(0, 12), option_lists())
def test_a_split_is_a_fixed_point(wanted: int, options: list[ClassOption]) -> None:
    first = split_replicas(wanted, options).value
    # the workloads now ask for the split; nobody was bound and nobody refused in between
    settled = [replace(o, assigned=first.counts[o.name], stuck=0) for o in options]
    again = split_replicas(wanted, settled).value
    assert again == first
