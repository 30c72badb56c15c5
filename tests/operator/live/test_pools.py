"""The operator's main job on a real control plane."""

from __future__ import annotations

import copy
import signal
from collections.abc import Callable
from typing import Any

import pytest

from moorage_cli.control_plane.plane import API_SERVER
from moorage_cli.installation import OPERATOR
from moorage_crds.names import workload_name

pytestmark = pytest.mark.control_plane

Json = dict[str, Any]
Make = Callable[..., Json]
CHILDREN = "gir,deployments,services,poddisruptionbudgets"


def pool_in(namespace: str, pool: Json) -> Json:
    made = copy.deepcopy(pool)
    made["metadata"]["namespace"] = namespace
    return made


def ready(site: Any, namespace: str, name: str = "llama") -> Callable[[], bool]:
    def holds() -> bool:
        pool = site.get("gip", namespace, name) or {"metadata": {}}
        condition = site.condition(namespace, "Ready", name)
        current = condition.get("observedGeneration") == pool["metadata"].get("generation")
        return current and condition.get("status") == "True"

    return holds


def test_a_pool_is_placed_shown_scaled_and_removed(
    site: Any, team: str, new_pool: Make, new_role: Make
) -> None:
    roles = [new_role("prefill", replicas=1), new_role("decode", replicas=2)]
    site.apply(pool_in(team, new_pool(roles=roles)))
    site.eventually(ready(site, team), why="the pool is ready")
    assert {f"{c['kind']}/{c['metadata']['name']}" for c in site.list(CHILDREN, team)} == {
        "GPUInferenceRole/llama-prefill",
        "GPUInferenceRole/llama-decode",
        "Deployment/" + workload_name("llama", "prefill", "H100-80GB"),
        "Deployment/" + workload_name("llama", "decode", "H100-80GB"),
        "Service/llama",
        "PodDisruptionBudget/llama-prefill",
        "PodDisruptionBudget/llama-decode",
    }
    header, row = site.plane.kubectl("get", "gip", "-n", team).splitlines()
    shown = dict(zip(header.split(), row.split(), strict=True))
    assert (shown["READY"], shown["DESIRED"], shown["PLACED"]) == ("True", "3", "3")
    placement = site.get("gip", team, "llama")["status"]["roles"]["decode"]["nodes"]
    pods = [p for p in site.list("pods", team) if "decode" in p["metadata"]["name"]]
    assert sum(node["pods"] for node in placement) == len(pods) == 2
    assert {node["name"] for node in placement} == {pod["spec"]["nodeName"] for pod in pods}

    site.plane.kubectl("scale", "gir/llama-decode", "--replicas=1", "-n", team)
    site.eventually(
        lambda: site.get("gir", team, "llama-decode")["status"]["replicas"] == 1,
        why="one decode replica is left",
    )
    assert (
        site.get("deploy", team, workload_name("llama", "decode", "H100-80GB"))["spec"]["replicas"]
        == 1
    )

    site.plane.kubectl("delete", "gip", "llama", "-n", team)
    # the garbage collector learns of a new kind only every 30 s
    site.eventually(lambda: not site.list(f"{CHILDREN},pods", team), deadline_s=90.0)


def test_nothing_is_written_at_rest_nor_by_a_restarted_operator(
    site: Any, team: str, new_pool: Make
) -> None:
    site.apply(pool_in(team, new_pool()))
    site.eventually(ready(site, team), why="the pool is ready")
    site.eventually(_at_rest(site, team), why="writing stops")
    revisions, writes = site.revisions(team), site.writes()
    # a wake-up without a change: somebody annotates the pool's pods and its Deployment's status
    site.plane.kubectl("annotate", "pods", "--all", "looked=at", "-n", team)
    site.plane.kubectl("annotate", "gip", "llama", "looked=at", "-n", team)
    site.eventually(_at_rest(site, team), why="writing stops")
    assert site.writes() == writes
    site.installation.stop(OPERATOR, signal.SIGTERM)
    site.installation.start_operator(MOORAGE_OPERATOR_SPACING_MS="100")
    site.eventually(lambda: _reconciles(site) >= 1, why="the new operator has looked")
    assert site.writes() == 0
    later = site.revisions(team)
    revisions.pop("GPUInferencePool/llama")  # annotated above, by us
    assert {key: later[key] for key in revisions} == revisions


