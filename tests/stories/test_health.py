"""Accelerators that fail on the real control plane: the node is left out, its pods move away.

Simulated nodes have no device plugin: the test says in their status what a kubelet would.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from moorage_cli.control_plane import ControlPlane, gpu_nodes
from moorage_cli.installation import OPERATOR, Installation
from moorage_cli.testing import SWIFT_PLANS, Eventually, Json, Quarter, is_ready
from moorage_crds.names import PLANS, PODS, POLICIES, POOL_LABEL, POOLS, QUARANTINE

pytestmark = pytest.mark.control_plane

NODES = 3
GPU = "nvidia.com/gpu"
STRATEGIC = "application/strategic-merge-patch+json"
SETTINGS = {
    **SWIFT_PLANS,
    "MOORAGE_OPERATOR_HEALTH_INTERVAL_S": "0.2",
}


@pytest.fixture(scope="module")
def installation(kubernetes_minor: str) -> Iterator[Installation]:
    with (
        ControlPlane(kubernetes_minor) as plane,
        Installation(plane, operator_settings=SETTINGS) as installed,
    ):
        installed.install()
        plane.create_nodes(gpu_nodes(NODES))
        installed.start_extender()
        installed.start_operator()
        installed.start_scheduler()
        yield installed


@dataclass
class Ward(Quarter):
    """A pool, and nodes whose health the test decides."""

    def treat(self, actuation: str, **health: Any) -> None:
        """Apply the cluster's policy."""
        fields = {"actuation": actuation, "graceSeconds": 0, "quarantineSeconds": 2, **health}
        disruption = {"ownerCoolDownSeconds": 0, "podCoolDownSeconds": 0}
        manifest = {
            "apiVersion": POLICIES.api_version,
            "kind": POLICIES.kind,
            "metadata": {"name": "default"},
            "spec": {"gpuHealth": fields, "disruption": disruption},
        }
        self.api.apply(POLICIES.path("", "default"), manifest, "test")

    def pool(self, replicas: int) -> None:
        """Apply the pool ``chat`` and wait until it is ready."""
        role = {
            "name": "worker",
            "replicas": replicas,
            "accelerators": [{"class": "H100-80GB", "count": 2}],
            "template": {"spec": {"containers": [{"name": "engine", "image": "none"}]}},
        }
        manifest = {
            "apiVersion": POOLS.api_version,
            "kind": POOLS.kind,
            "metadata": {"name": "chat", "namespace": self.namespace},
            "spec": {"model": {"name": "m"}, "roles": [role]},
        }
        self.api.apply(POOLS.path(self.namespace, "chat"), manifest, "user")
        self.eventually(lambda: self.ready() == replicas, what="chat is ready", within_s=60)

    def pods(self) -> list[Json]:
        found = self.api.get(PODS.path(self.namespace), labelSelector=f"{POOL_LABEL}=chat")
        return [pod for pod in found["items"] if "deletionTimestamp" not in pod["metadata"]]

    def ready(self) -> int:
        return sum(map(is_ready, self.pods()))

    def on(self, node: str) -> int:
        return sum(pod["spec"].get("nodeName") == node for pod in self.pods())

    def busiest(self) -> str:
        return str(max((pod["spec"]["nodeName"] for pod in self.pods()), key=self.on))

    def devices(self, node: str, usable: int) -> None:
        """Say what a kubelet says when so many of a node's devices are healthy."""
        status = {"status": {"allocatable": {GPU: str(usable)}}}
        self.api.patch(f"/api/v1/nodes/{node}/status", status)

    def condition(self, node: str) -> Json:
        conditions = self.api.get(f"/api/v1/nodes/{node}")["status"]["conditions"]
        return next((c for c in conditions if c["type"] == QUARANTINE), {})

    def wait_condition(self, node: str, status: str, reason: str) -> Json:
        def look() -> bool:
            found = self.condition(node)
            return (found.get("status"), found.get("reason")) == (status, reason)

        try:
            self.eventually(look, what=f"{node} is {status}, {reason}")
        except AssertionError as error:
            log = self.installation.log_tail(OPERATOR)
            raise AssertionError(f"{error}\n{self.condition(node)}\n{log}") from None
        return self.condition(node)

    def plans(self) -> list[Json]:
        plans: list[Json] = self.api.get(PLANS.path())["items"]
        return [plan for plan in plans if plan["spec"]["trigger"] == "Health"]


@pytest.fixture
def ward(installation: Installation, tag: str, eventually: Eventually) -> Iterator[Ward]:
    ward = Ward.open(installation, f"ward-{tag}", eventually)
    yield ward
    ward.treat("Off")
    for node in ward.api.get("/api/v1/nodes")["items"]:
        name = node["metadata"]["name"]
        ward.devices(name, 8)
        eventually(lambda name=name: ward.condition(name).get("status") != "True", what="well")
    ward.clear([plan["metadata"]["name"] for plan in ward.plans()])


