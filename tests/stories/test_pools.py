"""The main job on the real control plane: a pool applied, placed, scaled, preempting, deleted.

Every part runs as its own process under its own ServiceAccount, as an installation has it.
"""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from moorage_cli.control_plane import ControlPlane, gpu_nodes
from moorage_cli.control_plane.errors import RequestRefusedError
from moorage_cli.control_plane.plane import API_SERVER
from moorage_cli.installation import EXTENDER, OPERATOR, Installation
from moorage_crds.names import (
    DEPLOYMENTS,
    DISRUPTION_BUDGETS,
    POOL_LABEL,
    POOLS,
    ROLE_LABEL,
    ROLES,
    SCHEDULER_NAME,
    SERVICES,
)

pytestmark = pytest.mark.control_plane

Eventually = Callable[..., Any]
NODES = 3
GPUS_PER_NODE = 8


@pytest.fixture(scope="module")
def installation(kubernetes_minor: str) -> Iterator[Installation]:
    with ControlPlane(kubernetes_minor) as plane, Installation(plane) as installed:
        installed.install()
        plane.create_nodes(gpu_nodes(NODES))
        for name, value in (("story-high", 1000), ("story-low", 10)):
            installed.apply(
                {
                    "apiVersion": "scheduling.k8s.io/v1",
                    "kind": "PriorityClass",
                    "metadata": {"name": name},
                    "value": value,
                }
            )
        installed.start_extender()
        installed.start_operator()
        installed.start_scheduler()
        yield installed


class Pools:
    """The pools of one namespace, as a user works with them."""

    def __init__(self, installation: Installation, namespace: str) -> None:
        self.plane = installation.plane
        self.api = installation.plane.api
        self.namespace = namespace
        self.installation = installation

    def apply(
        self,
        name: str,
        roles: dict[str, tuple[int, int]],
        *,
        priority: str = "story-low",
        accelerator: str = "H100-80GB",
        hints: str = "",
    ) -> None:
        """Apply a pool of roles, each with (replicas, GPUs)."""
        container = {"name": "engine", "image": "none"}
        manifest = {
            "apiVersion": "moorage.dev/v1alpha1",
            "kind": "GPUInferencePool",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": {
                "model": {"name": "m", "engine": "vllm"},
                "priorityClassName": priority,
                "hints": hints,
                "roles": [
                    {
                        "name": role,
                        "replicas": replicas,
                        "accelerators": [{"class": accelerator, "count": gpus}],
                        "template": {
                            "spec": {"containers": [container], "terminationGracePeriodSeconds": 0}
                        },
                    }
                    for role, (replicas, gpus) in roles.items()
                ],
            },
        }
        self.api.apply(POOLS.path(self.namespace, name), manifest, "user")

    def status(self, name: str) -> dict[str, Any]:
        return dict(self.api.get(POOLS.path(self.namespace, name)).get("status", {}))

    def condition(self, name: str, kind: str) -> tuple[str, str, str]:
        """Return (status, reason, message) of one condition."""
        for condition in self.status(name).get("conditions", ()):
            if condition["type"] == kind:
                return condition["status"], condition["reason"], condition["message"]
        return "", "", ""

    def ready(self, name: str, replicas: int) -> bool:
        status = self.status(name)
        placed = status.get("placed") == status.get("desired") == replicas
        return placed and self.condition(name, "Ready")[0] == "True"

    def pods(self, pool: str, role: str | None = None) -> list[dict[str, Any]]:
        selector = f"{POOL_LABEL}={pool}" + (f",{ROLE_LABEL}={role}" if role else "")
        found = self.api.get(f"/api/v1/namespaces/{self.namespace}/pods", labelSelector=selector)
        return [pod for pod in found["items"] if "deletionTimestamp" not in pod["metadata"]]

    def bound(self, pool: str) -> list[dict[str, Any]]:
        return [pod for pod in self.pods(pool) if pod["spec"].get("nodeName")]

    def delete(self, name: str) -> None:
        self.api.delete(POOLS.path(self.namespace, name))

    def kinds_left(self) -> list[str]:
        """Return the kinds of which the namespace still holds objects that pools make."""
        return [
            resource.kind
            for resource in (POOLS, ROLES, DEPLOYMENTS, DISRUPTION_BUDGETS, SERVICES)
            if self.api.get(resource.path(self.namespace))["items"]
        ] + (["Pod"] if self.api.get(f"/api/v1/namespaces/{self.namespace}/pods")["items"] else [])

    def vetoes(self, pool: str) -> list[str]:
        """Return why the extender allowed no preemption for pods of this pool."""
        decisions = self.installation.fetch(
            f"{self.installation.doors[EXTENDER].health}/debug/decisions?limit=1000"
        )
        names = {f"{self.namespace}/{pod['metadata']['name']}" for pod in self.pods(pool)}
        return [
            record["reason"]
            for record in json.loads(decisions)
            if record["verb"] == "preempt" and record["pod"] in names and not record.get("victims")
        ]

    def binds(self) -> int:
        """Return how many pods the extender has bound since it started."""
        metrics = self.installation.fetch(
            f"{self.installation.doors[EXTENDER].health}/metrics"
        ).decode()
        found = re.search(
            r'^moorage_extender_binds_total\{outcome="bound"\} (\S+)$', metrics, re.MULTILINE
        )
        return int(float(found.group(1))) if found else 0


