"""A real Kubernetes control plane on loopback, for tests, demonstrations and users."""

from __future__ import annotations

import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from moorage_cli.control_plane import simulated_nodes
from moorage_cli.control_plane.api import ApiClient
from moorage_cli.control_plane.binaries import Binaries, find_binaries
from moorage_cli.control_plane.command_lines import (
    LOOPBACK,
    Ports,
    api_server_command,
    controller_manager_command,
    etcd_command,
    kwok_command,
    scheduler_command,
)
from moorage_cli.control_plane.errors import ComponentFailedError
from moorage_cli.control_plane.identity import Identity, make_identity
from moorage_cli.control_plane.kubeconfig import (
    write_certificate_kubeconfig,
    write_token_kubeconfig,
)
from moorage_cli.control_plane.ports import choose_ports, free_ports
from moorage_cli.control_plane.processes import ProcessGroup, wait_until
from moorage_cli.control_plane.scheduler_config import SchedulerConfig, render_scheduler_config
from moorage_cli.control_plane.toolchains import DEFAULT_MINOR, KUBERNETES_VERSIONS

ETCD: Final = "etcd"
API_SERVER: Final = "kube-apiserver"
CONTROLLER_MANAGER: Final = "kube-controller-manager"
SCHEDULER: Final = "kube-scheduler"
KWOK: Final = "kwok"

_SIMULATION: Final = Path(__file__).with_name("simulation.yaml")
_START_ATTEMPTS: Final = 3
_PORT_TAKEN: Final = "address already in use"
_TOKEN_VALID_FOR_S: Final = 86_400
_KUBECTL_TIMEOUT_S: Final = 120.0


