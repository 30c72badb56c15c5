from __future__ import annotations

import msgspec
import pytest

from moorage_crds.convert import to_node
from moorage_crds.names import QUARANTINE
from moorage_crds.objects import NodeObject
from moorage_extender.quarantine import QUARANTINED, quarantined_nodes
from moorage_policies.feasibility import feasible_nodes
from moorage_policies.testing import make_node, make_pod, make_snapshot
from moorage_policies.types import NVIDIA_GPU, Node, Pod, Taint, Toleration


def node(status: str) -> Node:
    condition = {"type": QUARANTINE, "status": status}
    item = {"metadata": {"name": "told"}, "status": {"conditions": [condition]}}
    return to_node(msgspec.convert(item, NodeObject))


@pytest.mark.parametrize(
    ("pod", "barred"),
    [
        pytest.param(make_pod("p", gpus=1), True, id="a-pod-with-accelerators"),
        pytest.param(make_pod("p", gpus=0), False, id="a-pod-without"),
        pytest.param(
            make_pod("p", gpus=1, tolerations=(Toleration(QUARANTINE, "Exists"),)),
            False,
            id="a-pod-that-tolerates-it",
        ),
    ],
)
def test_who_is_kept_off(pod: Pod, barred: bool) -> None:
    snapshot = make_snapshot(
        [make_node("well"), make_node("sick", taints=(*node("True").taints, Taint("other")))]
    )
    found = quarantined_nodes(pod, snapshot, (NVIDIA_GPU,))
    assert found == ({"sick": QUARANTINED} if barred else {})


@pytest.mark.parametrize("status", ["False", "Unknown"])
def test_only_a_condition_that_is_true_counts(status: str) -> None:
    assert node(status).taints == ()


def test_decisions_see_a_quarantine_as_a_taint() -> None:
    snapshot = make_snapshot([make_node("sick", taints=node("True").taints)])
    assert not feasible_nodes(make_pod("p"), snapshot).mask.any()
