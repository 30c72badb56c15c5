from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moorage_policies.errors import BadInputError
from moorage_policies.plans import Move, order_moves

GPU = "nvidia.com/gpu"


def make(index: int, source: str, target: str, kind: Any = "Move") -> Move:
    return Move(index, 0, kind, f"u{index}", "ns", f"p{index}", source=source, target=target)


def order(moves: list[Move], free: dict[str, int], **cost: float) -> dict[int, Move]:
    requests = {move.uid: {GPU: 1} for move in moves}
    ordered = order_moves(moves, {n: {GPU: count} for n, count in free.items()}, requests, cost)
    return {move.index: move for move in ordered.value}


def test_room_is_freed_before_it_is_used() -> None:
    chain = [make(0, "", "a", "Place"), make(1, "a", "b"), make(2, "b", "c")]
    found = order(chain, {"c": 1} | ZERO)
    assert [found[index].step for index in (2, 1, 0)] == [0, 1, 2]
    assert {move.strategy for move in found.values()} == {"SurgeFirst"}


def test_a_swap_is_broken_where_it_is_cheapest() -> None:
    found = order([make(0, "a", "b"), make(1, "b", "a")], ZERO, u0=5.0, u1=1.0)
    assert found[1].strategy == "EvictFirst"
    assert found[0].strategy == "SurgeFirst"
    assert found[0].step == found[1].step


def test_a_swap_beside_a_free_place_needs_no_eviction() -> None:
    found = order([make(0, "a", "b"), make(1, "b", "a")], {"a": 1, "b": 0})
    assert {move.strategy for move in found.values()} == {"SurgeFirst"}
    assert found[1].step < found[0].step


def test_a_move_that_never_has_room_is_named() -> None:
    with pytest.raises(BadInputError, match=r"spec\.moves\[0\]\.to"):
        order([make(0, "", "a", "Place")], ZERO)


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_no_node_ever_holds_more_than_it_has(data: st.DataObject) -> None:
    nodes = [f"n{i}" for i in range(data.draw(st.integers(2, 5)))]
    size = data.draw(st.integers(1, 3))
    places = [node for node in nodes for _ in range(size)]
    count = data.draw(st.integers(1, len(places)))
    here = data.draw(st.permutations(places))[:count]
    there = data.draw(st.permutations(places))[:count]
    moves = [make(i, s, t) for i, (s, t) in enumerate(zip(here, there, strict=True)) if s != t]
    free = {node: size - here.count(node) for node in nodes}
    found = order(moves, free)
    assert found.keys() == {move.index for move in moves}
    _replay(list(found.values()), free)


def _replay(ordered: list[Move], free: dict[str, int]) -> None:
    """Run the steps as the executor does, one surge at a time, and count the room."""
    room = dict(free)
    steps: defaultdict[int, list[Move]] = defaultdict(list)
    for move in ordered:
        steps[move.step].append(move)
    for _, moves in sorted(steps.items()):
        gone = [move for move in moves if move.strategy == "EvictFirst"]
        for move in gone:
            room[move.source] += 1
        left = [move for move in moves if move.strategy == "SurgeFirst"]
        while left or gone:
            able = next((m for m in (*left, *gone) if room[m.target] > 0), None)
            assert able is not None, f"stuck with {left} and {gone}"
            room[able.target] -= 1
            if able in left:
                room[able.source] += 1
                left.remove(able)
            else:
                gone.remove(able)
    assert min(room.values()) >= 0


ZERO = {"a": 0, "b": 0}
