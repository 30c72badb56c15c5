"""What is built for a pool: names, templates, workloads."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from moorage_crds.names import (
    MAX_CLASS_NAME,
    MAX_POOL_NAME,
    MAX_ROLE_NAME,
    MAX_WORKLOAD_NAME,
    workload_name,
)
from moorage_crds.pool import GPUInferencePool
from moorage_operator.manifests.companions import build_budget, build_service
from moorage_operator.manifests.objects import Manifest
from moorage_operator.manifests.pods import build_pod_template, to_replica_pod
from moorage_operator.manifests.templates import merge_templates
from moorage_operator.manifests.workloads import build_workload
from moorage_policies.types import AcceleratorClass

Json = dict[str, Any]
Make = Callable[..., Json]
H100 = AcceleratorClass("H100-80GB", {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"})
DNS_LABEL = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")

pools = st.from_regex(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?", fullmatch=True)
roles = st.from_regex(rf"[a-z][a-z0-9]{{0,{MAX_ROLE_NAME - 1}}}", fullmatch=True)
classes = st.from_regex(
    rf"[A-Za-z0-9]([A-Za-z0-9._-]{{0,{MAX_CLASS_NAME - 2}}}[A-Za-z0-9])?", fullmatch=True
)
triples = st.tuples(pools, roles, classes)


@given(triples)
def test_workload_names_are_dns_labels_of_bounded_length(triple: tuple[str, str, str]) -> None:
    assert len(triple[0]) <= MAX_POOL_NAME
    name = workload_name(*triple)
    assert len(name) <= MAX_WORKLOAD_NAME
    assert DNS_LABEL.fullmatch(name)
    assert name == workload_name(*triple)


@given(triples, triples)
@example(("a", "b", "c-d"), ("a-b", "c", "d"))
@example(("a", "b", "D"), ("a", "b", "d"))
def test_different_workloads_have_different_names(
    first: tuple[str, str, str], second: tuple[str, str, str]
) -> None:
    assert (workload_name(*first) == workload_name(*second)) == (first == second)


def test_a_name_can_be_read() -> None:
    assert workload_name("llama", "prefill", "H100-80GB").startswith("llama-prefill-h100-80gb-")


def test_an_accelerators_template_overrides_by_name() -> None:
    base = {
        "metadata": {"labels": {"a": "1", "b": "1"}},
        "spec": {
            "containers": [
                {
                    "name": "engine",
                    "image": "e:1",
                    "args": ["--tp=8", "--verbose"],
                    "env": [{"name": "X", "value": "1"}, {"name": "Y", "value": "1"}],
                },
                {"name": "side", "image": "s:1"},
            ]
        },
    }
    over = {
        "metadata": {"labels": {"b": "2"}},
        "spec": {
            "containers": [
                {
                    "name": "engine",
                    "args": ["--tp=4"],
                    "env": [{"name": "Y", "value": "2"}, {"name": "Z", "value": "2"}],
                },
                {"name": "extra", "image": "x:1"},
            ]
        },
    }
    merged = merge_templates(base, over)
    assert merged["metadata"]["labels"] == {"a": "1", "b": "2"}
    engine, side, extra = merged["spec"]["containers"]
    assert engine["image"] == "e:1"
    assert engine["args"] == ["--tp=4"]
    assert [(e["name"], e["value"]) for e in engine["env"]] == [("X", "1"), ("Y", "2"), ("Z", "2")]
    assert (side["image"], extra["image"]) == ("s:1", "x:1")
    assert base["spec"]["containers"][0]["args"] == ["--tp=8", "--verbose"]  # type: ignore[index]


def build(manifest: Json, index: int = 0) -> tuple[GPUInferencePool, Json]:
    pool = GPUInferencePool.read({**manifest, "metadata": {**manifest["metadata"], "uid": "u"}})
    role = pool.spec.roles[0]
    return pool, build_pod_template(pool, role, role.accelerators[index], H100)


def test_pods_get_scheduler_devices_and_class(new_pool: Make) -> None:
    _, template = build(new_pool(priorityClassName="high"))
    spec = template["spec"]
    assert spec["schedulerName"] == "moorage-scheduler"
    assert spec["priorityClassName"] == "high"
    assert spec["nodeSelector"] == dict(H100.node_selector)
    assert spec["containers"][0]["resources"]["limits"] == {"nvidia.com/gpu": "4"}
    assert spec["tolerations"] == [
        {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
    ]
    assert template["metadata"]["labels"] == {
        "moorage.dev/pool": "llama",
        "moorage.dev/role": "server",
        "moorage.dev/accelerator-class": "H100-80GB",
        "moorage.dev/serving": "true",
    }


def test_another_hint_of_the_pool_replaces_no_pod(new_pool: Make) -> None:
    templates = [build(new_pool(hints=hint))[1] for hint in ("", "near the store", "avoid spot")]
    assert templates[0] == templates[1] == templates[2]


def test_what_the_template_says_stands(new_pool: Make, new_role: Make) -> None:
    limits = {"limits": {"nvidia.com/gpu": 4}}
    spec = {
        "schedulerName": "mine",
        "tolerations": [{"operator": "Exists"}],
        "containers": [
            {"name": "side", "image": "s"},
            {"name": "e", "image": "e", "resources": limits},
        ],
    }
    _, template = build(new_pool(roles=[new_role(template={"spec": spec})]))
    assert template["spec"]["schedulerName"] == "mine"
    assert template["spec"]["tolerations"] == [{"operator": "Exists"}]
    assert "resources" not in template["spec"]["containers"][0]


def test_the_pools_topology_becomes_affinity_among_its_pods(new_pool: Make) -> None:
    topology = {"required": "fabric/block", "preferred": "fabric/tier-0"}
    _, template = build(new_pool(topology=topology))
    near = template["spec"]["affinity"]["podAffinity"]
    (required,) = near["requiredDuringSchedulingIgnoredDuringExecution"]
    (preferred,) = near["preferredDuringSchedulingIgnoredDuringExecution"]
    assert required["topologyKey"] == "fabric/block"
    assert preferred["podAffinityTerm"]["topologyKey"] == "fabric/tier-0"
    assert required["labelSelector"]["matchLabels"] == {"moorage.dev/pool": "llama"}


def test_a_replica_asks_for_what_it_is_limited_to(new_pool: Make) -> None:
    _, template = build(new_pool())
    assert to_replica_pod(template, "team").requests == {"nvidia.com/gpu": 4}


def workload(manifest: Json) -> Manifest:
    pool, template = build(manifest)
    role = pool.spec.roles[0]
    return build_workload(pool, role, role.accelerators[0], template, 3)


@pytest.mark.parametrize(
    ("strategy", "surge", "unavailable"),
    [
        pytest.param(None, 1, 0, id="default"),
        pytest.param("SurgeFirst", 1, 0, id="surge-first"),
        pytest.param("EvictFirst", 0, 1, id="evict-first"),
        pytest.param("Never", 1, 0, id="never-moved-but-rolled-out"),
    ],
)
def test_rollouts_follow_the_roles_migration(
    new_pool: Make, new_role: Make, strategy: str | None, surge: int, unavailable: int
) -> None:
    role = new_role(**({"migration": {"strategy": strategy}} if strategy else {}))
    made = workload(new_pool(roles=[role]))
    assert made.spec["strategy"]["rollingUpdate"] == {
        "maxSurge": surge,
        "maxUnavailable": unavailable,
    }


def test_replicas_of_several_nodes_become_a_leader_worker_set(
    new_pool: Make, new_role: Make
) -> None:
    accelerators = [{"class": "H100-80GB", "count": 8, "nodesPerReplica": 2}]
    made = workload(new_pool(roles=[new_role(accelerators=accelerators)]))
    assert made.resource.kind == "LeaderWorkerSet"
    assert made.spec["replicas"] == 3
    assert made.spec["leaderWorkerTemplate"]["size"] == 2
    spec = made.spec["leaderWorkerTemplate"]["workerTemplate"]["spec"]
    assert spec["containers"][0]["resources"]["limits"] == {"nvidia.com/gpu": "8"}


def test_the_budget_guards_one_pod_at_a_time_and_no_broken_one(new_pool: Make) -> None:
    pool, _ = build(new_pool())
    assert build_budget(pool, pool.spec.roles[0]).spec == {
        "maxUnavailable": 1,
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
        "selector": {
            "matchLabels": {"moorage.dev/pool": "llama", "moorage.dev/role": "server"},
        },
    }


def test_the_service_has_no_address_and_lists_named_ports(new_pool: Make, new_role: Make) -> None:
    role = new_role()
    role["template"]["spec"]["containers"][0]["ports"] = [
        {"name": "http", "containerPort": 8000},
        {"containerPort": 9000},
    ]
    pool, template = build(new_pool(roles=[role]))
    service = build_service(pool, [template])
    assert service.spec == {
        "clusterIP": "None",
        "selector": {"moorage.dev/pool": "llama", "moorage.dev/serving": "true"},
        "ports": [{"name": "http", "port": 8000, "targetPort": 8000, "protocol": "TCP"}],
    }
