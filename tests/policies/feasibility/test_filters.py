"""Each of kube-scheduler's filters: what it lets through and what it refuses, and why."""

from __future__ import annotations

from typing import Any

import pytest

from moorage_policies.feasibility import feasible_nodes
from moorage_policies.state import snapshot_of
from moorage_policies.testing import make_node, make_pod
from moorage_policies.types import (
    Affinity,
    LabelSelector,
    NodeSelectorTerm,
    Pod,
    PodAffinityTerm,
    Requirement,
    Taint,
    Toleration,
    TopologySpread,
)

APP_A = LabelSelector((Requirement("app", "In", ("a",)),))
ZONE = "zone"


def refusal(node: dict[str, Any], pod: dict[str, Any], *others: Pod) -> tuple[str, bool]:
    """Return which filter refuses the pod on node ``n`` and whether evictions could help."""
    rest = [make_node("m", labels={ZONE: "y"})]
    snapshot = snapshot_of([make_node("n", **node), *rest], others)
    result = feasible_nodes(make_pod("new", **pod), snapshot)
    row = snapshot.node_index["n"]
    filters = {refusal.filter for refusal in result.refusals if refusal.rows[row]}
    assert len(filters) <= 1
    assert bool(filters) is not bool(result.mask[row])
    return filters.pop() if filters else "", bool(result.resolvable[row])


def on_n(name: str = "other", **fields: Any) -> Pod:
    return make_pod(name, **{"node": "n", **fields})


def needs(*requirements: Requirement, fields: tuple[Requirement, ...] = ()) -> Affinity:
    return Affinity(required_node_terms=(NodeSelectorTerm(requirements, fields),))


def near(key: str = ZONE, **fields: Any) -> Affinity:
    return Affinity(required_pod_affinity=(PodAffinityTerm(key, APP_A, **fields),))


def away(key: str = ZONE, **fields: Any) -> Affinity:
    return Affinity(required_pod_anti_affinity=(PodAffinityTerm(key, APP_A, **fields),))


IN_X = {"labels": {ZONE: "x"}}
IS_A = {"labels": {"app": "a"}}
TAINT = {"taints": (Taint("gpu", "h100"),)}


