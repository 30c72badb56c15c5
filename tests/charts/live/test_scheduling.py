"""What the chart installs, run as processes: configuration, accounts, certificates."""

from __future__ import annotations

import base64
import json
import os
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import urllib3
import yaml
from typer.testing import CliRunner

from moorage_cli.chart.helm import NAMESPACE, Helm
from moorage_cli.control_plane import ControlPlane, gpu_nodes
from moorage_cli.control_plane.binaries import find_binaries
from moorage_cli.control_plane.ports import free_ports
from moorage_cli.control_plane.processes import ProcessGroup, wait_until
from moorage_cli.doctor.command import app

PODS = "/api/v1/namespaces/default/pods"
LEASE = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/moorage-scheduler"
ADDRESS = "127.96.0.77"  # of the control plane's Service range, and of this machine

pytestmark = pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")


@dataclass
class Installed:
    """The chart's objects as the API server has them, and processes in place of its pods."""

    plane: ControlPlane
    processes: ProcessGroup

    def get(self, kind: str, name: str, group: str = "/api/v1") -> dict[str, Any]:
        return self.plane.api.get(f"{group}/namespaces/{NAMESPACE}/{kind}/{name}")

    def pod(self, deployment: str) -> dict[str, Any]:
        found = self.get("deployments", deployment, "/apis/apps/v1")
        spec: dict[str, Any] = found["spec"]["template"]["spec"]
        return spec

    def account(self, deployment: str) -> str:
        name = self.pod(deployment)["serviceAccountName"]
        return str(self.plane.kubeconfig_for_service_account(NAMESPACE, name))

    def start_extender(self, deployment: str, **changed: str) -> None:
        """Run the extender with the container's environment."""
        containers = {c["name"]: c for c in self.pod(deployment)["containers"]}
        settings = {entry["name"]: entry["value"] for entry in containers["extender"]["env"]}
        kubeconfig = {"MOORAGE_EXTENDER_KUBECONFIG": self.account(deployment)}
        program = str(Path(sys.executable).with_name("moorage-extender"))
        self.processes.spawn(
            "extender", [program], {**os.environ, **settings, **kubeconfig, **changed}
        )
        port = settings["MOORAGE_EXTENDER_HEALTH_PORT"]
        wait_until(
            lambda: answers(f"http://127.0.0.1:{port}/readyz"), "extender is ready", deadline_s=60.0
        )

    def start_scheduler(self, config: dict[str, Any], kubeconfig: str, *flags: str) -> None:
        """Run kube-scheduler with a configuration; in a pod the account needs no kubeconfig."""
        config.setdefault("clientConnection", {})["kubeconfig"] = kubeconfig
        file = self.plane.directory / "installed-scheduler.yaml"
        file.write_text(yaml.safe_dump(config))
        (port,) = free_ports(1)
        command = [
            str(find_binaries(self.plane.minor)["kube-scheduler"]),
            f"--config={file}",
            f"--authentication-kubeconfig={kubeconfig}",
            f"--authorization-kubeconfig={kubeconfig}",
            f"--secure-port={port}",
            "--bind-address=127.0.0.1",
            *flags,
        ]
        self.processes.spawn("scheduler", command)
        wait_until(
            lambda: answers(f"https://127.0.0.1:{port}/readyz"),
            "scheduler is ready",
            deadline_s=60.0,
        )

    def placed(self, name: str) -> str:
        """The node of a pod, once it has one."""
        path = f"{PODS}/{name}"
        wait_until(
            lambda: "nodeName" in self.plane.api.get(path)["spec"],
            f"{name} is placed",
            deadline_s=60.0,
        )
        node: str = self.plane.api.get(path)["spec"]["nodeName"]
        return node


@pytest.fixture
def installed(plane: ControlPlane) -> Iterator[Installed]:
    with closing(ProcessGroup(plane.directory, remove_directory=False)) as processes:
        yield Installed(plane, processes)


def answers(address: str) -> bool:
    with urllib3.PoolManager(cert_reqs="CERT_NONE", timeout=2.0, retries=False) as http:
        try:
            return http.request("GET", address).status == 200
        except urllib3.exceptions.HTTPError:
            return False


def binds(health_port: int) -> float:
    """Bindings that the extender made."""
    with urllib3.PoolManager() as http:
        text = http.request("GET", f"http://127.0.0.1:{health_port}/metrics").data.decode()
    lines = [line for line in text.splitlines() if line.startswith("moorage_extender_binds_total{")]
    return sum(float(line.split()[-1]) for line in lines)


def doctor(plane: ControlPlane, health_port: int) -> dict[str, str]:
    """What ``moorage doctor`` finds, by check."""
    address = f"http://127.0.0.1:{health_port}"
    arguments = ["--kubeconfig", str(plane.kubeconfig), "--json", "--extender", address]
    findings = json.loads(CliRunner().invoke(app, arguments).stdout)
    return {finding["check"]: finding["level"] for finding in findings}


