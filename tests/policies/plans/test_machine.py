from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moorage_policies.invariants import audit
from moorage_policies.plans import Wait, is_marked
from moorage_policies.types import NVIDIA_GPU as GPU

REUSED = [HealthCheck.function_scoped_fixture]
STRATEGIES = ["SurgeFirst", "EvictFirst"]


def test_surge_first_exchanges_the_pod_and_never_has_fewer_ready(world: Any, move: Any) -> None:
    w = world((move(),))
    w.run()
    assert w.progress.phase == "Completed"
    assert "uid-chat-0" not in w.pods
    assert "uid-chat-1" in w.pods
    assert {pod.node for pod in w.pods.values()} == {"a", "b"}
    assert w.fewest_ready() == 2
    assert w.evictions == []  # the owner gives the marked pod up by itself
    assert w.is_calm()


def test_evict_first_evicts_once_and_waits_for_the_replacement(world: Any, move: Any) -> None:
    w = world((move(strategy="EvictFirst"),))
    w.run()
    assert w.progress.phase == "Completed"
    assert w.evictions == ["uid-chat-0"]
    assert w.progress.moves[0].replacement_uid in w.pods
    assert w.pods[w.progress.moves[0].replacement_uid].node == "b"


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("committed", [False, True], ids=["before-it-took-effect", "after"])
def test_a_crash_at_any_action_ends_where_a_quiet_run_ends(
    world: Any, move: Any, strategy: str, committed: bool
) -> None:
    quiet = world((move(strategy=strategy),))
    quiet.run()
    for number in range(1, len(quiet.actions) + 1):
        w = world((move(strategy=strategy),), crash_at=(number, committed))
        w.run()
        assert w.progress.phase == "Completed", number
        assert w.is_calm()
        assert "uid-chat-1" in w.pods
        assert len(w.evictions) == len(quiet.evictions)
        assert [m.phase for m in w.progress.moves] == ["Done"]
        assert audit(w.history()) == ()


def test_nothing_is_done_that_was_not_written_down_before(world: Any, move: Any) -> None:
    w = world((move(strategy="EvictFirst"),))
    while w.evictions == []:
        phase = w.progress.moves[0].phase if w.progress.moves else None
        if isinstance(w.look(), Wait):
            w.now_s += 0.5
            w.tick_all()
    assert phase == "Evicting"


def test_a_closed_budget_is_waited_for_until_the_deadline(world: Any, move: Any) -> None:
    w = world((move(strategy="EvictFirst"),), budget_open=False)
    w.run()
    assert w.progress.phase == "Aborted"
    assert w.progress.reason == "BudgetClosed"
    assert w.evictions == []
    assert w.fewest_ready() == 2


def test_a_ready_replacement_waits_for_a_closed_budget_too(world: Any, move: Any) -> None:
    w = world((move(),), budget_open=False)
    w.run()
    assert w.progress.phase == "Aborted"
    assert w.progress.reason == "BudgetClosed"
    assert w.fewest_ready() == 2
    assert w.is_calm()


def test_a_quota_refusal_ends_the_plan(world: Any, move: Any) -> None:
    w = world((move(),), quota_full=True)
    w.run()
    assert (w.progress.phase, w.progress.reason) == ("Aborted", "QuotaExceeded")
    assert set(w.pods) == {"uid-chat-0", "uid-chat-1"}


def test_a_replacement_that_lands_elsewhere_ends_the_plan(world: Any, move: Any) -> None:
    w = world((move(),), steers=False)  # the scheduler takes the last node, c
    w.run()
    assert (w.progress.phase, w.progress.reason) == ("Aborted", "LandedElsewhere")
    assert w.is_calm()


@pytest.mark.parametrize("phase", ["Surging", "Evicting"])
def test_a_target_that_vanishes_ends_the_plan(world: Any, move: Any, phase: str) -> None:
    strategy = "SurgeFirst" if phase == "Surging" else "EvictFirst"
    w = world((move(strategy=strategy),))
    _run_until(w, phase)
    del w.nodes["b"]
    w.run()
    assert (w.progress.phase, w.progress.reason) == ("Aborted", "TargetGone")
    assert set(w.pods) == {"uid-chat-0", "uid-chat-1"}
    assert w.evictions == []


