"""What is left when the release goes, and what the next one finds.

Runs last: while a release goes its accounts lose their rights before its pods end.
"""

from __future__ import annotations

from typing import Any

from moorage_cli.chart.helm import RELEASE
from moorage_crds.names import DEPLOYMENTS, POOLS, ROLES


def uids(pods: list[dict[str, Any]]) -> set[str]:
    return {pod["metadata"]["uid"] for pod in pods}


def test_uninstalling_leaves_workloads_running_and_a_new_install_takes_them_over(
    pools: Any, eventually: Any
) -> None:
    pools.apply("chat", {"worker": (2, 2)})
    before = pools.wait_running("chat", 2)
    cluster = pools.cluster
    cluster.helm("uninstall", RELEASE, "--wait")
    assert cluster.pods_of("scheduler") == cluster.pods_of("operator") == []
    assert uids(pools.running("chat")) == uids(before)
    assert pools.api.answers(POOLS.path(pools.namespace, "chat"))
    assert len(pools.api.get(DEPLOYMENTS.path(pools.namespace))["items"]) == 1

    cluster.install(*cluster.settings)
    pools.api.patch(ROLES.path(pools.namespace, "chat-worker", "scale"), {"spec": {"replicas": 3}})
    after = uids(pools.wait_running("chat", 3))
    assert uids(before) < after
