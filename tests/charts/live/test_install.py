"""The chart installed by helm into a real API server."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from moorage_cli.chart.helm import NAMESPACE, Helm
from moorage_cli.control_plane import ControlPlane
from moorage_cli.control_plane.errors import RequestRefusedError
from moorage_cli.control_plane.processes import wait_until
from moorage_policies.errors import BadInputError

PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
ROLES = "/apis/rbac.authorization.k8s.io/v1/clusterroles"
NOT_SERVED = (
    "--set=monitoring.serviceMonitor.enabled=false",
    "--set=monitoring.prometheusRule.enabled=false",
)
POD_WITH_GPU = {
    "containers": [
        {"name": "c", "image": "example.com/c", "resources": {"limits": {"nvidia.com/gpu": "1"}}}
    ]
}


def names(plane: ControlPlane, path: str) -> set[str]:
    return {item["metadata"]["name"] for item in plane.api.get(path)["items"]}


def wait_for_pods(plane: ControlPlane, **counts: int) -> None:
    """Pods exist once admission has let them in; nothing runs them here."""

    def admitted() -> bool:
        found = [
            item["metadata"]["labels"]["app.kubernetes.io/component"]
            for item in plane.api.get(PODS)["items"]
        ]
        return {name: found.count(name) for name in set(found)} == counts

    wait_until(admitted, f"pods {counts} are admitted", deadline_s=60.0)


@pytest.mark.parametrize(
    ("case", "pods"),
    [
        pytest.param("default", {"operator": 2, "scheduler": 2}, id="second-scheduler"),
        pytest.param("service", {"operator": 2, "extender": 1}, id="service"),
        pytest.param("everything", {"operator": 2, "scheduler": 3}, id="everything"),
    ],
)
def test_all_objects_and_pods_are_admitted_where_restricted_is_enforced(
    plane: ControlPlane, run: Any, helm: Helm, root: Path, case: str, pods: dict[str, int]
) -> None:
    # The case `everything` uses an account of the admin's.
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "gpu-operator"}}
    plane.api.apply(f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/gpu-operator", account)
    values = root / f"tests/charts/cases/{case}.yaml"
    # The fixed address must be one of this control plane's.
    address = ("--set=extender.service.clusterIp=127.96.0.77",) if case == "service" else ()
    told = run("install", "moorage", str(helm.chart), f"--values={values}", *NOT_SERVED, *address)
    assert "STATUS: deployed" in told
    wait_for_pods(plane, **pods)
    run("upgrade", "moorage", str(helm.chart), f"--values={values}", *NOT_SERVED, *address)
    run("rollback", "moorage", "1")


def test_a_second_release_is_refused_by_the_holder(
    plane: ControlPlane, run: Any, helm: Helm
) -> None:
    run("install", "moorage", str(helm.chart))
    with pytest.raises(BadInputError, match=r"moorage-installation.*exists and cannot be imported"):
        run(
            "install", "other", str(helm.chart), "--create-namespace", "--set=crds.install=false",
            namespace="elsewhere",
        )  # fmt: skip
    assert not {name for name in names(plane, ROLES) if name.startswith("other")}
    owner = plane.api.get(f"{ROLES}/moorage-installation")["metadata"]["annotations"]
    assert owner["moorage.dev/installed-by"] == f"{NAMESPACE}/moorage"


def test_uninstalling_keeps_pools_and_the_next_install_takes_them_over(
    plane: ControlPlane, run: Any, helm: Helm, root: Path
) -> None:
    run("install", "moorage", str(helm.chart))
    ours = {name for name in names(plane, CRDS) if name.endswith(".moorage.dev")}
    assert len(ours) == 4
    pools = "/apis/moorage.dev/v1alpha1/namespaces/default/gpuinferencepools"
    wait_until(partial(plane.api.answers, pools), "pools are served", deadline_s=30.0)
    template = {"spec": {"containers": [{"name": "engine", "image": "example.com/engine:1"}]}}
    plane.api.create(
        pools,
        {
            "apiVersion": "moorage.dev/v1alpha1",
            "kind": "GPUInferencePool",
            "metadata": {"name": "chat"},
            "spec": {
                "model": {"name": "m", "engine": "vllm"},
                "roles": [
                    {
                        "name": "serve",
                        "accelerators": [{"class": "H100", "count": 1}],
                        "template": template,
                    }
                ],
            },
        },
    )
    run("uninstall", "moorage")
    assert {name for name in names(plane, CRDS) if name.endswith(".moorage.dev")} == ours
    assert names(plane, pools) == {"chat"}
    run("install", "moorage", str(helm.chart))
    run("uninstall", "moorage")
    other = ("install", "other", str(helm.chart), "--set=crds.keep=false")
    with pytest.raises(BadInputError, match="invalid ownership metadata"):
        run(*other)
    run(*other, "--take-ownership")
    assert names(plane, pools) == {"chat"}
    run("uninstall", "other")
    wait_until(
        lambda: not {name for name in names(plane, CRDS) if name in ours},
        "the custom resources are gone",
        deadline_s=30.0,
    )


def test_the_guard_refuses_gpu_pods_of_another_scheduler(
    plane: ControlPlane, run: Any, helm: Helm
) -> None:
    run("install", "moorage", str(helm.chart), "--set=admission.requireScheduler=Deny")

    def create(namespace: str, spec: dict[str, Any], name: str) -> None:
        plane.api.create(
            f"/api/v1/namespaces/{namespace}/pods", {"metadata": {"name": name}, "spec": spec}
        )

    said: list[str] = []

    def refused(name: str) -> bool:
        try:
            create("default", POD_WITH_GPU, name)
        except RequestRefusedError as error:
            said.append(str(error))
            return True
        plane.api.delete(f"/api/v1/namespaces/default/pods/{name}")
        return False

    # The API server takes a policy up a moment after it is stored.
    wait_until(partial(refused, "probe"), "the policy is in force", deadline_s=60.0)
    assert "need spec.schedulerName: moorage-scheduler" in said[0]
    container = POD_WITH_GPU["containers"][0]
    plain = {"name": "c", "image": "example.com/c"}
    with pytest.raises(RequestRefusedError, match="schedulerName"):
        create(
            "default", {"containers": [plain], "initContainers": [{**container, "name": "i"}]}, "i"
        )
    create("default", {"containers": [plain]}, "without-gpu")
    create("default", {**POD_WITH_GPU, "schedulerName": "moorage-scheduler"}, "ours")
    create("kube-system", POD_WITH_GPU, "exempt")


def make_pool(priority: str) -> dict[str, Any]:
    template = {"spec": {"containers": [{"name": "engine", "image": "example.com/engine:1"}]}}
    role = {
        "name": "serve",
        "accelerators": [{"class": "H100", "count": 1}],
        "template": template,
    }
    return {
        "apiVersion": "moorage.dev/v1alpha1",
        "kind": "GPUInferencePool",
        "metadata": {"generateName": "pool-"},
        "spec": {
            "model": {"name": "m", "engine": "vllm"},
            "priorityClassName": priority,
            "roles": [role],
        },
    }


def make_classes(plane: ControlPlane) -> None:
    for name, value in (("reserved", 1000), ("metered", 1000), ("free", 10)):
        path = f"/apis/scheduling.k8s.io/v1/priorityclasses/{name}"
        kind = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass"}
        plane.api.apply(path, {**kind, "metadata": {"name": name}, "value": value})


def make_namespace(plane: ControlPlane, name: str) -> None:
    metadata = {"name": name}
    plane.api.apply(
        f"/api/v1/namespaces/{name}",
        {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata},
    )
    account = f"/api/v1/namespaces/{name}/serviceaccounts/default"
    wait_until(partial(plane.api.answers, account), "its account is there", deadline_s=30.0)


def test_a_reserved_priority_is_for_its_namespaces_alone(
    plane: ControlPlane, run: Any, helm: Helm
) -> None:
    reserved = '[{"name": "reserved", "namespaces": ["chosen"]}]'
    run(
        "install", "moorage", str(helm.chart), f"--set-json=admission.reservedPriorities={reserved}"
    )
    make_classes(plane)
    make_namespace(plane, "chosen")
    make_namespace(plane, "others")
    said: list[str] = []

    def create(namespace: str, priority: str, kind: str) -> bool:
        path = "pods" if kind == "pod" else "gpuinferencepools"
        root = "/api/v1" if kind == "pod" else "/apis/moorage.dev/v1alpha1"
        pod = {
            "metadata": {"generateName": "p-"},
            "spec": {**POD_WITH_GPU, "priorityClassName": priority},
        }
        try:
            plane.api.create(
                f"{root}/namespaces/{namespace}/{path}",
                pod if kind == "pod" else make_pool(priority),
            )
        except RequestRefusedError as error:
            said.append(str(error))
            return False
        return True

    pools = "/apis/moorage.dev/v1alpha1/namespaces/others/gpuinferencepools"
    wait_until(partial(plane.api.answers, pools), "pools are served", deadline_s=30.0)
    wait_until(
        lambda: not create("others", "reserved", "pod"), "the policy is in force", deadline_s=60.0
    )
    assert "namespace others may not use priority class reserved" in said[-1]
    wait_until(
        lambda: not create("others", "reserved", "pool"), "it knows pools, too", deadline_s=60.0
    )
    assert "namespace others may not use priority class reserved" in said[-1]
    for kind in ("pod", "pool"):
        assert create("chosen", "reserved", kind), said[-1]
        assert create("others", "free", kind), said[-1]
    for namespace in ("chosen", "others"):
        plane.api.delete(f"/apis/moorage.dev/v1alpha1/namespaces/{namespace}/gpuinferencepools")


def test_a_quota_limits_the_accelerators_of_a_priority(plane: ControlPlane) -> None:
    """The quota of the install guide, on the control plane as it is: nothing of ours takes part."""
    make_classes(plane)
    make_namespace(plane, "limited")
    scope = {"scopeName": "PriorityClass", "operator": "In", "values": ["metered"]}
    quota = {
        "metadata": {"name": "metered"},
        "spec": {
            "hard": {"requests.nvidia.com/gpu": "1"},
            "scopeSelector": {"matchExpressions": [scope]},
        },
    }
    quotas = "/api/v1/namespaces/limited/resourcequotas"
    plane.api.create(quotas, quota)
    wait_until(
        lambda: bool(plane.api.get(f"{quotas}/metered").get("status", {}).get("used")),
        "the quota is counted",
        deadline_s=60.0,
    )

    def create(priority: str) -> None:
        pod = {
            "metadata": {"generateName": "p-"},
            "spec": {**POD_WITH_GPU, "priorityClassName": priority},
        }
        plane.api.create("/api/v1/namespaces/limited/pods", pod)

    create("metered")
    with pytest.raises(RequestRefusedError, match="exceeded quota: metered"):
        create("metered")
    create("free")
    create("free")