def test_a_scale_in_ends_the_wait_for_a_replacement_that_nobody_starts(
    world: Any, move: Any
) -> None:
    w = world((move(),))
    _run_until(w, "Surging")
    w.desired, began_s = 1, w.now_s
    while not w.progress.has_ended:
        w.run(rounds=1)
    assert (w.progress.phase, w.progress.reason) == ("Aborted", "OwnerScaledIn")
    assert w.now_s - began_s < w.params.bind_deadline_s
    w.run()
    assert w.is_calm()


def test_an_unready_sibling_stops_the_scale_back(world: Any, move: Any) -> None:
    w = world((move(),))
    _run_until(w, "Surging")
    for _ in range(20):
        w.look()
        w.tick_all()
        w.change("uid-chat-1", ready=False)
    assert w.progress.moves[0].reason == "SiblingNotReady"
    assert {"uid-chat-0", "uid-chat-1"} <= set(w.pods)
    w.run()
    assert w.progress.phase == "Completed"


def test_a_mark_is_taken_off_when_the_plan_is_stopped(world: Any, move: Any) -> None:
    w = world((move(),))
    while not is_marked(w.pods["uid-chat-0"]):
        if isinstance(w.look(), Wait):
            w.now_s += 0.5
            w.tick_all()
    w.plan = replace(w.plan, mode="Off")
    while not w.progress.has_ended:
        w.look()
    assert (w.progress.phase, w.progress.reason) == ("Aborted", "SwitchedOff")
    assert not is_marked(w.pods["uid-chat-0"])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param({"owner": None}, "OwnerChanged", id="bare"),
        pytest.param(
            {"priority_class": "system-node-critical"}, "ProtectedPriority", id="critical"
        ),
        pytest.param({"scheduler": "default-scheduler"}, "ForeignPod", id="foreign"),
        pytest.param({"annotations": {"moorage.dev/movable": "false"}}, "OptedOut", id="opted-out"),
        pytest.param(
            {"annotations": {"karpenter.sh/do-not-disrupt": "true"}}, "OptedOut", id="karpenter"
        ),
        pytest.param({"node": "c"}, "PodElsewhere", id="elsewhere"),
        pytest.param({"terminating": True}, "PodGone", id="going"),
        pytest.param({"unsupported": ("HostPort",)}, "Unsupported", id="unsupported"),
    ],
)
def test_who_may_not_be_moved_is_left_alone(
    world: Any, move: Any, change: dict[str, Any], reason: str
) -> None:
    w = world((move(),))
    w.pods["uid-chat-0"] = replace(w.pods["uid-chat-0"], **change)
    for _ in range(10):
        w.look()
        w.now_s += 0.5
    assert (w.progress.phase, w.progress.reason) == ("Superseded", reason)
    assert w.surge == 0


@pytest.mark.parametrize("kind", ["DaemonSet", "Node"])
def test_pods_of_nodes_are_left_alone(world: Any, move: Any, kind: str) -> None:
    w = world((move(),))
    pod = w.pods["uid-chat-0"]
    w.pods["uid-chat-0"] = replace(pod, owner=replace(pod.owner, kind=kind))
    for _ in range(10):
        w.look()
        w.now_s += 0.5
    assert w.progress.reason in ("DaemonSetPod", "StaticPod")


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_stopped_plan_ends_only_when_what_was_asked_to_go_is_gone(
    world: Any, move: Any, strategy: str
) -> None:
    w = world((move(strategy=strategy),))
    while not w.pods["uid-chat-0"].terminating:
        if isinstance(w.look(), Wait):
            w.now_s += 0.5
            for tick in (w.tick_pools, w.tick_scheduler, w.tick_kubelet, w.tick_replicaset):
                tick()
    w.plan = replace(w.plan, mode="Off")
    for _ in range(3):
        w.look()
        assert not w.progress.has_ended
    w.tick_kubelet()
    w.run()
    assert w.progress.phase == "Aborted"
    assert w.progress.moves[0].phase == "Done"


