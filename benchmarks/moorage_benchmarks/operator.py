"""Protocol ``operator``: what a thousand pools cost the operator, its first sync to its restart.

Every arm gets a control plane of its own with the same nodes and pools, **created before its
process starts**. Phases, in this order: first sync (every pool has its children and a status; the
controller manager stands still, so that operator and API server have the machine to themselves),
until all replicas run (controllers, kube-scheduler and the kubelets' stand-in at work), rest,
changes (replica counts written at a fixed rate through the role objects, where the arm has them), a
crash and a new start.

Arms: ours; the same children written by plain kopf handlers (create, update and resume handlers, an
index of pods, kopf's defaults otherwise); a process that only lists and watches the same kinds, the
floor that no operator can go below. Writes are counted by the API server. RSS and CPU are those of
the arm's process; API server and etcd share the machine with it and set the pace of the first sync.
What only developers install is hidden from ours, as it is not in the image either: the official
client would load ``kubernetes_validate`` with its grammars, 20 MiB, wherever it finds it.
"""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import psutil
import typer
import urllib3

from moorage_benchmarks.operator_peers import FLOOR, PLAIN_KOPF, start_peer
from moorage_benchmarks.report import OURS, JsonFile, Row, finish
from moorage_cli.control_plane import ControlPlane, gpu_nodes
from moorage_cli.control_plane.plane import API_SERVER, CONTROLLER_MANAGER, ETCD
from moorage_cli.control_plane.processes import ProcessGroup, wait_until
from moorage_cli.installation import OPERATOR, Installation
from moorage_crds import names
from moorage_crds.names import ApiResource

PROTOCOL = "operator"
SEED = 1
NAMESPACE = "bench"
CLASS = "H100-80GB"
GPUS_PER_NODE = 8
DEVELOPERS_ONLY = ("kubernetes_validate",)
_IN_FLIGHT = 16
_PHASE_WITHIN_S = 1800.0
_WRITTEN = (names.POOLS, names.ROLES, names.DEPLOYMENTS, names.SERVICES, names.DISRUPTION_BUDGETS)
_OWN_VERBS = frozenset({"APPLY", "PATCH"})  # controllers and kubelets of the bench use others

Measured = dict[str, tuple[float, str]]


@dataclass(frozen=True, slots=True)
class Size:
    """How large the run is.

    Args:
        pools: pools.
        replicas: replicas of each, one GPU each.
        rest_s: seconds of rest that are measured.
        changes_s: seconds of changes.
        changes_per_s: changes a second.
        end_signal: how the process is ended before the restart.
    """

    pools: int
    replicas: int
    rest_s: float
    changes_s: float
    changes_per_s: float
    end_signal: signal.Signals = signal.SIGKILL


FULL = Size(pools=1000, replicas=5, rest_s=30.0, changes_s=20.0, changes_per_s=10.0)
QUICK = Size(
    pools=20, replicas=2, rest_s=2.0, changes_s=1.0, changes_per_s=5.0, end_signal=signal.SIGTERM
)


def run(
    *, quick: bool = False, seed: int = SEED, pools: int = 0, arms: tuple[str, ...] = ()
) -> list[Row]:
    """Return the rows of every arm.

    Args:
        quick: few pools, ours alone.
        seed: only recorded: nothing is drawn.
        pools: pools, 0 for the protocol's 1,000.
        arms: arms to run, empty for all of them.
    """
    size = QUICK if quick else FULL
    if pools:
        size = replace(size, pools=pools)
    chosen = arms or ((OURS,) if quick else (FLOOR, PLAIN_KOPF, OURS))
    rows: list[Row] = []
    for arm in chosen:
        with _site(size) as installation:
            peers = ProcessGroup(installation.plane.directory, remove_directory=False)
            with closing(peers):
                measured = _Run(installation, peers, arm, size).measure()
        rows += [
            Row(PROTOCOL, f"{size.pools}-pools", arm, metric, value, unit, seed)
            for metric, (value, unit) in measured.items()
        ]
    return rows