def test_what_others_change_is_put_right(site: Any, team: str, new_pool: Make) -> None:
    site.apply(pool_in(team, new_pool()))
    site.eventually(ready(site, team), why="the pool is ready")
    name = workload_name("llama", "server", "H100-80GB")
    site.plane.kubectl("scale", f"deploy/{name}", "--replicas=0", "-n", team)
    site.plane.kubectl("label", "pdb", "llama-server", "moorage.dev/role-", "-n", team)
    site.plane.kubectl("delete", "service", "llama", "-n", team)
    site.eventually(
        lambda: (
            site.get("deploy", team, name)["spec"]["replicas"] == 2
            and site.get("pdb", team, "llama-server")["metadata"]["labels"].get("moorage.dev/role")
            and site.get("service", team, "llama")
        ),
        why="all three are as the pool wants them",
    )


def test_replicas_spill_into_the_next_class_when_the_first_is_full(
    site: Any, team: str, new_pool: Make, new_role: Make
) -> None:
    classes = [{"class": "H100-80GB", "count": 8}, {"class": "A100-40GB", "count": 8}]
    site.apply(pool_in(team, new_pool(roles=[new_role(replicas=3, accelerators=classes)])))
    site.eventually(ready(site, team), why="all three have a node")
    status = site.get("gip", team, "llama")["status"]["roles"]["server"]["classes"]
    assert {entry["class"]: entry["placed"] for entry in status} == {
        "H100-80GB": 2,
        "A100-40GB": 1,
    }


def test_replicas_that_a_stranger_keeps_out_change_class(
    site: Any, team: str, new_pool: Make, new_role: Make
) -> None:
    stranger = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "stranger", "namespace": team},
        "spec": {
            "schedulerName": "moorage-scheduler",
            "nodeSelector": {"kubernetes.io/hostname": "h1"},
            "containers": [
                {"name": "c", "image": "i", "resources": {"limits": {"nvidia.com/gpu": "8"}}}
            ],
        },
    }
    site.apply(stranger)
    site.eventually(lambda: site.get("pod", team, "stranger")["spec"].get("nodeName"))
    classes = [{"class": "H100-80GB", "count": 8}, {"class": "A100-40GB", "count": 8}]
    site.apply(pool_in(team, new_pool(roles=[new_role(accelerators=classes)])))
    site.eventually(ready(site, team), why="one replica went to the A100")
    site.plane.kubectl("delete", "pod", "stranger", "-n", team)


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        pytest.param({"priorityClassName": "nosuch"}, "MissingPriorityClass", id="priority"),
        pytest.param({"class": "B200"}, "UnknownAcceleratorClass", id="class"),
        pytest.param({"count": 16}, "ImpossibleShape", id="shape"),
        pytest.param({"count": 8, "nodesPerReplica": 2}, "LeaderWorkerSetMissing", id="groups"),
    ],
)
def test_bad_input_is_a_condition_and_goes_away_with_it(
    site: Any, team: str, new_pool: Make, new_role: Make, spec: Json, reason: str
) -> None:
    accelerator = {"class": "H100-80GB", "count": 4}
    if "priorityClassName" in spec:
        bad = new_pool(**spec)
    else:
        bad = new_pool(roles=[new_role(accelerators=[{**accelerator, **spec}])])
    site.apply(pool_in(team, bad))
    site.eventually(
        lambda: site.condition(team, "Valid").get("reason") == reason, why="the condition says it"
    )
    shown = site.plane.kubectl("get", "gip", "-n", team)
    assert reason in shown
    site.apply(
        pool_in(team, {**new_pool(), "spec": {**new_pool()["spec"], "priorityClassName": ""}})
    )
    site.eventually(ready(site, team), why="taking the mistake back heals the pool")


def test_a_priority_class_that_comes_later_heals_the_pool(
    site: Any, team: str, new_pool: Make
) -> None:
    site.apply(pool_in(team, new_pool(priorityClassName="later")))
    site.eventually(lambda: site.condition(team, "Valid").get("reason") == "MissingPriorityClass")
    site.plane.kubectl("create", "priorityclass", "later", "--value=1000")
    site.eventually(ready(site, team), why="the pool is ready")
    site.plane.kubectl("delete", "priorityclass", "later")


def test_a_quota_is_told_and_raising_it_heals(site: Any, team: str, new_pool: Make) -> None:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "gpus", "namespace": team},
        "spec": {"hard": {"requests.nvidia.com/gpu": "4"}},
    }
    site.apply(quota)
    site.apply(pool_in(team, new_pool()))
    site.eventually(lambda: site.condition(team, "Placed").get("reason") == "QuotaExceeded")
    assert "raise the ResourceQuota" in site.condition(team, "Placed")["message"]
    quota["spec"]["hard"]["requests.nvidia.com/gpu"] = "8"
    site.apply(quota)
    site.eventually(ready(site, team), deadline_s=90.0, why="the quota has room")