@pytest.fixture
def pools(installation: Installation, tag: str, eventually: Eventually) -> Iterator[Pools]:
    namespace = f"pools-{tag}"
    api = installation.plane.api
    api.create("/api/v1/namespaces", {"metadata": {"name": namespace}})
    account = f"/api/v1/namespaces/{namespace}/serviceaccounts/default"
    eventually(lambda: api.answers(account), what="the namespace has its account")
    pools = Pools(installation, namespace)
    yield pools
    for pool in api.get(POOLS.path(namespace))["items"]:
        pools.delete(pool["metadata"]["name"])
    eventually(lambda: not pools.kinds_left(), what="the namespace is empty", within_s=60)


def test_a_pool_is_placed_by_our_bind_verb_scaled_and_deleted(
    pools: Pools, eventually: Eventually
) -> None:
    before = pools.binds()
    pools.apply("chat", {"prefill": (2, 4), "decode": (1, 8)})
    eventually(lambda: pools.ready("chat", 3), what="chat is Ready with 3 replicas", within_s=60)

    assert pools.binds() - before == 3
    assert {pod["spec"]["schedulerName"] for pod in pools.pods("chat")} == {SCHEDULER_NAME}
    told = pools.api.get(
        f"/api/v1/namespaces/{pools.namespace}/events", fieldSelector="reason=Scheduled"
    )["items"]
    assert {event["reportingComponent"] for event in told} == {SCHEDULER_NAME}
    assert len(told) == 3
    status = pools.status("chat")
    sits = {pod["spec"]["nodeName"] for pod in pools.pods("chat")}
    shown = json.dumps(status)
    assert all(node in shown for node in sits)  # the status says where they sit
    assert status["observedGeneration"] == 1

    pools.plane.kubectl(
        "scale", "gir", "chat-decode", "--replicas=2", f"--namespace={pools.namespace}"
    )
    eventually(lambda: pools.ready("chat", 4), what="chat is Ready with 4 replicas", within_s=60)
    assert len(pools.pods("chat", "decode")) == 2
    assert pools.binds() - before == 4

    pools.delete("chat")
    eventually(lambda: not pools.kinds_left(), what="every child is gone", within_s=60)


def test_prefill_replicas_of_four_share_one_node_and_leave_the_others_whole(
    pools: Pools, eventually: Eventually
) -> None:
    pools.apply("chat", {"worker": (2, 4)})
    eventually(lambda: pools.ready("chat", 2), what="chat is Ready", within_s=60)
    assert len({pod["spec"]["nodeName"] for pod in pools.pods("chat")}) == 1


def test_another_hint_leads_new_pods_elsewhere_and_replaces_none(
    pools: Pools, eventually: Eventually
) -> None:
    where = ("gpu-0002", "gpu-0000", "gpu-0001")
    seats: dict[str, str] = {}
    for count, node in enumerate(where, 1):
        hint = f"it is very important to run on node {node}"
        pools.apply("chat", {"worker": (count, 1)}, hints=hint)
        eventually(lambda count=count: pools.ready("chat", count), what="chat is Ready")
        told = pools.status("chat")["hint"]["intents"]
        assert [intent["target"] for intent in told] == [f"hostname={node}"]
        now = {pod["metadata"]["uid"]: pod["spec"]["nodeName"] for pod in pools.pods("chat")}
        assert now.items() >= seats.items()  # every pod is still there
        assert [now[uid] for uid in now.keys() - seats.keys()] == [node]
        seats = now
    pools.apply("chat", {"worker": (3, 1)}, hints="spread over zones")
    eventually(
        lambda: pools.status("chat")["hint"]["intents"][0]["class"] == "Spread",
        what="the other hint is told",
    )
    assert {pod["metadata"]["uid"] for pod in pools.pods("chat")} == seats.keys()


