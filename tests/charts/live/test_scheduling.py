"""What the chart installs, run as processes: its configuration, its accounts, its settings."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import urllib3
import yaml

from moorage_cli.chart.helm import NAMESPACE, Helm
from moorage_cli.control_plane import ControlPlane, gpu_nodes
from moorage_cli.control_plane.binaries import find_binaries
from moorage_cli.control_plane.ports import free_ports
from moorage_cli.control_plane.processes import ProcessGroup, wait_until

PODS = "/api/v1/namespaces/default/pods"
LEASE = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/moorage-scheduler"


@pytest.fixture
def installed(plane: ControlPlane, run: Any, helm: Helm) -> Iterator[dict[str, int]]:
    """The chart installed, its scheduler and extender run under its account; their ports."""
    verbs, health, secure = free_ports(3)
    run(
        "install", "moorage", str(helm.chart), "--set=extender.settings.drainS=0",
        f"--set=extender.port={verbs},extender.healthPort={health}",
    )  # fmt: skip
    path = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/moorage-scheduler"
    spec = plane.api.get(path)["spec"]["template"]["spec"]
    account = str(plane.kubeconfig_for_service_account(NAMESPACE, spec["serviceAccountName"]))
    with closing(ProcessGroup(plane.directory, remove_directory=False)) as group:
        containers = {container["name"]: container for container in spec["containers"]}
        settings = {entry["name"]: entry["value"] for entry in containers["extender"]["env"]}
        group.spawn(
            "extender",
            [str(Path(sys.executable).with_name("moorage-extender"))],
            {**os.environ, **settings, "MOORAGE_EXTENDER_KUBECONFIG": account},
        )
        scheduler = str(find_binaries(plane.minor)["kube-scheduler"])
        command = [
            scheduler,
            f"--config={configuration(plane, account)}",
            f"--authentication-kubeconfig={account}",
            f"--authorization-kubeconfig={account}",
            f"--secure-port={secure}",
            "--bind-address=127.0.0.1",
            *[flag for flag in containers["scheduler"]["args"] if "--config" not in flag],
        ]
        group.spawn("scheduler", command)
        ports = {"health": health, "secure": secure}
        wait_until(lambda: answers(f"http://127.0.0.1:{health}/readyz"), "extender", deadline_s=60)
        wait_until(
            lambda: answers(f"https://127.0.0.1:{secure}/readyz"), "scheduler", deadline_s=60
        )
        yield ports


def configuration(plane: ControlPlane, kubeconfig: str) -> Path:
    """The installed configuration; in a pod the account needs no kubeconfig."""
    path = f"/api/v1/namespaces/{NAMESPACE}/configmaps/moorage-scheduler"
    config = yaml.safe_load(plane.api.get(path)["data"]["scheduler.yaml"])
    config["clientConnection"]["kubeconfig"] = kubeconfig
    file = plane.directory / "installed-scheduler.yaml"
    file.write_text(yaml.safe_dump(config))
    return file


def answers(address: str) -> bool:
    with urllib3.PoolManager(cert_reqs="CERT_NONE", timeout=2.0, retries=False) as http:
        try:
            return http.request("GET", address).status == 200
        except urllib3.exceptions.HTTPError:
            return False


def pod(name: str, gpus: int) -> dict[str, Any]:
    limits = {"limits": {"nvidia.com/gpu": str(gpus)}} if gpus else {}
    container = {"name": "c", "image": "example.com/c", "resources": limits}
    spec = {"schedulerName": "moorage-scheduler", "containers": [container]}
    return {"metadata": {"name": name}, "spec": spec}


@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
def test_the_installed_scheduler_places_gpu_pods_through_the_extender(
    plane: ControlPlane, installed: dict[str, int]
) -> None:
    (gpu,) = gpu_nodes(1)
    plane.create_nodes([gpu, replace(gpu, name="without-gpus", gpus=0)])
    plane.api.create(PODS, pod("train", 2))
    plane.api.create(PODS, pod("no-gpu", 0))

    def placed(name: str) -> str:
        node: str = plane.api.get(f"{PODS}/{name}")["spec"].get("nodeName", "")
        return node

    wait_until(lambda: placed("train") != "", "the pod is placed", deadline_s=60.0)
    wait_until(lambda: placed("no-gpu") != "", "the other pod is placed", deadline_s=60.0)
    assert placed("train") == placed("no-gpu") == gpu.name  # not where there are no GPUs
    assert plane.api.get(LEASE)["spec"]["holderIdentity"]
    with urllib3.PoolManager() as http:
        metrics = http.request("GET", f"http://127.0.0.1:{installed['health']}/metrics").data
    assert b'moorage_extender_binds_total{outcome="bound"} 1.0' in metrics
