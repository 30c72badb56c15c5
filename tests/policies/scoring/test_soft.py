"""Each expected value is what kube-scheduler's plugin of the same purpose gives, over 100."""

from __future__ import annotations

import math

import numpy as np
import pytest

from moorage_policies.scoring.image_spread import with_tag
from moorage_policies.scoring.neighbours import PreferredNeighbours, SoftSpread
from moorage_policies.scoring.ranking import Scorer
from moorage_policies.scoring.soft import MIB, LocalImages, PreferredNodes, SoftTaints
from moorage_policies.state import ClusterState, NodeChanged, NodeDeleted, Snapshot
from moorage_policies.testing import make_node, make_pod, make_snapshot
from moorage_policies.types import (
    Affinity,
    LabelSelector,
    NodeSelectorTerm,
    Pod,
    PodAffinityTerm,
    PreferredNodeTerm,
    PreferredPodTerm,
    Requirement,
    Taint,
    Toleration,
    TopologySpread,
)

ZONE = "topology.kubernetes.io/zone"
HOSTNAME = "kubernetes.io/hostname"
WEB = LabelSelector((Requirement("app", "In", ("web",)),))


def _score(scorer: Scorer, pod: Pod, snapshot: Snapshot, names: str) -> list[float] | None:
    rows = np.array([snapshot.node_index[name] for name in names.split()])
    values = scorer.score(pod, snapshot, rows)
    return None if values is None else values.tolist()


def _prefers(*terms: tuple[int, str, str]) -> Pod:
    preferred = tuple(
        PreferredNodeTerm(weight, NodeSelectorTerm((Requirement(key, "In", (value,)),)))
        for weight, key, value in terms
    )
    return make_pod("new", affinity=Affinity(preferred_node_terms=preferred))


def test_preferred_nodes_over_the_best_candidate() -> None:
    snapshot = make_snapshot(
        [
            make_node("a", labels={"disk": "nvme", "class": "h100"}),
            make_node("b", labels={"disk": "nvme"}),
            make_node("c", labels={"class": "h100"}),
            make_node("d"),
        ]
    )
    pod = _prefers((10, "disk", "nvme"), (30, "class", "h100"))
    # sums 40, 10, 30, 0 over the largest, 40
    assert _score(PreferredNodes(), pod, snapshot, "a b c d") == [1.0, 0.25, 0.75, 0.0]
    # without a among the candidates the largest is 30
    assert _score(PreferredNodes(), pod, snapshot, "b c") == pytest.approx([1 / 3, 1.0])
    assert _score(PreferredNodes(), pod, snapshot, "d") == [0.0]
    assert _score(PreferredNodes(), make_pod("plain"), snapshot, "a b") is None


def test_preferred_nodes_follow_nodes_that_change_come_and_go() -> None:
    state, scorer, pod = ClusterState(), PreferredNodes(), _prefers((1, "disk", "nvme"))
    field = NodeSelectorTerm(fields=(Requirement("metadata.name", "In", ("b",)),))
    by_name = make_pod(
        "new", affinity=Affinity(preferred_node_terms=(PreferredNodeTerm(1, field),))
    )
    for name, disk in (("a", "nvme"), ("b", "hdd"), ("c", "hdd")):
        state.apply(NodeChanged(make_node(name, labels={"disk": disk})))
    for _ in range(2):
        assert _score(scorer, pod, state.snapshot(), "a b c") == [1.0, 0.0, 0.0]
        assert _score(scorer, by_name, state.snapshot(), "a b c") == [0.0, 1.0, 0.0]
    state.apply(NodeChanged(make_node("c", labels={"disk": "nvme"})))
    assert _score(scorer, pod, state.snapshot(), "a b c") == [1.0, 0.0, 1.0]
    state.apply(NodeDeleted("a"))
    state.apply(NodeChanged(make_node("d", labels={"disk": "nvme"})))
    for _ in range(2):
        assert _score(scorer, pod, state.snapshot(), "b c d") == [0.0, 1.0, 1.0]
        assert _score(scorer, by_name, state.snapshot(), "b c d") == [1.0, 0.0, 0.0]


