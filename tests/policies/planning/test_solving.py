"""What the planner answers to a cluster, judged by the packing checker and the plan's own rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moorage_policies.packing.check import find_violations
from moorage_policies.packing.solve import warm_up
from moorage_policies.planning.answer import Answer, PlanDraft
from moorage_policies.planning.drafts import draft_plans
from moorage_policies.planning.facts import Facts, PlanningParams
from moorage_policies.planning.gangs import gang_of
from moorage_policies.planning.problem import build_problem
from moorage_policies.planning.solving import Changes, answer
from moorage_policies.plans import Move, MoveProgress, Plan, PlanParams, PlanProgress, PlanRecord
from moorage_policies.testing import make_node, make_pod
from moorage_policies.types import DisruptionBudget, LabelSelector, Owner, Pod

EFFORT = PlanningParams(work_s=0.15, question_s=0.04)
OURS = "moorage-scheduler"
Build = Callable[..., Facts]


@pytest.fixture(scope="module", autouse=True)
def _warm() -> None:
    warm_up()


def running(name: str, node: str, gpus: int, **fields: Any) -> Pod:
    owner = fields.pop("owner", Owner("ReplicaSet", f"{name}-rs", f"rs-{name}"))
    told = {"scheduler": OURS, "phase": "Running", "ready": True, **fields}
    return make_pod(name, gpus=gpus, node=node, owner=owner, **told)


def waiting(name: str, gpus: int, **fields: Any) -> Pod:
    return make_pod(name, gpus=gpus, scheduler=OURS, unschedulable=True, **fields)


NODES = [make_node(name, gpus=4) for name in "abc"]
HALF = [running("p", "a", 2), running("q", "b", 2), running("r", "c", 4)]


def kinds(found: Answer) -> list[str]:
    return sorted(move.kind for draft in found.drafts for move in draft.moves)


def test_a_move_makes_room_and_the_place_follows_in_a_later_step(build: Build) -> None:
    found = answer(build(NODES, [*HALF, waiting("w", 4)]), EFFORT)
    [draft] = found.drafts
    move, place = draft.moves
    assert (move.kind, move.strategy, place.kind, place.uid) == (
        "Move", "SurgeFirst", "Place", "pod-default-w",
    )  # fmt: skip
    assert {move.source, move.target} == {"a", "b"}
    assert place.target == move.source
    assert place.step > move.step
    assert found.words == {"pod-default-w": "Planned"}
    assert found.proof.verdict == "Optimal"


@pytest.mark.parametrize(
    "still",
    [
        pytest.param({"annotations": {"moorage.dev/movable": "false"}}, id="opted-out"),
        pytest.param({"annotations": {"karpenter.sh/do-not-disrupt": "true"}}, id="karpenter"),
        pytest.param(
            {"annotations": {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"}},
            id="autoscaler",
        ),
        pytest.param({"namespace": "kube-system"}, id="protected-namespace"),
        pytest.param({"scheduler": "default-scheduler"}, id="of-another-scheduler"),
        pytest.param({"owner": None}, id="bare"),
        pytest.param({"owner": Owner("DaemonSet", "d", "d")}, id="daemon"),
        pytest.param({"priority": 2_000_000_000}, id="critical"),
        pytest.param({"unsupported": ("PersistentVolumeClaim",)}, id="unmodelled"),
    ],
)
def test_nobody_protected_is_touched(build: Build, still: dict[str, Any]) -> None:
    pods = [replace(pod, **still) for pod in HALF]
    found = answer(build(NODES, [*pods, waiting("w", 4, priority=100)]), EFFORT)
    assert found.drafts == ()
    assert found.words["pod-default-w"] == "Infeasible"


def test_two_budgets_over_one_pod_keep_it_where_it_is(build: Build) -> None:
    budgets = tuple(DisruptionBudget("default", n, LabelSelector(), 9) for n in ("one", "two"))
    found = answer(build(NODES, [*HALF, waiting("w", 4)], budgets=budgets), EFFORT)
    assert found.drafts == ()


def test_equals_of_no_pool_stay_and_lower_ones_are_evicted_over_two_nodes(build: Build) -> None:
    """No single node would do: kube-scheduler could never evict for this gang of two."""
    pods = [running(n, node, 4) for n, node in (("p", "a"), ("q", "b"), ("r", "c"))]
    gang = {"labels": {"moorage.dev/gang": "g"}, "annotations": {"moorage.dev/gang-size": "2"}}
    equal = [waiting(f"w{n}", 4, **gang) for n in range(2)]
    assert answer(build(NODES, [*pods, *equal], surge=False), EFFORT).drafts == ()
    higher = [replace(pod, priority=9) for pod in equal]
    found = answer(build(NODES, [*pods, *higher], surge=False), EFFORT)
    assert kinds(found) == ["Evict", "Evict", "Place", "Place"]
    assert len(found.drafts) == 1  # a gang is one plan


def swap(build: Build, **limits: Any) -> tuple[PlanDraft, ...]:
    """Two pools' pods have to swap nodes for ``w``; ``v``, of its gang, takes the last room."""
    nodes = [make_node(name, gpus=size) for name, size in (("a", 4), ("b", 3), ("c", 2))]
    gang = {"labels": {"moorage.dev/gang": "g"}, "annotations": {"moorage.dev/gang-size": "2"}}
    pods = [running("p", "a", 3), running("q", "b", 2), waiting("w", 2, **gang)]
    params = replace(EFFORT, limits=PlanParams(**limits))
    problem = build_problem(build(nodes, [*pods, waiting("v", 2, **gang)]), params)
    row_of = {pod.name: row for row, pod in enumerate(problem.translation.pods)}
    node_of = {name: row for row, name in enumerate(problem.translation.instance.nodes)}
    placement = problem.translation.instance.current.copy()
    for name, node in {"p": "b", "q": "a", "w": "a", "v": "c"}.items():
        placement[row_of[name]] = node_of[node]
    return draft_plans(problem, placement, params)


