from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moorage_policies.errors import BadInputError
from moorage_policies.plans import Move, Way, join_stages, order_moves

GPU = "nvidia.com/gpu"


def make(index: int, source: str, target: str, kind: Any = "Move") -> Move:
    return Move(index, 0, kind, f"u{index}", "ns", f"p{index}", source=source, target=target)


def order(moves: list[Move], free: dict[str, int], **ways: Way) -> dict[int, Move]:
    requests = {move.uid: {GPU: 1} for move in moves}
    ordered = order_moves(moves, {n: {GPU: count} for n, count in free.items()}, requests, ways)
    return {move.index: move for move in ordered.value}


def test_room_is_freed_before_it_is_used() -> None:
    chain = [make(0, "", "a", "Place"), make(1, "a", "b"), make(2, "b", "c")]
    found = order(chain, {"c": 1} | ZERO)
    assert [found[index].step for index in (2, 1, 0)] == [0, 1, 2]
    assert {move.strategy for move in found.values()} == {"SurgeFirst"}


SWAP = [make(0, "a", "b"), make(1, "b", "a")]


def test_a_swap_without_room_anywhere_is_broken_by_the_cheapest_eviction() -> None:
    found = order(SWAP, ZERO, u0=Way(5.0), u1=Way(1.0))
    assert found[1].strategy == "EvictFirst"
    assert found[0].strategy == "SurgeFirst"
    assert found[1].step < found[0].step  # room is freed before it is used


def test_a_swap_goes_by_a_free_node_where_that_costs_less() -> None:
    found = order(SWAP, ZERO | {"c": 1}, u0=Way(5.0, 4.0, ("c",)), u1=Way(6.0, 3.0, ("c",)))
    assert [(found[i].source, found[i].target) for i in (1, 0, 2)] == [
        ("b", "c"),
        ("a", "b"),
        ("c", "a"),
    ]
    assert [found[i].step for i in (1, 0, 2)] == [0, 1, 2]
    assert found[2].follows == 1
    assert found[2].uid == "u1"
    assert {move.strategy for move in found.values()} == {"SurgeFirst"}


def test_an_eviction_that_costs_less_than_a_detour_is_taken() -> None:
    found = order(SWAP, ZERO | {"c": 1}, u0=Way(2.0, 4.0, ("c",)), u1=Way(6.0, 3.0, ("c",)))
    assert found.keys() == {0, 1}
    assert found[0].strategy == "EvictFirst"


def test_room_that_a_new_pod_takes_in_the_end_stages_another_before() -> None:
    moves = [*SWAP, make(2, "", "c", "Place")]
    found = order(moves, ZERO | {"c": 1}, u0=Way(5.0, 1.0, ("c",)), u1=Way(5.0, 2.0, ("c",)))
    assert [(found[i].source, found[i].target) for i in (0, 1, 3, 2)] == [
        ("a", "c"),
        ("b", "a"),
        ("c", "b"),
        ("", "c"),
    ]
    assert [found[i].step for i in (0, 1, 3, 2)] == [0, 1, 2, 3]


def test_a_swap_beside_a_free_place_needs_no_eviction() -> None:
    found = order([make(0, "a", "b"), make(1, "b", "a")], {"a": 1, "b": 0})
    assert {move.strategy for move in found.values()} == {"SurgeFirst"}
    assert found[1].step < found[0].step


def test_a_move_that_never_has_room_is_named() -> None:
    with pytest.raises(BadInputError, match=r"spec\.moves\[0\]\.to"):
        order([make(0, "", "a", "Place")], ZERO)


