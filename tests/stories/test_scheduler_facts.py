"""What Moorage's design takes for granted of kube-scheduler, asked of the real one on each minor.

When a new minor changes one of these, the design has to change with it. Each test runs its own
kube-scheduler (own schedulerName, own Lease) on its own nodes, with an extender that answers by
script.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.control_plane

HIGH, MIDDLE, LOW = "story-high", "story-middle", "story-low"
ALL_VERBS = ("filter", "prioritize", "preempt")
GATE = [{"name": "moorage.dev/test"}]


def one_node_with(*victims: str) -> Callable[[dict[str, Any]], Any]:
    """Answer ``preempt`` with the first candidate and exactly these victims' UIDs."""

    def answer(request: dict[str, Any]) -> Any:
        node = next(iter(request["NodeNameToMetaVictims"]))
        pods = [{"UID": uid} for uid in victims]
        return {"NodeNameToMetaVictims": {node: {"Pods": pods, "NumPDBViolations": 0}}}

    return answer


def refuse_all(request: dict[str, Any], *, field: str) -> Any:
    return {"NodeNames": [], field: dict.fromkeys(request["NodeNames"], "refused by script")}


def test_filter_sees_only_nodes_that_passed_every_in_tree_filter(
    arena: Any, scripted_extender: Any
) -> None:
    arena.nodes("small", gpus=1)
    arena.nodes("large", "larger", gpus=4)
    arena.start_scheduler(scripted_extender, ALL_VERBS)
    arena.pod("asks-two", gpus=2)
    arena.wait_bound("asks-two")
    [request] = scripted_extender.asked("filter", "asks-two")
    assert sorted(request["NodeNames"]) == sorted(arena.names("large", "larger"))


def test_no_verb_is_called_when_in_tree_filters_reject_every_node(
    arena: Any, scripted_extender: Any
) -> None:
    arena.nodes("small", gpus=1)
    arena.start_scheduler(scripted_extender, ALL_VERBS)
    arena.pod("asks-two", gpus=2)
    arena.wait_unschedulable("asks-two")
    assert scripted_extender.calls == []


def test_equals_do_not_bring_preempt_and_lower_priorities_do(
    arena: Any, scripted_extender: Any
) -> None:
    arena.nodes("only", gpus=1)
    arena.start_scheduler(scripted_extender, ALL_VERBS)
    arena.pod("holder", gpus=1, priority=LOW)
    arena.wait_bound("holder")
    arena.pod("equal", gpus=1, priority=LOW)
    arena.wait_unschedulable("equal")
    assert scripted_extender.asked("preempt", "equal") == []
    arena.pod("higher", gpus=1, priority=HIGH)
    arena.wait_bound("higher")
    [first, *_] = scripted_extender.asked("preempt", "higher")
    assert list(first["NodeNameToMetaVictims"]) == arena.names("only")
    assert arena.gone("holder")


def test_two_nodes_that_only_together_have_room_never_bring_preempt(
    arena: Any, scripted_extender: Any
) -> None:
    arena.nodes("left", "right", gpus=2)
    arena.start_scheduler(scripted_extender, ALL_VERBS)
    arena.pod("a", gpus=1, priority=LOW, node="left")
    arena.pod("b", gpus=1, priority=LOW, node="right")
    arena.wait_bound("a", "b")
    arena.pod("equal-asks-two", gpus=2, priority=LOW)
    arena.wait_unschedulable("equal-asks-two")
    assert scripted_extender.asked("preempt") == []


def test_an_empty_preempt_answer_is_a_veto(arena: Any, scripted_extender: Any) -> None:
    arena.nodes("only", gpus=1)
    scripted_extender.scripts["preempt"] = lambda _: {"NodeNameToMetaVictims": {}}
    arena.start_scheduler(scripted_extender, ALL_VERBS)
    arena.pod("holder", gpus=1, priority=LOW)
    arena.wait_bound("holder")
    arena.pod("higher", gpus=1, priority=HIGH)
    arena.wait_unschedulable("higher")
    assert scripted_extender.asked("preempt", "higher")
    assert not arena.gone("holder")