def test_a_high_pool_preempts_just_enough_of_a_low_one(
    pools: Pools, eventually: Eventually
) -> None:
    pools.apply("batch", {"worker": (6, 4)})
    eventually(lambda: pools.ready("batch", 6), what="batch fills the cluster", within_s=60)
    pools.apply("chat", {"worker": (1, 4)}, priority="story-high")
    eventually(lambda: pools.ready("chat", 1), what="chat is placed", within_s=60)

    assert len(pools.bound("batch")) == 5
    eventually(
        lambda: pools.condition("batch", "Placed")[0] == "False",
        what="batch says that it is not placed",
    )
    _status, reason, message = pools.condition("batch", "Placed")
    assert reason
    assert "worker" in message


def test_preemption_never_takes_two_pods_that_one_budget_guards(
    pools: Pools, eventually: Eventually
) -> None:
    pools.apply("batch", {"worker": (6, 4)})
    eventually(lambda: pools.ready("batch", 6), what="batch fills the cluster", within_s=60)
    pools.apply("chat", {"worker": (1, 8)}, priority="story-high")
    eventually(lambda: pools.vetoes("chat"), what="preemption for chat was vetoed")
    assert "disruption budget forbids" in pools.vetoes("chat")[0]
    assert len(pools.bound("batch")) == 6


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        pytest.param({"priority": "no-such-class"}, "no-such-class", id="no-such-priority-class"),
        pytest.param({"accelerator": "B300-288GB"}, "B300-288GB", id="no-such-accelerator-class"),
        pytest.param({"roles": {"worker": (1, 16)}}, "16", id="more-gpus-than-any-node-has"),
    ],
)
def test_an_impossible_pool_says_which_field_and_what_to_do(
    pools: Pools, eventually: Eventually, spec: dict[str, Any], named: str
) -> None:
    pools.apply("wrong", **{"roles": {"worker": (1, 1)}, **spec})

    def messages() -> list[str]:
        return [c["message"] for c in pools.status("wrong").get("conditions", ())]

    def told() -> bool:
        return any(named in text and "spec." in text for text in messages())

    eventually(told, what=f"a condition names {named} and a field of the spec")


def test_gpu_pods_are_scheduled_when_the_extender_is_killed_in_a_burst(
    pools: Pools, installation: Installation, eventually: Eventually
) -> None:
    before = pools.binds()
    pools.apply("burst", {"worker": (20, 1)})
    eventually(lambda: pools.binds() > before, what="the burst has begun")
    installation.stop(EXTENDER)
    try:
        eventually(lambda: pools.ready("burst", 20), what="the stock scheduler placed the rest")
    finally:
        installation.start_extender()
        installation.plane.stop_scheduler()
        installation.start_scheduler()
    before = pools.binds()
    pools.apply("after", {"worker": (1, 2)})
    eventually(lambda: pools.ready("after", 1), what="placed by us again")
    assert pools.binds() == before + 1


def test_an_operator_killed_in_the_middle_ends_where_a_quiet_one_would(
    pools: Pools, installation: Installation, eventually: Eventually
) -> None:
    pools.apply("steady", {"prefill": (1, 1), "decode": (1, 1)})
    eventually(
        lambda: len(pools.api.get(ROLES.path(pools.namespace))["items"]) == 2,
        what="the operator has begun to write",
    )
    installation.stop(OPERATOR, signal.SIGKILL)
    pools.plane.kubectl(
        "scale", "gir", "steady-decode", "--replicas=2", f"--namespace={pools.namespace}"
    )
    installation.start_operator()
    eventually(lambda: pools.ready("steady", 3), what="steady is Ready and scaled", within_s=60)
    assert len(pools.pods("steady", "decode")) == 2
    for resource in (ROLES, DEPLOYMENTS, DISRUPTION_BUDGETS):
        assert len(pools.api.get(resource.path(pools.namespace))["items"]) == 2


def test_extender_and_operator_recover_from_an_api_server_restart(
    pools: Pools, installation: Installation, eventually: Eventually
) -> None:
    pools.apply("before", {"worker": (1, 1)})
    eventually(lambda: pools.ready("before", 1), what="before is Ready")
    pools.plane.restart(API_SERVER)
    pools.apply("after", {"worker": (1, 1)})
    eventually(lambda: pools.ready("after", 1), what="after is Ready", within_s=90)
    assert pools.condition("before", "Ready")[0] == "True"


def test_two_roles_of_one_name_are_refused_by_the_api_server(pools: Pools) -> None:
    role = {
        "name": "worker",
        "replicas": 1,
        "accelerators": [{"class": "H100-80GB", "count": 1}],
        "template": {"spec": {"containers": [{"name": "e", "image": "none"}]}},
    }
    with pytest.raises(RequestRefusedError, match="worker"):
        pools.api.create(
            POOLS.path(pools.namespace),
            {
                "apiVersion": "moorage.dev/v1alpha1",
                "kind": "GPUInferencePool",
                "metadata": {"name": "twins"},
                "spec": {"model": {"name": "m"}, "roles": [role, role]},
            },
        )