@st.composite
def harbours(draw: st.DrawFn) -> tuple[list[Move], dict[str, int], dict[str, Way], dict[str, int]]:
    """Return a permutation of pods of one to three GPUs over nodes, and what is free."""
    nodes = [f"n{i}" for i in range(draw(st.integers(2, 5)))]
    count = draw(st.integers(1, 10))
    size = {f"u{i}": draw(st.integers(1, 3)) for i in range(count)}
    here = [draw(st.sampled_from(nodes)) for _ in range(count)]
    there = [draw(st.sampled_from(nodes)) for _ in range(count)]
    used = {
        node: max(
            sum(size[f"u{i}"] for i in range(count) if places[i] == node)
            for places in (here, there)
        )
        for node in nodes
    }
    left = {node: sum(size[f"u{i}"] for i in range(count) if here[i] == node) for node in nodes}
    free = {node: used[node] - left[node] for node in nodes}
    free |= {f"spare{i}": draw(st.integers(0, 3)) for i in range(2)}
    ways = {
        uid: Way(
            draw(st.integers(0, 4)) / 1,
            draw(st.integers(1, 4)) / 1,
            tuple(draw(st.lists(st.sampled_from(sorted(free)), max_size=3, unique=True))),
        )
        for uid in size
    }
    moves = [make(i, here[i], there[i]) for i in range(count) if here[i] != there[i]]
    return moves, free, ways, size


@given(harbours())
@settings(max_examples=300, deadline=None)
def test_any_rearrangement_becomes_steps_of_which_each_has_its_room(
    harbour: tuple[list[Move], dict[str, int], dict[str, Way], dict[str, int]],
) -> None:
    moves, free, ways, size = harbour
    requests = {uid: {GPU: gpus} for uid, gpus in size.items()}
    ordered = order_moves(moves, {n: {GPU: c} for n, c in free.items()}, requests, ways).value
    assert {(m.uid, m.target) for m in join_stages(ordered)} == {(m.uid, m.target) for m in moves}
    _replay(ordered, free, size)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_circles_cost_what_the_cheapest_pod_of_each_costs(data: st.DataObject) -> None:
    """Nodes for one pod each: a permutation falls into circles, and each is broken once."""
    count = data.draw(st.integers(2, 7))
    there = data.draw(st.permutations(range(count)))
    spare = data.draw(st.booleans())
    cost = st.integers(0, 9)
    ways = {f"u{i}": Way(data.draw(cost) / 1, data.draw(cost) / 1, ("s",)) for i in range(count)}
    moves = [make(i, f"n{i}", f"n{to}") for i, to in enumerate(there) if i != to]
    free = {f"n{i}": 0 for i in range(count)} | {"s": int(spare)}
    found = order(moves, free, **ways)
    paid = sum(ways[m.uid].evict_cost for m in found.values() if m.strategy == "EvictFirst")
    paid += sum(ways[m.uid].stage_cost for m in found.values() if m.follows is not None)
    least = 0.0
    for circle in _circles(there):
        ours = [ways[f"u{i}"] for i in circle]
        least += min(min(w.evict_cost, w.stage_cost) if spare else w.evict_cost for w in ours)
    assert paid == least


def _circles(there: Sequence[int]) -> list[list[int]]:
    left = {i for i, to in enumerate(there) if i != to}
    found = []
    while left:
        circle = [left.pop()]
        while there[circle[-1]] != circle[0]:
            circle.append(there[circle[-1]])
            left.remove(circle[-1])
        found.append(circle)
    return found


def _replay(ordered: Sequence[Move], free: dict[str, int], size: dict[str, int]) -> None:
    """Run one step after the other: a surge holds both places, an evicted pod comes when it can."""
    room, where = dict(free), {move.uid: move.source for move in ordered if move.follows is None}
    homeless: list[Move] = []

    def arrive() -> None:
        for move in tuple(homeless):
            if room[move.target] >= size[move.uid]:
                room[move.target] -= size[move.uid]
                homeless.remove(move)

    for step in range(max((move.step for move in ordered), default=-1) + 1):
        moves = [move for move in ordered if move.step == step]
        surging = [move for move in moves if move.strategy == "SurgeFirst"]
        for move in surging:
            assert where[move.uid] == move.source
            room[move.target] -= size[move.uid]
            where[move.uid] = move.target
        assert min(room.values()) >= 0, f"step {step} has no room"
        for move in moves:
            room[move.source] += size[move.uid]
        homeless += [move for move in moves if move.strategy == "EvictFirst"]
        arrive()
    assert homeless == []


ZERO = {"a": 0, "b": 0}
