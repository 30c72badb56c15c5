"""The planner on the real control plane: nobody writes a plan by hand, room is made all the same.

Extender, solver and operator run as processes of their own under their own ServiceAccounts.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

from moorage_cli.control_plane import ControlPlane, NodeSpec
from moorage_cli.control_plane.errors import RequestRefusedError
from moorage_cli.installation import EXTENDER, Installation
from moorage_crds.names import (
    DEPLOYMENTS,
    EVENTS,
    PLANS,
    PODS,
    POLICIES,
    POOL_LABEL,
    POOLS,
    SCHEDULER_NAME,
)

pytestmark = pytest.mark.control_plane

Json = dict[str, Any]
Eventually = Callable[..., Any]
PRIORITIES = {"plan-high": 300, "plan-middle": 200, "plan-low": 100}
ENDED = ("Completed", "Aborted", "Superseded")


@pytest.fixture(scope="module")
def installation(kubernetes_minor: str) -> Iterator[Installation]:
    settings = {
        "MOORAGE_OPERATOR_SPACING_MS": "200",
        "MOORAGE_OPERATOR_PLAN_SETTLE_MS": "100",
        "MOORAGE_OPERATOR_PLAN_POLL_MS": "100",
        "MOORAGE_OPERATOR_PLAN_EVICT_DEADLINE_S": "3",
        "MOORAGE_OPERATOR_PLAN_BIND_DEADLINE_S": "8",
        "MOORAGE_OPERATOR_PLAN_SURGE_DEADLINE_S": "8",
    }
    planning = {"MOORAGE_EXTENDER_PLAN_DEBOUNCE_S": "0.3"}
    with (
        ControlPlane(kubernetes_minor) as plane,
        Installation(plane, extender_settings=planning, operator_settings=settings) as installed,
    ):
        installed.install()
        installed.start_solver()
        plane.start_kwok()
        plane.api.apply(POLICIES.path("", "default"), policy(), "test")
        for name, value in PRIORITIES.items():
            plane.api.create(
                "/apis/scheduling.k8s.io/v1/priorityclasses",
                {"metadata": {"name": name}, "value": value},
            )
        installed.start_planning_extender()
        installed.start_operator()
        installed.start_scheduler()
        yield installed


def policy() -> Json:
    disruption = {
        "maxMoves": 1000,
        "maxMovesPerOwner": 1000,
        "ownerCoolDownSeconds": 0,
        "podCoolDownSeconds": 0,
    }
    return {
        "apiVersion": POLICIES.api_version,
        "kind": POLICIES.kind,
        "metadata": {"name": "default"},
        "spec": {"disruption": disruption},
    }


@dataclass
class Harbour:
    """One namespace and a few small nodes of its own."""

    installation: Installation
    namespace: str
    eventually: Eventually
    _nodes: list[str] = field(default_factory=list)

    @property
    def api(self) -> Any:
        return self.installation.plane.api

    def nodes(self, *names: str, gpus: int = 4) -> None:
        specs = [NodeSpec(f"{name}-{self.namespace}", gpus=gpus) for name in names]
        self._nodes += [spec.name for spec in specs]
        self.installation.plane.create_nodes(specs)

    def node(self, name: str) -> str:
        return f"{name}-{self.namespace}"

    def deployment(
        self,
        name: str,
        gpus: int,
        *,
        replicas: int = 1,
        priority: str = "plan-middle",
        node: str | None = None,
        **metadata: Any,
    ) -> list[Json]:
        """Create a Deployment; with ``node`` return its pods once they are ready there."""
        labels = {"app": name}
        container = {
            "name": "c",
            "image": "none",
            "resources": {"limits": {"nvidia.com/gpu": str(gpus)}},
        }
        spec: Json = {
            "schedulerName": SCHEDULER_NAME,
            "priorityClassName": priority,
            "terminationGracePeriodSeconds": 0,
            "containers": [container],
            "tolerations": [{"operator": "Exists"}],
        }
        if node is not None:
            spec["nodeSelector"] = {"kubernetes.io/hostname": self.node(node)}
        template = {"metadata": {"labels": labels, **metadata}, "spec": spec}
        body = {
            "metadata": {"name": name},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": labels},
                "template": template,
            },
        }
        self.api.create(DEPLOYMENTS.path(self.namespace), body)
        if node is None:
            return []
        return self.wait_ready(name, replicas)

    def pods(self, name: str) -> list[Json]:
        found = self.api.get(PODS.path(self.namespace), labelSelector=f"app={name}")["items"]
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def wait_ready(self, name: str, replicas: int = 1, within_s: float = 30.0) -> list[Json]:
        def look() -> list[Json] | None:
            ready = [pod for pod in self.pods(name) if is_ready(pod)]
            return ready if len(ready) == replicas else None

        try:
            found: list[Json] = self.eventually(
                look, what=f"{replicas} of {name} are ready", within_s=within_s
            )
        except AssertionError as error:
            plans = json.dumps([p["status"] for p in self.plans()], indent=1)
            log = self.installation.log_tail(EXTENDER)
            raise AssertionError(f"{error}\n{plans}\n{log}") from None
        return found

    def pool(self, *, replicas: int, gpus: int, strategy: str = "SurgeFirst") -> None:
        """Apply the pool ``chat`` and wait until it is ready."""
        template = {"spec": {"containers": [{"name": "engine", "image": "none"}]}}
        role = {
            "name": "worker",
            "replicas": replicas,
            "accelerators": [{"class": "H100-80GB", "count": gpus}],
            "migration": {"strategy": strategy},
            "template": template,
        }
        manifest = {
            "apiVersion": POOLS.api_version,
            "kind": POOLS.kind,
            "metadata": {"name": "chat", "namespace": self.namespace},
            "spec": {
                "model": {"name": "m"},
                "priorityClassName": "plan-middle",
                "roles": [role],
            },
        }
        self.api.apply(POOLS.path(self.namespace, "chat"), manifest, "user")
        self.eventually(
            lambda: len(self.chat()) == sum(map(is_ready, self.chat())) == replicas,
            what="chat is ready",
        )

    def chat(self) -> list[Json]:
        found = self.api.get(PODS.path(self.namespace), labelSelector=f"{POOL_LABEL}=chat")
        return [pod for pod in found["items"] if "deletionTimestamp" not in pod["metadata"]]

    def plans(self) -> list[Json]:
        """Return the plans that touch this namespace, the oldest first."""
        found = [
            plan
            for plan in self.api.get(PLANS.path())["items"]
            if any(m["pod"]["namespace"] == self.namespace for m in plan["spec"]["moves"])
        ]
        return sorted(found, key=lambda plan: str(plan["metadata"]["creationTimestamp"]))

    def wait_plan(self, phase: str, within_s: float = 30.0) -> Json:
        found: Json = self.eventually(
            lambda: next(
                (p for p in self.plans() if p.get("status", {}).get("phase") == phase), None
            ),
            what=f"a plan is {phase}",
            within_s=within_s,
        )
        return found

    def told(self, pod: str, reason: str) -> str:
        """Return the message of the first event about a pod with this reason."""

        def look() -> str | None:
            events = self.api.get(EVENTS.path(self.namespace))["items"]
            return next(
                (
                    e["message"]
                    for e in events
                    if e["involvedObject"]["name"] == pod and e["reason"] == reason
                ),
                None,
            )

        message: str = self.eventually(look, what=f"{reason} is told of {pod}")
        return message

    def revision(self) -> str:
        return str(self.api.get(PODS.path(self.namespace))["metadata"]["resourceVersion"])

    def history(self, since: str) -> list[tuple[str, Json]]:
        """Return every revision of the pods since then, in the server's order."""
        query = {"watch": "1", "resourceVersion": since, "timeoutSeconds": "1"}
        body = self.api.raw("GET", PODS.path(self.namespace), query=query)
        events = [json.loads(line) for line in body.splitlines() if line]
        return [(event["type"], event["object"]) for event in events]

    def fewest_ready(self, before: list[Json], since: str, label: str) -> int:
        known = {pod["metadata"]["uid"]: pod for pod in before}
        counts = [len(before)]
        for kind, pod in self.history(since):
            if label not in pod["metadata"].get("labels", {}):
                continue
            if kind == "DELETED":
                known.pop(pod["metadata"]["uid"], None)
            else:
                known[pod["metadata"]["uid"]] = pod
            counts.append(sum(map(is_ready, known.values())))
        return min(counts)

    def close(self) -> None:
        for pool in self.api.get(POOLS.path(self.namespace))["items"]:
            self.api.delete(POOLS.path(self.namespace, pool["metadata"]["name"]))
        for deployment in self.api.get(DEPLOYMENTS.path(self.namespace))["items"]:
            with suppress(RequestRefusedError):
                self.api.delete(DEPLOYMENTS.path(self.namespace, deployment["metadata"]["name"]))
        for plan in self.plans():
            self.api.delete(PLANS.path("", plan["metadata"]["name"]))
        for pod in self.api.get(PODS.path(self.namespace))["items"]:
            with suppress(RequestRefusedError):
                path = PODS.path(self.namespace, pod["metadata"]["name"])
                self.api.delete(path, gracePeriodSeconds="0")
        self.eventually(
            lambda: not self.api.get(PODS.path(self.namespace))["items"],
            what="the pods are gone",
            within_s=60,
        )
        self.installation.plane.delete_nodes(self._nodes)


