from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from moorage_policies.invariants import Act, AuditParams, Frame, Gang, History, Step, audit
from moorage_policies.testing import make_node, make_pod
from moorage_policies.types import DisruptionBudget, LabelSelector, Owner, Pod, Taint

OWNER = Owner("ReplicaSet", "a-1", "rs")
EVERY = LabelSelector()


def pod(name: str = "a", **fields: Any) -> Pod:
    given = {"node": "n", "owner": OWNER, "scheduler": "moorage-scheduler", "gpus": 2, **fields}
    return make_pod(name, **given)


def frame(*pods: Pod, revision: int = 1, at_s: float = 0.0, **fields: Any) -> Frame:
    nodes = fields.pop("nodes", {"n": make_node("n", gpus=4)})
    steps = fields.pop("steps", (Step("plan", 0, "pod-default-a"),))
    return Frame(revision, at_s, nodes, {p.uid: p for p in pods}, steps=steps, **fields)


def evict(**fields: Any) -> Act:
    return Act(**{"revision": 1, "at_s": 0.0, "kind": "Evict", "uid": "pod-default-a", **fields})


def broken(history: History) -> list[int]:
    return [violation.invariant for violation in audit(history)]


def test_a_quiet_history_breaks_nothing() -> None:
    frames = [frame(pod(), pod("b")), frame(pod("b"), revision=2)]
    assert audit(History(frames, [evict()])) == ()


@pytest.mark.parametrize(
    ("pods", "expected"),
    [
        # 3 x 2 GPUs on a node of 4
        pytest.param([pod("a"), pod("b"), pod("c")], [1], id="over-committed"),
        pytest.param(
            [replace(pod(name), scheduler="other") for name in "abc"], [], id="by-others-alone"
        ),
        pytest.param([pod("a"), pod("b"), pod("c", phase="Succeeded")], [], id="one-is-done"),
    ],
)
def test_nodes_are_not_over_committed(pods: list[Pod], expected: list[int]) -> None:
    assert broken(History([frame(*pods)])) == expected


def test_a_pod_comes_only_to_a_node_that_accepts_it() -> None:
    tainted = {"n": make_node("n", taints=(Taint("gpu"),))}
    waiting, placed = frame(pod(node=None), nodes=tainted), frame(pod(), revision=2, nodes=tainted)
    assert broken(History([waiting, placed])) == [2]
    assert broken(History([placed, replace(placed, revision=3)])) == []  # it was there before


def test_a_gang_is_not_half_bound_for_long() -> None:
    gang = Gang("g", frozenset({"pod-default-a", "pod-default-b"}), least=2)
    frames = [
        frame(pod(), pod("b", node=None), revision=r, at_s=t, gangs=(gang,))
        for r, t in enumerate([0.0, 60.0, 61.0])
    ]
    assert broken(History(frames)) == [3]
    assert broken(History(frames[:2])) == []


@pytest.mark.parametrize(
    "victim",
    [
        pytest.param({"owner": None}, id="bare"),
        pytest.param({"owner": replace(OWNER, kind="DaemonSet")}, id="daemon-set"),
        pytest.param({"owner": replace(OWNER, kind="Node")}, id="static"),
        pytest.param({"priority_class": "system-node-critical"}, id="critical"),
        pytest.param({"annotations": {"moorage.dev/movable": "false"}}, id="opted-out"),
        pytest.param({"scheduler": "default-scheduler"}, id="foreign"),
    ],
)
def test_protected_pods_are_not_evicted(victim: dict[str, Any]) -> None:
    assert broken(History([frame(pod(**victim))], [evict()])) == [4]


@pytest.mark.parametrize(
    ("act", "fields", "params", "expected"),
    [
        pytest.param({"by_api": False}, {}, {}, [4], id="plain-delete"),
        pytest.param({"fenced": False}, {}, {}, [4], id="without-uid"),
        pytest.param({}, {"steps": ()}, {}, [5], id="without-a-plan"),
        pytest.param({}, {"holder": "x"}, {}, [], id="without-a-writer"),
        pytest.param({"writer": "y"}, {"holder": "x"}, {}, [6], id="by-a-stranger"),
        pytest.param({"writer": "x"}, {"holder": "x"}, {}, [], id="by-the-holder"),
        pytest.param({}, {}, {"max_evictions": 0}, [4], id="beyond-the-budget"),
        pytest.param({}, {}, {"protected_namespaces": frozenset({"default"})}, [4], id="protected"),
        pytest.param(
            {}, {"steps": (Step("p", 0, "pod-default-a", 0),)}, {}, [4], id="for-an-equal"
        ),
        pytest.param({}, {"steps": (Step("p", 0, "pod-default-a", 1),)}, {}, [], id="for-a-higher"),
        pytest.param(
            {},
            {"steps": (Step("p", 0, "pod-default-a", 0),)},
            {"same_tier_eviction": True},
            [],
            id="for-an-equal-where-allowed",
        ),
        pytest.param(
            {},
            {"budgets": (DisruptionBudget("default", "b", EVERY, 0),)},
            {},
            [4],
            id="closed-budget",
        ),
        pytest.param(
            {}, {"budgets": (DisruptionBudget("default", "b", EVERY, 1),)}, {}, [], id="open-budget"
        ),
    ],
)
def test_evictions_follow_the_rules(
    act: dict[str, Any], fields: dict[str, Any], params: dict[str, Any], expected: list[int]
) -> None:
    history = History([frame(pod(), **fields)], [evict(**act)], AuditParams(**params))
    assert broken(history) == expected


def test_a_step_happens_once() -> None:
    assert broken(History([frame(pod())], [evict(), evict(at_s=1.0)])) == [5]


def test_a_former_holder_is_heard_of_for_a_while() -> None:
    frames = [
        frame(pod(), holder="old"),
        frame(pod(), revision=2, at_s=10.0, holder="new"),
        frame(pod(), revision=3, at_s=100.0, holder="new"),
    ]
    late = Act(2, 12.0, "Write", writer="old")
    assert broken(History(frames, [late])) == []
    assert broken(History(frames, [replace(late, revision=3, at_s=100.0)])) == [6]
