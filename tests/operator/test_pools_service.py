"""Pools reconciled against an API in memory: what is written, when, and what the status says."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from moorage_cluster.errors import Cause, ConflictError, Failure, TooManyRequestsError
from moorage_crds.names import ROLES, workload_name
from moorage_operator.errors import NotLeadingError

Json = dict[str, Any]
NS = "team"
DEPLOYMENT = workload_name("llama", "server", "H100-80GB")
ROLE_PATH = ROLES.path(NS, "llama-server")


async def test_a_pool_gets_its_children(bench: Any, new_pool: Callable[..., Json]) -> None:
    bench.apply_pool(new_pool())
    await bench.settle()
    names = sorted(path.split("/", 3)[-1].split(f"{NS}/")[-1] for path in bench.api.objects)
    assert names == [
        f"deployments/{DEPLOYMENT}",
        "gpuinferencepools/llama",
        "gpuinferenceroles/llama-server",
        "poddisruptionbudgets/llama-server",
        "services/llama",
    ]
    pool_uid = bench.pool()["metadata"]["uid"]
    children = [o for p, o in bench.api.objects.items() if "gpuinferencepools" not in p]
    for child in children:
        (owner,) = child["metadata"]["ownerReferences"]
        assert (owner["uid"], owner["controller"]) == (pool_uid, True)
        assert child["metadata"]["labels"]["moorage.dev/pool"] == "llama"
    assert bench.deployment(DEPLOYMENT)["spec"]["replicas"] == 2


async def test_status_follows_the_pods(bench: Any, new_pool: Callable[..., Json]) -> None:
    bench.apply_pool(new_pool())
    await bench.settle()
    assert bench.condition("Placed")["status"] == "False"
    bench.run_pods(place=lambda _pod: "h1", ready=False)
    await bench.settle()
    assert bench.condition("Placed")["status"] == "True"
    assert bench.condition("Ready")["reason"] == "ReplicasStarting"
    for pod in bench.pods.values():
        pod["status"]["conditions"] = [{"type": "Ready", "status": "True"}]
    await bench.settle()
    status = bench.pool()["status"]
    assert bench.condition("Ready")["status"] == "True"
    assert (status["desired"], status["placed"], status["ready"]) == (2, 2, 2)
    role = status["roles"]["server"]
    assert role["nodes"] == [{"name": "h1", "pods": 2, "class": "H100-80GB"}]
    assert role["gpus"] == 8


async def test_a_declared_class_without_nodes_is_named(
    bench: Any, new_pool: Callable[..., Json], new_role: Callable[..., Json]
) -> None:
    from moorage_operator.services.surroundings import PolicyObject

    declared = {"name": "B200", "nodeSelector": {"nvidia.com/gpu.product": "B200"}}
    policy = {"metadata": {"name": "ours"}, "spec": {"acceleratorClasses": [declared]}}
    bench.view.surroundings.put_policy(msgspec.convert(policy, PolicyObject))
    role = new_role(accelerators=[{"class": "B200", "count": 1}])
    bench.apply_pool(new_pool(roles=[role]))
    await bench.settle()
    placed = bench.condition("Placed")
    assert (placed["status"], placed["reason"]) == ("False", "NoNodeOfClass")
    assert "no node is of class B200" in placed["message"]


async def test_nothing_is_written_at_rest_also_after_a_restart(
    bench: Any, new_pool: Callable[..., Json]
) -> None:
    bench.apply_pool(new_pool())
    await bench.settle()
    bench.run_pods(place=lambda _pod: "h1")
    await bench.settle()
    writes = len(bench.api.writes)
    bench.now_s += 3600
    for _ in range(3):
        bench.restart()
        await bench.reconcile()
    assert len(bench.api.writes) == writes


async def test_transition_times_move_only_with_the_status(
    bench: Any, new_pool: Callable[..., Json]
) -> None:
    bench.apply_pool(new_pool())
    await bench.settle()
    since = bench.condition("Placed")["lastTransitionTime"]
    bench.now_s += 60
    bench.run_pods(place=lambda _pod: None)  # another message, the same status
    await bench.settle()
    assert "Insufficient" in bench.condition("Placed")["message"]
    assert bench.condition("Placed")["lastTransitionTime"] == since
    bench.run_pods(place=lambda _pod: "h1")
    await bench.settle()
    assert bench.condition("Placed")["lastTransitionTime"] > since


async def test_what_others_change_is_put_right(bench: Any, new_pool: Callable[..., Json]) -> None:
    bench.apply_pool(new_pool())
    await bench.settle()
    before = copy.deepcopy(bench.deployment(DEPLOYMENT)["spec"])

    def stomp(live: Json) -> None:
        live["spec"]["replicas"] = 9
        live["metadata"]["labels"]["moorage.dev/role"] = "other"

    bench.api.edit(f"/apis/apps/v1/namespaces/{NS}/deployments/{DEPLOYMENT}", stomp)
    await bench.settle()
    assert bench.deployment(DEPLOYMENT)["spec"] == before
    assert bench.deployment(DEPLOYMENT)["metadata"]["labels"]["moorage.dev/role"] == "server"


async def test_a_deleted_child_comes_back(bench: Any, new_pool: Callable[..., Json]) -> None:
    bench.apply_pool(new_pool())
    await bench.settle()
    bench.api.drop(f"/api/v1/namespaces/{NS}/services/llama")
    await bench.settle()
    assert len(bench.api.of_kind("services")) == 1


async def test_scaling_the_role_wins_until_the_pool_changes(
    bench: Any, new_pool: Callable[..., Json], new_role: Callable[..., Json]
) -> None:
    bench.apply_pool(new_pool())
    await bench.settle()
    bench.api.edit(ROLE_PATH, lambda live: live["spec"].update(replicas=4))
    await bench.settle()
    assert bench.deployment(DEPLOYMENT)["spec"]["replicas"] == 4
    bench.apply_pool(new_pool(hints="near the store"))  # another field of the pool
    await bench.settle()
    assert bench.deployment(DEPLOYMENT)["spec"]["replicas"] == 4
    bench.apply_pool(new_pool(roles=[new_role(replicas=3)]))  # the count itself
    await bench.settle()
    assert bench.deployment(DEPLOYMENT)["spec"]["replicas"] == 3
    assert bench.api.objects[ROLE_PATH]["spec"]["replicas"] == 3


async def test_a_scale_that_comes_in_between_is_not_overwritten(
    bench: Any, new_pool: Callable[..., Json], new_role: Callable[..., Json]
) -> None:
    bench.apply_pool(new_pool())
    await bench.settle()
    bench.apply_pool(new_pool(roles=[new_role(replicas=3)]))
    bench.watch()
    bench.api.edit(ROLE_PATH, lambda live: live["spec"].update(replicas=7))  # not seen yet
    with pytest.raises(ConflictError):
        await bench.reconcile()
    assert bench.api.objects[ROLE_PATH]["spec"]["replicas"] == 7


async def test_a_role_without_replicas_starts_at_its_lower_bound(
    bench: Any, new_pool: Callable[..., Json], new_role: Callable[..., Json]
) -> None:
    role = new_role()
    del role["replicas"]
    bounds = [{"role": "server", "minReplicas": 2, "maxReplicas": 5}]
    bench.apply_pool(new_pool(roles=[role], scaling={"mode": "External", "bounds": bounds}))
    await bench.settle()
    assert bench.api.objects[ROLE_PATH]["spec"]["replicas"] == 2


async def test_the_role_object_tells_autoscalers_what_they_need(
    bench: Any, new_pool: Callable[..., Json]
) -> None:
    bench.apply_pool(new_pool())
    await bench.settle()
    bench.run_pods(place=lambda _pod: "h1")
    await bench.settle()
    status = bench.api.objects[ROLE_PATH]["status"]
    assert (status["replicas"], status["ready"]) == (2, 2)
    assert status["selector"] == "moorage.dev/pool=llama,moorage.dev/role=server"


async def test_a_role_that_left_the_spec_leaves_nothing_behind(
    bench: Any, new_pool: Callable[..., Json], new_role: Callable[..., Json]
) -> None:
    both = [new_role(), new_role("router")]
    bench.apply_pool(new_pool(roles=both))
    await bench.settle()
    assert len(bench.api.of_kind("deployments")) == 2
    bench.apply_pool(new_pool())
    await bench.settle()
    left = [path for path in bench.api.objects if "router" in path]
    assert left == []
    assert list(bench.pool()["status"]["roles"]) == ["server"]


async def test_a_class_that_left_the_spec_serves_until_the_others_are_ready(
    bench: Any, new_pool: Callable[..., Json], new_role: Callable[..., Json]
) -> None:
    bench.add_node("a1", "NVIDIA-A100-SXM4-40GB")
    bench.apply_pool(new_pool())
    await bench.settle()
    bench.run_pods(place=lambda _pod: "h1")
    await bench.settle()
    a100 = [{"class": "A100-40GB", "count": 4}]
    bench.apply_pool(new_pool(roles=[new_role(accelerators=a100)]))
    await bench.settle()
    assert bench.deployment(DEPLOYMENT)["spec"]["replicas"] == 2  # still serving
    assert bench.deployment(workload_name("llama", "server", "A100-40GB"))["spec"]["replicas"] == 2
    bench.run_pods(place=lambda _pod: "a1")
    await bench.settle()
    assert [d["metadata"]["name"] for d in bench.api.of_kind("deployments")] == [
        workload_name("llama", "server", "A100-40GB")
    ]


async def test_a_role_scaled_to_nothing_drops_a_retired_class_at_once(
    bench: Any, new_pool: Callable[..., Json], new_role: Callable[..., Json]
) -> None:
    bench.apply_pool(new_pool())
    await bench.settle()
    unknown = [{"class": "B200", "count": 4}]
    bench.apply_pool(new_pool(roles=[new_role(accelerators=unknown, replicas=0)]))
    await bench.settle()
    assert bench.api.of_kind("deployments") == []


async def test_an_environment_variable_that_left_the_template_is_removed(
    bench: Any, new_pool: Callable[..., Json], new_role: Callable[..., Json]
) -> None:
    role = new_role()
    role["template"]["spec"]["containers"][0]["env"] = [{"name": "X", "value": "1"}]
    bench.apply_pool(new_pool(roles=[role]))
    await bench.settle()
    bench.apply_pool(new_pool())
    await bench.settle()
    template = bench.deployment(DEPLOYMENT)["spec"]["template"]
    assert "env" not in template["spec"]["containers"][0]


async def test_refused_replicas_move_to_the_next_class_after_the_patience(
    bench: Any, new_pool: Callable[..., Json], new_role: Callable[..., Json]
) -> None:
    bench.add_node("a1", "NVIDIA-A100-SXM4-40GB")
    classes = [{"class": "H100-80GB", "count": 8}, {"class": "A100-40GB", "count": 8}]
    bench.apply_pool(new_pool(roles=[new_role(accelerators=classes)]))
    await bench.settle()
    seats = iter(["h1", None])  # somebody whom we do not see sits on h2
    bench.run_pods(place=lambda _pod: next(seats))
    bench.watch()
    outcome = await bench.reconcile()
    assert outcome.look_again_s == pytest.approx(15.0, abs=1.0)
    assert bench.deployment(DEPLOYMENT)["spec"]["replicas"] == 2
    bench.now_s += 16
    await bench.settle()
    assert bench.deployment(DEPLOYMENT)["spec"]["replicas"] == 1
    assert bench.deployment(workload_name("llama", "server", "A100-40GB"))["spec"]["replicas"] == 1


@pytest.mark.parametrize("actuation", ["Off", "Recommend"])
async def test_without_actuation_only_the_status_is_written(
    bench: Any, new_pool: Callable[..., Json], actuation: str
) -> None:
    bench.apply_pool(new_pool(actuation=actuation))
    await bench.settle()
    assert {path for _, path in bench.api.writes} == {
        f"/apis/moorage.dev/v1alpha1/namespaces/{NS}/gpuinferencepools/llama/status"
    }
    assert bench.condition("Placed")["reason"] == f"Actuation{actuation}"
    assert "would run 2 on H100-80GB" in bench.condition("Placed")["message"]


@pytest.mark.parametrize(
    ("spec", "reason", "field", "remedy"),
    [
        pytest.param(
            {"priorityClassName": "high"},
            "MissingPriorityClass",
            "spec.priorityClassName",
            "create it",
            id="missing-priority-class",
        ),
        pytest.param(
            {"roles": [{"accelerators": [{"class": "B200", "count": 1}]}]},
            "UnknownAcceleratorClass",
            "spec.roles[0].accelerators[0].class",
            "known: H100-80GB",
            id="unknown-class",
        ),
        pytest.param(
            {"roles": [{"accelerators": [{"class": "H100-80GB", "count": 16}]}]},
            "ImpossibleShape",
            "spec.roles[0].accelerators[0].count",
            "a H100-80GB node offers at most 8",
            id="more-gpus-than-a-node-has",
        ),
        pytest.param(
            {
                "roles": [
                    {"accelerators": [{"class": "H100-80GB", "count": 8, "nodesPerReplica": 2}]}
                ]
            },
            "LeaderWorkerSetMissing",
            "spec.roles[0].accelerators[0].nodesPerReplica",
            "install LeaderWorkerSet",
            id="groups-without-the-api",
        ),
        pytest.param(
            {
                "roles": [
                    {
                        "template": {
                            "spec": {
                                "nodeSelector": {"nvidia.com/gpu.product": "other"},
                                "containers": [{"name": "engine", "image": "e"}],
                            }
                        }
                    }
                ]
            },
            "InvalidTemplate",
            "spec.roles[0].template.spec.nodeSelector",
            "remove the key",
            id="node-selector-against-the-class",
        ),
        pytest.param(
            {
                "roles": [
                    {
                        "template": {
                            "spec": {
                                "containers": [
                                    {
                                        "name": "engine",
                                        "image": "e",
                                        "resources": {"limits": {"nvidia.com/gpu": "2"}},
                                    }
                                ]
                            }
                        }
                    }
                ]
            },
            "InvalidTemplate",
            "spec.roles[0].template.spec.containers",
            "but count is 4",
            id="gpus-against-the-count",
        ),
        pytest.param(
            {
                "roles": [
                    {
                        "template": {
                            "spec": {
                                "initContainers": [
                                    {
                                        "name": "load",
                                        "image": "e",
                                        "resources": {"limits": {"nvidia.com/gpu": "8"}},
                                    }
                                ],
                                "containers": [{"name": "engine", "image": "e"}],
                            }
                        }
                    }
                ]
            },
            "InvalidTemplate",
            "spec.roles[0].template.spec.initContainers",
            "ask for no more there",
            id="init-container-takes-more-gpus",
        ),
        pytest.param(
            {
                "roles": [
                    {
                        "template": {
                            "spec": {
                                "containers": [
                                    {
                                        "name": "engine",
                                        "image": "e",
                                        "resources": {"requests": {"cpu": "banana"}},
                                    }
                                ]
                            }
                        }
                    }
                ]
            },
            "InvalidTemplate",
            "spec.roles[0].template",
            "banana",
            id="no-quantity",
        ),
    ],
)
async def test_bad_input_is_a_condition_with_field_and_remedy(
    bench: Any,
    new_pool: Callable[..., Json],
    new_role: Callable[..., Json],
    spec: Json,
    reason: str,
    field: str,
    remedy: str,
) -> None:
    if "roles" in spec:
        spec = {**spec, "roles": [new_role(**fields) for fields in spec["roles"]]}
    bench.apply_pool(new_pool(**spec))
    await bench.settle()
    for kind in ("Valid", "Ready"):
        condition = bench.condition(kind)
        assert (condition["status"], condition["reason"]) == ("False", reason)
        assert field in condition["message"]
        assert remedy in condition["message"]
    assert bench.api.of_kind("deployments") == []
    assert bench.pool()["status"]["roles"]["server"]["reason"] == reason


async def test_a_bad_edit_leaves_what_runs_alone_and_taking_it_back_heals(
    bench: Any, new_pool: Callable[..., Json], new_role: Callable[..., Json]
) -> None:
    bench.apply_pool(new_pool())
    await bench.settle()
    bench.run_pods(place=lambda _pod: "h1")
    await bench.settle()
    before = copy.deepcopy(bench.deployment(DEPLOYMENT)["spec"])
    bad = new_role(accelerators=[{"class": "H100-80GB", "count": 16}])
    bench.apply_pool(new_pool(roles=[bad]))
    await bench.settle()
    assert bench.deployment(DEPLOYMENT)["spec"] == before
    assert bench.condition("Valid")["status"] == "False"
    assert bench.condition("Placed")["status"] == "True"
    bench.apply_pool(new_pool())
    await bench.settle()
    assert bench.deployment(DEPLOYMENT)["spec"] == before
    assert bench.condition("Ready")["status"] == "True"


async def test_an_unknown_class_beside_a_good_one_is_advice(
    bench: Any, new_pool: Callable[..., Json], new_role: Callable[..., Json]
) -> None:
    classes = [{"class": "B200", "count": 4}, {"class": "H100-80GB", "count": 4}]
    bench.apply_pool(new_pool(roles=[new_role(accelerators=classes)]))
    await bench.settle()
    assert bench.condition("Valid")["reason"] == "PartlyUsable"
    assert "'B200'" in bench.condition("Valid")["message"]
    assert bench.deployment(DEPLOYMENT)["spec"]["replicas"] == 2


async def test_a_class_whose_nodes_vanish_stays_what_it_was(
    bench: Any, new_pool: Callable[..., Json]
) -> None:
    bench.apply_pool(new_pool())
    await bench.settle()
    before = copy.deepcopy(bench.deployment(DEPLOYMENT)["spec"])
    bench.nodes.clear()
    await bench.settle()
    assert bench.deployment(DEPLOYMENT)["spec"] == before
    assert bench.condition("Valid")["status"] == "True"


async def test_the_gpu_limit_holds_growth_and_says_so(
    bench: Any, new_pool: Callable[..., Json], new_role: Callable[..., Json]
) -> None:
    bench.apply_pool(new_pool(roles=[new_role(replicas=3)], maxGpus=8))
    await bench.settle()
    assert bench.deployment(DEPLOYMENT)["spec"]["replicas"] == 2  # 2 x 4 = 8
    assert bench.condition("Placed")["reason"] == "GpuLimitReached"
    assert "spec.maxGpus" in bench.condition("Placed")["message"]
    assert bench.condition("Valid")["status"] == "True"


async def test_roles_share_the_gpu_limit_in_their_order(
    bench: Any, new_pool: Callable[..., Json], new_role: Callable[..., Json]
) -> None:
    roles = [new_role("first", replicas=2), new_role("second", replicas=2)]
    bench.apply_pool(new_pool(roles=roles, maxGpus=12))
    await bench.settle()
    status = bench.pool()["status"]["roles"]
    # 2 x 4 for the first, one of 4 is left for the second
    assert status["first"]["classes"][0]["desired"] == 2
    assert status["second"]["classes"][0]["desired"] == 1
    assert status["second"]["reason"] == "GpuLimitReached"


async def test_a_pod_on_its_way_out_belongs_to_no_replica_but_holds_its_gpus(
    bench: Any, new_pool: Callable[..., Json]
) -> None:
    bench.apply_pool(new_pool())
    await bench.settle()
    bench.run_pods(place=lambda _pod: "h1")
    leaving = next(iter(bench.pods.values()))
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    await bench.settle()
    role = bench.pool()["status"]["roles"]["server"]
    assert (role["placed"], role["ready"], role["gpus"]) == (1, 1, 8)
    assert bench.api.objects[ROLE_PATH]["status"]["replicas"] == 1


async def test_shrinking_takes_the_replica_that_waits_not_the_one_that_runs(
    bench: Any, new_pool: Callable[..., Json], new_role: Callable[..., Json]
) -> None:
    bench.add_node("a1", "NVIDIA-A100-SXM4-40GB")
    classes = [{"class": "H100-80GB", "count": 8}, {"class": "A100-40GB", "count": 8}]
    bench.apply_pool(new_pool(roles=[new_role(replicas=4, accelerators=classes)]))
    await bench.settle()  # two on H100, one on A100, and one that waits on H100
    seats = {"h100": iter(["h1", "h2", None]), "a100": iter(["a1"])}

    def place(pod: Json) -> str | None:
        return next(seats["a100" if "a100" in pod["metadata"]["name"] else "h100"])

    bench.run_pods(place=place)
    await bench.settle()
    bench.api.edit(ROLE_PATH, lambda live: live["spec"].update(replicas=3))
    await bench.settle()
    split = {c["class"]: c["desired"] for c in bench.pool()["status"]["roles"]["server"]["classes"]}
    assert split == {"H100-80GB": 2, "A100-40GB": 1}


async def test_a_shape_that_fits_nowhere_is_asked_for_where_an_autoscaler_shall_see_it(
    bench: Any, new_pool: Callable[..., Json], new_role: Callable[..., Json]
) -> None:
    large = new_role(accelerators=[{"class": "H100-80GB", "count": 16}])
    bounds = [{"role": "server", "minReplicas": 1, "maxReplicas": 2}]
    scaling = {"mode": "External", "bounds": bounds, "onUnplaceable": "Pending"}
    bench.apply_pool(new_pool(roles=[large], scaling=scaling))
    await bench.settle()
    assert bench.deployment(DEPLOYMENT)["spec"]["replicas"] == 2
    assert bench.condition("Valid")["status"] == "True"


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        pytest.param(4, {"H100-80GB": 0, "A100-40GB": 1}, id="the-same-size-moves"),
        pytest.param(8, {"H100-80GB": 1}, id="a-larger-one-stays-and-waits"),
    ],
)
async def test_a_waiting_replica_changes_class_at_the_gpu_limit(
    bench: Any,
    new_pool: Callable[..., Json],
    new_role: Callable[..., Json],
    count: int,
    expected: dict[str, int],
) -> None:
    bench.add_node("a1", "NVIDIA-A100-SXM4-40GB")
    classes = [{"class": "H100-80GB", "count": 4}, {"class": "A100-40GB", "count": count}]
    role = new_role(replicas=1, accelerators=classes)
    bench.apply_pool(new_pool(roles=[role], maxGpus=4))
    await bench.settle()
    bench.run_pods(place=lambda _pod: None)
    bench.now_s += 60
    await bench.settle()
    for name, replicas in expected.items():
        made = bench.deployment(workload_name("llama", "server", name))
        assert made["spec"]["replicas"] == replicas
    assert len(bench.api.of_kind("deployments")) == len(expected)


async def test_a_quota_that_refuses_pods_is_told(bench: Any, new_pool: Callable[..., Json]) -> None:
    bench.apply_pool(new_pool())
    await bench.settle()
    message = 'pods "x" is forbidden: exceeded quota: gpus, requested: 4, used: 0, limited: 2'
    trouble = {"type": "ReplicaFailure", "status": "True", "message": message}

    def refuse(live: Json) -> None:
        live["status"] = {"conditions": [trouble]}

    bench.api.edit(f"/apis/apps/v1/namespaces/{NS}/deployments/{DEPLOYMENT}", refuse)
    await bench.settle()
    assert bench.condition("Placed")["reason"] == "QuotaExceeded"
    assert "raise the ResourceQuota" in bench.condition("Placed")["message"]


@pytest.mark.parametrize(
    ("failure", "reason", "text"),
    [
        pytest.param(
            Failure("PATCH", "p", 403, "deployments is forbidden: no", reason="Forbidden"),
            "Forbidden",
            "grant the verb",
            id="rbac",
        ),
        pytest.param(
            Failure("PATCH", "p", 403, "exceeded quota: count/deployments", reason="Forbidden"),
            "QuotaExceeded",
            "raise the ResourceQuota",
            id="object-quota",
        ),
        pytest.param(
            Failure(
                "PATCH",
                "p",
                403,
                "unable to create new content in namespace team because it is being terminated",
                reason="Forbidden",
                causes=(Cause("metadata.namespace", "x", "NamespaceTerminating"),),
            ),
            "NamespaceTerminating",
            "use another one",
            id="namespace-terminating",
        ),
        pytest.param(
            Failure(
                "PATCH",
                "p",
                422,
                "spec.template.spec.containers[0].image: Required value",
                reason="Invalid",
                causes=(Cause("spec.template.spec.containers[0].image", "Required value"),),
            ),
            "InvalidObject",
            "spec.roles[server].template.spec.containers[0].image",
            id="invalid",
        ),
        pytest.param(
            Failure("PATCH", "p", 404, 'namespaces "team" not found', reason="NotFound"),
            "NamespaceMissing",
            "create the namespace",
            id="namespace-gone",
        ),
    ],
)
async def test_a_refusal_is_a_condition_and_the_rest_goes_on(
    bench: Any, new_pool: Callable[..., Json], failure: Failure, reason: str, text: str
) -> None:
    bench.apply_pool(new_pool())
    bench.api.refuse["/deployments/"] = failure
    bench.watch()
    outcome = await bench.reconcile()
    assert outcome.is_refused
    assert bench.condition("Ready")["reason"] == reason
    assert text in bench.condition("Ready")["message"]
    assert len(bench.api.of_kind("services")) == 1
    bench.api.refuse.clear()
    await bench.settle()
    assert bench.condition("Valid")["status"] == "True"
    assert len(bench.api.of_kind("deployments")) == 1


async def test_too_many_requests_is_raised_with_its_time(
    bench: Any, new_pool: Callable[..., Json]
) -> None:
    bench.apply_pool(new_pool())
    bench.watch()
    bench.api.refuse["/services/"] = Failure("PATCH", "p", 429, "slow down", retry_after_s=7.0)
    with pytest.raises(TooManyRequestsError) as caught:
        await bench.reconcile()
    assert caught.value.retry_after_s == 7.0


async def test_a_foreign_object_of_the_name_is_not_touched(
    bench: Any, new_pool: Callable[..., Json]
) -> None:
    path = f"/api/v1/namespaces/{NS}/services/llama"
    theirs = {"metadata": {"name": "llama", "namespace": NS}, "spec": {"selector": {"app": "x"}}}
    bench.api.put(path, copy.deepcopy(theirs))
    bench.apply_pool(new_pool())
    bench.watch()
    assert (await bench.reconcile()).is_refused
    assert bench.api.objects[path]["spec"] == theirs["spec"]
    assert bench.condition("Ready")["reason"] == "NameTaken"
    assert "Service team/llama" in bench.condition("Ready")["message"]


async def test_a_child_that_the_watch_has_not_shown_is_found(
    bench: Any, new_pool: Callable[..., Json]
) -> None:
    bench.apply_pool(new_pool())
    await bench.settle()
    bench.api.edit(ROLE_PATH, lambda live: live["spec"].update(replicas=5))
    for child in bench.view.children():
        bench.view.drop_child(child)
    with pytest.raises(ConflictError):
        await bench.reconcile()
    assert bench.api.objects[ROLE_PATH]["spec"]["replicas"] == 5
    await bench.settle()
    assert bench.deployment(DEPLOYMENT)["spec"]["replicas"] == 5


async def test_what_an_earlier_pool_left_is_waited_for(
    bench: Any, new_pool: Callable[..., Json]
) -> None:
    bench.apply_pool(new_pool())
    await bench.settle()
    bench.api.drop(f"/apis/moorage.dev/v1alpha1/namespaces/{NS}/gpuinferencepools/llama")
    bench.apply_pool(new_pool())  # again, with another UID, before the garbage is collected
    await bench.settle()
    assert bench.condition("Ready")["reason"] == "PredecessorTerminating"
    for path in [p for p in bench.api.objects if "gpuinferencepools" not in p]:
        bench.api.drop(path)
    await bench.settle()
    owner = bench.deployment(DEPLOYMENT)["metadata"]["ownerReferences"][0]
    assert owner["uid"] == bench.pool()["metadata"]["uid"]


async def test_orphans_of_the_pool_are_adopted(bench: Any, new_pool: Callable[..., Json]) -> None:
    bench.apply_pool(new_pool())
    await bench.settle()
    for path in [p for p in bench.api.objects if "gpuinferencepools" not in p]:
        bench.api.edit(path, lambda live: live["metadata"].update(ownerReferences=[]))
    await bench.settle()
    owner = bench.deployment(DEPLOYMENT)["metadata"]["ownerReferences"][0]
    assert owner["uid"] == bench.pool()["metadata"]["uid"]


async def test_a_pool_that_is_gone_gets_no_children(
    bench: Any, new_pool: Callable[..., Json]
) -> None:
    bench.apply_pool(new_pool())
    await bench.settle()
    writes = len(bench.api.writes)
    for child in bench.view.children():
        bench.view.drop_child(child)
    bench.api.objects.clear()  # deleted with its children, and kopf has not said so
    await bench.reconcile()
    assert len(bench.api.writes) == writes
    assert bench.view.pools() == {}


async def test_a_pool_being_deleted_is_left_to_the_garbage_collector(
    bench: Any, new_pool: Callable[..., Json]
) -> None:
    pool = new_pool()
    pool["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    bench.apply_pool(pool)
    bench.watch()
    await bench.reconcile()
    assert bench.api.writes == []


async def test_without_the_lease_nothing_is_written(
    bench: Any, new_pool: Callable[..., Json]
) -> None:
    bench.apply_pool(new_pool())
    bench.watch()
    bench.leads = False
    with pytest.raises(NotLeadingError):
        await bench.reconcile()
    assert bench.api.writes == []


async def test_a_spec_that_cannot_be_read_is_a_condition(
    bench: Any, new_pool: Callable[..., Json]
) -> None:
    pool = new_pool()
    pool["spec"]["roles"] = "none"
    bench.apply_pool(pool)
    bench.watch()
    await bench.reconcile()
    assert bench.condition("Valid")["reason"] == "UnreadableSpec"
    assert "spec.roles" in bench.condition("Valid")["message"]
