from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from moorage_cli.control_plane import ControlPlane, NodeSpec, SchedulerConfig, gpu_nodes
from moorage_cli.control_plane.errors import ComponentFailedError, RequestRefusedError
from moorage_cli.control_plane.processes import wait_until
from moorage_policies.types import Taint


def pod(name: str, **spec: object) -> dict[str, object]:
    container = {"name": "main", "image": "none", "resources": {"limits": {"nvidia.com/gpu": "1"}}}
    return {"metadata": {"name": name}, "spec": {"containers": [container], **spec}}


def condition(plane: ControlPlane, path: str, kind: str) -> str:
    conditions = plane.api.get(path)["status"].get("conditions", ())
    return next((one["status"] for one in conditions if one["type"] == kind), "")


def test_up_says_its_version_and_down_leaves_nothing(kubernetes_minor: str) -> None:
    with ControlPlane(kubernetes_minor) as plane:
        plane.start_scheduler()
        plane.create_nodes(gpu_nodes(1))
        assert plane.api.get("/version")["gitVersion"] == f"v{plane.version}"
        names = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok")
        processes = [psutil.Process(plane.process_id(name)) for name in names]
        assert all("# HELP" in plane.metrics(name) for name in names)
        directory = plane.directory
    assert not any(process.is_running() for process in processes)
    assert not directory.exists()


def test_every_component_listens_on_loopback_only(control_plane: ControlPlane) -> None:
    control_plane.start_kwok()
    for name in ("etcd", "kube-apiserver", "kube-controller-manager", "kwok"):
        process = psutil.Process(control_plane.process_id(name))
        listening = {
            connection.laddr.ip
            for connection in process.net_connections()
            if connection.status == psutil.CONN_LISTEN
        }
        assert listening == {"127.0.0.1"}, name


def test_two_side_by_side_do_not_see_each_other(
    control_plane: ControlPlane, own_control_plane: ControlPlane
) -> None:
    own_control_plane.create_nodes(gpu_nodes(1, prefix="mine"))
    assert not control_plane.api.answers("/api/v1/nodes/mine-0000")
    assert own_control_plane.api.answers("/api/v1/nodes/mine-0000")


def test_hundred_nodes_are_ready_with_labels_and_gpus(
    control_plane: ControlPlane, make_nodes: Callable[[object], None]
) -> None:
    taint = Taint("nvidia.com/gpu", "present", "NoSchedule")
    special = NodeSpec("special", gpus=4, labels={"team": "blue"}, taints=(taint,))
    make_nodes([*gpu_nodes(99, prefix="hundred"), special])
    node = control_plane.api.get("/api/v1/nodes/special")
    assert node["status"]["allocatable"]["nvidia.com/gpu"] == "4"
    assert node["metadata"]["labels"]["team"] == "blue"
    assert node["spec"]["taints"] == [
        {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}
    ]
    zones = {
        node["metadata"]["labels"].get("topology.kubernetes.io/zone")
        for node in control_plane.api.get("/api/v1/nodes")["items"]
    }
    assert {"zone-a", "zone-b", "zone-c"} <= zones


def test_a_pod_is_scheduled_runs_and_vanishes(
    control_plane: ControlPlane, namespace: str, make_nodes: Callable[[object], None]
) -> None:
    make_nodes(gpu_nodes(2, prefix="runs"))
    control_plane.start_scheduler(SchedulerConfig(("runs",)), name="runs")
    pods = f"/api/v1/namespaces/{namespace}/pods"
    control_plane.api.create(pods, pod("one", schedulerName="runs"))
    wait_until(
        lambda: condition(control_plane, f"{pods}/one", "Ready") == "True",
        "the pod is Ready",
        deadline_s=30.0,
    )
    control_plane.api.delete(f"{pods}/one")
    wait_until(
        lambda: not control_plane.api.answers(f"{pods}/one"), "the pod is gone", deadline_s=30.0
    )
    control_plane.stop_scheduler("runs")