@pytest.mark.parametrize(
    ("node", "pod", "refused_by"),
    [
        pytest.param({}, {}, "", id="plain"),
        pytest.param({"unschedulable": True}, {}, "NodeUnschedulable", id="cordoned"),
        pytest.param(
            {"unschedulable": True},
            {"tolerations": (Toleration("node.kubernetes.io/unschedulable", "Exists"),)},
            "",
            id="cordon-tolerated",
        ),
        pytest.param({"ready": False}, {}, "", id="not-ready-counts-through-taints-only"),
        pytest.param({}, {"node": "m"}, "NodeName", id="names-another-node"),
        pytest.param({}, {"node": "n"}, "", id="names-this-node"),
        pytest.param(TAINT, {}, "TaintToleration", id="taint"),
        pytest.param(TAINT, {"tolerations": (Toleration("gpu", "Exists"),)}, "", id="tolerated"),
        pytest.param(
            TAINT,
            {"tolerations": (Toleration("gpu", "Equal", "a100"),)},
            "TaintToleration",
            id="tolerates-another-value",
        ),
        pytest.param(
            TAINT,
            {"tolerations": (Toleration("gpu", "Exists", effect="NoExecute"),)},
            "TaintToleration",
            id="tolerates-another-effect",
        ),
        pytest.param(
            {"taints": (Taint("gpu", effect="PreferNoSchedule"),)}, {}, "", id="soft-taint-passes"
        ),
        pytest.param(IN_X, {"node_selector": {ZONE: "x"}}, "", id="selector-holds"),
        pytest.param(IN_X, {"node_selector": {ZONE: "y"}}, "NodeAffinity", id="selector-fails"),
        pytest.param(
            {}, {"node_selector": {ZONE: "x"}}, "NodeAffinity", id="selected-label-is-missing"
        ),
        pytest.param(
            IN_X, {"affinity": needs(Requirement(ZONE, "In", ("x", "q")))}, "", id="in-holds"
        ),
        pytest.param(
            IN_X,
            {"affinity": needs(Requirement(ZONE, "NotIn", ("x",)))},
            "NodeAffinity",
            id="not-in-fails",
        ),
        pytest.param(
            {},
            {"affinity": needs(Requirement(ZONE, "NotIn", ("x",)))},
            "",
            id="not-in-without-label",
        ),
        pytest.param(
            {"labels": {"gen": "5"}},
            {"affinity": needs(Requirement("gen", "Gt", ("4",)))},
            "",
            id="greater-than",
        ),
        pytest.param(
            {"labels": {"gen": "5"}},
            {"affinity": needs(Requirement("gen", "Gt", ("5",)))},
            "NodeAffinity",
            id="greater-than-is-strict",
        ),
        pytest.param(
            {"labels": {"gen": "five"}},
            {"affinity": needs(Requirement("gen", "Gt", ("4",)))},
            "NodeAffinity",
            id="greater-than-needs-a-number",
        ),
        pytest.param(
            {},
            {"affinity": needs(fields=(Requirement("metadata.name", "In", ("n",)),))},
            "",
            id="field-names-the-node",
        ),
        pytest.param(
            {},
            {"affinity": needs(fields=(Requirement("metadata.name", "In", ("m",)),))},
            "NodeAffinity",
            id="field-names-another",
        ),
        pytest.param({}, {"affinity": needs()}, "NodeAffinity", id="empty-term-matches-nothing"),
        pytest.param({"gpus": 4}, {"gpus": 4}, "", id="exactly-enough"),
        pytest.param({"gpus": 4}, {"gpus": 5}, "NodeResourcesFit", id="one-gpu-short"),
        pytest.param({"gpus": 0}, {"gpus": 1}, "NodeResourcesFit", id="no-such-device"),
        pytest.param(
            {},
            {"requests": {"example.com/qpu": 1}},
            "NodeResourcesFit",
            id="resource-nobody-has",
        ),
        pytest.param({}, {"requests": {"example.com/qpu": 0}}, "", id="zero-of-what-nobody-has"),
        pytest.param({"pods": 0}, {}, "NodeResourcesFit", id="no-pod-slots"),
        pytest.param({}, {"affinity": near()}, "InterPodAffinity", id="nobody-to-be-near"),
        pytest.param(IN_X, {"affinity": near(), **IS_A}, "", id="first-of-its-own-kind-may-start"),
        pytest.param(
            {}, {"affinity": near(), **IS_A}, "InterPodAffinity", id="first-but-without-the-label"
        ),
        pytest.param(
            {},
            {"spread": (TopologySpread(ZONE, 1, True, APP_A),)},
            "PodTopologySpread",
            id="no-label-to-spread-over",
        ),
        pytest.param(
            {}, {"spread": (TopologySpread(ZONE, 1, False, APP_A),)}, "", id="soft-spread-passes"
        ),
    ],
)
def test_on_an_empty_cluster(node: dict[str, Any], pod: dict[str, Any], refused_by: str) -> None:
    # nothing is placed, so no eviction could change anything
    assert refusal(node, pod) == (refused_by, False)


