from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from moorage_policies.plans import MoveProgress, Plan, PlanProgress, PlanRecord
from moorage_policies.plans.slots import ELSEWHERE, LONGEST_S, barred_nodes, open_slots, serves
from moorage_policies.testing import make_node, make_pod, make_snapshot
from moorage_policies.types import Owner, Pod

OWNER = Owner("ReplicaSet", "chat-abc", "rs-chat")
NODES = [make_node(name, gpus=4) for name in ("a", "b", "c")]


def record(move: Any, *, phase: Any = "Surging", plan: Any = "Executing", **state: Any) -> Any:
    progress = PlanProgress(plan, moves=(MoveProgress(0, phase, **state),), started_s=0.0)
    return PlanRecord(Plan("p", "u", (move,)), progress)


def newcomer(
    name: str = "new", *, gpus: int = 2, owner: Owner | None = OWNER, **fields: Any
) -> Pod:
    return make_pod(name, gpus=gpus, owner=owner, **fields)


def test_a_replacement_goes_only_to_its_target(move: Any) -> None:
    slots = open_slots([record(move())], 1.0)
    barred = barred_nodes(newcomer(), slots, make_snapshot(NODES))
    assert set(barred) == {"a", "c"}
    assert barred["a"] == ELSEWHERE


@pytest.mark.parametrize(
    "pod",
    [
        pytest.param(newcomer(owner=None), id="no-owner"),
        pytest.param(newcomer(owner=replace(OWNER, uid="other")), id="another-owner"),
        pytest.param(newcomer(gpus=1), id="another-shape"),
        pytest.param(newcomer(uid="old-sibling"), id="there-before"),
    ],
)
def test_nobody_else_is_taken_for_the_replacement(move: Any, pod: Pod) -> None:
    slots = open_slots([record(move(), siblings=("old-sibling",))], 1.0)
    assert not serves(pod, slots)
    assert barred_nodes(pod, slots, make_snapshot(NODES)) == {}


def test_an_equal_that_sits_on_the_target_does_not_fill_a_place_that_nobody_was_sent_to(
    move: Any,
) -> None:
    equal = newcomer("equal", node="b", ready=True)
    snapshot = make_snapshot(NODES, [equal])
    waits = open_slots([record(move(), phase="Waiting")], 1.0)
    # b has 4 GPUs: the equal holds 2, the other 2 are kept
    assert set(barred_nodes(newcomer("lower", owner=None, priority=-1), waits, snapshot)) == {"b"}
    came = open_slots([record(move(), phase="Surging")], 1.0)
    assert barred_nodes(newcomer("lower", owner=None, priority=-1), came, snapshot) == {}


@pytest.mark.parametrize(
    ("priority", "gpus", "barred"),
    [
        # b has 4 free GPUs, 2 of them are kept: 3 do not fit beside them, 2 do
        pytest.param(0, 3, {"b"}, id="equal-and-too-large"),
        pytest.param(-1, 3, {"b"}, id="lower-and-too-large"),
        pytest.param(0, 2, set(), id="fits-beside"),
        pytest.param(1, 4, set(), id="higher-passes"),
    ],
)
def test_kept_room_is_hidden_unless_priority_is_higher(
    move: Any, priority: int, gpus: int, barred: set[str]
) -> None:
    slots = open_slots([record(move())], 1.0)
    other = make_pod("other", gpus=gpus, priority=priority)
    assert set(barred_nodes(other, slots, make_snapshot(NODES))) == barred


def test_a_place_that_is_taken_is_kept_no_more(move: Any) -> None:
    slots = open_slots([record(move())], 1.0)
    snapshot = make_snapshot(NODES, [newcomer("first", node="b", phase="Running")])
    assert barred_nodes(newcomer("second"), slots, snapshot) == {}
    assert barred_nodes(make_pod("other", gpus=2), slots, snapshot) == {}


def test_a_pod_to_place_is_free_to_go_where_it_fits_until_its_turn(move: Any) -> None:
    place = move("uid-w", "b", kind="Place", source="", owner=None, gpus=3)
    pod = make_pod("w", uid="uid-w", gpus=3)
    for phase, barred in (("Waiting", set()), ("Binding", {"a", "c"})):
        slots = open_slots([record(place, phase=phase)], 1.0)
        assert serves(pod, slots)
        assert set(barred_nodes(pod, slots, make_snapshot(NODES))) == barred


def test_a_target_that_is_gone_bars_nothing(move: Any) -> None:
    slots = open_slots([record(move(target="gone"))], 1.0)
    assert barred_nodes(newcomer(), slots, make_snapshot(NODES)) == {}
    assert barred_nodes(make_pod("other", gpus=4), slots, make_snapshot(NODES)) == {}


@pytest.mark.parametrize(
    "made",
    [
        pytest.param({"plan": "Proposed"}, id="not-approved"),
        pytest.param({"plan": "Completed"}, id="ended"),
        pytest.param({"phase": "Done"}, id="move-done"),
        pytest.param({"phase": "Failed"}, id="move-failed"),
    ],
)
def test_only_running_plans_keep_room(move: Any, made: dict[str, Any]) -> None:
    assert open_slots([record(move(), **made)], 1.0) == ()


def test_nobody_keeps_room_for_ever(move: Any) -> None:
    assert open_slots([record(move())], LONGEST_S - 1) != ()
    assert open_slots([record(move())], LONGEST_S) == ()