def is_ready(pod: Json) -> bool:
    conditions = pod["status"].get("conditions", ())
    told = any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
    return told and "deletionTimestamp" not in pod["metadata"]


@pytest.fixture
def harbour(installation: Installation, tag: str, eventually: Eventually) -> Iterator[Harbour]:
    namespace = f"plan-{tag}"
    api = installation.plane.api
    api.create("/api/v1/namespaces", {"metadata": {"name": namespace}})
    account = f"/api/v1/namespaces/{namespace}/serviceaccounts/default"
    eventually(lambda: api.answers(account), what="the namespace has its account")
    harbour = Harbour(installation, namespace, eventually)
    wait_planning(installation, eventually)
    yield harbour
    harbour.close()


def wait_planning(installation: Installation, eventually: Eventually) -> None:
    """Return when the solver is warm: its first start compiles."""
    health = installation.doors[EXTENDER].health

    def look() -> bool:
        return b"moorage_planner_ready 1.0" in installation.fetch(f"{health}/metrics")

    eventually(look, what="the solver is warm", within_s=90)


def test_four_free_gpus_on_two_nodes_become_four_on_one_while_nobody_is_missed(
    harbour: Harbour,
) -> None:
    """(a) the planner writes the plan by itself, the pool's replica moves, the pod runs."""
    harbour.nodes("a", "b", "c")
    harbour.deployment("full", 4, node="c")
    harbour.deployment("left", 2, node="a")
    harbour.pool(replicas=1, gpus=2)
    [old] = harbour.chat()
    if old["spec"]["nodeName"] != harbour.node("b"):  # beside the other: one node is whole
        harbour.api.delete(DEPLOYMENTS.path(harbour.namespace, "left"))
        harbour.eventually(lambda: not harbour.pods("left"), what="left is gone")
        harbour.deployment("right", 2, node="b")
    before, since = harbour.chat(), harbour.revision()
    began_s = time.monotonic()
    harbour.deployment("wants-four", 4)
    harbour.wait_ready("wants-four")
    print(f"placed after {time.monotonic() - began_s:.1f} s")

    plan = harbour.wait_plan("Completed")
    assert [move["kind"] for move in plan["spec"]["moves"]] == ["Move", "Place"]
    assert plan["spec"]["certificate"]["status"] == "Optimal"
    assert harbour.fewest_ready(before, since, POOL_LABEL) == 1
    [pod] = harbour.pods("wants-four")
    assert "moves 1 pod" in harbour.told(pod["metadata"]["name"], "PlacementPlanned")