def test_a_swap_goes_by_a_node_that_is_full_in_the_end(build: Build) -> None:
    [draft] = swap(build)
    moves = sorted((m for m in draft.moves if m.kind == "Move"), key=lambda move: move.step)
    assert [(m.name, m.source, m.target) for m in moves] == [
        ("q", "b", "c"),
        ("p", "a", "b"),
        ("q", "c", "a"),
    ]
    assert moves[2].follows == moves[0].index
    assert {m.strategy for m in moves} == {"SurgeFirst"}
    assert "moves 2 pods (1 by way of another node)" in draft.reason


def test_a_swap_keeps_to_the_moves_that_the_policy_allows(build: Build) -> None:
    [draft] = swap(build, max_moves=2)
    assert sorted(m.strategy for m in draft.moves if m.kind == "Move") == [
        "EvictFirst",
        "SurgeFirst",
    ]


def test_a_gang_gets_all_or_nothing(build: Build) -> None:
    gang = {"labels": {"moorage.dev/gang": "g"}, "annotations": {"moorage.dev/gang-size": "4"}}
    pods = [waiting(f"w{n}", 2, **gang) for n in range(4)]
    room = answer(build(NODES[:2], pods), EFFORT)
    assert kinds(room) == ["Place"] * 4
    short = answer(build(NODES[:2], [running("x", "a", 1, owner=None), *pods]), EFFORT)
    assert short.drafts == ()
    assert set(short.words.values()) == {"Infeasible"}
    partial = answer(build(NODES, pods[:3]), EFFORT)
    assert partial.drafts == ()
    assert set(partial.words.values()) == {"Unsupported"}
    assert "3 of 4 pods exist" in partial.messages["pod-default-w0"]


def test_a_gang_that_runs_over_two_domains_stops_nobody(build: Build) -> None:
    """It was placed before its topology was asked for; others are planned all the same."""
    nodes = [make_node(name, gpus=4, labels={"rack": name}) for name in "abc"]
    gang = {
        "labels": {"moorage.dev/gang": "g"},
        "annotations": {"moorage.dev/gang-size": "2", "moorage.dev/gang-topology": "rack"},
    }
    split = [running("x", "c", 2, **gang), running("y", "a", 1, **gang)]
    found = answer(build(nodes, [*split, running("q", "b", 1), waiting("w", 4)]), EFFORT)
    assert found.words == {"pod-default-w": "Planned"}


@pytest.mark.parametrize(
    ("labels", "is_gang"),
    [
        pytest.param({"moorage.dev/pool": "p"}, True, id="of-a-pool"),
        pytest.param({}, False, id="of-somebody-else"),
    ],
)
def test_groups_are_gangs_where_a_pool_made_them(labels: dict[str, str], is_gang: bool) -> None:
    group = {
        "leaderworkerset.sigs.k8s.io/name": "l", "leaderworkerset.sigs.k8s.io/group-index": "0",
    }  # fmt: skip
    size = {"leaderworkerset.sigs.k8s.io/size": "2"}
    pod = make_pod("p", labels={**group, **labels}, annotations=size)
    assert (gang_of(pod) is not None) is is_gang


def test_infeasible_names_the_node_that_would_help(build: Build) -> None:
    full = [running(n, node, 4) for n, node in (("p", "a"), ("q", "b"), ("r", "c"))]
    found = answer(build(NODES, [*full, waiting("w", 4)]), EFFORT)
    assert found.words == {"pod-default-w": "Infeasible"}
    message = found.messages["pod-default-w"]
    assert message.startswith("no rearrangement can place this pod (proven")
    assert "add one node" in message
    assert "4 nvidia.com/gpu" in message
    more = answer(build([*NODES, make_node("d", gpus=4)], [*full, waiting("w", 4)]), EFFORT)
    assert more.words == {"pod-default-w": "HasRoom"}
    assert more.drafts == ()  # room without disturbing anybody needs no plan