def test_a_declared_class_is_used(site: Any, team: str, new_pool: Make, new_role: Make) -> None:
    policy = {
        "apiVersion": "moorage.dev/v1alpha1",
        "kind": "PlacementPolicy",
        "metadata": {"name": "default"},
        "spec": {
            "acceleratorClasses": [
                {
                    "name": "fast",
                    "nodeSelector": {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"},
                }
            ]
        },
    }
    role = new_role(accelerators=[{"class": "fast", "count": 4}])
    site.apply(pool_in(team, new_pool(roles=[role])))
    site.eventually(
        lambda: site.condition(team, "Valid").get("reason") == "UnknownAcceleratorClass"
    )
    site.apply(policy)
    site.eventually(ready(site, team), why="the class is known now")
    site.plane.kubectl("delete", "placementpolicy", "default")


def test_a_pool_is_made_again_right_after_its_deletion(
    site: Any, team: str, new_pool: Make
) -> None:
    site.apply(pool_in(team, new_pool()))
    site.eventually(ready(site, team), why="the pool is ready")
    first = site.get("gip", team, "llama")["metadata"]["uid"]
    site.plane.kubectl("delete", "gip", "llama", "-n", team)
    site.apply(pool_in(team, new_pool()))
    site.eventually(ready(site, team), deadline_s=90.0, why="the second pool is ready")
    second = site.get("gip", team, "llama")["metadata"]["uid"]
    assert second != first
    owners = {c["metadata"]["ownerReferences"][0]["uid"] for c in site.list(CHILDREN, team)}
    assert owners == {second}


def test_two_operators_one_acts_and_the_other_takes_over(
    site: Any, team: str, new_pool: Make
) -> None:
    second = site.installation.start_operator("second", MOORAGE_OPERATOR_SPACING_MS="100")
    metrics = f"{second.health}/metrics"
    assert "moorage_operator_leading 0.0" in site.installation.fetch(metrics).decode()
    site.apply(pool_in(team, new_pool()))
    site.eventually(ready(site, team), why="the first one acts")
    text = site.installation.fetch(metrics).decode()
    assert "operator_writes_total{" not in text
    site.installation.stop(OPERATOR, signal.SIGTERM)  # it gives the Lease up
    site.eventually(
        lambda: "moorage_operator_leading 1.0" in site.installation.fetch(metrics).decode(),
        deadline_s=10.0,  # less than the 15 s after which a Lease runs out
        why="the second one leads",
    )
    site.plane.kubectl("scale", "gir/llama-server", "--replicas=1", "-n", team)
    site.eventually(
        lambda: (
            site.get("deploy", team, workload_name("llama", "server", "H100-80GB"))["spec"][
                "replicas"
            ]
            == 1
        )
    )
    site.installation.start_operator(
        MOORAGE_OPERATOR_SPACING_MS="100", MOORAGE_OPERATOR_PATIENCE_S="2"
    )
    site.installation.stop("second", signal.SIGTERM)
    site.eventually(lambda: _leads(site), why="the first one leads again")


def test_the_api_server_restarts_and_the_operator_goes_on(
    site: Any, team: str, new_pool: Make
) -> None:
    site.apply(pool_in(team, new_pool()))
    site.eventually(ready(site, team), why="the pool is ready")
    before = site.installation.process_id(OPERATOR)
    site.plane.restart(API_SERVER)
    site.plane.kubectl("scale", "gir/llama-server", "--replicas=3", "-n", team)
    site.eventually(
        lambda: (
            site.get("deploy", team, workload_name("llama", "server", "H100-80GB"))["spec"][
                "replicas"
            ]
            == 3
        ),
        deadline_s=60.0,
        why="the operator hears of changes again",
    )
    assert site.installation.process_id(OPERATOR) == before
    site.eventually(ready(site, team), why="and the pool is ready")


def _at_rest(site: Any, namespace: str) -> Callable[[], bool]:
    """Return whether nothing was written since the last look and no pool is due."""
    seen: list[tuple[float, dict[str, str]]] = []

    def holds() -> bool:
        seen.append((site.writes(), site.revisions(namespace)))
        door = site.installation.doors[OPERATOR]
        text = site.installation.fetch(f"{door.health}/metrics").decode()
        idle = "moorage_operator_queue_pools 0.0" in text
        return idle and len(seen) > 5 and seen[-1] == seen[-5]

    return holds


def _reconciles(site: Any) -> float:
    door = site.installation.doors[OPERATOR]
    text = site.installation.fetch(f"{door.health}/metrics").decode()
    lines = [line for line in text.splitlines() if "operator_reconciles_total{" in line]
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines)


def _leads(site: Any) -> bool:
    door = site.installation.doors[OPERATOR]
    return (
        "moorage_operator_leading 1.0" in site.installation.fetch(f"{door.health}/metrics").decode()
    )