@pytest.mark.parametrize(
    ("pod", "others", "expected"),
    [
        pytest.param(
            {"gpus": 5}, [on_n(gpus=4)], ("NodeResourcesFit", True), id="taken-gpus-may-be-freed"
        ),
        pytest.param(
            {"gpus": 0, "cpu_m": 0},
            [on_n(gpus=9, cpu_m=99_000)],
            ("", False),
            id="asks-nothing-of-an-over-committed-node",
        ),
        pytest.param({"affinity": near()}, [on_n(**IS_A)], ("", False), id="near-whom-it-seeks"),
        pytest.param(
            {"affinity": near(), **IS_A},
            [on_n(node="m", **IS_A)],
            ("InterPodAffinity", False),
            id="its-kind-already-lives-elsewhere",
        ),
        pytest.param(
            {"affinity": near()},
            [on_n(namespace="other", **IS_A)],
            ("InterPodAffinity", False),
            id="same-labels-in-another-namespace",
        ),
        pytest.param(
            {"affinity": near(all_namespaces=True)},
            [on_n(namespace="other", **IS_A)],
            ("", False),
            id="any-namespace-will-do",
        ),
        pytest.param(
            {"affinity": away()}, [on_n(**IS_A)], ("InterPodAffinity", True), id="keeps-away"
        ),
        pytest.param({"affinity": away()}, [on_n(node="m", **IS_A)], ("", False), id="far-enough"),
        pytest.param(
            {"affinity": away()},
            [on_n(terminating=True, **IS_A)],
            ("InterPodAffinity", True),
            id="keeps-away-from-one-that-is-leaving",
        ),
        pytest.param(IS_A, [on_n(affinity=away())], ("InterPodAffinity", True), id="is-kept-away"),
        pytest.param(
            {"spread": (TopologySpread(ZONE, 1, True, APP_A),), **IS_A},
            [on_n(**IS_A)],
            ("PodTopologySpread", True),
            id="zone-x-one-zone-y-none",  # 1 + 1 - 0 > 1
        ),
        pytest.param(
            {"spread": (TopologySpread(ZONE, 1, True, APP_A),)},
            [on_n(**IS_A)],
            ("", False),
            id="does-not-count-itself",  # 1 + 0 - 0 <= 1
        ),
        pytest.param(
            {"spread": (TopologySpread(ZONE, 1, True, APP_A),), **IS_A},
            [on_n(**IS_A), on_n("far", node="m", **IS_A)],
            ("", False),
            id="level-zones",  # 1 + 1 - 1 <= 1
        ),
        pytest.param(
            {"spread": (TopologySpread(ZONE, 1, True, APP_A),), **IS_A},
            [on_n(terminating=True, **IS_A)],
            ("", False),
            id="one-that-is-leaving-does-not-count",
        ),
        pytest.param(
            {"spread": (TopologySpread(ZONE, 1, True, APP_A, min_domains=3),), **IS_A},
            [on_n(**IS_A), on_n("far", node="m", **IS_A)],
            ("PodTopologySpread", True),
            id="too-few-zones-count-as-empty",  # 1 + 1 - 0 > 1
        ),
    ],
)
def test_beside_other_pods(
    pod: dict[str, Any], others: list[Pod], expected: tuple[str, bool]
) -> None:
    assert refusal(IN_X, pod, *others) == expected


@pytest.mark.parametrize(
    ("priority", "free"),
    [
        pytest.param(1, True, id="lower-nomination-gives-way"),
        pytest.param(0, False, id="equal-nomination-holds"),
    ],
)
def test_room_nominated_to_another_pod(priority: int, free: bool) -> None:
    guest = make_pod("guest", gpus=6, priority=0, nominated_node="n")
    snapshot = snapshot_of([make_node("n")], [guest])
    pod = make_pod("new", gpus=4, priority=priority)
    assert feasible_nodes(pod, snapshot).mask.tolist() == [free]
    assert feasible_nodes(guest, snapshot).mask.tolist() == [True]


def test_the_first_filter_that_refuses_is_the_reason() -> None:
    node = make_node("n", gpus=0, unschedulable=True, **TAINT)
    result = feasible_nodes(make_pod("new"), snapshot_of([node]))
    assert result.reason_of(0) == "is cordoned"
    assert result.counts() == {"is cordoned": 1}


def test_every_resource_that_is_short_is_named() -> None:
    node = make_node("n", gpus=1, cpu_m=500)
    result = feasible_nodes(make_pod("new", gpus=2, cpu_m=600), snapshot_of([node]))
    assert result.reason_of(0) == "is short of cpu, is short of nvidia.com/gpu"


def test_no_nodes_at_all() -> None:
    result = feasible_nodes(make_pod("new", node_selector={"a": "b"}), snapshot_of([]))
    assert result.mask.shape == (0,)
    assert result.refusals == ()