def test_preempt_is_trusted_even_with_a_higher_priority_victim(
    arena: Any, scripted_extender: Any
) -> None:
    arena.nodes("only", gpus=2)
    arena.start_scheduler(scripted_extender, ALL_VERBS)
    precious = arena.pod("precious", gpus=1, priority=HIGH)
    arena.pod("cheap", gpus=1, priority=LOW)
    arena.wait_bound("precious", "cheap")
    scripted_extender.scripts["preempt"] = one_node_with(precious)
    arena.pod("middle", gpus=1, priority=MIDDLE)
    arena.wait_bound("middle")
    assert arena.gone("precious")
    assert not arena.gone("cheap")


def test_a_victim_on_another_node_fails_the_whole_attempt(
    arena: Any, scripted_extender: Any
) -> None:
    arena.nodes("left", "right", gpus=1)
    arena.start_scheduler(scripted_extender, ALL_VERBS)
    left = arena.pod("a", gpus=1, priority=LOW, node="left")
    right = arena.pod("b", gpus=1, priority=LOW, node="right")
    arena.wait_bound("a", "b")

    def swapped(_: dict[str, Any]) -> Any:
        [node] = arena.names("left")
        return {"NodeNameToMetaVictims": {node: {"Pods": [{"UID": right}]}}}

    scripted_extender.scripts["preempt"] = swapped
    arena.pod("higher", gpus=1, priority=HIGH)
    arena.wait_event("higher", "not found")
    assert not arena.gone("a")
    assert not arena.gone("b")
    assert left != right


def test_failed_nodes_beside_lower_priorities_end_in_an_internal_error(
    arena: Any, scripted_extender: Any
) -> None:
    arena.nodes("only", gpus=2)
    arena.start_scheduler(scripted_extender, ALL_VERBS)
    arena.pod("holder", gpus=1, priority=LOW)
    arena.wait_bound("holder")
    scripted_extender.scripts["filter"] = lambda r: refuse_all(r, field="FailedNodes")
    arena.pod("refused", gpus=1, priority=HIGH)
    arena.wait_event("refused", "expected at least one victim pod")
    assert not arena.gone("holder")


def test_failed_and_unresolvable_nodes_refuse_cleanly_and_show_our_text(
    arena: Any, scripted_extender: Any
) -> None:
    arena.nodes("only", gpus=2)
    arena.start_scheduler(scripted_extender, ALL_VERBS)
    arena.pod("holder", gpus=1, priority=LOW)
    arena.wait_bound("holder")
    scripted_extender.scripts["filter"] = lambda r: refuse_all(
        r, field="FailedAndUnresolvableNodes"
    )
    arena.pod("refused", gpus=1, priority=HIGH)
    message = arena.wait_unschedulable("refused")
    assert "refused by script" in message
    assert "expected at least one victim" not in message
    assert scripted_extender.asked("preempt", "refused") == []


def test_a_failing_prioritize_is_ignored_without_a_word(arena: Any, scripted_extender: Any) -> None:
    arena.nodes("left", "right", gpus=2)
    scripted_extender.scripts["prioritize"] = lambda _: (500, b"broken")
    arena.start_scheduler(scripted_extender, ALL_VERBS)
    arena.pod("placed-anyway", gpus=1)
    arena.wait_bound("placed-anyway")
    assert scripted_extender.asked("prioritize", "placed-anyway")
    assert arena.failures_told("placed-anyway") == []


def test_scores_are_neither_clamped_nor_checked_for_unknown_hosts(
    arena: Any, scripted_extender: Any
) -> None:
    arena.nodes("left", "right", gpus=8)
    [right] = arena.names("right")
    scripted_extender.scripts["prioritize"] = lambda _: [
        {"Host": "nobody", "Score": 9_000_000},
        {"Host": right, "Score": 1_000_000},
    ]
    arena.start_scheduler(scripted_extender, ALL_VERBS)
    for name in ("p0", "p1", "p2", "p3"):
        arena.pod(name, gpus=1)
    assert set(arena.wait_bound("p0", "p1", "p2", "p3")) == {right}