@contextmanager
def _site(size: Size) -> Iterator[Installation]:
    """Give a control plane with nodes and pools, its controllers at a stand, no operator yet."""
    with (
        ControlPlane() as plane,
        TemporaryDirectory() as hidden,
        Installation(plane, operator_settings={"PYTHONPATH": hidden}) as installation,
    ):
        for package in DEVELOPERS_ONLY:
            Path(hidden, f"{package}.py").write_text("raise ImportError('not in the image')\n")
        installation.install()
        api = plane.api
        api.create("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        plane.create_nodes(gpu_nodes(1 + size.pools * size.replicas // GPUS_PER_NODE))
        plane.kill(CONTROLLER_MANAGER)
        path = names.POOLS.path(NAMESPACE)
        with ThreadPoolExecutor(_IN_FLIGHT) as executor:
            for _ in executor.map(
                lambda index: api.create(path, _pool(index, size.replicas)), range(size.pools)
            ):
                pass
        yield installation


def _pool(index: int, replicas: int) -> dict[str, Any]:
    requests = {"cpu": "1", "memory": "1Gi"}
    container = {"name": "server", "image": "example.test/server:1"}
    template = {"spec": {"containers": [{**container, "resources": {"requests": requests}}]}}
    role = {
        "name": "server",
        "replicas": replicas,
        "accelerators": [{"class": CLASS, "count": 1}],
        "template": template,
    }
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.POOLS.kind,
        "metadata": {"name": f"pool-{index:04d}", "namespace": NAMESPACE},
        "spec": {"model": {"name": "benchmark"}, "roles": [role]},
    }