def test_a_recommended_plan_waits_for_approval_and_expires(world: Any, move: Any) -> None:
    w = world((move(),))
    w.plan = replace(w.plan, mode="Recommend")
    for _ in range(5):
        w.look()
        w.tick_all()
    assert (w.progress.phase, w.progress.reason) == ("Proposed", "AwaitingApproval")
    w.now_s += w.plan.ttl_s
    w.look()
    assert (w.progress.phase, w.progress.reason) == ("Superseded", "Expired")


def test_two_pods_that_swap_places_do_not_wait_for_each_other(world: Any, move: Any) -> None:
    w = world(desired=4)
    for uid, node in {"uid-chat-2": "b", "uid-chat-3": "b"}.items():
        w.change(uid, node=node)
    first = move("uid-chat-0", "b", strategy="EvictFirst")
    second = move("uid-chat-2", "a", index=1, source="b", strategy="EvictFirst")
    w.plan = replace(w.plan, moves=(first, second))
    del w.nodes["c"]
    w.run()
    assert w.progress.phase == "Completed"
    assert sorted(w.evictions) == ["uid-chat-0", "uid-chat-2"]


def test_a_later_step_frees_the_room_that_an_evicted_pod_waits_for(world: Any, move: Any) -> None:
    w = world(desired=4)
    for uid, node in {"uid-chat-2": "b", "uid-chat-3": "b"}.items():
        w.change(uid, node=node)
    first = move("uid-chat-0", "b", strategy="EvictFirst")
    second = move("uid-chat-2", "a", index=1, step=1, source="b", strategy="EvictFirst")
    w.plan = replace(w.plan, moves=(first, second))
    w.params = replace(w.params, bind_deadline_s=3.0)
    del w.nodes["c"]
    while w.evictions == []:
        if isinstance(w.look(), Wait):
            w.now_s += 0.5
            w.tick_all()
    w.budget_open = False
    w.run(20)  # 10 s: longer than anybody may take to be bound
    assert [m.reason for m in w.progress.moves] == ["RoomNotFreed", "BudgetClosed"]
    w.budget_open = True
    w.run()
    assert w.progress.phase == "Completed"
    assert w.evictions == ["uid-chat-0", "uid-chat-2"]


SWAP_BY_C = [
    {"uid": "uid-chat-0", "target": "c"},
    {"uid": "uid-chat-2", "target": "a", "index": 1, "step": 1, "source": "b"},
    {"uid": "uid-chat-0", "target": "b", "index": 2, "step": 2, "source": "c", "follows": 0},
]


def _swap_by_c(world: Any, move: Any, **fields: Any) -> Any:
    """Return a world in which two pods swap their full nodes by way of a free one."""
    w = world(desired=4, **fields)
    for uid, node in {"uid-chat-2": "b", "uid-chat-3": "b"}.items():
        w.change(uid, node=node)
    w.plan = replace(w.plan, moves=tuple(move(**each) for each in SWAP_BY_C))
    w.frames.clear()
    w.film()
    return w


def test_a_swap_by_a_staging_node_never_has_fewer_ready(world: Any, move: Any) -> None:
    w = _swap_by_c(world, move)
    w.run()
    assert w.progress.phase == "Completed"
    assert w.fewest_ready() == 4
    assert w.evictions == []
    staged, swapped, last = w.progress.moves
    assert staged.replacement_uid not in w.pods  # it went on to where it belongs
    assert w.pods[swapped.replacement_uid].node == "a"
    assert w.pods[last.replacement_uid].node == "b"
    assert {"uid-chat-1", "uid-chat-3"} <= w.pods.keys()


