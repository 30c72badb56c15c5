"""A pool on real kubelets: its pods run with the devices that they were given."""

from __future__ import annotations

import json
import re
from typing import Any

from moorage_cli.chart.helm import NAMESPACE, RELEASE
from moorage_crds.names import DEPLOYMENTS, DISRUPTION_BUDGETS, ROLES, SCHEDULER_NAME


def binds(cluster: Any) -> int:
    """Return how many pods the extenders have bound since they started."""
    total = 0.0
    for pod in cluster.pods_of("scheduler"):
        text = cluster.proxied(pod, 8889, "/metrics")
        for value in re.findall(
            r'^moorage_extender_binds_total\{outcome="bound"\} (\S+)$', text, re.MULTILINE
        ):
            total += float(value)
    return int(total)


def test_the_release_passes_its_own_test(installed: Any) -> None:
    assert "Phase:          Succeeded" in installed.helm("test", RELEASE)
    for component in ("scheduler", "operator"):
        assert len(installed.pods_of(component)) == 2
    namespace = installed.api.get(f"/api/v1/namespaces/{NAMESPACE}")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_pods_of_a_pool_run_with_devices_of_their_own(pools: Any) -> None:
    before = binds(pools.cluster)
    pools.apply("chat", {"prefill": (2, 2), "decode": (1, 4)})
    pods = pools.wait_running("chat", 3)

    assert binds(pools.cluster) - before == 3
    assert {event["reportingComponent"] for event in pools.events("Scheduled")} == {SCHEDULER_NAME}
    status = json.dumps(pools.status("chat"))
    given: list[tuple[str, str]] = []
    for pod in pods:
        limits = pod["spec"]["containers"][0]["resources"]["limits"]
        devices = json.loads(pools.served(pod, "/server_info"))["devices"]
        assert len(devices) == int(limits["nvidia.com/gpu"])
        given += [(pod["spec"]["nodeName"], device) for device in devices]
        assert pod["spec"]["nodeName"] in status
    assert len(set(given)) == 8  # no device was given twice


def test_a_high_pool_takes_just_enough_of_a_low_one(pools: Any, eventually: Any) -> None:
    pools.apply("batch", {"worker": (6, 4)})
    pools.wait_running("batch", 6)
    pools.apply("chat", {"worker": (1, 4)}, priority="story-high")
    pools.wait_running("chat", 1)
    eventually(lambda: len(pools.running("batch")) == 5, what="one of batch went")
    eventually(
        lambda: pools.condition("batch", "Placed")[0] == "False",
        what="batch says that it is not placed",
    )
    assert "worker" in pools.condition("batch", "Placed")[2]


def test_a_role_that_leaves_the_spec_takes_its_objects_with_it(pools: Any, eventually: Any) -> None:
    pools.apply("chat", {"small": (1, 1), "large": (1, 2)})
    pools.wait_running("chat", 2)
    pools.apply("chat", {"large": (1, 2)})
    pools.wait_running("chat", 1)
    for resource in (ROLES, DEPLOYMENTS, DISRUPTION_BUDGETS):
        path = resource.path(pools.namespace)
        eventually(
            lambda path=path: len(pools.api.get(path)["items"]) == 1,
            what=f"one {resource.kind} is left",
        )


def test_a_quota_limits_how_much_of_a_priority_a_namespace_may_use(
    pools: Any, eventually: Any
) -> None:
    selector = {"scopeName": "PriorityClass", "operator": "In", "values": ["story-high"]}
    spec = {
        "hard": {"requests.nvidia.com/gpu": "2"},
        "scopeSelector": {"matchExpressions": [selector]},
    }
    quotas = f"/api/v1/namespaces/{pools.namespace}/resourcequotas"
    pools.api.create(quotas, {"metadata": {"name": "high"}, "spec": spec})
    eventually(
        lambda: pools.api.get(f"{quotas}/high").get("status", {}).get("hard"),
        what="the quota counts",
    )
    pools.apply("chat", {"worker": (2, 2)}, priority="story-high")
    pools.apply("batch", {"worker": (2, 2)})  # of another class, so not bound by it
    pools.wait_running("batch", 2)
    eventually(
        lambda: pools.condition("chat", "Placed")[1] == "QuotaExceeded",
        what="the pool says what holds it",
    )
    eventually(lambda: len(pools.running("chat")) == 1, what="what the quota allows runs")
    [usage] = pools.api.get(quotas)["items"]
    assert usage["status"]["used"] == {"requests.nvidia.com/gpu": "2"}
