"""What breaks around the operator, on control planes of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from moorage_cli.control_plane import ControlPlane, NodeSpec
from moorage_cli.control_plane.plane import API_SERVER
from moorage_cli.installation import OPERATOR, Installation
from moorage_crds import names

pytestmark = pytest.mark.control_plane

Json = dict[str, Any]
Make = Callable[..., Json]
POOLS = 12
CHILDREN = "gir,deployments,services,poddisruptionbudgets"


@pytest.fixture
def installation(own_control_plane: ControlPlane) -> Iterator[Installation]:
    with Installation(own_control_plane) as made:
        yield made


def test_killed_in_the_middle_again_and_again_the_end_is_the_same(
    installation: Installation, new_site: Callable[[Installation], Any], new_pool: Make
) -> None:
    site = new_site(installation)
    installation.install()
    site.plane.create_nodes([NodeSpec("h1", gpus=POOLS * 2)])
    site.plane.start_scheduler()
    site.plane.kubectl("create", "namespace", "team")
    role = new_pool()["spec"]["roles"][0] | {"accelerators": [{"class": "H100-80GB", "count": 1}]}
    site.apply(*(new_pool(f"p{index}", roles=[role]) for index in range(POOLS)))
    lease = {"MOORAGE_OPERATOR_SPACING_MS": "50"}
    for written in range(1, 4):
        installation.start_operator(wait=False, **lease)
        wanted = POOLS * written // 4
        site.eventually(
            lambda wanted=wanted: len(site.list("deployments", "team")) >= wanted,
            deadline_s=60.0,  # a killed leader's Lease has to run out
            why=f"{wanted} Deployments are there",
        )
        installation.stop(OPERATOR, signal.SIGKILL)
    installation.start_operator(wait=False, **lease)
    site.eventually(
        lambda: all(
            site.condition("team", "Ready", f"p{index}").get("status") == "True"
            for index in range(POOLS)
        ),
        deadline_s=60.0,
        why="every pool is ready",
    )
    children = site.list(CHILDREN, "team")
    assert len(children) == POOLS * 4  # one role object, Deployment, Service and budget each
    assert len(site.list("pods", "team")) == POOLS * 2


def test_an_operator_that_loses_its_lease_ends(
    installation: Installation, new_site: Callable[[Installation], Any]
) -> None:
    site = new_site(installation)
    installation.install()
    installation.start_operator()
    process = psutil.Process(installation.process_id(OPERATOR))
    process.suspend()
    lease = names.LEASES.path("moorage-system", "moorage-operator")
    thief = {"spec": {"holderIdentity": "thief", "leaseDurationSeconds": 60}}
    site.plane.api.patch(lease, thief)
    process.resume()
    site.eventually(
        lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE,
        deadline_s=30.0,
        why="it ends by itself",
    )
    holder = site.plane.api.get(lease)["spec"]["holderIdentity"]
    assert holder == "thief"  # it has not given away what was not its own any more


def test_an_operator_waits_for_its_kinds_and_for_a_server_that_is_down(
    installation: Installation, new_site: Callable[[Installation], Any], new_pool: Make
) -> None:
    site = new_site(installation)
    installation.install()
    site.plane.create_nodes([NodeSpec("h1")])
    for resource in (names.POOLS, names.ROLES):
        site.plane.kubectl("delete", "crd", resource.crd_name)
    installation.start_operator(wait=False)
    process = psutil.Process(installation.process_id(OPERATOR))
    site.eventually(
        lambda: "kinds.waiting" in installation.log_tail(OPERATOR), why="it says what it misses"
    )
    site.plane.kill(API_SERVER)
    site.plane.resume(API_SERVER)
    installation.install()
    site.plane.kubectl("create", "namespace", "team")
    site.apply(new_pool())
    site.eventually(
        lambda: len(site.list("deployments", "team")) == 1,
        deadline_s=90.0,
        why="the pool is served once its kind is",
    )
    assert process.is_running()


def test_rights_that_are_taken_away_are_a_condition_and_come_back(
    installation: Installation, new_site: Callable[[Installation], Any], new_pool: Make
) -> None:
    site = new_site(installation)
    installation.install()
    site.plane.create_nodes([NodeSpec("h1")])
    site.plane.kubectl("create", "namespace", "team")
    role = site.plane.api.get("/apis/rbac.authorization.k8s.io/v1/clusterroles/moorage-operator")
    poorer = [
        {**rule, "verbs": ["get", "list", "watch"]} if "services" in rule["resources"] else rule
        for rule in role["rules"]
    ]
    site.plane.api.patch(
        "/apis/rbac.authorization.k8s.io/v1/clusterroles/moorage-operator", {"rules": poorer}
    )
    installation.start_operator()
    site.apply(new_pool())
    site.eventually(lambda: site.condition("team", "Ready").get("reason") == "Forbidden")
    assert "grant the verb" in site.condition("team", "Ready")["message"]
    assert len(site.list("deployments", "team")) == 1  # the rest went on
    installation.install()  # the rights are back
    site.eventually(
        lambda: site.list("services", "team"), deadline_s=60.0, why="the Service is made"
    )


def test_the_process_ends_cleanly_and_quickly(installation: Installation) -> None:
    installation.install()
    installation.start_operator()
    process = psutil.Process(installation.process_id(OPERATOR))
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=10.0) in (0, None)
    lease = installation.plane.api.get(names.LEASES.path("moorage-system", "moorage-operator"))
    assert not lease["spec"].get("holderIdentity")


def test_bad_settings_end_the_process_with_their_name(tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("moorage-operator")
    environment = {**os.environ, "MOORAGE_OPERATOR_WORKERS": "0"}
    done = subprocess.run(
        [program], env=environment, capture_output=True, text=True, timeout=60.0, check=False
    )
    assert done.returncode != 0
    assert "workers" in done.stderr
    missing = {**os.environ, "MOORAGE_OPERATOR_KUBECONFIG": str(tmp_path / "none")}
    done = subprocess.run(
        [program], env=missing, capture_output=True, text=True, timeout=60.0, check=False
    )
    assert done.returncode == 2
    assert str(tmp_path / "none") in done.stderr
