"""Devices that break and kubelets that refuse, which only a real node shows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from moorage_crds.names import POLICIES, QUARANTINE

REFUSED = "UnexpectedAdmissionError"


@contextmanager
def annotated(pools: Any, node: str, **annotations: str) -> Iterator[None]:
    """Tell the mock device plugin of a node to misbehave."""
    path = f"/api/v1/nodes/{node}"
    told = {
        f"mock.moorage.dev/{name.replace('_', '-')}": text for name, text in annotations.items()
    }
    pools.api.patch(path, {"metadata": {"annotations": told}})
    try:
        yield
    finally:
        pools.api.patch(path, {"metadata": {"annotations": dict.fromkeys(told)}})


def test_a_pod_that_its_kubelet_refuses_is_seen_and_replaced(pools: Any, eventually: Any) -> None:
    [*_, node] = pools.cluster.gpu_nodes()
    path = f"/api/v1/namespaces/{pools.namespace}/pods/refused"
    with annotated(pools, node, refuse_allocations="true"):
        pools.bare_pod("refused", 1, nodeSelector={"kubernetes.io/hostname": node})
        eventually(
            lambda: pools.api.get(path)["status"]["phase"] == "Failed", what="it was refused"
        )
        pod = pools.api.get(path)
        assert pod["status"]["reason"] == REFUSED
        assert pod["spec"]["nodeName"] == node
    # What failed holds no devices: all eight of the node fit.
    pools.bare_pod("whole", 8, nodeSelector={"kubernetes.io/hostname": node})
    path = f"/api/v1/namespaces/{pools.namespace}/pods/whole"
    eventually(lambda: pools.api.get(path)["status"]["phase"] == "Running", what="it runs")


def test_a_node_with_a_broken_device_is_left_out_and_its_pods_move(
    pools: Any, eventually: Any
) -> None:
    policy = {
        "apiVersion": POLICIES.api_version,
        "kind": POLICIES.kind,
        "metadata": {"name": "default"},
        "spec": {
            "gpuHealth": {"actuation": "Auto", "graceSeconds": 1, "quarantineSeconds": 5},
            "disruption": {
                "maxMoves": 100, "maxMovesPerOwner": 100, "ownerCoolDownSeconds": 0,
                "podCoolDownSeconds": 0,
            },
        },
    }  # fmt: skip
    pools.api.apply(POLICIES.path("", "default"), policy, "stories")
    pools.apply("chat", {"worker": (2, 2)})
    before = pools.wait_running("chat", 2)
    node = before[0]["spec"]["nodeName"]

    def condition() -> str:
        found = pools.api.get(f"/api/v1/nodes/{node}")["status"]["conditions"]
        return next((c["status"] for c in found if c["type"] == QUARANTINE), "")

    try:
        with annotated(pools, node, faults="7=79"):
            eventually(lambda: condition() == "True", what=f"{node} is out", within_s=120)
            allocatable = pools.api.get(f"/api/v1/nodes/{node}")["status"]["allocatable"]
            assert allocatable["nvidia.com/gpu"] == "7"

            def moved() -> bool:
                pods = pools.running("chat")
                return len(pods) == 2 and node not in {p["spec"]["nodeName"] for p in pods}

            eventually(moved, what="its pods run elsewhere", within_s=180)
        eventually(lambda: condition() != "True", what=f"{node} is back", within_s=120)
    finally:
        pools.api.delete(POLICIES.path("", "default"))