def test_readiness_gates_hold_a_simulated_pod_back(
    control_plane: ControlPlane, namespace: str, make_nodes: Callable[[object], None]
) -> None:
    make_nodes(gpu_nodes(1, prefix="gates"))
    path = f"/api/v1/namespaces/{namespace}/pods/gated"
    gates = [{"conditionType": "moorage.dev/in-service"}]
    manifest = pod("gated", nodeName="gates-0000", readinessGates=gates)
    control_plane.api.create(path.removesuffix("/gated"), manifest)

    def turn(gate: str, expected: str) -> None:
        patch = {"status": {"conditions": [{"type": gates[0]["conditionType"], "status": gate}]}}
        control_plane.api.patch(f"{path}/status", patch, "application/strategic-merge-patch+json")
        wait_until(
            lambda: condition(control_plane, path, "Ready") == expected,
            f"Ready is {expected}",
            deadline_s=30.0,
        )

    wait_until(
        lambda: condition(control_plane, path, "ContainersReady") == "True",
        "the containers run",
        deadline_s=30.0,
    )
    assert condition(control_plane, path, "Ready") == "False"
    turn("True", "True")
    turn("False", "False")


def test_service_account_token_has_just_its_rights(
    control_plane: ControlPlane, namespace: str
) -> None:
    kubeconfig = control_plane.kubeconfig_for_service_account(namespace, "default")
    with pytest.raises(ComponentFailedError, match="Forbidden"):
        control_plane.kubectl(f"--kubeconfig={kubeconfig}", "get", "nodes")
    who = control_plane.kubectl(f"--kubeconfig={kubeconfig}", "auth", "whoami", "-o", "json")
    user = json.loads(who)["status"]["userInfo"]["username"]
    assert user == f"system:serviceaccount:{namespace}:default"


def test_user_kubeconfig_carries_user_and_groups(control_plane: ControlPlane) -> None:
    kubeconfig = control_plane.kubeconfig_for_user("jane", ("team:blue",))
    who = control_plane.kubectl(f"--kubeconfig={kubeconfig}", "auth", "whoami", "-o", "json")
    info = json.loads(who)["status"]["userInfo"]
    assert (info["username"], "team:blue" in info["groups"]) == ("jane", True)


def test_objects_survive_a_crash_of_api_server_and_etcd(own_control_plane: ControlPlane) -> None:
    plane = own_control_plane
    plane.api.create("/api/v1/namespaces", {"metadata": {"name": "kept"}})
    before = plane.process_id("kube-apiserver")
    plane.restart("kube-apiserver")
    plane.restart("etcd")
    wait_until(lambda: plane.api.answers("/api/v1/namespaces/kept"), "it is back", deadline_s=30.0)
    assert plane.process_id("kube-apiserver") != before


def test_a_component_that_cannot_start_is_reported_with_its_log(kubernetes_minor: str) -> None:
    plane = ControlPlane(kubernetes_minor, api_server_flags=["--no-such-flag"])
    with pytest.raises(ComponentFailedError, match=r"exited with code 1.*\n(.*\n)*.*no-such-flag"):
        plane.start()
    assert not plane.directory.exists()


def test_refusals_carry_the_servers_message(control_plane: ControlPlane) -> None:
    with pytest.raises(RequestRefusedError, match='namespaces "absent" not found') as caught:
        control_plane.api.get("/api/v1/namespaces/absent")
    assert caught.value.status == 404


OWNER = """
import json, sys, time
from moorage_cli.control_plane import ControlPlane, gpu_nodes
plane = ControlPlane(sys.argv[1]).start()
plane.start_scheduler()
plane.create_nodes(gpu_nodes(1))
names = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok")
print(json.dumps([str(plane.directory), [plane.process_id(name) for name in names]]), flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_survives_its_owner(kubernetes_minor: str, signal_number: int) -> None:
    command = [sys.executable, "-c", OWNER, kubernetes_minor]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        directory, process_ids = json.loads(owner.stdout.readline())
        assert all(psutil.pid_exists(process_id) for process_id in process_ids)
        os.kill(owner.pid, signal_number)
    wait_until(
        lambda: not any(_runs(process_id) for process_id in process_ids),
        "all components are gone",
        deadline_s=30.0,
    )
    wait_until(lambda: not Path(directory).exists(), "the folder is gone", deadline_s=30.0)


def _runs(process_id: int) -> bool:
    try:
        return psutil.Process(process_id).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