def test_scoring_is_skipped_when_filter_leaves_one_node(arena: Any, scripted_extender: Any) -> None:
    arena.nodes("left", "right", gpus=2)
    [right] = arena.names("right")
    scripted_extender.scripts["filter"] = lambda _: {"NodeNames": [right]}
    arena.start_scheduler(scripted_extender, ALL_VERBS)
    arena.pod("steered", gpus=1)
    assert arena.wait_bound("steered") == [right]
    assert scripted_extender.asked("prioritize") == []


def test_binds_are_in_flight_together(arena: Any, scripted_extender: Any) -> None:
    arena.nodes("only", gpus=4)
    together = threading.Barrier(3)

    def bind(request: dict[str, Any]) -> Any:
        together.wait(timeout=20)  # breaks unless three calls are open at once
        return arena.bind(request)

    scripted_extender.scripts["bind"] = bind
    arena.start_scheduler(scripted_extender, (*ALL_VERBS, "bind"))
    for name in ("p0", "p1", "p2"):
        arena.pod(name, gpus=1)
    arena.wait_bound("p0", "p1", "p2")


def test_a_pod_without_our_resource_is_never_sent(arena: Any, scripted_extender: Any) -> None:
    arena.nodes("only", gpus=1)
    arena.start_scheduler(scripted_extender, ALL_VERBS)
    arena.pod("no-gpu", gpus=0)
    arena.wait_bound("no-gpu")
    assert scripted_extender.calls == []


def test_a_pod_that_an_extender_refused_is_retried_on_an_unrelated_event(
    arena: Any, scripted_extender: Any
) -> None:
    arena.nodes("only", gpus=2)
    scripted_extender.scripts["filter"] = lambda r: refuse_all(
        r, field="FailedAndUnresolvableNodes"
    )
    arena.start_scheduler(scripted_extender, ALL_VERBS)
    arena.pod("refused", gpus=1)
    arena.wait_unschedulable("refused")
    del scripted_extender.scripts["filter"]
    arena.annotate_node("only", "touched")
    arena.wait_bound("refused")


def test_an_annotation_does_not_wake_a_pod_that_lacks_room_and_a_freed_gpu_does(
    arena: Any, scripted_extender: Any
) -> None:
    arena.nodes("only", gpus=1)
    arena.start_scheduler(scripted_extender, ALL_VERBS)
    arena.pod("holder", gpus=1, priority=LOW)
    arena.wait_bound("holder")
    arena.pod("waits", gpus=1, priority=LOW)
    arena.wait_unschedulable("waits")
    arena.wait_asleep(1)
    attempts = arena.scheduling_attempts()
    arena.annotate_pod("waits", "touched")
    # A pod that comes later is tried after anything the annotation could have woken.
    arena.pod("marker", gpus=0)
    arena.wait_bound("marker")
    assert arena.scheduling_attempts() == attempts + 1
    arena.delete_pod("holder")
    arena.wait_bound("waits")


def test_a_label_wakes_a_pod_that_an_extender_refused(arena: Any, scripted_extender: Any) -> None:
    arena.nodes("only", gpus=1)
    scripted_extender.scripts["filter"] = lambda r: refuse_all(
        r, field="FailedAndUnresolvableNodes"
    )
    arena.start_scheduler(scripted_extender, ALL_VERBS)
    arena.pod("refused", gpus=1)
    arena.wait_unschedulable("refused")
    del scripted_extender.scripts["filter"]
    arena.label_pod("refused", "touched")
    arena.wait_bound("refused")