@pytest.mark.parametrize("committed", [False, True], ids=["before-it-took-effect", "after"])
def test_a_crash_at_any_action_of_a_staged_swap_changes_nothing(
    world: Any, move: Any, committed: bool
) -> None:
    quiet = _swap_by_c(world, move)
    quiet.run()
    for number in range(1, len(quiet.actions) + 1):
        w = _swap_by_c(world, move, crash_at=(number, committed))
        w.run()
        assert [m.phase for m in w.progress.moves] == ["Done"] * 3, number
        assert w.is_calm()
        assert w.fewest_ready() == 4
        assert audit(w.history()) == ()


EVENTS = [
    "pools",
    "replicaset",
    "scheduler",
    "kubelet",
    "look",
    "crash-before",
    "crash-after",
    "unready",
    "delete",
    "close",
    "open",
    "off",
    "lose-target",
    "quota",
    "steer-wrong",
]
WEIGHTED = ["look"] * 4 + ["pools", "replicaset", "scheduler", "kubelet"] * 2 + EVENTS


@given(
    events=st.lists(st.sampled_from(WEIGHTED), max_size=60),
    strategy=st.sampled_from(STRATEGIES),
    pick=st.randoms(use_true_random=False),
)
@settings(max_examples=400, deadline=None, suppress_health_check=REUSED)
def test_whatever_happens_no_promise_is_broken(
    world: Any, move: Any, crash: Any, events: list[str], strategy: str, pick: Any
) -> None:
    w = world((move(strategy=strategy),))
    for event in events:
        w.now_s += 0.5
        _happen(w, event, pick, crash)
    w.run(400)
    assert w.progress.has_ended
    assert w.surge == 0
    assert len(w.evictions) == len(set(w.evictions)) <= 1
    assert audit(w.history()) == ()
    ended = w.progress
    for _ in range(5):
        assert w.look() == Wait(None)  # and then never again
    assert w.progress == ended
    for m in ended.moves:
        assert m.phase in ("Done", "Failed", "Skipped")


def _happen(w: Any, event: str, pick: Any, crash: Any) -> None:
    if event in ("pools", "replicaset", "scheduler", "kubelet"):
        getattr(w, f"tick_{event}")()
    elif event == "look":
        w.look()
    elif event.startswith("crash"):
        w.crash_at = (1, event == "crash-after")
        with suppress(crash):
            w.look()
        w.crash_at = None
    elif event in ("unready", "delete") and w.pods:
        uid = pick.choice(sorted(w.pods))
        change = {"ready": False} if event == "unready" else {"terminating": True}
        w.change(uid, **change)
    elif event in ("close", "open"):
        w.budget_open = event == "open"
        w.film()
    elif event == "off":
        w.plan = replace(w.plan, mode="Off")
    elif event == "lose-target":
        w.nodes["b"] = replace(w.nodes["b"], unschedulable=True)
    elif event == "quota":
        w.quota_full = not w.quota_full
    elif event == "steer-wrong":
        w.steers = not w.steers


def _run_until(w: Any, phase: str) -> None:
    for _ in range(50):
        if w.progress.moves and w.progress.moves[0].phase == phase:
            return
        if isinstance(w.look(), Wait):
            w.now_s += 0.5
            w.tick_all()
    raise AssertionError(w.progress)


def four_moves(move: Any, groups: list[int | None]) -> tuple[Any, ...]:
    """Return moves of chat-0 to chat-3, to b, b, c, c, with these groups."""
    return tuple(
        move(f"uid-chat-{row}", "bbcc"[row], index=row, group=group)
        for row, group in enumerate(groups)
    )


def crowd(world: Any, moves: Any) -> Any:
    """Return a world of four replicas that sit on two nodes of their own and may go to b and c."""
    w = world(moves, desired=4)
    w.nodes["a"] = replace(w.nodes["a"], allocatable={**w.nodes["a"].allocatable, GPU: 8})
    w.frames.clear()
    w.film()
    return w


