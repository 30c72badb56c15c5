"""Our extender as a process of its own, called by a real kube-scheduler."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from moorage_cli.control_plane import ControlPlane, ExtenderConfig, NodeSpec, SchedulerConfig
from moorage_cli.control_plane.errors import RequestRefusedError
from moorage_cli.control_plane.processes import wait_until
from moorage_cli.installation import EXTENDER_WEIGHT, Installation

PRIORITIES = {"extender-high": 200, "extender-low": 100}


class Berth:
    """Nodes, pods, one extender and one scheduler of one test, apart from those of other tests."""

    def __init__(self, plane: ControlPlane, namespace: str) -> None:
        self.plane = plane
        self.namespace = namespace
        self.tag = uuid.uuid4().hex[:8]
        self.extender = f"extender-{self.tag}"
        self.scheduler = f"scheduler-{self.tag}"
        self.installation = Installation(plane)
        self._nodes: list[str] = []
        self._policies: list[str] = []

    def start(self, *, node_cache_capable: bool = True, **settings: str) -> None:
        self.installation.install()
        door = self.installation.start_extender(name=self.extender, **settings)
        extender = ExtenderConfig(
            door.verbs,
            weight=EXTENDER_WEIGHT,
            node_cache_capable=node_cache_capable,
            ignorable=False,
        )
        config = SchedulerConfig((self.scheduler,), (extender,))
        self.plane.start_scheduler(config, name=self.scheduler)

    def nodes(self, *names: str, **fields: Any) -> None:
        labels = {"berth": self.tag, **fields.pop("labels", {})}
        specs = [NodeSpec(f"{name}-{self.tag}", labels=labels, **fields) for name in names]
        self.plane.create_nodes(specs)
        self._nodes += [spec.name for spec in specs]

    def pod(self, name: str, gpus: int, priority: str = "extender-high", **spec: Any) -> None:
        manifest = {
            "metadata": {"name": name},
            "spec": {
                "schedulerName": self.scheduler,
                "priorityClassName": priority,
                "nodeSelector": {"berth": self.tag},
                "terminationGracePeriodSeconds": 0,
                "containers": [
                    {
                        "name": "c",
                        "image": "none",
                        "resources": {"limits": {"nvidia.com/gpu": str(gpus)}},
                    }
                ],
                **spec,
            },
        }
        self.plane.api.create(f"/api/v1/namespaces/{self.namespace}/pods", manifest)

    def node_of(self, name: str) -> str:
        path = f"/api/v1/namespaces/{self.namespace}/pods/{name}"
        if not self.plane.api.answers(path):
            return ""
        node: str = self.plane.api.get(path)["spec"].get("nodeName", "")
        return node.removesuffix(f"-{self.tag}")

    def gone(self, name: str) -> bool:
        return not self.plane.api.answers(f"/api/v1/namespaces/{self.namespace}/pods/{name}")

    def wait_bound(self, *names: str) -> list[str]:
        wait_until(
            lambda: all(self.node_of(name) for name in names),
            f"{', '.join(names)} are bound",
            deadline_s=60.0,
        )
        return [self.node_of(name) for name in names]

    def forbid_bindings_to(self, name: str, probe: str) -> None:
        """Let admission refuse bindings to one node; return when it does, asked about a pod."""
        node = f"{name}-{self.tag}"
        rule = {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods/binding"]}
        path = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolic"
        policy = {
            "metadata": {"name": self.tag},
            "spec": {
                "matchConstraints": {"resourceRules": [{**rule, "operations": ["CREATE"]}]},
                "validations": [
                    {"expression": f"object.target.name != '{node}'", "message": "not this node"}
                ],
            },
        }
        binding = {
            "metadata": {"name": self.tag},
            "spec": {"policyName": self.tag, "validationActions": ["Deny"]},
        }
        self.plane.api.create(f"{path}ies", policy)
        self.plane.api.create(f"{path}ybindings", binding)
        self._policies = [f"{path}ybindings/{self.tag}", f"{path}ies/{self.tag}"]
        wait_until(
            lambda: self._is_refused(probe, node),
            f"bindings to {node} are refused",
            deadline_s=60.0,
        )

    def _is_refused(self, pod: str, node: str) -> bool:
        order = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": pod},
            "target": {"kind": "Node", "name": node},
        }
        path = f"/api/v1/namespaces/{self.namespace}/pods/{pod}/binding?dryRun=All"
        try:
            self.plane.api.create(path, order)
        except RequestRefusedError as error:
            return "not this node" in str(error)
        return False

    def fetch(self, path: str) -> str:
        door = self.installation.doors[self.extender].health
        return self.installation.fetch(f"{door}{path}").decode()

    def metric(self, series: str) -> float:
        lines = self.fetch("/metrics").splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(series))

    def decisions(self, pod: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(
            self.fetch(f"/debug/decisions/{self.namespace}/{pod}")
        )
        return found

    def events(self, reason: str) -> list[dict[str, Any]]:
        found = self.plane.api.get(f"/api/v1/namespaces/{self.namespace}/events")["items"]
        return [event for event in found if event["reason"] == reason]

    def close(self) -> None:
        if self.scheduler in self.plane._running.components:
            self.plane.stop_scheduler(self.scheduler)
        self.installation.close()
        for path in self._policies:
            self.plane.api.delete(path)
        self.plane.delete_nodes(self._nodes)


@pytest.fixture
def berth(control_plane: ControlPlane, namespace: str) -> Iterator[Berth]:
    for name, value in PRIORITIES.items():
        path = "/apis/scheduling.k8s.io/v1/priorityclasses"
        if not control_plane.api.answers(f"{path}/{name}"):
            control_plane.api.create(path, {"metadata": {"name": name}, "value": value})
    one = Berth(control_plane, namespace)
    yield one
    one.close()