def test_the_end_of_a_gated_nominated_pod_wakes_a_pod_that_lacks_room_and_a_label_does_not(
    arena: Any, scripted_extender: Any, eventually: Any
) -> None:
    """The pod stands for one whose preemption was vetoed: no event of its own would wake it."""
    arena.nodes("only", gpus=1)
    scripted_extender.scripts["preempt"] = lambda _: {"NodeNameToMetaVictims": {}}
    arena.start_scheduler(scripted_extender, ALL_VERBS)
    arena.pod("holder", gpus=1, priority=LOW)
    arena.wait_bound("holder")
    arena.pod("waits", gpus=1, priority=MIDDLE)
    arena.wait_unschedulable("waits")
    arena.wait_asleep(1)
    before = len(scripted_extender.asked("preempt", "waits"))
    arena.label_pod("waits", "touched")
    arena.pod("bell", gpus=0, priority=MIDDLE, schedulingGates=GATE)
    arena.nominate("bell", "only")
    arena.wait_scheduler_sees_pods()
    asked = len(scripted_extender.asked("preempt", "waits"))
    assert asked == before
    arena.delete_pod("bell")
    eventually(
        lambda: len(scripted_extender.asked("preempt", "waits")) > asked, what="it is tried again"
    )


@pytest.mark.parametrize(
    ("rival", "holds"),
    [
        pytest.param(LOW, True, id="lower-waits"),
        pytest.param(MIDDLE, True, id="equal-waits"),
        pytest.param(HIGH, False, id="higher-passes"),
    ],
)
def test_a_gated_nominated_pod_holds_its_room(
    arena: Any, scripted_extender: Any, rival: str, holds: bool
) -> None:
    arena.nodes("only", gpus=1)
    arena.start_scheduler(scripted_extender, ALL_VERBS)
    arena.pod("gated", gpus=1, priority=MIDDLE, schedulingGates=GATE)
    arena.wait_scheduler_sees_pods()
    arena.nominate("gated", "only")
    arena.wait_scheduler_sees_pods()
    arena.pod("rival", gpus=1, priority=rival)
    if holds:
        arena.wait_unschedulable("rival")
        arena.ungate("gated")
        arena.wait_bound("gated")
    else:
        arena.wait_bound("rival")


def test_a_scheduler_restart_forgets_gated_nominations_up_to_1_36(
    arena: Any, scripted_extender: Any
) -> None:
    arena.nodes("only", gpus=1)
    scheduler = arena.start_scheduler(scripted_extender, ALL_VERBS)
    arena.pod("gated", gpus=1, priority=MIDDLE, schedulingGates=GATE)
    arena.nominate("gated", "only")
    arena.stop_scheduler(scheduler)
    arena.start_scheduler(scripted_extender, ALL_VERBS)
    arena.wait_scheduler_sees_pods()
    arena.pod("rival", gpus=1, priority=MIDDLE)
    if arena.minor >= (1, 37):
        arena.wait_unschedulable("rival")
    else:
        arena.wait_bound("rival")


def test_an_ungated_nomination_is_cleared_by_the_first_failed_attempt(
    arena: Any, scripted_extender: Any
) -> None:
    arena.nodes("only", gpus=1)
    arena.pod("holder", gpus=1, priority=MIDDLE)
    arena.pod("nominated", gpus=1, priority=MIDDLE)
    arena.bind_now("holder", "only")
    arena.nominate("nominated", "only")
    arena.start_scheduler(scripted_extender, ALL_VERBS)
    arena.wait_unschedulable("nominated")
    arena.wait_not_nominated("nominated")


def test_another_scheduler_over_commits_while_our_bind_is_under_way(
    arena: Any, scripted_extender: Any
) -> None:
    arena.nodes("only", gpus=1)
    go_on = threading.Event()

    def bind(request: dict[str, Any]) -> Any:
        assert go_on.wait(timeout=60)
        return arena.bind(request)

    scripted_extender.scripts["bind"] = bind
    arena.start_scheduler(scripted_extender, (*ALL_VERBS, "bind"))
    arena.start_other_scheduler()
    arena.pod("ours", gpus=1)
    arena.wait_asked(scripted_extender, "bind", "ours")
    arena.pod("theirs", gpus=1, other_scheduler=True)
    arena.wait_bound("theirs")
    go_on.set()
    arena.wait_bound("ours")  # two GPUs promised on a node that has one