def test_nodes_of_a_running_plan_are_left_alone(build: Build) -> None:
    moves = (Move(0, 0, "Place", "someone", "default", "someone", target="b"),)
    record = PlanRecord(Plan("other", moves=moves, created_s=999.0), PlanProgress("Executing"))
    facts = build(NODES, [*HALF, waiting("w", 4)], plans=(record,))
    assert answer(facts, EFFORT).drafts == ()
    ended = replace(record, progress=PlanProgress("Completed"))
    assert answer(replace(facts, plans=(ended,)), EFFORT).drafts != ()


def test_the_policys_limits_are_kept_and_named(build: Build) -> None:
    facts = build(NODES, [*HALF, waiting("w", 4)])
    tight = replace(EFFORT, limits=PlanParams(max_moves=0))
    found = answer(facts, tight)
    assert found.drafts == ()
    assert "disruption.maxMoves" in found.messages["pod-default-w"]
    assert answer(facts, replace(EFFORT, max_moves_per_plan=0)).drafts == ()
    past = PlanRecord(
        Plan("before", moves=(Move(0, 0, "Move", "x", "d", "x", owner=Owner("R", "q", "rs-q")),)),
        PlanProgress(
            "Completed",
            moves=(MoveProgress(0, "Done", replacement_uid="pod-default-q", started_s=990.0),),
        ),
    )
    [draft] = answer(replace(facts, plans=(past,)), EFFORT).drafts
    assert draft.moves[0].uid == "pod-default-p"  # q was moved a moment ago


def test_a_pod_that_shuts_down_counts_as_gone(build: Build) -> None:
    leaving = [replace(HALF[0], terminating=True), *HALF[1:]]
    found = answer(build(NODES, [*leaving, waiting("w", 4)]), EFFORT)
    assert found.words == {"pod-default-w": "HasRoom"}


def test_pools_say_how_their_replicas_move(build: Build) -> None:
    facts = build(NODES, [*HALF, waiting("w", 4)])
    never = replace(facts, migrations=dict.fromkeys(facts.migrations, "Never"))
    assert answer(never, EFFORT).drafts == ()
    evict = replace(facts, migrations=dict.fromkeys(facts.migrations, "EvictFirst"))
    [draft] = answer(evict, EFFORT).drafts
    assert draft.moves[0].strategy == "EvictFirst"


def test_the_same_facts_give_the_same_answer(build: Build) -> None:
    facts = build(NODES, [*HALF, waiting("w", 4), waiting("v", 1)])
    assert answer(facts, EFFORT) == answer(facts, EFFORT)


def test_what_was_heard_before_a_crash_is_as_good_as_an_answer(build: Build) -> None:
    facts = build(NODES, [*HALF, waiting("w", 4)])
    heard: list[Changes] = []
    whole = answer(facts, EFFORT, on_better=heard.append)
    again = answer(facts, EFFORT, given=heard[-1])
    assert kinds(again) == kinds(whole)
    assert again.proof.verdict == "Feasible"
    assert not again.proof.complete


GPUS = st.integers(1, 4)
PRIORITY = st.sampled_from([0, 10, 20])


@settings(max_examples=25)
@given(
    st.lists(st.tuples(GPUS, st.integers(0, 2), PRIORITY), max_size=7),
    st.lists(st.tuples(GPUS, PRIORITY), min_size=1, max_size=4),
    st.booleans(),
)
def test_every_plan_leads_to_a_placement_without_a_broken_rule(
    placed: list[tuple[int, int, int]], wanted: list[tuple[int, int]], surge: bool
) -> None:
    free, pods = [4, 4, 4], []
    for number, (gpus, node, priority) in enumerate(placed):
        if free[node] >= gpus:
            free[node] -= gpus
            pods.append(running(f"p{number}", "abc"[node], gpus, priority=priority))
    pods += [waiting(f"w{n}", gpus, priority=priority) for n, (gpus, priority) in enumerate(wanted)]
    migrations = {pod.uid: "SurgeFirst" for pod in pods if pod.node} if surge else {}
    facts = Facts(1000.0, 1, tuple(NODES), tuple(pods), migrations=migrations)
    found = answer(facts, EFFORT)
    assert found.words.keys() == {pod.uid for pod in pods if pod.node is None}

    instance = build_problem(facts, EFFORT).translation.instance
    row = {uid: at for at, uid in enumerate(instance.pods)}
    node = {name: at for at, name in enumerate(instance.nodes)}
    for draft in found.drafts:  # each stands for itself: others may come to nothing
        then = instance.current.copy()
        for move in draft.moves:
            then[row[move.uid]] = node[move.target] if move.target else -1
        assert find_violations(instance, then) == ()
        assert np.count_nonzero(then >= 0) >= 1
        touched = [frozenset({m.source, m.target} - {""}) for m in draft.moves]
        for other in found.drafts:
            if other is not draft:
                theirs = {n for m in other.moves for n in (m.source, m.target)}
                assert not theirs & frozenset().union(*touched)