def test_soft_taints_fewer_is_better() -> None:
    soft = [Taint(key, effect="PreferNoSchedule") for key in ("x", "y")]
    snapshot = make_snapshot(
        [
            make_node("two", taints=tuple(soft)),
            make_node("one", taints=(soft[0],)),
            make_node("none", taints=(Taint("z", effect="NoSchedule"),)),
        ]
    )
    assert _score(SoftTaints(), make_pod("p"), snapshot, "two one none") == [0.0, 0.5, 1.0]
    tolerant = make_pod("p", tolerations=(Toleration("x", "Exists"),))
    assert _score(SoftTaints(), tolerant, snapshot, "two one none") == [0.0, 1.0, 1.0]
    indifferent = make_pod("p", tolerations=(Toleration(operator="Exists"),))
    assert _score(SoftTaints(), indifferent, snapshot, "two one none") is None


def test_images_held_by_more_nodes_and_larger_ones_count_more() -> None:
    snapshot = make_snapshot(
        [
            make_node("a", images={"big:1": 800 * MIB, "small:latest": 50 * MIB}),
            make_node("b", images={"big:1": 800 * MIB}),
            make_node("c"),
            make_node("d"),
        ]
    )
    pod = make_pod("p", images=("big:1", "small"))
    # big is on 2 of 4 nodes: 400 MiB; small on 1 of 4: 12.5 MiB; from 23 MiB to 2 x 1000 MiB
    expected = [(412.5 - 23) / 1977, (400 - 23) / 1977, 0.0]
    assert _score(LocalImages(), pod, snapshot, "a b c") == pytest.approx(expected)
    assert _score(LocalImages(), make_pod("p", images=("other:1",)), snapshot, "a") is None


def test_images_follow_nodes_that_change() -> None:
    state, scorer = ClusterState(), LocalImages()
    for name in "ab":
        state.apply(NodeChanged(make_node(name)))
    pod = make_pod("p", images=("big:1",))
    assert _score(scorer, pod, state.snapshot(), "a b") is None
    state.apply(NodeChanged(make_node("b", images={"big:1": 1000 * MIB})))
    state.apply(NodeChanged(make_node("c")))
    # on 1 of 3 nodes: 1000 / 3 MiB
    expected = [0.0, (1000 / 3 - 23) / 977]
    assert _score(scorer, pod, state.snapshot(), "a b") == pytest.approx(expected)


@pytest.mark.parametrize(
    ("image", "tagged"),
    [
        ("nginx", "nginx:latest"),
        ("nginx:1", "nginx:1"),
        ("registry:5000/nginx", "registry:5000/nginx:latest"),
        ("registry:5000/nginx@sha256:ab", "registry:5000/nginx@sha256:ab"),
    ],
)
def test_image_names_as_nodes_report_them(image: str, tagged: str) -> None:
    assert with_tag(image) == tagged


def _near(weight: int, key: str = ZONE) -> PreferredPodTerm:
    return PreferredPodTerm(weight, PodAffinityTerm(key, WEB))


THREE_ZONES = [
    make_node("a1", labels={ZONE: "a"}),
    make_node("a2", labels={ZONE: "a"}),
    make_node("b1", labels={ZONE: "b"}),
    make_node("c1", labels={ZONE: "c"}),
    make_node("bare"),
]


def _web(name: str, node: str, **fields: object) -> Pod:
    return make_pod(name, node=node, labels={"app": "web"}, **fields)


