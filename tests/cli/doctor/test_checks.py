from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage_cli.doctor.checks import _ACCOUNTS, UNTOUCHED_AFTER_S, Finding, examine
from moorage_cli.doctor.facts import ExtenderState, Facts, Right, Unread
from moorage_crds.names import CUSTOM_RESOURCE_DEFINITIONS, PLANS, POLICIES, POOLS, ROLES
from moorage_policies.testing import make_node, make_pod
from moorage_policies.types import AcceleratorClass, Node, Owner, Pod, Taint

H100 = {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3", "nvidia.com/gpu.memory": "81559"}
GPU_TAINT = Taint("nvidia.com/gpu", "present", "NoSchedule")


def gpu_node(name: str = "gpu-1", **changes: Any) -> Node:
    return make_node(name, **{"labels": H100, "taints": (GPU_TAINT,), **changes})


def our_pod(name: str, **changes: Any) -> Pod:
    return make_pod(name, scheduler="moorage-scheduler", **changes)


WELL = Facts(
    version="v1.34.10",
    resources=frozenset(resource.crd_name for resource in (POOLS, ROLES, PLANS, POLICIES)),
    nodes=(gpu_node(), make_node("cpu-1", gpus=0)),
    pods=(
        our_pod("placed", node="gpu-1"),
        our_pod("waiting", unschedulable=True, created_s=0.0),
        our_pod("gated", gates=("moorage.dev/gang",), created_s=0.0),
        our_pod("new", created_s=1000.0 - UNTOUCHED_AFTER_S),
        make_pod("elsewhere", node="cpu-1", gpus=0),
        make_pod("agent", node="gpu-1", owner=Owner("DaemonSet", "agent", "1")),
        make_pod("done", node="gpu-1", phase="Succeeded"),
    ),
    extender=ExtenderState("http://127.0.0.1:1/readyz"),
    now_s=1000.0,
)


def not_ok(facts: Facts) -> list[Finding]:
    return [finding for finding in examine(facts) if finding.level != "ok"]


def with_pods(*pods: Pod) -> Facts:
    return replace(WELL, pods=pods)


def with_nodes(*nodes: Node) -> Facts:
    return replace(WELL, nodes=nodes, pods=())


def test_a_healthy_cluster_has_nothing_to_repair() -> None:
    assert not_ok(WELL) == []


@pytest.mark.parametrize(
    ("facts", "check", "level", "says", "remedy"),
    [
        pytest.param(
            replace(WELL, version="v1.33.9"),
            "Kubernetes version",
            "fail",
            "too old",
            "upgrade",
            id="old-minor",
        ),
        pytest.param(
            replace(WELL, version="v1.38.0-eks"),
            "Kubernetes version",
            "warn",
            "newer",
            "prefer",
            id="untested-minor",
        ),
        pytest.param(
            replace(WELL, version="main"),
            "Kubernetes version",
            "warn",
            "no version",
            "use",
            id="no-version",
        ),
        pytest.param(
            replace(WELL, resources=WELL.resources - {POOLS.crd_name}),  # type: ignore[operator]
            "custom resources",
            "fail",
            "gpuinferencepools.moorage.dev",
            "kubectl apply",
            id="a-resource-is-missing",
        ),
        pytest.param(
            replace(WELL, denied=(Right("ns/op", "list", "apps", "deployments"),)),
            "RBAC",
            "fail",
            "ns/op: list deployments.apps",
            "kubectl apply",
            id="a-right-is-missing",
        ),
        pytest.param(
            with_nodes(gpu_node(), gpu_node("gpu-2", ready=False)),
            "GPU nodes",
            "warn",
            "1 of 2 are cordoned or not Ready: gpu-2",
            "describe",
            id="node-not-ready",
        ),
        pytest.param(
            with_nodes(gpu_node(unschedulable=True)),
            "GPU nodes",
            "warn",
            "gpu-1",
            "uncordon",
            id="node-cordoned",
        ),
        pytest.param(
            with_nodes(gpu_node(), gpu_node("bare", labels={})),
            "accelerator classes",
            "warn",
            "1 of 2 GPU nodes have none: bare",
            "gpu.product",
            id="one-node-without-labels",
        ),
        pytest.param(
            with_nodes(gpu_node(labels={})),
            "accelerator classes",
            "fail",
            "gpu-1",
            "acceleratorClasses",
            id="no-node-has-labels",
        ),
        pytest.param(
            with_nodes(gpu_node(), gpu_node("open", taints=())),
            "GPU node taints",
            "warn",
            "1 of 2 GPU nodes are open to every pod: open",
            "taint",
            id="untainted-node",
        ),
        pytest.param(
            with_nodes(gpu_node(taints=(Taint("soft", "", "PreferNoSchedule"),))),
            "GPU node taints",
            "warn",
            "gpu-1",
            "taint",
            id="a-soft-taint-is-none",
        ),
        pytest.param(
            with_pods(make_pod("thief", node="gpu-1")),
            "other schedulers",
            "fail",
            "default/thief",
            "schedulerName: moorage-scheduler",
            id="gpus-taken-by-another-scheduler",
        ),
        pytest.param(
            with_pods(make_pod("guest", node="gpu-1", gpus=0)),
            "other schedulers",
            "warn",
            "default/guest",
            "taint",
            id="cpu-pod-of-another-scheduler",
        ),
        pytest.param(
            with_pods(our_pod("lost", created_s=1000.0 - UNTOUCHED_AFTER_S - 1)),
            "scheduler",
            "fail",
            "default/lost",
            "profile named moorage-scheduler",
            id="nobody-schedules",
        ),
        pytest.param(
            replace(WELL, extender=ExtenderState("pods of x", "there are none")),
            "extender",
            "fail",
            "pods of x: there are none",
            "--extender",
            id="no-extender",
        ),
    ],
)
def test_each_fault_is_one_finding(
    facts: Facts, check: str, level: str, says: str, remedy: str
) -> None:
    (finding,) = not_ok(facts)
    assert (finding.check, finding.level) == (check, level)
    assert says in finding.message
    assert remedy in finding.remedy


def test_without_gpus_the_device_plugin_is_the_remedy() -> None:
    (finding,) = not_ok(with_nodes(make_node("cpu-1", gpus=0)))
    assert (finding.check, finding.level) == ("GPU nodes", "fail")
    assert "device plugin" in finding.remedy


def test_declared_classes_bring_their_resource_and_labels() -> None:
    declared = AcceleratorClass("MI300X", {"gpu": "mi300x"}, "amd.com/gpu")
    node = gpu_node("amd", labels={"gpu": "mi300x"}, allocatable={"amd.com/gpu": 8})
    assert not_ok(replace(with_nodes(node), classes=(declared,))) == []
    thief = make_pod("thief", node="amd", requests={"amd.com/gpu": 1})
    facts = replace(WELL, nodes=(node,), classes=(declared,), pods=(thief,))
    assert [finding.check for finding in not_ok(facts)] == ["other schedulers"]


def test_products_that_share_a_short_name_are_pointed_out() -> None:
    other = {**H100, "nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM2e"}
    (finding,) = not_ok(with_nodes(gpu_node(), gpu_node("gpu-2", labels=other)))
    assert (finding.check, finding.level) == ("accelerator classes", "warn")
    assert "H100-80GB" in finding.message


def test_long_lists_are_cut() -> None:
    nodes = [gpu_node(f"gpu-{row}", taints=()) for row in range(9)]
    (finding,) = not_ok(with_nodes(*nodes))
    assert finding.message.endswith("gpu-0, gpu-1, gpu-2, gpu-3, gpu-4 and 4 more")


READABLE = [field.name for field in fields(Facts) if "Unread" in str(field.type)]


@given(st.sets(st.sampled_from(READABLE)))
def test_what_cannot_be_read_is_a_warning_with_its_reason(unread: set[str]) -> None:
    changes: dict[str, Any] = {name: Unread(f"no right to {name}") for name in unread}
    facts = replace(WELL, **changes)
    findings = examine(facts)
    assert all(finding.level in ("ok", "warn") for finding in findings)
    said = " ".join(finding.message for finding in findings)
    needed = unread - ({"classes"} if "nodes" in unread else set())
    assert all(f"no right to {name}" in said for name in needed)


def test_the_remedies_name_files_that_exist() -> None:
    project = Path(__file__).parents[3]
    assert (project / "crds").is_dir()
    assert (project / _ACCOUNTS).is_file()


def test_the_table_of_checks_expects_the_resources_that_we_render() -> None:
    from moorage_crds.render import crd_manifests

    names = frozenset(str(manifest["metadata"]["name"]) for manifest in crd_manifests())
    assert names == WELL.resources
    assert CUSTOM_RESOURCE_DEFINITIONS.plural == "customresourcedefinitions"