class ControlPlane:
    """Etcd, kube-apiserver and kube-controller-manager; schedulers and simulated nodes on demand.

    Use it as a context manager. Several may run side by side. All that it started is gone when the
    block ends, and also when this process is killed.

    Args:
        minor: Kubernetes minor (``1.34``).
        binaries: programs to run; default: those that are installed or cached.
        directory: for data and logs, kept at the end; default: a temporary one, removed at the end.
        keep_directory: keep the temporary directory, too.
        api_server_flags: further flags of kube-apiserver; a repeated flag wins.
        controller_manager_flags: further flags of kube-controller-manager.
        deadline_s: how long any one component may take to become ready.
    """

    def __init__(
        self,
        minor: str = DEFAULT_MINOR,
        *,
        binaries: Binaries | None = None,
        directory: Path | None = None,
        keep_directory: bool = False,
        api_server_flags: Sequence[str] = (),
        controller_manager_flags: Sequence[str] = (),
        deadline_s: float = 90.0,
    ) -> None:
        self._binaries = binaries or find_binaries(minor)
        self.minor = self._binaries.minor
        self.version = KUBERNETES_VERSIONS[self.minor]
        self._remove_directory = directory is None and not keep_directory
        self.directory = directory or Path(tempfile.mkdtemp(prefix="moorage-control-plane-"))
        self._api_server_flags = tuple(api_server_flags)
        self._controller_manager_flags = tuple(controller_manager_flags)
        self._deadline_s = deadline_s
        self._addresses: dict[str, str] = {}
        self._group: ProcessGroup | None = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> Self:
        """Bring the control plane up; returns when ServiceAccounts work."""
        self.directory.mkdir(parents=True, exist_ok=True)
        for attempt in range(1, _START_ATTEMPTS + 1):
            try:
                self._start_servers(choose_ports())
            except ComponentFailedError as error:
                self._end_processes()
                if _PORT_TAKEN not in str(error) or attempt == _START_ATTEMPTS:
                    self.stop()
                    raise
            except BaseException:
                self.stop()
                raise
            else:
                return self
        raise AssertionError("unreachable")

    def stop(self) -> None:
        """End everything; does nothing when it has ended."""
        self._end_processes()
        if self._remove_directory:
            shutil.rmtree(self.directory, ignore_errors=True)

    @property
    def server(self) -> str:
        """Address of the API server."""
        return self._identity.server

    @property
    def kubeconfig(self) -> Path:
        """Kubeconfig of a cluster administrator."""
        return self._identity.admin_kubeconfig

    def start_scheduler(
        self,
        config: SchedulerConfig | None = None,
        *,
        name: str = SCHEDULER,
        flags: Sequence[str] = (),
    ) -> None:
        """Start a kube-scheduler and wait until it is ready; several need distinct names."""
        config_file = self.directory / f"{name}.yaml"
        kubeconfig = self._identity.scheduler_kubeconfig
        config_file.write_text(render_scheduler_config(config or SchedulerConfig(), kubeconfig))
        (port,) = free_ports(1)
        self._addresses[name] = f"https://{LOOPBACK}:{port}"
        program = self._binaries[SCHEDULER]
        files = self._identity.files
        command = scheduler_command(program, port, files, kubeconfig, config_file, flags)
        self._launch(name, command)

    def stop_scheduler(self, name: str = SCHEDULER) -> None:
        """End a scheduler; it gives up its Lease when it holds one."""
        self._running.kill(name, signal.SIGTERM)

    def create_nodes(self, specs: Iterable[simulated_nodes.NodeSpec], *, wait: bool = True) -> None:
        """Add simulated nodes; with ``wait``, return when all are Ready and untainted."""
        self.start_kwok()
        specs = tuple(specs)
        simulated_nodes.create_nodes(self.api, specs, f"v{self.version}")
        if wait:
            self.wait_for_nodes(spec.name for spec in specs)

    def wait_for_nodes(self, names: Iterable[str]) -> None:
        """Return when all these nodes are Ready and untainted."""
        wanted = frozenset(names)
        wait_until(
            lambda: wanted <= simulated_nodes.ready_nodes(self.api),
            f"{len(wanted)} nodes are Ready",
            deadline_s=self._deadline_s,
            component=self._running.component(CONTROLLER_MANAGER),
        )

    def delete_nodes(self, names: Iterable[str]) -> None:
        """Remove nodes; pods on them are then removed by the controller manager."""
        simulated_nodes.delete_nodes(self.api, names)

    def start_kwok(self) -> None:
        """Start playing the kubelets of simulated nodes; does nothing when that runs."""
        if KWOK in self._running.components:
            return
        files = self._identity.files
        self._launch(KWOK, kwok_command(self._binaries[KWOK], self._ports, files, _SIMULATION))

    def kubeconfig_for_service_account(self, namespace: str, name: str) -> Path:
        """Kubeconfig with a token of an existing ServiceAccount, valid for a day."""
        answer = self.api.create(
            f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token",
            {"spec": {"expirationSeconds": _TOKEN_VALID_FOR_S}},
        )
        path = self.directory / f"{namespace}-{name}.kubeconfig"
        authority = self._identity.authority.files.certificate
        return write_token_kubeconfig(path, self.server, authority, answer["status"]["token"])

    def kubeconfig_for_user(self, user: str, groups: Sequence[str] = ()) -> Path:
        """Kubeconfig with a client certificate of any user, in any groups."""
        file_name = f"user-{user.replace(':', '-').replace('/', '-')}"
        authority = self._identity.authority
        client = authority.issue_client(file_name, user, groups)
        path = self.directory / f"{file_name}.kubeconfig"
        return write_certificate_kubeconfig(path, self.server, authority.files.certificate, client)

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """What kubectl prints when run as administrator.

        Raises:
            ComponentFailedError: when it fails, with its standard error.
        """
        done = subprocess.run(
            [self._binaries["kubectl"], f"--kubeconfig={self.kubeconfig}", *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=_KUBECTL_TIMEOUT_S,
            check=False,
        )
        if done.returncode:
            raise ComponentFailedError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def address_of(self, component: str) -> str:
        """Where a component serves its health and metrics."""
        if component not in self._addresses:
            raise ComponentFailedError(f"{component} was not started")
        return self._addresses[component]

    def metrics(self, component: str, path: str = "/metrics") -> str:
        """A component's metrics in Prometheus text form."""
        return self._client_of(component).raw("GET", path).decode()

    def log_tail(self, component: str, lines: int = 50) -> str:
        """The end of a running component's log."""
        return self._running.component(component).log_tail(lines)

    def kill(self, component: str) -> None:
        """End a component as a crash would."""
        self._killed[component] = self._running.kill(component).command

    def resume(self, component: str) -> None:
        """Start a killed component again with the same flags and wait until it is ready."""
        if component not in self._killed:
            raise ComponentFailedError(f"{component} was not killed")
        self._launch(component, self._killed.pop(component))

    def restart(self, component: str) -> None:
        """Crash a component, start it again and wait until it is ready."""
        self.kill(component)
        self.resume(component)

    def ended_components(self) -> list[str]:
        """Components that ended by themselves."""
        components = self._running.components.items()
        return [name for name, one in components if one.process.poll() is not None]

    def process_id(self, component: str) -> int:
        """The process id of a running component."""
        return self._running.component(component).process.pid

    @property
    def _running(self) -> ProcessGroup:
        if self._group is None:
            raise ComponentFailedError("the control plane is not running; call start() first")
        return self._group

    def _start_servers(self, ports: Ports) -> None:
        self._ports = ports
        self._killed: dict[str, tuple[str, ...]] = {}
        self._identity: Identity = make_identity(self.directory, ports)
        self._group = ProcessGroup(self.directory, remove_directory=self._remove_directory)
        self._addresses = {
            ETCD: f"http://{LOOPBACK}:{ports.etcd}",
            API_SERVER: self._identity.server,
            CONTROLLER_MANAGER: f"https://{LOOPBACK}:{ports.controller_manager}",
            KWOK: f"http://{LOOPBACK}:{ports.kwok}",
        }
        self.api = self._client_of(API_SERVER)
        files = self._identity.files
        data = self.directory / "etcd"
        self._launch(ETCD, etcd_command(self._binaries[ETCD], ports, data))
        self._launch(
            API_SERVER,
            api_server_command(self._binaries[API_SERVER], ports, files, self._api_server_flags),
        )
        # Earlier, its request for the authentication settings is forbidden and it exits for good.
        self._launch(
            CONTROLLER_MANAGER,
            controller_manager_command(
                self._binaries[CONTROLLER_MANAGER], ports, files, self._controller_manager_flags
            ),
        )

    def _launch(self, name: str, command: Sequence[str]) -> None:
        component = self._running.spawn(name, command)
        ready, what = self._readiness(name)
        wait_until(ready, what, deadline_s=self._deadline_s, component=component)

    def _readiness(self, name: str) -> tuple[Callable[[], bool], str]:
        if name == CONTROLLER_MANAGER:
            path = "/api/v1/namespaces/default/serviceaccounts/default"
            return lambda: self.api.answers(path), "the default ServiceAccount exists"
        client = self._client_of(name)
        if name in (ETCD, KWOK, API_SERVER):
            path = {ETCD: "/health", KWOK: "/healthz"}.get(name, "/readyz")
            return lambda: client.answers(path), f"{name} is ready"
        # A scheduler is ready before it has read whose certificates to trust.
        return (
            lambda: client.answers("/readyz") and client.answers("/metrics"),
            f"{name} is ready and knows us",
        )

    def _client_of(self, component: str) -> ApiClient:
        identity = self._identity
        authority = identity.authority.files.certificate
        return ApiClient.from_certificate(self.address_of(component), authority, identity.admin)

    def _end_processes(self) -> None:
        if self._group is not None:
            self._group.close()
            self._group = None