def pod(name: str, gpus: int, scheduler: str = "moorage-scheduler") -> dict[str, Any]:
    limits = {"limits": {"nvidia.com/gpu": str(gpus)}} if gpus else {}
    container = {"name": "c", "image": "example.com/c", "resources": limits}
    return {
        "metadata": {"name": name},
        "spec": {"schedulerName": scheduler, "containers": [container]},
    }


def test_the_second_scheduler_places_gpu_pods_through_the_extender(
    plane: ControlPlane, run: Any, helm: Helm, installed: Installed
) -> None:
    verbs, health = free_ports(2)
    run(
        "install", "moorage", str(helm.chart), "--set=extender.settings.drainS=0",
        f"--set=extender.port={verbs},extender.healthPort={health}",
    )  # fmt: skip
    installed.start_extender("moorage-scheduler")
    text = installed.get("configmaps", "moorage-scheduler")["data"]["scheduler.yaml"]
    (container,) = (
        c for c in installed.pod("moorage-scheduler")["containers"] if c["name"] == "scheduler"
    )
    flags = [flag for flag in container["args"] if not flag.startswith("--config")]
    account = installed.account("moorage-scheduler")
    installed.start_scheduler(yaml.safe_load(text), account, *flags)

    (gpu,) = gpu_nodes(1, prefix="second")
    plane.create_nodes([gpu, replace(gpu, name="second-without-gpus", gpus=0)])
    for name, gpus in {"train": 2, "without": 0}.items():
        plane.api.create(PODS, pod(name, gpus))
    assert installed.placed("train") == gpu.name
    assert installed.placed("without") == gpu.name  # the profile leaves the other node alone
    assert binds(health) == 1  # pods without GPUs do not come to the extender
    taken = plane.api.get(LEASE)["spec"]["renewTime"]
    wait_until(
        lambda: plane.api.get(LEASE)["spec"]["renewTime"] != taken,
        "the Lease is renewed",
        deadline_s=30.0,
    )
    assert doctor(plane, health).items() >= {
        ("custom resources", "ok"), ("RBAC", "ok"), ("extender", "ok"), ("scheduler", "ok")
    }  # fmt: skip
    plane.delete_nodes([gpu.name, "second-without-gpus"])


def test_an_admins_scheduler_reaches_the_extender_by_its_certificate_alone(
    plane: ControlPlane, run: Any, helm: Helm, installed: Installed, tmp_path: Path
) -> None:
    verbs, health = free_ports(2)
    run(
        "install", "moorage", str(helm.chart), "--set=mode=Service",
        f"--set=extender.port={verbs},extender.healthPort={health},extender.settings.drainS=0",
        f"--set=extender.service.port={verbs},extender.service.clusterIp={ADDRESS}",
        f"--set=extender.service.listenAddress={ADDRESS},extender.service.tls.source=Generated",
    )  # fmt: skip
    folders = {name: certificates(installed, name, tmp_path) for name in ("server", "client")}
    installed.start_extender(
        "moorage-extender",
        MOORAGE_EXTENDER_TLS_CERTIFICATE_FILE=str(folders["server"] / "tls.crt"),
        MOORAGE_EXTENDER_TLS_KEY_FILE=str(folders["server"] / "tls.key"),
        MOORAGE_EXTENDER_TLS_CLIENT_CA_FILE=str(folders["server"] / "ca.crt"),
    )
    text = installed.get("configmaps", "moorage-extender-entry")["data"]["extender.yaml"]
    moved = text.replace("/etc/kubernetes/moorage", str(folders["client"]))
    config = {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "leaderElection": {"leaderElect": False},
        "profiles": [
            {"schedulerName": "default-scheduler"},
            {"schedulerName": "moorage-scheduler"},
        ],
        "extenders": [{**yaml.safe_load(moved), "ignorable": False}],
    }
    installed.start_scheduler(config, str(plane.kubeconfig))

    (gpu,) = gpu_nodes(1, prefix="service")
    plane.create_nodes([gpu])
    for scheduler in ("default-scheduler", "moorage-scheduler"):
        plane.api.create(PODS, pod(f"of-{scheduler}", 1, scheduler))
        assert installed.placed(f"of-{scheduler}") == gpu.name
    assert binds(health) == 2
    assert doctor(plane, health)["RBAC"] == "ok"
    plane.delete_nodes([gpu.name])
    folder, bind = folders["client"], f"https://{ADDRESS}:{verbs}/bind"
    authority = str(folder / "ca.crt")
    own = {"cert_file": str(folder / "tls.crt"), "key_file": str(folder / "tls.key")}
    with urllib3.PoolManager(ca_certs=authority, retries=False, timeout=5.0, **own) as http:
        assert http.request("POST", bind, body=b"{}").status in (200, 400)
    with (
        urllib3.PoolManager(ca_certs=authority, retries=False, timeout=5.0) as http,
        pytest.raises(urllib3.exceptions.HTTPError),
    ):
        http.request("POST", bind, body=b"{}")


def certificates(installed: Installed, name: str, directory: Path) -> Path:
    """The files of one of the generated Secrets."""
    folder = directory / name
    folder.mkdir()
    for file, content in installed.get("secrets", f"moorage-extender-{name}")["data"].items():
        (folder / file).write_bytes(base64.b64decode(content))
    return folder
