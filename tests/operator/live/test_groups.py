"""LeaderWorkerSets against a stand-in of their API: no controller, so the tests make the pods."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from moorage_crds.names import workload_name

pytestmark = pytest.mark.control_plane

Json = dict[str, Any]
Make = Callable[..., Json]
STAND_IN = Path(__file__).parents[1] / "data" / "leaderworkersets.yaml"
NAME = workload_name("llama", "server", "H100-80GB")


def test_a_replica_of_two_nodes_runs_as_a_leader_worker_set(
    site: Any, team: str, new_pool: Make, new_role: Make
) -> None:
    accelerators = [{"class": "H100-80GB", "count": 8, "nodesPerReplica": 2}]
    pool = new_pool(roles=[new_role(replicas=1, accelerators=accelerators)])
    pool["metadata"]["namespace"] = team
    site.apply(pool)
    site.eventually(lambda: site.condition(team, "Valid").get("reason") == "LeaderWorkerSetMissing")

    site.plane.kubectl("apply", "-f", str(STAND_IN))
    # the operator looks for the API every 30 s
    site.eventually(lambda: site.get("gip", team, "llama") and _group(site, team), deadline_s=60.0)
    group = _group(site, team)
    assert group["spec"]["leaderWorkerTemplate"]["size"] == 2
    assert group["spec"]["replicas"] == 1
    template = group["spec"]["leaderWorkerTemplate"]["workerTemplate"]
    assert template["spec"]["containers"][0]["resources"]["limits"] == {"nvidia.com/gpu": "8"}
    site.eventually(lambda: site.condition(team, "Valid").get("status") == "True")

    _make_pods(site, team, template, only=[0])
    site.eventually(lambda: _role(site, team)["gpus"] == 8, why="the leader has a node")
    assert _role(site, team)["placed"] == 0  # half a replica is none
    _make_pods(site, team, template, only=[1])
    site.eventually(lambda: _role(site, team)["placed"] == 1, why="the replica is whole")
    assert {node["name"] for node in _role(site, team)["nodes"]} == {"h1", "h2"}
    selector = site.get("gir", team, "llama-server")["status"]["selector"]
    assert "leaderworkerset.sigs.k8s.io/worker-index=0" in selector

    site.plane.kubectl("scale", "gir/llama-server", "--replicas=2", "-n", team)
    site.eventually(lambda: _group(site, team)["spec"]["replicas"] == 2, why="the group is scaled")
    site.plane.kubectl("delete", "pods", "--all", "-n", team)
    site.plane.kubectl("delete", "gip", "llama", "-n", team)
    site.eventually(lambda: not site.list("lws", team), deadline_s=90.0, why="it is collected")


def _group(site: Any, team: str) -> Json | None:
    try:
        found: Json | None = site.get("lws", team, NAME)
    except Exception:  # noqa: BLE001 - kubectl does not know the kind yet
        return None
    return found


def _role(site: Any, team: str) -> Json:
    role: Json = site.get("gip", team, "llama")["status"]["roles"]["server"]
    return role


def _make_pods(site: Any, team: str, template: Json, *, only: list[int]) -> None:
    """Make the pods of the first group as LeaderWorkerSet's controller would."""
    for index in only:
        labels = {
            **template["metadata"]["labels"],
            "leaderworkerset.sigs.k8s.io/name": NAME,
            "leaderworkerset.sigs.k8s.io/group-index": "0",
            "leaderworkerset.sigs.k8s.io/worker-index": str(index),
        }
        site.apply(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": f"{NAME}-0-{index}", "namespace": team, "labels": labels},
                "spec": template["spec"],
            }
        )
