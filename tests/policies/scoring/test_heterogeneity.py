from __future__ import annotations

import numpy as np
import pytest

from moorage_policies.scoring import Fragmentation, Heterogeneity
from moorage_policies.state import Snapshot
from moorage_policies.testing import make_node, make_pod, make_snapshot
from moorage_policies.types import (
    NVIDIA_GPU,
    Affinity,
    LabelSelector,
    Node,
    NodeSelectorTerm,
    Pod,
    PodAffinityTerm,
    Requirement,
)

CLASS, RACK, BLOCK = "nvidia.com/gpu.product", "rack", "block"


def _node(name: str, kind: str = "", rack: str = "", block: str = "") -> Node:
    labels = {CLASS: kind, RACK: rack, BLOCK: block}
    return make_node(name, labels={key: value for key, value in labels.items() if value})


def _accepts(*classes: str) -> Affinity:
    term = NodeSelectorTerm((Requirement(CLASS, "In", classes),))
    return Affinity(required_node_terms=(term,))


def _scores(pod: Pod, snapshot: Snapshot, scorer: Heterogeneity) -> dict[str, float] | None:
    fragmentation = Fragmentation((NVIDIA_GPU,))
    fragmentation.learn(snapshot)
    scorer.learn(fragmentation.mixes, snapshot)
    found = scorer.score(pod, snapshot, np.arange(len(snapshot.nodes)))
    return None if found is None else dict(zip(snapshot.node_names, found.tolist(), strict=True))


def test_classes_are_taken_in_the_order_in_which_they_are_written() -> None:
    snapshot = make_snapshot([_node("a", "A100"), _node("h", "H100"), _node("l", "L40S")])
    pod = make_pod("new", affinity=_accepts("H100", "L40S", "A100"))
    scores = _scores(pod, snapshot, Heterogeneity())
    assert scores == {"h": 1.0, "l": pytest.approx(2 / 3), "a": pytest.approx(1 / 3)}


def test_a_class_that_others_cannot_do_without_is_kept_for_them() -> None:
    picky = [make_pod(f"p{i}", node_selector={CLASS: "H100"}) for i in range(9)]
    snapshot = make_snapshot([_node("a", "A100"), _node("h", "H100"), _node("none")], picky)
    scores = _scores(make_pod("new"), snapshot, Heterogeneity())
    assert scores is not None
    assert scores["h"] < 0.5 < scores["a"] == scores["none"] == 1.0


def test_whoever_takes_one_class_only_has_no_opinion() -> None:
    picky = [make_pod(f"p{i}", node_selector={CLASS: "H100"}) for i in range(9)]
    snapshot = make_snapshot([_node("a", "A100"), _node("h", "H100")], picky)
    for pod in (picky[0], make_pod("new", affinity=_accepts("H100"))):
        assert _scores(pod, snapshot, Heterogeneity()) is None


def test_without_labels_or_picky_pods_there_is_no_opinion() -> None:
    snapshot = make_snapshot([make_node("a"), make_node("b")])
    assert _scores(make_pod("new"), snapshot, Heterogeneity()) is None


MIXED_TREE = [
    # one block with one class; one block whose racks are uniform but differ; one mixed rack
    _node("low", "A100", "r1", "b1"),
    _node("low2", "A100", "r2", "b1"),
    _node("medium", "A100", "r3", "b2"),
    _node("other", "H100", "r4", "b2"),
    _node("high", "A100", "r5", "b3"),
    _node("high2", "H100", "r5", "b3"),
    _node("nowhere", "A100"),
]


def test_loose_pods_leave_mixed_subgroups_to_those_who_need_them() -> None:
    snapshot = make_snapshot(MIXED_TREE)
    scores = _scores(make_pod("new"), snapshot, Heterogeneity(levels=("zone", BLOCK, RACK)))
    assert scores == {
        "low": 1.0, "low2": 1.0, "medium": 0.5, "other": 0.5, "nowhere": 0.5,
        "high": 0.0, "high2": 0.0,
    }  # fmt: skip


def test_pods_that_need_company_may_use_any_subgroup() -> None:
    near = PodAffinityTerm(RACK, LabelSelector())
    pod = make_pod("new", affinity=Affinity(required_pod_affinity=(near,)))
    assert _scores(pod, make_snapshot(MIXED_TREE), Heterogeneity(levels=(BLOCK, RACK))) is None


def test_subgroups_follow_nodes_that_change() -> None:
    scorer = Heterogeneity(levels=(BLOCK, RACK))
    before = _scores(make_pod("new"), make_snapshot(MIXED_TREE), scorer)
    uniform = [node for node in MIXED_TREE if node.name != "high2"]
    after = _scores(make_pod("new"), make_snapshot(uniform), scorer)
    assert before is not None
    assert after is not None
    assert (before["high"], after["high"]) == (0.0, 1.0)