def test_a_node_with_a_broken_device_is_emptied_left_out_and_used_again(ward: Ward) -> None:
    ward.treat("Auto")
    ward.pool(3)
    sick, before = ward.busiest(), ward.pods()
    since = ward.revision()
    ward.devices(sick, 7)
    told = ward.wait_condition(sick, "True", "DevicesUnhealthy")
    assert told["message"] == f"1 of 8 {GPU} are unhealthy"
    ward.eventually(lambda: ward.on(sick) == 0 and ward.ready() == 3, what="emptied", within_s=60)
    assert ward.fewest_ready(before, since) == 3
    (plan,) = ward.plans()
    ward.eventually(
        lambda: ward.plans()[0].get("status", {}).get("phase") == "Completed", what="completed"
    )
    assert {move["from"] for move in plan["spec"]["moves"]} == {sick}
    ward.pool(8)  # 16 of the other nodes' 16: all of it fits there
    assert ward.on(sick) == 0
    ward.devices(sick, 8)
    ward.wait_condition(sick, "False", "Healthy")
    ward.pool(9)
    assert ward.on(sick) == 1


def test_pods_wait_rather_than_go_to_a_quarantined_node(ward: Ward) -> None:
    ward.treat("Auto", movePods=False, quarantineSeconds=1)
    ward.pool(8)
    (empty,) = {node["metadata"]["name"] for node in ward.api.get("/api/v1/nodes")["items"]} - {
        pod["spec"]["nodeName"] for pod in ward.pods()
    }
    ward.devices(empty, 7)
    ward.wait_condition(empty, "True", "DevicesUnhealthy")
    scale = {"spec": {"replicas": 9}}
    ward.api.patch(
        f"/apis/moorage.dev/v1alpha1/namespaces/{ward.namespace}/gpuinferenceroles/chat-worker",
        scale,
    )
    ward.eventually(lambda: len(ward.pods()) == 9, what="the ninth pod exists")
    told = ward.eventually(
        lambda: [
            condition["message"]
            for pod in ward.pods()
            for condition in pod["status"].get("conditions", ())
            if condition["type"] == "PodScheduled" and condition["status"] == "False"
        ],
        what="the ninth pod is refused",
    )
    assert "its accelerators fail" in told[0]
    assert ward.on(empty) == 0
    ward.devices(empty, 8)
    ward.eventually(lambda: ward.on(empty) == 1, what="it goes there once all is well")


def test_by_default_nodes_are_only_reported(ward: Ward) -> None:
    ward.treat("Recommend")
    ward.pool(1)
    (pod,) = ward.pods()
    sick = pod["spec"]["nodeName"]
    ward.devices(sick, 5)
    told = ward.wait_condition(sick, "False", "Recommended")
    assert f"3 of 8 {GPU} are unhealthy" in told["message"]
    ward.pool(3)
    assert ward.on(sick) >= 1
    assert not ward.plans()
    assert pod["metadata"]["uid"] in {found["metadata"]["uid"] for found in ward.pods()}


def test_a_cause_that_all_nodes_share_takes_only_one_out(ward: Ward) -> None:
    ward.treat("Auto", movePods=False)
    names = [node["metadata"]["name"] for node in ward.api.get("/api/v1/nodes")["items"]]
    for name in names:
        ward.devices(name, 0)

    def reasons() -> list[str]:
        return sorted(ward.condition(name).get("reason", "") for name in names)

    ward.eventually(
        lambda: reasons() == ["DevicesUnhealthy", "TooManyNodes", "TooManyNodes"], what="one is out"
    )


def test_an_agents_condition_counts_and_a_new_leader_remembers(ward: Ward) -> None:
    condition = {"type": "FabricBroken", "status": "True"}
    ward.treat("Auto", conditions=[condition], quarantineSeconds=600)
    name = ward.api.get("/api/v1/nodes")["items"][0]["metadata"]["name"]
    path = f"/api/v1/nodes/{name}/status"
    ward.api.patch(path, {"status": {"conditions": [condition]}}, STRATEGIC)
    first = ward.wait_condition(name, "True", "NodeCondition")
    well = {**condition, "status": "False"}
    ward.api.patch(path, {"status": {"conditions": [well]}}, STRATEGIC)
    before = ward.wait_condition(name, "True", "Recovering")
    assert before["lastTransitionTime"] == first["lastTransitionTime"]
    ward.installation.stop(OPERATOR)
    ward.installation.start_operator(**SETTINGS)
    ward.treat("Auto", conditions=[condition], quarantineSeconds=1)
    ward.wait_condition(name, "False", "Healthy")
