"""Moorage on a local control plane: resources, accounts, each part its own process."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import urllib3

from moorage_cli.control_plane import ControlPlane, ExtenderConfig, SchedulerConfig
from moorage_cli.control_plane.ports import free_ports
from moorage_cli.control_plane.processes import Component, ProcessGroup, wait_until
from moorage_cli.manifests import SYSTEM_NAMESPACE, read_manifests
from moorage_crds.names import SCHEDULER_NAME, ApiResource
from moorage_crds.render import crd_manifests

EXTENDER = "moorage-extender"
OPERATOR = "moorage-operator"
SOLVER = "moorage-solver"
_READY_WITHIN_S = 180.0
_FIELD_MANAGER = "moorage-install"

_PLURALS = {
    "Namespace": ("", "v1", "namespaces", False),
    "ServiceAccount": ("", "v1", "serviceaccounts", True),
    "ClusterRole": ("rbac.authorization.k8s.io", "v1", "clusterroles", False),
    "ClusterRoleBinding": ("rbac.authorization.k8s.io", "v1", "clusterrolebindings", False),
    "Role": ("rbac.authorization.k8s.io", "v1", "roles", True),
    "RoleBinding": ("rbac.authorization.k8s.io", "v1", "rolebindings", True),
    "CustomResourceDefinition": (
        "apiextensions.k8s.io",
        "v1",
        "customresourcedefinitions",
        False,
    ),
    "PriorityClass": ("scheduling.k8s.io", "v1", "priorityclasses", False),
}


@dataclass(frozen=True, slots=True)
class Door:
    """Where a running part of Moorage listens."""

    health: str
    verbs: str = ""


@dataclass
class Installation:
    """Moorage on one control plane, every part a process of its own under its own account.

    Args:
        plane: the running control plane.
        extender_settings: environment of the extender besides what is set here.
        operator_settings: environment of the operator besides what is set here.
    """

    plane: ControlPlane
    extender_settings: Mapping[str, str] = field(default_factory=dict)
    operator_settings: Mapping[str, str] = field(default_factory=dict)
    doors: dict[str, Door] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._processes = ProcessGroup(self.plane.directory, remove_directory=False)
        self._environments: dict[str, Mapping[str, str]] = {}
        self._http = urllib3.PoolManager(timeout=5.0, retries=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def install(self) -> None:
        """Apply the custom resources and the accounts, and wait until the resources are served."""
        for manifest in (*crd_manifests(), *read_manifests("accounts")):
            self.apply(manifest)
        for crd in crd_manifests():
            group, names = crd["spec"]["group"], crd["spec"]["names"]["plural"]
            version = crd["spec"]["versions"][0]["name"]
            path = f"/apis/{group}/{version}/{names}"
            wait_until(
                partial(self.plane.api.answers, path),
                f"{names} are served",
                deadline_s=_READY_WITHIN_S,
            )

    def apply(self, manifest: Mapping[str, Any]) -> None:
        """Server-side apply one object of a kind that an installation has."""
        resource = ApiResource(
            *_PLURALS[manifest["kind"]][:3],
            kind=manifest["kind"],
            namespaced=_PLURALS[manifest["kind"]][3],
        )
        metadata = manifest["metadata"]
        path = resource.path(metadata.get("namespace", ""), metadata["name"])
        self.plane.api.apply(path, manifest, _FIELD_MANAGER)

    def start_extender(self, name: str = EXTENDER, **settings: str) -> Door:
        """Start an extender and wait until it has read the cluster."""
        verbs, health = free_ports(2)
        environment = {
            "MOORAGE_EXTENDER_PORT": str(verbs),
            "MOORAGE_EXTENDER_HEALTH_HOST": "127.0.0.1",
            "MOORAGE_EXTENDER_HEALTH_PORT": str(health),
            **self.extender_settings,
            **settings,
        }
        door = Door(f"http://127.0.0.1:{health}", f"http://127.0.0.1:{verbs}")
        return self._start(name, EXTENDER, "MOORAGE_EXTENDER", environment, door)

    def start_planning_extender(self, **settings: str) -> Door:
        """Start an extender that plans for pods that fit nowhere as soon as a solver is warm."""
        planning = {
            "MOORAGE_EXTENDER_PLANNER": "Always",
            "MOORAGE_EXTENDER_SOLVER_SOCKET": str(self.solver_socket),
            "MOORAGE_EXTENDER_BELL_NAMESPACE": SYSTEM_NAMESPACE,
        }
        return self.start_extender(**{**planning, **settings})

    @property
    def solver_socket(self) -> Path:
        """Where the solver is asked."""
        return self.plane.directory / "solver.sock"

    def start_solver(self, **settings: str) -> None:
        """Start a solver; it answers once it is warm, which nothing waits for."""
        own = {"MOORAGE_SOLVER_SOCKET": str(self.solver_socket)}
        environment = {**os.environ, **own, **settings}
        command = [sys.executable, "-m", "moorage_extender.solver"]
        self._spawn(SOLVER, command, environment)

    def start_operator(self, name: str = OPERATOR, *, wait: bool = True, **settings: str) -> Door:
        """Start an operator; with ``wait``, return when it leads and has read the cluster."""
        (health,) = free_ports(1)
        environment = {
            "MOORAGE_OPERATOR_LISTEN_HOST": "127.0.0.1",
            "MOORAGE_OPERATOR_LISTEN_PORT": str(health),
            "MOORAGE_OPERATOR_LEASE_NAMESPACE": SYSTEM_NAMESPACE,
            **self.operator_settings,
            **settings,
        }
        door = Door(f"http://127.0.0.1:{health}")
        return self._start(name, OPERATOR, "MOORAGE_OPERATOR", environment, door, wait=wait)

    def start_scheduler(self, config: SchedulerConfig | None = None) -> None:
        """Start a kube-scheduler that calls the extender, configured as the chart does it."""
        self.plane.start_scheduler(config or scheduler_config(self.doors[EXTENDER].verbs))

    def stop(self, name: str, signal_number: int = signal.SIGKILL) -> None:
        """End one part, by default as a crash would."""
        self._processes.kill(name, signal_number)
        self.doors.pop(name, None)

    def crash_and_restart(self, name: str, command: Sequence[str] = ()) -> tuple[str, ...]:
        """End one part as a crash would and start it again as it was; it is not waited for.

        Args:
            name: the part.
            command: what to start in its place, with its settings; empty for the same.

        Returns:
            The command that ran before.
        """
        component = self._processes.kill(name)
        self._processes.spawn(name, command or component.command, self._environments[name])
        return component.command

    def runs(self, name: str) -> bool:
        """Return whether a part's process lives."""
        return self._processes.component(name).process.poll() is None

    def log_tail(self, name: str) -> str:
        """Return the end of a part's log."""
        return self._processes.component(name).log_tail()

    def process_id(self, name: str) -> int:
        """Return the process id of a running part."""
        return self._processes.component(name).process.pid

    def fetch(self, url: str) -> bytes:
        """Return the body of a GET to a part of ours."""
        response = self._http.request("GET", url)
        if response.status >= 400:  # noqa: PLR2004 - HTTP's own border of errors
            raise urllib3.exceptions.HTTPError(f"GET {url}: {response.status}")
        return response.data

    def close(self) -> None:
        """End every part."""
        self._processes.close()

    def _start(
        self,
        name: str,
        program: str,
        prefix: str,
        settings: Mapping[str, str],
        door: Door,
        *,
        wait: bool = True,
    ) -> Door:
        kubeconfig = self.plane.kubeconfig_for_service_account(SYSTEM_NAMESPACE, program)
        environment = {**os.environ, f"{prefix}_KUBECONFIG": str(kubeconfig), **settings}
        command = [str(Path(sys.executable).with_name(program))]
        component = self._spawn(name, command, environment)
        self.doors[name] = door
        if wait:
            wait_until(
                lambda: self._answers(f"{door.health}/readyz"),
                f"{name} is ready",
                deadline_s=_READY_WITHIN_S,
                component=component,
            )
        return door

    def _spawn(
        self, name: str, command: Sequence[str], environment: Mapping[str, str]
    ) -> Component:
        self._environments[name] = environment
        return self._processes.spawn(name, command, environment)

    def _answers(self, url: str) -> bool:
        try:
            self.fetch(url)
        except urllib3.exceptions.HTTPError:
            return False
        return True


def scheduler_config(verbs_url: str) -> SchedulerConfig:
    """Return the scheduler's configuration with our extender, as the chart writes it."""
    extender = ExtenderConfig(verbs_url, weight=EXTENDER_WEIGHT)
    return SchedulerConfig((SCHEDULER_NAME,), (extender,))


EXTENDER_WEIGHT = 120
"""One step of our score then outweighs everything in-tree together (about 1,200 points)."""
