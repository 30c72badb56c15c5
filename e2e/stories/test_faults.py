"""Parts that die, hang or talk nonsense on real nodes: pods of users go on being placed."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

import pytest

from moorage_crds.names import DEPLOYMENTS, ROLES

EXTENDER = "moorage-extender"
OPERATOR = "moorage-operator"
SCHEDULER_LEASE = "moorage-scheduler"
OPERATOR_LEASE = "moorage-operator"


def container_of(pod: dict[str, Any], name: str) -> dict[str, Any]:
    return dict(next(s for s in pod["status"]["containerStatuses"] if s["name"] == name))


@pytest.fixture
def scheduler(pools: Any, eventually: Any) -> Iterator[dict[str, Any]]:
    """The pod whose kube-scheduler leads; afterwards its extender is back."""
    yield pools.cluster.leader(SCHEDULER_LEASE)
    pools.cluster.wait_rolled_out()


def test_pods_are_placed_when_the_extender_is_killed_in_a_burst(
    pools: Any, scheduler: dict[str, Any], processes_of: Any, eventually: Any
) -> None:
    restarts = container_of(scheduler, "extender")["restartCount"]
    pools.apply("burst", {"worker": (12, 1)})
    eventually(lambda: pools.pods("burst"), what="the burst has begun")
    processes_of(scheduler, EXTENDER).send(signal.SIGKILL)
    pools.wait_running("burst", 12)
    name = scheduler["metadata"]["name"]

    def is_back() -> bool:
        pod = next(p for p in pools.cluster.pods_of("scheduler") if p["metadata"]["name"] == name)
        status = container_of(pod, "extender")
        return bool(status["ready"]) and status["restartCount"] > restarts

    eventually(is_back, what="the kubelet started the extender again", within_s=90)


def test_pods_are_placed_while_the_extender_hangs(
    pools: Any, scheduler: dict[str, Any], processes_of: Any
) -> None:
    frozen = processes_of(scheduler, EXTENDER)
    frozen.send(signal.SIGSTOP)
    try:
        pools.apply("patient", {"worker": (2, 1)})
        pools.wait_running("patient", 2)
    finally:
        frozen.send(signal.SIGCONT)


def test_pods_are_placed_while_the_extender_talks_nonsense(
    pools: Any, scheduler: dict[str, Any], nonsense: Any
) -> None:
    with nonsense(scheduler, EXTENDER, port=8888) as asked:
        pools.apply("robust", {"worker": (2, 1)})
        pools.wait_running("robust", 2)
        assert asked()  # the nonsense was heard


def test_the_other_operator_goes_on_when_the_leader_is_killed(
    pools: Any, processes_of: Any, eventually: Any
) -> None:
    leader = pools.cluster.leader(OPERATOR_LEASE)
    pools.apply("steady", {"prefill": (1, 1), "decode": (1, 1)})
    eventually(
        lambda: pools.api.get(ROLES.path(pools.namespace))["items"],
        what="the operator has begun to write",
    )
    processes_of(leader, OPERATOR).send(signal.SIGKILL)
    pools.api.patch(
        ROLES.path(pools.namespace, "steady-decode", "scale"), {"spec": {"replicas": 2}}
    )
    pools.wait_running("steady", 3)
    for resource in (ROLES, DEPLOYMENTS):
        assert len(pools.api.get(resource.path(pools.namespace))["items"]) == 2
    pools.cluster.wait_rolled_out()


def test_a_drained_node_is_emptied_and_its_pods_are_placed_elsewhere(
    pools: Any, eventually: Any
) -> None:
    pools.apply("chat", {"worker": (3, 2)})
    before = pools.wait_running("chat", 3)
    node = before[0]["spec"]["nodeName"]
    path = f"/api/v1/nodes/{node}"
    pools.api.patch(path, {"spec": {"unschedulable": True}})
    try:
        eventually(
            lambda: not pools.evict_from(node, "chat"), what=f"{node} is drained", within_s=120
        )
        after = pools.wait_running("chat", 3)
        assert node not in {pod["spec"]["nodeName"] for pod in after}
    finally:
        pools.api.patch(path, {"spec": {"unschedulable": None}})
