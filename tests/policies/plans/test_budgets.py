from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from moorage_policies.plans import (
    MoveProgress,
    Observation,
    PastMove,
    Plan,
    PlanParams,
    PlanProgress,
    PlanRecord,
    disruptions,
    rivals_of,
)
from moorage_policies.plans.budgets import cool_down_left_s, why_over_budget
from moorage_policies.plans.retention import choose_outdated

PARAMS = PlanParams(max_moves=3, window_s=100.0, max_moves_per_owner=2, pod_cool_down_s=500.0)


def past(owner: str, started_s: float, replacement: str = "") -> PastMove:
    return PastMove(owner, replacement, started_s)


@pytest.mark.parametrize(
    ("done", "reason"),
    [
        pytest.param([], None, id="nothing-used"),
        pytest.param([past("x", 950), past("y", 950)], None, id="exactly-used-up"),
        pytest.param([past(o, 950) for o in "xyz"], "MoveBudgetUsed", id="one-too-many"),
        pytest.param([past(o, 900) for o in "xyz"], None, id="window-has-passed"),
        pytest.param([past("rs-chat", 950)] * 2, "OwnerBudgetUsed", id="owner-used-up"),
        pytest.param([past("x", 600, "uid-chat-0")], "PodCoolsDown", id="moved-just-now"),
        pytest.param([past("x", 500, "uid-chat-0")], None, id="moved-long-ago"),
    ],
)
def test_a_plan_waits_for_the_budgets(move: Any, done: list[PastMove], reason: str | None) -> None:
    record = PlanRecord(Plan("p", moves=(move(),)))
    problem = why_over_budget(record, Observation(past=tuple(done)), PARAMS, 1000.0)
    assert (problem.reason if problem else None) == reason


def test_an_owner_is_left_alone_between_two_moves(move: Any) -> None:
    first = MoveProgress(0, "Done", started_s=990.0)
    second = move("uid-chat-1", index=1)
    record = PlanRecord(
        Plan("p", moves=(move(), second)), PlanProgress(moves=(first, MoveProgress(1)))
    )
    params = replace(PARAMS, owner_cool_down_s=60.0)
    assert cool_down_left_s(second, record, Observation(), params, 1000.0) == 50.0
    assert cool_down_left_s(second, record, Observation(), params, 1051.0) == 0.0


def test_what_never_began_disrupted_nobody(move: Any) -> None:
    states = (MoveProgress(0), MoveProgress(1, "Skipped", started_s=5.0))
    moves = (move(), move("uid-chat-1", index=1))
    assert disruptions([PlanRecord(Plan("p", moves=moves), PlanProgress(moves=states))]) == ()


@pytest.mark.parametrize(
    ("phase", "created_s", "target", "owner_uid", "goes_first"),
    [
        pytest.param("Executing", 9.0, "b", "o", True, id="runs-on-the-same-node"),
        pytest.param("Executing", 9.0, "x", "rs-chat", True, id="moves-the-same-workload"),
        pytest.param("Executing", 9.0, "x", "o", False, id="has-nothing-in-common"),
        pytest.param("Approved", 1.0, "b", "o", True, id="waits-for-longer"),
        pytest.param("Approved", 9.0, "b", "o", False, id="came-later"),
        pytest.param("Completed", 1.0, "b", "o", False, id="is-done"),
    ],
)
def test_one_plan_at_a_time_changes_a_node(
    move: Any, phase: Any, created_s: float, target: str, owner_uid: str, goes_first: bool
) -> None:
    mine = PlanRecord(Plan("p", moves=(move(),), created_s=5.0))
    owner = replace(move().owner, uid=owner_uid)
    theirs = move("u", target, source="y", owner=owner)
    other = PlanRecord(Plan("q", moves=(theirs,), created_s=created_s), PlanProgress(phase))
    assert rivals_of(mine, [mine, other]) == (("q",) if goes_first else ())


def test_the_newest_ended_plans_are_kept() -> None:
    def ended(name: str, at_s: float, phase: Any = "Completed") -> PlanRecord:
        return PlanRecord(Plan(name), PlanProgress(phase, finished_s=at_s))

    plans = [ended("a", 10), ended("b", 30), ended("c", 20), ended("running", 0, "Executing")]
    assert choose_outdated(plans, keep=2, ttl_s=1000, now_s=40) == ("a",)
    assert choose_outdated(plans, keep=9, ttl_s=15, now_s=40) == ("c", "a")
