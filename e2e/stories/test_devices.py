"""Devices that break and kubelets that refuse, which only a real node shows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from moorage_crds.names import PODS, POLICIES, POOLS, QUARANTINE

REFUSED = "UnexpectedAdmissionError"
GPUS = 8


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


def test_pods_that_kubelets_refuse_are_told_of_removed_and_replaced(
    pools: Any, eventually: Any
) -> None:
    def failed() -> list[str]:
        found = pools.api.get(PODS.path(pools.namespace), fieldSelector="status.phase=Failed")
        return [pod["metadata"]["name"] for pod in found["items"]]

    with ExitStack() as refusing:
        for node in pools.cluster.gpu_nodes():
            refusing.enter_context(annotated(pools, node, refuse_allocations="true"))
        pools.apply("chat", {"worker": (1, 1)})
        [told, *_] = eventually(
            lambda: pools.events("PodRefused"), what="the pool hears of it", within_s=120
        )
    assert told["involvedObject"]["kind"] == POOLS.kind
    assert "Allocate failed" in told["message"]
    [pod] = pools.wait_running("chat", 1)
    eventually(lambda: not failed(), what="no refused pod is left", within_s=60)
    # What failed holds no devices: all others of the node fit.
    node = pod["spec"]["nodeName"]
    pools.bare_pod("rest", GPUS - 1, nodeSelector={"kubernetes.io/hostname": node})
    pools.wait_pod("rest")


def test_a_pod_without_a_pool_that_its_kubelet_refuses_is_its_owners_to_keep(
    pools: Any, eventually: Any
) -> None:
    [*_, node] = pools.cluster.gpu_nodes()
    path = PODS.path(pools.namespace, "refused")
    with annotated(pools, node, refuse_allocations="true"):
        pools.bare_pod("refused", 1, nodeSelector={"kubernetes.io/hostname": node})
        eventually(
            lambda: pools.api.get(path)["status"]["phase"] == "Failed", what="it was refused"
        )
    assert pools.api.get(path)["status"]["reason"] == REFUSED
    assert pools.api.get(path)["spec"]["nodeName"] == node


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