@pytest.mark.parametrize(
    ("groups", "phases"),
    [
        pytest.param([0, 1, 2, 3], ["Failed", "Failed", "Done", "Done"], id="each-for-itself"),
        pytest.param([0, 1, 0, 1], ["Failed", "Failed", "Skipped", "Skipped"], id="in-pairs"),
        pytest.param([0, 0, 1, 1], ["Failed", "Skipped", "Done", "Done"], id="by-target"),
    ],
)
def test_a_lost_target_takes_its_groups_along_and_leaves_the_others(
    world: Any, move: Any, groups: list[int | None], phases: list[str]
) -> None:
    w = crowd(world, four_moves(move, groups))
    _run_until(w, "Surging")
    del w.nodes["b"]
    w.run()
    assert [m.phase for m in w.progress.moves] == phases
    ended = ("Completed", "PartlyDone") if "Done" in phases else ("Aborted", "TargetGone")
    assert (w.progress.phase, w.progress.reason) == ended
    assert w.is_calm()
    assert w.fewest_ready() == 4
    assert audit(w.history()) == ()


def test_moves_that_are_stale_before_the_first_begins_are_left_out(world: Any, move: Any) -> None:
    w = crowd(world, four_moves(move, [0, 0, 1, 2]))
    del w.nodes["b"]
    w.run()
    assert [m.phase for m in w.progress.moves] == ["Skipped", "Skipped", "Done", "Done"]
    assert w.progress.reason == "PartlyDone"
    gone = crowd(world, four_moves(move, [0, 1, 2, 3]))
    del gone.nodes["b"], gone.nodes["c"]
    gone.run()
    assert (gone.progress.phase, gone.progress.reason) == ("Superseded", "TargetGone")


def test_a_plan_with_a_move_of_no_group_ends_with_it(world: Any, move: Any) -> None:
    w = crowd(world, four_moves(move, [None, 0, 1, 2]))
    _run_until(w, "Surging")
    del w.nodes["b"]
    w.run()
    assert (w.progress.phase, w.progress.reason) == ("Aborted", "TargetGone")
    assert w.is_calm()


def test_moves_of_one_workload_run_one_after_the_other(world: Any, move: Any) -> None:
    w = crowd(world, four_moves(move, [0, 1, 2, 3]))
    w.params = replace(w.params, max_parallel_moves=4)
    w.run()
    assert w.progress.phase == "Completed"
    assert max(sum(not p.terminating for p in frame.pods.values()) for frame in w.frames) == 5


@settings(suppress_health_check=REUSED, max_examples=60)
@given(data=st.data())
def test_fifteen_changes_a_minute_drop_moves_but_never_break_the_rest(
    world: Any, move: Any, data: st.DataObject
) -> None:
    """A look each half second: every eighth of them something changes, whatever it is."""
    groups = data.draw(st.lists(st.integers(0, 3), min_size=4, max_size=4), label="groups")
    w = crowd(world, four_moves(move, groups))
    changes = data.draw(st.lists(st.sampled_from(CHANGES), max_size=12), label="changes")
    lost = 0
    for change in changes:
        for _ in range(8):
            w.run(rounds=1)
        lost += _disturb(w, change)
    w.nodes.setdefault("a", w.nodes["c"])
    w.run()
    assert w.progress.has_ended
    assert w.is_calm()
    assert w.fewest_ready() >= 4 - lost
    assert audit(w.history()) == ()
    left_out = {m.index for m in w.progress.moves if m.reason == "PartnerFailed"}
    for index in left_out:
        mine = [m for m in w.progress.moves if groups[m.index] == groups[index]]
        assert any(m.phase in ("Failed", "Skipped") and m.index not in left_out for m in mine)


CHANGES = ["nothing", "cordon-b", "cordon-c", "open", "lose-pod", "close", "permit"]


def _disturb(w: Any, change: str) -> int:
    """Change something; return how many ready pods that cost."""
    match change:
        case "cordon-b" | "cordon-c":
            name = change[-1]
            w.nodes[name] = replace(w.nodes[name], unschedulable=True)
        case "open":
            w.nodes.update({n: replace(node, unschedulable=False) for n, node in w.nodes.items()})
        case "lose-pod":
            uid = min((pod.uid for pod in w.pods.values() if pod.ready), default="")
            w.change(uid, terminating=True)
            return 1
        case "close" | "permit":
            w.budget_open = change == "permit"
    w.film()
    return 0
