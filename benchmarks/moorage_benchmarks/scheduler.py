"""Protocol ``scheduler``: pods a second of the real kube-scheduler, with and without extenders.

Every arm gets the same nodes, the same number of pods **created before its scheduler starts**, the
same client limits and ``percentageOfNodesToScore: 100``. Rates are read from the scheduler's own
counter, from its first pod to its last; CPU milliseconds are per pod; the quantiles of a scheduling
cycle are upper edges of histogram buckets. The arm without node cache is the form that issue 72634
of Kubernetes warns of; it gets fewer pods, as its rate does not depend on their number.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any

import psutil
import typer

from moorage_benchmarks.noop_extender import noop_extender
from moorage_benchmarks.report import OURS, JsonFile, Row, finish
from moorage_cli.control_plane import ControlPlane, ExtenderConfig, SchedulerConfig, gpu_nodes
from moorage_cli.control_plane.plane import SCHEDULER
from moorage_cli.control_plane.processes import wait_until
from moorage_cli.installation import EXTENDER, EXTENDER_WEIGHT, Installation

PROTOCOL = "scheduler"
SEED = 1
_IN_FLIGHT = 16
_ARM_WITHIN_S = 240.0
_GPUS = (1, 1, 1, 2, 2, 4)
"""GPUs that the pods ask for in turn: small ones prevail, as in production traces."""


@dataclass(frozen=True, slots=True)
class Arm:
    """One way to run the scheduler."""

    name: str
    form: str = ""
    verbs: tuple[str, ...] = ()
    node_cache: bool = True
    pods_ratio: float = 1.0


ARMS = (
    Arm("no extender"),
    Arm("no-op extender", verbs=("filter", "prioritize")),
    Arm(OURS, form="deciding-filter", verbs=("filter", "bind")),
    Arm("moorage, two verbs", form="top-node", verbs=("filter", "prioritize", "bind")),
    Arm(
        "moorage, no node cache",
        form="top-node",
        verbs=("filter", "prioritize", "bind"),
        node_cache=False,
        pods_ratio=0.05,
    ),
)


def run(*, quick: bool = False, seed: int = SEED, nodes: int = 0, pods: int = 0) -> list[Row]:
    """Return the rows of every arm.

    Args:
        quick: 50 nodes and 60 pods.
        seed: only recorded: the pods are the same in every run.
        nodes: simulated GPU nodes, 0 for the protocol's 1,000.
        pods: pods of an arm, 0 for the protocol's 2,000.
    """
    nodes = nodes or (50 if quick else 1000)
    pods = pods or (60 if quick else 2000)
    rows: list[Row] = []
    with ControlPlane() as plane, Installation(plane) as installation:
        installation.install()
        plane.create_nodes(gpu_nodes(nodes))
        for arm in ARMS:
            measured = _measure(installation, arm, max(10, round(pods * arm.pods_ratio)))
            rows += [
                Row(PROTOCOL, f"{nodes}-nodes", arm.name, metric, value, unit, seed)
                for metric, (value, unit) in measured.items()
            ]
    return rows


def _measure(installation: Installation, arm: Arm, pods: int) -> dict[str, tuple[float, str]]:
    plane = installation.plane
    namespace = "bench-" + re.sub(r"[^a-z]+", "-", arm.name)
    _create_pods(plane, namespace, pods)
    with _extender(installation, arm) as extender:
        config = SchedulerConfig(extenders=(extender,) if extender else ())
        plane.start_scheduler(config)
        scheduler = psutil.Process(plane.process_id(SCHEDULER))
        rate = _rate(plane, pods)
        ours_cpu_s = _cpu_s(psutil.Process(installation.process_id(EXTENDER))) if arm.form else 0.0
        metrics = plane.metrics(SCHEDULER)
        scheduler_cpu_s = _cpu_s(scheduler)
        plane.stop_scheduler()
    _delete_pods(plane, namespace)
    return {
        "pods_per_s": (rate, "1/s"),
        "scheduler_cpu_ms": (1000 * scheduler_cpu_s / pods, "ms"),
        "extender_cpu_ms": (1000 * ours_cpu_s / pods, "ms"),
        "cycle_p50_ms": (_cycle_quantile_ms(metrics, 0.5), "ms"),
        "cycle_p99_ms": (_cycle_quantile_ms(metrics, 0.99), "ms"),
        "pods": (pods, "1"),
    }


@contextmanager
def _extender(installation: Installation, arm: Arm) -> Iterator[ExtenderConfig | None]:
    """Run the arm's extender; give the scheduler's configuration of it."""
    if not arm.verbs:
        yield None
    elif not arm.form:
        with noop_extender() as url:
            yield _config(url, arm)
    else:
        door = installation.start_extender(MOORAGE_EXTENDER_RANKING_FORM=arm.form)
        yield _config(door.verbs, arm)
        installation.stop(EXTENDER)


def _config(url: str, arm: Arm) -> ExtenderConfig:
    def path(verb: str) -> str:
        return verb if verb in arm.verbs else ""

    return ExtenderConfig(
        url,
        filter_verb=path("filter"),
        prioritize_verb=path("prioritize"),
        preempt_verb=path("preempt"),
        bind_verb=path("bind"),
        weight=EXTENDER_WEIGHT,
        node_cache_capable=arm.node_cache,
        http_timeout_ms=20_000,
    )


def _rate(plane: ControlPlane, pods: int) -> float:
    """Return pods a second from the first scheduled pod seen to the last."""
    samples: list[tuple[float, int]] = []
    pause = threading.Event()
    deadline_s = time.monotonic() + _ARM_WITHIN_S
    while time.monotonic() < deadline_s:
        scheduled = _scheduled(plane.metrics(SCHEDULER))
        if scheduled and (not samples or scheduled > samples[-1][1]):
            samples.append((time.monotonic(), scheduled))
        if scheduled >= pods:
            break
        pause.wait(0.1)
    if not samples:
        raise RuntimeError("the scheduler bound no pod; see its log")
    (first_s, first), (last_s, last) = samples[0], samples[-1]
    if last == first:  # all within one look
        return float(last) / 0.1
    return (last - first) / (last_s - first_s)


def _scheduled(metrics: str) -> int:
    pattern = r'^scheduler_schedule_attempts_total\{[^}]*result="scheduled"[^}]*\} (\S+)$'
    return int(sum(float(value) for value in re.findall(pattern, metrics, re.MULTILINE)))


def _cycle_quantile_ms(metrics: str, quantile: float) -> float:
    """Return the upper edge of the histogram bucket that holds the quantile of one cycle."""
    name = "scheduler_scheduling_algorithm_duration_seconds_bucket"
    buckets = [
        (float(edge), float(count))
        for edge, count in re.findall(rf'^{name}{{le="([^"]+)"}} (\S+)$', metrics, re.MULTILINE)
    ]
    total = max((count for _edge, count in buckets), default=0.0)
    return min((1000 * edge for edge, count in buckets if count >= quantile * total), default=0.0)


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _create_pods(plane: ControlPlane, namespace: str, count: int) -> None:
    plane.api.create("/api/v1/namespaces", {"metadata": {"name": namespace}})
    account = f"/api/v1/namespaces/{namespace}/serviceaccounts/default"
    wait_until(lambda: plane.api.answers(account), f"{account} exists", deadline_s=60.0)
    path = f"/api/v1/namespaces/{namespace}/pods"
    with ThreadPoolExecutor(_IN_FLIGHT) as pool:
        for _done in pool.map(lambda n: plane.api.create(path, _pod(n)), range(count)):
            pass


def _pod(number: int) -> dict[str, Any]:
    gpus = str(_GPUS[number % len(_GPUS)])
    resources = {
        "requests": {"cpu": "1", "memory": "8Gi"},
        "limits": {"nvidia.com/gpu": gpus},
    }
    return {
        "metadata": {"name": f"pod-{number:05d}"},
        "spec": {
            "schedulerName": "moorage-scheduler",
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "engine", "image": "none", "resources": resources}],
        },
    }


def _delete_pods(plane: ControlPlane, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/pods"
    plane.api.delete(path, gracePeriodSeconds="0")
    wait_until(
        lambda: not plane.api.get(path, limit="1")["items"],
        f"the pods of {namespace} are gone",
        deadline_s=_ARM_WITHIN_S,
    )


app = typer.Typer()


@app.callback(invoke_without_command=True)
def scheduler(
    quick: Annotated[bool, typer.Option(help="50 nodes, 60 pods.")] = False,
    seed: Annotated[int, typer.Option(help="Recorded in the rows.")] = SEED,
    nodes: Annotated[int, typer.Option(help="Simulated GPU nodes; 0: as the protocol.")] = 0,
    pods: Annotated[int, typer.Option(help="Pods of an arm; 0: as the protocol.")] = 0,
    json_file: JsonFile = None,
) -> None:
    """Measure pods a second of the real kube-scheduler by form of extender."""
    finish(run(quick=quick, seed=seed, nodes=nodes, pods=pods), json_file)
