"""Only counts that have a place are asked for, and a decision is made again byte for byte."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage_policies.scaling import Observation, Params, RatioBand, RoleParams, RoleReading, begin
from moorage_policies.scaling.reach import (
    Asked,
    RoleReach,
    Shape,
    Shift,
    find_reach,
    find_scattered,
    settle,
)
from moorage_policies.scaling.replay import Record, replay
from moorage_policies.scaling.step import step
from moorage_policies.state.snapshot import Snapshot
from moorage_policies.testing import make_node, make_pod, make_snapshot
from moorage_policies.types import AcceleratorClass, Node

H100 = AcceleratorClass("H100", {"gpu": "h100"})
A100 = AcceleratorClass("A100", {"gpu": "a100"})


def shape(accelerator: AcceleratorClass = H100, gpus: int = 4, priority: int = 10) -> Shape:
    return Shape(accelerator, make_pod("new", gpus=gpus, priority=priority))


def node(name: str, kind: str = "h100", gpus: int = 8) -> Node:
    return make_node(name, gpus=gpus, labels={"gpu": kind})


@pytest.mark.parametrize(
    ("wished", "replicas", "missing", "where"),
    [
        pytest.param(3, 3, 0, "now", id="fits"),
        pytest.param(4, 4, 0, "class", id="the-last-on-another-class"),
        pytest.param(6, 5, 1, "reclaim", id="after-lower-priority-left"),
        pytest.param(9, 5, 4, "nowhere", id="not-on-these-nodes"),
    ],
)
def test_where_replicas_would_go(wished: int, replicas: int, missing: int, where: str) -> None:
    low = make_pod("low", gpus=4, priority=1, node="b", phase="Running")
    snapshot = make_snapshot([node("a"), node("b"), node("c", "a100")], [low])
    asked = Asked("decode", 0, wished, (shape(), shape(A100)))
    [found] = find_reach(snapshot, [asked])
    assert (found.replicas, found.missing, found.where) == (replicas, missing, where)
    assert bool(found.relaxation) == bool(missing)


def test_roles_take_turns() -> None:
    snapshot = make_snapshot([node("a"), node("b")])
    asked = [Asked(role, 0, 4, (shape(),)) for role in ("prefill", "decode")]
    assert [found.replicas for found in find_reach(snapshot, asked)] == [2, 2]


def test_a_pod_that_is_going_away_still_holds_its_room() -> None:
    leaving = make_pod("leaving", gpus=8, node="a", phase="Running", terminating=True)
    [found] = find_reach(make_snapshot([node("a")], [leaving]), [Asked("decode", 1, 2, (shape(),))])
    assert (found.replicas, found.missing) == (1, 1)


def test_room_that_plans_keep_is_not_given_away() -> None:
    snapshot = make_snapshot([node("a")])
    kept = snapshot.free.copy()
    [found] = find_reach(snapshot, [Asked("decode", 0, 1, (shape(),))], kept)
    assert found.missing == 1


def scattered() -> Snapshot:
    """Three nodes of eight with half of each in use, by pods of equal priority."""
    pods = [make_pod(n, gpus=4, priority=10, node=n, phase="Running") for n in ("a", "b", "c")]
    return make_snapshot([node("a"), node("b"), node("c")], pods)


def test_room_after_moves_is_told_with_the_moves_it_takes() -> None:
    snapshot = scattered()
    asked = Asked("decode", 0, 1, (shape(gpus=8),))
    [before] = find_reach(snapshot, [asked])
    assert (before.where, before.missing) == ("nowhere", 1)
    nothing = np.zeros_like(snapshot.free)
    assert find_scattered(snapshot, [asked], [before], nothing) == asked.shapes
    uids = {pod.node: pod.uid for row in range(3) for pod in snapshot.pods_on(row)}
    moves = [Shift(uids["a"], "a", "b"), Shift(uids["c"], "c", "a")]
    [after] = find_reach(snapshot, [asked], shifts=moves)
    assert (after.replicas, after.missing, after.where) == (0, 1, "moves")
    assert "(1 of running replicas)" in after.relaxation, "the second is not needed"


@pytest.mark.parametrize(
    "move",
    [
        pytest.param(("a", "c", "b"), id="the-pod-sits-elsewhere"),
        pytest.param(("a", "a", "gone"), id="the-target-is-gone"),
        pytest.param(("full", "full", "a"), id="the-target-has-no-room"),
    ],
)
def test_moves_that_do_not_hold_any_more_make_no_room(move: tuple[str, str, str]) -> None:
    extra = make_pod("full", gpus=8, priority=10, node="full", phase="Running")
    old = scattered()
    pods = [pod for row in range(3) for pod in old.pods_on(row)]
    snapshot = make_snapshot([*old.nodes, node("full")], [*pods, extra])
    uids = {pod.name: pod.uid for pod in (*pods, extra)}
    moves = [Shift(uids[move[0]], *move[1:])]
    [found] = find_reach(snapshot, [Asked("decode", 0, 1, (shape(gpus=8),))], shifts=moves)
    assert found.where == "nowhere"


def test_nobody_searches_where_too_little_is_free() -> None:
    snapshot = scattered()
    asked = Asked("decode", 0, 1, (Shape(H100, make_pod("new", gpus=8), pods=2),))
    reach = find_reach(snapshot, [asked])
    assert find_scattered(snapshot, [asked], reach, np.zeros_like(snapshot.free)) == ()


@given(st.lists(st.integers(0, 8), min_size=1, max_size=4), st.integers(1, 8), st.integers(0, 12))
def test_never_more_than_fit(sizes: list[int], gpus: int, wished: int) -> None:
    snapshot = make_snapshot([node(f"n{i}", gpus=size) for i, size in enumerate(sizes)])
    [found] = find_reach(snapshot, [Asked("decode", 0, wished, (shape(gpus=gpus),))])
    assert found.replicas == min(wished, sum(size // gpus for size in sizes))


PARAMS = Params(
    (RoleParams("prefill", 0, 20, 4, 60.0), RoleParams("decode", 0, 20, 8, 60.0)),
    RatioBand("prefill", "decode", 0.25, 1.0),
)


def observe(prefill: float, decode: float, have: tuple[int, int]) -> Observation:
    loads = zip(("prefill", "decode"), (prefill, decode), have, strict=True)
    return Observation(7.0, tuple(RoleReading(r, "measured", n, n, load=x) for r, x, n in loads))


@given(
    st.tuples(st.floats(0, 15), st.floats(0, 15)),
    st.tuples(st.integers(0, 10), st.integers(0, 10)),
    st.tuples(st.integers(0, 20), st.integers(0, 20)),
)
def test_settled_counts_are_reachable_and_take_nothing_more_away(
    loads: tuple[float, float], have: tuple[int, int], reachable: tuple[int, int]
) -> None:
    observation = observe(*loads, have)
    _, decision = step(begin(2), observation, PARAMS)
    reach = tuple(
        RoleReach(t.role, n, max(0, t.replicas - n), "nowhere", "")
        for t, n in zip(decision.value.roles, reachable, strict=True)
    )
    settled = settle(decision, reach, PARAMS, observation).value
    for after, wished, most in zip(settled.roles, decision.value.roles, reachable, strict=True):
        assert after.replicas <= max(wished.replicas, 0)
        assert after.replicas <= max(after.before, most)
        assert after.replicas >= min(after.before, wished.replicas)


@given(st.floats(0, 15), st.floats(0, 15), st.integers(0, 10), st.booleans())
def test_a_record_is_replayed_byte_for_byte(
    prefill: float, decode: float, have: int, asked: bool
) -> None:
    observation = observe(prefill, decode, (have, have))
    _, decision = step(begin(2), observation, PARAMS)
    reach = tuple(RoleReach(r, have, 3, "nowhere", "") for r in ("prefill", "decode"))
    settled = settle(decision, reach if asked else (), PARAMS, observation)
    record = Record(
        begin(2), observation, PARAMS, reach if asked else (), settled.value, settled.reason
    )
    written = msgspec.json.encode(record)
    read = msgspec.json.decode(written, type=Record)
    assert msgspec.json.encode(replay(read)) == written
    forged = replace(read, targets=replace(read.targets, limit="forged"))
    assert replay(forged) == read