@dataclass
class _Run:
    """One arm, phase by phase."""

    installation: Installation
    peers: ProcessGroup
    arm: str
    size: Size
    measured: Measured = field(default_factory=dict)

    def measure(self) -> Measured:
        """Return everything that was measured."""
        self._start()
        if self.arm != FLOOR:
            self._first_sync()
        self._rest()
        if self.arm == OURS:
            self._changes()
            self._restart()
        return self.measured

    def _start(self) -> None:
        plane = self.installation.plane
        self._started_s = time.monotonic()
        if self.arm == OURS:
            self.installation.start_operator(wait=False)
            self._process = psutil.Process(self.installation.process_id(OPERATOR))
        else:
            pid = start_peer(self.peers, plane, self.arm)
            self._process = psutil.Process(pid)
        self._writes_before = self._writes()
        self._servers = [psutil.Process(plane.process_id(name)) for name in (API_SERVER, ETCD)]
        self._servers_cpu_s = sum(map(_cpu_s, self._servers))

    def _first_sync(self) -> None:
        pools = self.size.pools
        wanted = {names.DEPLOYMENTS: pools, names.SERVICES: pools, names.DISRUPTION_BUDGETS: pools}
        self._wait("every pool has its children", lambda: self._counts_reach(wanted))
        self._wait("every pool has a status", self._all_observed)
        self._note("first_sync_s", time.monotonic() - self._started_s, "s")
        self._note("first_sync_cpu_s", _cpu_s(self._process), "s")
        servers_cpu_s = sum(map(_cpu_s, self._servers)) - self._servers_cpu_s
        self._note("first_sync_servers_cpu_s", servers_cpu_s, "s")
        self._note("first_sync_rss_mib", self._rss_mib(), "MiB")
        if self.arm == OURS:
            for name, quantile in (("p50", 0.5), ("p99", 0.99)):
                self._note(f"reconcile_{name}_ms", self._reconcile_quantile_ms(quantile), "ms")
        self._run_controllers()
        started_s = time.monotonic()
        self._wait("every pool is ready", self._all_ready)
        self._note("all_ready_s", time.monotonic() - started_s, "s")
        writes = self._writes() - self._writes_before
        self._note("writes_per_pool", writes / pools, "1")

    def _run_controllers(self) -> None:
        self.installation.plane.resume(CONTROLLER_MANAGER)
        self.installation.plane.start_scheduler()

    def _rest(self) -> None:
        self._wait("nothing is written any more", self._is_quiet)
        writes, cpu_s = self._writes(), _cpu_s(self._process)
        time.sleep(self.size.rest_s)
        self._note("rest_cpu_ratio", (_cpu_s(self._process) - cpu_s) / self.size.rest_s, "1")
        self._note("rest_writes", self._writes() - writes, "1")
        self._note("rss_mib", self._rss_mib(), "MiB")

    def _changes(self) -> None:
        """Scale one role after another, at a fixed rate, down by one."""
        writes, cpu_s, started_s = self._writes(), _cpu_s(self._process), time.monotonic()
        count = min(self.size.pools, int(self.size.changes_s * self.size.changes_per_s))
        api = self.installation.plane.api
        for index in range(count):
            time.sleep(max(0.0, started_s + index / self.size.changes_per_s - time.monotonic()))
            path = names.ROLES.path(NAMESPACE, f"pool-{index:04d}-server", "scale")
            api.patch(path, {"spec": {"replicas": self.size.replicas - 1}})
        self._note("change_cpu_ratio", (_cpu_s(self._process) - cpu_s) / self.size.changes_s, "1")
        self._wait("nothing is written any more", self._is_quiet)
        ours = self._writes() - writes - count  # the scaling itself is not the operator's
        self._note("writes_per_change", ours / count, "1")

    def _restart(self) -> None:
        """End the process and start another; after a crash the Lease has to run out first."""
        self.installation.stop(OPERATOR, self.size.end_signal)
        writes, started_s = self._writes(), time.monotonic()
        self.installation.start_operator(wait=False)
        self._process = psutil.Process(self.installation.process_id(OPERATOR))
        self._wait("it leads", lambda: "moorage_operator_leading 1.0" in self._metrics())
        leads_s = time.monotonic()
        self._wait("every pool was looked at", self._all_reconciled)
        self._note("restart_lease_s", leads_s - started_s, "s")
        self._note("restart_sync_s", time.monotonic() - leads_s, "s")
        self._note("restart_writes", self._writes() - writes, "1")
        self._note("restart_rss_mib", self._rss_mib(), "MiB")

    def _note(self, metric: str, value: float, unit: str) -> None:
        self.measured[metric] = (value, unit)

    def _wait(self, why: str, holds: Callable[[], bool]) -> None:
        wait_until(holds, why, deadline_s=_PHASE_WITHIN_S)

    def _counts_reach(self, wanted: dict[ApiResource, int]) -> bool:
        api = self.installation.plane.api
        return all(self._count(api, resource) >= count for resource, count in wanted.items())

    @staticmethod
    def _count(api: Any, resource: ApiResource) -> int:  # noqa: ANN401 - any client with get
        answer = api.get(resource.path(NAMESPACE), limit="1")
        left: int = answer["metadata"].get("remainingItemCount", 0)
        return left + len(answer["items"])

    def _pools(self) -> list[dict[str, Any]]:
        time.sleep(0.5)  # a list of all pools is work for the server that we measure beside
        path = names.POOLS.path(NAMESPACE)
        items: list[dict[str, Any]] = self.installation.plane.api.get(path, resourceVersion="0")[
            "items"
        ]
        return items

    def _all_observed(self) -> bool:
        return all(pool.get("status", {}).get("observedGeneration") for pool in self._pools())

    def _all_ready(self) -> bool:
        wanted = self.size.replicas
        return all(pool.get("status", {}).get("ready") == wanted for pool in self._pools())

    def _all_reconciled(self) -> bool:
        done = _sum_of(self._metrics(), "moorage_operator_reconciles_total")
        return done >= self.size.pools and "moorage_operator_queue_pools 0.0" in self._metrics()

    def _is_quiet(self) -> bool:
        before = self._writes()
        time.sleep(3.0)
        return self._writes() == before

    def _writes(self) -> float:
        """Return how many writes of operators the API server has served."""
        text = self.installation.plane.metrics(API_SERVER)
        kinds = {resource.plural for resource in _WRITTEN}
        total = 0.0
        for line in text.splitlines():
            if line.startswith("apiserver_request_total{"):
                labels = dict(re.findall(r'(\w+)="([^"]*)"', line))
                if labels["verb"] in _OWN_VERBS and labels["resource"] in kinds:
                    total += float(line.rsplit(" ", 1)[1])
        return total

    def _metrics(self) -> str:
        door = self.installation.doors[OPERATOR]
        try:
            return self.installation.fetch(f"{door.health}/metrics").decode()
        except urllib3.exceptions.HTTPError:  # it does not listen yet
            return ""

    def _reconcile_quantile_ms(self, quantile: float) -> float:
        """Return the upper edge of the bucket that holds a quantile of all reconciles so far."""
        edges = [
            (float(edge), float(count))
            for edge, count in re.findall(
                r'moorage_operator_reconcile_seconds_bucket\{le="([^"]+)"\} (\S+)', self._metrics()
            )
        ]
        total = max(count for _, count in edges)
        return 1000 * next(edge for edge, count in edges if count >= quantile * total)

    def _rss_mib(self) -> float:
        return float(self._process.memory_info().rss) / 2**20


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _sum_of(text: str, metric: str) -> float:
    lines = [line for line in text.splitlines() if line.startswith(metric)]
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines)


app = typer.Typer()


@app.callback(invoke_without_command=True)
def operator(
    quick: Annotated[bool, typer.Option(help="Few pools, to see that it runs.")] = False,
    seed: Annotated[int, typer.Option(help="Recorded only.")] = SEED,
    pools: Annotated[int, typer.Option(help="Pools; 0: the protocol's 1,000.")] = 0,
    arm: Annotated[list[str] | None, typer.Option(help="Only these arms.")] = None,
    json_file: JsonFile = None,
) -> None:
    """Measure the operator with many pools."""
    finish(run(quick=quick, seed=seed, pools=pools, arms=tuple(arm or ())), json_file)
