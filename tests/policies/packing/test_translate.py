"""From nodes and pods to an instance: who is left alone, and which ties arise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from moorage_policies.errors import BadInputError
from moorage_policies.packing.solve import Params, solve
from moorage_policies.packing.translate import (
    DEFAULT_RULES,
    GangMembership,
    Rules,
    Translation,
    from_cluster,
)
from moorage_policies.testing import make_node, make_pod
from moorage_policies.types import (
    Affinity,
    DisruptionBudget,
    LabelSelector,
    Node,
    Owner,
    Pod,
    PodAffinityTerm,
    Requirement,
    Taint,
    Toleration,
    TopologySpread,
)

OWNER = Owner("ReplicaSet", "web", "owner-web")
WEB = LabelSelector((Requirement("app", "In", ("web",)),))
HOST = "kubernetes.io/hostname"
ZONE = "topology.kubernetes.io/zone"


def web(name: str, **fields: Any) -> Pod:
    return make_pod(name, owner=OWNER, labels={"app": "web"}, **fields)


def placed(translation: Translation) -> dict[str, str | None]:
    """Return the node of each pod that the solver may change, by pod name."""
    solution = solve(translation.instance, Params(deadline_s=1.0))
    assert solution.certificate.is_proven
    return {
        pod.name: translation.nodes[node].name if node >= 0 else None
        for pod, node in zip(translation.pods, solution.placement.tolist(), strict=True)
    }


def two_nodes(**fields: Any) -> tuple[Node, Node]:
    return (
        make_node("a", gpus=4, labels={ZONE: "z1"}, **fields),
        make_node("b", gpus=4, labels={ZONE: "z2"}, **fields),
    )


def test_a_move_makes_room_on_one_node() -> None:
    pods = [web("one", gpus=2, node="a"), web("two", gpus=2, node="b"), web("four", gpus=4)]
    answer = placed(from_cluster(two_nodes(), pods))
    assert None not in answer.values()
    assert answer["one"] == answer["two"] != answer["four"]


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"owner": None}, id="bare"),
        pytest.param({"owner": Owner("DaemonSet", "d", "d")}, id="daemon-set"),
        pytest.param({"owner": Owner("Node", "a", "a")}, id="static"),
        pytest.param({"priority": 2_000_001_000}, id="system-critical"),
        pytest.param({"annotations": {"karpenter.sh/do-not-disrupt": "true"}}, id="opted-out"),
        pytest.param(
            {"annotations": {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"}},
            id="not-safe-to-evict",
        ),
        pytest.param({"unsupported": ("PersistentVolumeClaim",)}, id="unsupported"),
        pytest.param({"terminating": True}, id="terminating"),
    ],
)
def test_who_is_left_alone(fields: dict[str, Any]) -> None:
    pods = [
        make_pod("one", gpus=2, node="a", **{"owner": OWNER, **fields}),
        make_pod("two", gpus=2, node="b", **{"owner": OWNER, **fields}),
        web("four", gpus=4),
    ]
    translation = from_cluster(two_nodes(), pods)
    assert [pod.name for pod in translation.pods] == ["four"]
    assert placed(translation) == {"four": None}


def test_an_unsupported_pod_keeps_waiting_with_its_reason() -> None:
    waiting = make_pod("claims", gpus=1, unsupported=("ResourceClaim",))
    translation = from_cluster(two_nodes(), [waiting])
    assert translation.pods == ()
    assert translation.unsupported == {waiting.uid: "Unsupported: ResourceClaim"}


def test_nothing_is_planned_on_a_node_that_holds_too_much() -> None:
    pods = [web("a1", gpus=3, node="a"), web("a2", gpus=3, node="a"), web("new", gpus=1)]
    translation = from_cluster(two_nodes(), pods)
    assert placed(translation) == {"new": "b"}


def test_a_pod_on_a_node_that_is_not_there_is_bad_input() -> None:
    with pytest.raises(BadInputError, match="pods: default/x is on unknown node gone"):
        from_cluster(two_nodes(), [web("x", node="gone")])


ANTI = Affinity(required_pod_anti_affinity=(PodAffinityTerm(HOST, WEB),))
TOGETHER = Affinity(required_pod_affinity=(PodAffinityTerm(ZONE, WEB),))
SPREAD = (TopologySpread(ZONE, 1, hard=True, selector=WEB),)
GATED = (Taint("gpu", "yes"),)


@pytest.mark.parametrize(
    ("pods", "expected"),
    [
        pytest.param(
            [web(f"p{n}", affinity=ANTI) for n in range(3)], 2, id="anti-affinity-to-equals"
        ),
        pytest.param(
            [make_pod("fixed", node="a", labels={"app": "web"}), web("p", affinity=ANTI)],
            1,
            id="anti-affinity-to-a-fixed-pod",
        ),
        pytest.param(
            [
                make_pod("shy", node="a", affinity=ANTI),
                make_pod("shy2", node="b", affinity=ANTI),
                web("p"),
            ],
            0,
            id="repelled-by-fixed-pods",
        ),
        pytest.param([make_pod("p", affinity=TOGETHER)], 0, id="affinity-without-company"),
        pytest.param([web("p", affinity=TOGETHER)], 1, id="affinity-to-oneself"),
        pytest.param(
            [web(f"p{n}", gpus=2, spread=SPREAD) for n in range(4)], 4, id="spread-both-zones"
        ),
        pytest.param(
            [make_pod("big", gpus=4, node="a"), *(web(f"p{n}", spread=SPREAD) for n in range(3))],
            1,  # zone z1 takes none, so z2 may be ahead by one
            id="spread-held-back-by-a-full-zone",
        ),
        pytest.param(
            [web("p", node_selector={ZONE: "z2"}, gpus=4), web("q", node_selector={ZONE: "z2"})],
            1,
            id="node-selector",
        ),
    ],
)
def test_how_many_come_in(pods: list[Pod], expected: int) -> None:
    translation = from_cluster(two_nodes(), pods)
    waiting = {pod.name for pod in pods if pod.node is None}
    assert sum(
        node is not None for name, node in placed(translation).items() if name in waiting
    ) == (expected)


@pytest.mark.parametrize(
    ("tolerations", "expected"),
    [
        pytest.param((), None, id="not-tolerated"),
        pytest.param((Toleration("gpu", "Exists"),), "a", id="tolerated"),
    ],
)
def test_taints(tolerations: tuple[Toleration, ...], expected: str | None) -> None:
    nodes = [make_node("a", taints=GATED)]
    assert placed(from_cluster(nodes, [web("p", tolerations=tolerations)])) == {"p": expected}


@pytest.mark.parametrize(
    ("key", "expected"), [pytest.param(None, 2, id="anywhere"), pytest.param(ZONE, 0, id="zone")]
)
def test_a_gang_over_two_zones(key: str | None, expected: int) -> None:
    pods = [web("g0", gpus=4), web("g1", gpus=4)]
    gangs = {pod.uid: GangMembership("g", key) for pod in pods}
    rules = Rules(DEFAULT_RULES.movable, DEFAULT_RULES.evictable, gangs=gangs)
    answer = placed(from_cluster(two_nodes(), pods, rules=rules))
    assert sum(node is not None for node in answer.values()) == expected


def test_the_rest_of_a_gang_joins_the_part_that_runs() -> None:
    pods = [web("g0", gpus=1, node="a"), web("g1", gpus=1), web("g2", gpus=1)]
    gangs = {pod.uid: GangMembership("g", ZONE) for pod in pods}
    rules = Rules(DEFAULT_RULES.movable, DEFAULT_RULES.evictable, gangs=gangs)
    assert placed(from_cluster(two_nodes(), pods, rules=rules)) == dict.fromkeys(
        ("g0", "g1", "g2"), "a"
    )


@pytest.mark.parametrize(("allowed", "expected"), [(0, None), (1, "placed")])
def test_disruption_budgets_bound_moves(allowed: int, expected: str | None) -> None:
    pods = [web("one", gpus=2, node="a"), web("two", gpus=2, node="b"), make_pod("four", gpus=4)]
    budget = DisruptionBudget("default", "web", WEB, allowed)
    answer = placed(from_cluster(two_nodes(), pods, [budget]))
    assert (answer["four"] is None) == (expected is None)


def test_capacity_counts_pod_slots() -> None:
    nodes = [make_node("a", pods=2)]
    answer = placed(from_cluster(nodes, [web(f"p{n}", gpus=0) for n in range(3)]))
    assert np.count_nonzero([node is not None for node in answer.values()]) == 2