def test_preferred_affinity_counts_the_whole_domain() -> None:
    snapshot = make_snapshot(
        THREE_ZONES,
        [_web("w1", "a1"), _web("w2", "a1"), _web("w3", "b1"), make_pod("o", node="c1")],
    )
    pod = make_pod("new", affinity=Affinity(preferred_pod_affinity=(_near(5),)))
    # zone a 2 x 5, b 5, c and bare 0; least 0, most 10
    expected = [1.0, 1.0, 0.5, 0.0, 0.0]
    assert _score(PreferredNeighbours(), pod, snapshot, "a1 a2 b1 c1 bare") == expected
    away = make_pod("new", affinity=Affinity(preferred_pod_anti_affinity=(_near(5),)))
    expected = [0.0, 0.0, 0.5, 1.0, 1.0]
    assert _score(PreferredNeighbours(), away, snapshot, "a1 a2 b1 c1 bare") == expected
    elsewhere = make_pod(
        "new", namespace="other", affinity=Affinity(preferred_pod_affinity=(_near(5),))
    )
    assert _score(PreferredNeighbours(), elsewhere, snapshot, "a1 b1") is None


def test_wishes_of_placed_pods_count_too() -> None:
    hermit = make_pod(
        "hermit", node="a1", affinity=Affinity(preferred_pod_anti_affinity=(_near(3, HOSTNAME),))
    )
    fan = make_pod("fan", node="b1", affinity=Affinity(required_pod_affinity=(_near(9).term,)))
    snapshot = make_snapshot(THREE_ZONES, [hermit, fan])
    pod = make_pod("new", labels={"app": "web"})
    # a1 -3 from the hermit, b1 +1 from the fan's required term, a2 and c1 0; over 4
    expected = [0.0, 0.75, 1.0, 0.75]
    assert _score(PreferredNeighbours(), pod, snapshot, "a1 a2 b1 c1") == expected
    assert _score(PreferredNeighbours(), make_pod("plain"), snapshot, "a1 b1") is None


def _spread(key: str = ZONE, max_skew: int = 1) -> Pod:
    constraint = TopologySpread(key, max_skew, hard=False, selector=WEB)
    return make_pod("new", labels={"app": "web"}, spread=(constraint,))


def test_soft_spread_prefers_the_emptier_domain() -> None:
    snapshot = make_snapshot(
        THREE_ZONES,
        [_web("w1", "a1"), _web("w2", "a2"), _web("w3", "b1"), _web("w4", "c1", terminating=True)],
    )
    # three domains weigh ln 5 = 1.609: zone a rounds 3.22 to 3, b 1.61 to 2, c 0 (its pod leaves)
    assert round(2 * math.log(5)) == 3
    assert round(math.log(5)) == 2
    expected = [(3 + 0 - 3) / 3, (3 + 0 - 2) / 3, 1.0, 0.0]  # bare has no zone: 0
    answer = _score(SoftSpread(), _spread(), snapshot, "a1 b1 c1 bare")
    assert answer == pytest.approx(expected)


def test_soft_spread_over_hosts_weighs_by_the_number_of_candidates() -> None:
    snapshot = make_snapshot(THREE_ZONES, [_web("w1", "a1"), _web("w2", "a1"), _web("w3", "a2")])
    # two candidates weigh ln 4 = 1.386, plus maxSkew 3 - 1: 2.77 + 2 = 4.77 -> 5, 1.39 + 2 -> 3
    answer = _score(SoftSpread(), _spread(HOSTNAME, 3), snapshot, "a1 a2")
    assert answer == pytest.approx([(5 + 3 - 5) / 5, (5 + 3 - 3) / 5])


def test_soft_spread_without_anyone_is_equal_and_hard_spread_is_not_scored() -> None:
    snapshot = make_snapshot(THREE_ZONES)
    assert _score(SoftSpread(), _spread(), snapshot, "a1 b1") == [1.0, 1.0]
    hard = make_pod("new", spread=(TopologySpread(ZONE, 1, hard=True, selector=WEB),))
    assert _score(SoftSpread(), hard, snapshot, "a1 b1") is None
