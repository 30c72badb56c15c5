"""The real descheduler and ours on one control plane, from the same placement of the same pods.

Simulated nodes of eight accelerators, Deployments of one, two and four whose pods lie anywhere.
kube-scheduler with our extender places replacements in all arms, and all evict.

Arms: ``descheduler``: one run of its HighNodeUtilization, which empties nodes that are used by less
than half; ``moorage``: one plan of the operator with at most half as many moves,
``moorage-as-many``: with at most as many. ``least_ready`` is the lowest share of pods that were
ready at any revision of theirs: no pool owns these Deployments, so ours evicts as well.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from moorage_benchmarks.report import OURS, Row
from moorage_benchmarks.rescheduling_replay import NODE_GPUS, World
from moorage_cli.control_plane import ControlPlane, gpu_nodes
from moorage_cli.control_plane.obtain import obtain_descheduler
from moorage_cli.control_plane.ports import free_ports
from moorage_cli.control_plane.progress import Report
from moorage_cli.installation import Installation
from moorage_cli.testing import Events, Film, Json, Quarter, eventually, is_ready, unfold
from moorage_crds.names import DEPLOYMENTS, PLANS, PODS, POLICIES, SCHEDULER_NAME
from moorage_policies.errors import UnavailableError
from moorage_policies.plans.checks import MOVABLE_ANNOTATION
from moorage_policies.plans.records import ENDED
from moorage_policies.types import NVIDIA_GPU

DESCHEDULER: Final = "descheduler"
AS_MANY: Final = f"{OURS}-as-many"
LOW_PERCENT: Final = 50
WITHIN_S: Final = 300.0


@dataclass(frozen=True, slots=True)
class Tally:
    """What came of an arm.

    Args:
        freed: whole nodes won.
        moves: pods that ended.
        least_ready: lowest share of pods that were ready.
    """

    freed: int
    moves: int
    least_ready: float


def measure(protocol: str, seed: int, report: Report, *, nodes: int = 20) -> list[Row]:
    """Return the rows of both arms.

    Args:
        protocol: name in the rows.
        seed: of the placement.
        report: told what is going on while programs are built.
        nodes: simulated nodes.
    """
    program = obtain_descheduler(report)
    homes: dict[int, list[str]] = {}
    for pod in World(seed, nodes).pods.values():
        homes.setdefault(pod.requests[NVIDIA_GPU], []).append(pod.node or "")
    specs = gpu_nodes(nodes, gpus=NODE_GPUS)
    names = dict(zip((f"n{row:03d}" for row in range(nodes)), specs, strict=True))
    placed = {gpus: [names[home].name for home in found] for gpus, found in homes.items()}
    often = {"MOORAGE_OPERATOR_DEFRAGMENTATION_INTERVAL_S": "2"}
    with ControlPlane() as plane, Installation(plane, operator_settings=often) as installation:
        installation.install()
        plane.create_nodes(specs)
        installation.start_extender()
        installation.start_operator()
        theirs = _play(installation, DESCHEDULER, placed, lambda: _deschedule(plane, program))
        half = _play(installation, OURS, placed, lambda: _defragment(plane, theirs.moves // 2))
        ours = _play(installation, AS_MANY, placed, lambda: _defragment(plane, theirs.moves))
    case = f"live-{nodes}"
    return [
        Row(protocol, case, arm, metric, value, "1", seed)
        for arm, tally in ((DESCHEDULER, theirs), (OURS, half), (AS_MANY, ours))
        for metric, value in (
            ("freed", tally.freed),
            ("moves", tally.moves),
            ("per_move", tally.freed / max(1, tally.moves)),
            ("least_ready", tally.least_ready),
        )
    ]


def tally(before: list[Json], events: Events, nodes: int) -> Tally:
    """Return what came of an arm.

    Args:
        before: the pods when it began.
        events: what happened to pods since.
        nodes: nodes in the cluster.
    """
    least, pods = len(before), dict[str, Json]()
    for now in unfold(before, events):
        least, pods = min(least, sum(map(is_ready, now.values()))), dict(now)
    gone = {pod["metadata"]["uid"] for pod in before} - pods.keys()
    freed = _whole(list(pods.values()), nodes) - _whole(before, nodes)
    return Tally(freed, len(gone), least / max(1, len(before)))


def _whole(pods: list[Json], nodes: int) -> int:
    return nodes - len({pod["spec"].get("nodeName") for pod in pods})


def _play(
    installation: Installation,
    arm: str,
    placed: Mapping[int, list[str]],
    act: Callable[[], None],
) -> Tally:
    quarter = Quarter.open(installation, f"live-{arm}", eventually)
    plane, path = installation.plane, PODS.path(quarter.namespace)
    count = sum(map(len, placed.values()))

    def ready() -> list[Json]:
        found = plane.api.get(path)["items"]
        return found if len(found) == sum(map(is_ready, found)) == count else []

    _lay_out(quarter, placed)
    before = eventually(ready, what=f"{count} pods are ready", within_s=WITHIN_S)
    with _scheduler(installation):
        film = Film(plane.api, path)
        act()
        eventually(ready, what="every replacement is ready", within_s=WITHIN_S)
        events = film.events()
    quarter.clear([plan["metadata"]["name"] for plan in plane.api.get(PLANS.path())["items"]])
    return tally(before, events, len(plane.api.get("/api/v1/nodes")["items"]))


@contextmanager
def _scheduler(installation: Installation) -> Iterator[None]:
    installation.start_scheduler()
    yield
    installation.plane.stop_scheduler()


def _lay_out(quarter: Quarter, placed: Mapping[int, list[str]]) -> None:
    """Create a Deployment for each size, and bind its pods where they are to lie."""
    for gpus, nodes in placed.items():
        labels = {"gpus": str(gpus)}
        resources = {"limits": {NVIDIA_GPU: str(gpus)}}
        template = {
            "metadata": {"labels": labels, "annotations": {MOVABLE_ANNOTATION: "true"}},
            "spec": {
                "schedulerName": SCHEDULER_NAME,
                "containers": [{"name": "engine", "image": "none", "resources": resources}],
            },
        }
        spec = {
            "replicas": len(nodes),
            "selector": {"matchLabels": labels},
            "template": template,
        }
        path = DEPLOYMENTS.path(quarter.namespace)
        quarter.api.create(path, {"metadata": {"name": f"of-{gpus}"}, "spec": spec})
        made: list[Json] = eventually(
            partial(_pods_of, quarter, gpus, len(nodes)),
            what=f"{len(nodes)} pods of {gpus} GPUs",
            within_s=WITHIN_S,
        )
        for pod, node in zip(made, nodes, strict=True):
            _bind(quarter, pod["metadata"]["name"], node)


def _pods_of(quarter: Quarter, gpus: int, count: int) -> list[Json]:
    found = quarter.api.get(PODS.path(quarter.namespace), labelSelector=f"gpus={gpus}")["items"]
    return found if len(found) == count else []


def _bind(quarter: Quarter, pod: str, node: str) -> None:
    body: Json = {
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": pod},
        "target": {"kind": "Node", "name": node},
    }
    quarter.api.create(f"{PODS.path(quarter.namespace, pod)}/binding", body)


def _deschedule(plane: ControlPlane, program: Path) -> None:
    """Run HighNodeUtilization once.

    Raises:
        UnavailableError: it failed; with the end of what it said.
    """
    policy = plane.directory / "descheduler.json"
    policy.write_text(json.dumps(_policy_of_descheduler()))
    (port,) = free_ports(1)
    command = [
        str(program),
        f"--kubeconfig={plane.kubeconfig}",
        f"--policy-config-file={policy}",
        f"--secure-port={port}",
        f"--cert-dir={plane.directory}",
        "--descheduling-interval=0",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=WITHIN_S, check=False)
    if done.returncode:
        raise UnavailableError(f"descheduler failed: {done.stderr[-2000:]}")


def _policy_of_descheduler() -> Mapping[str, Any]:
    rule = "HighNodeUtilization"
    arguments = {"thresholds": {NVIDIA_GPU: LOW_PERCENT}}
    return {
        "apiVersion": "descheduler/v1alpha2",
        "kind": "DeschedulerPolicy",
        "profiles": [
            {
                "name": "whole-nodes",
                "pluginConfig": [
                    {"name": "DefaultEvictor", "args": {"nodeFit": True}},
                    {"name": rule, "args": arguments},
                ],
                "plugins": {"balance": {"enabled": [rule]}},
            }
        ],
    }


def _defragment(plane: ControlPlane, most: int) -> None:
    """Have the operator make and carry out one plan."""
    disruption = {"maxMoves": 1000, "maxMovesPerOwner": 1000, "ownerCoolDownSeconds": 0}
    wanted = {
        "trigger": "Threshold",
        "thresholdPercent": 1,
        "objective": "WholeNodes",
        "maxMoves": most,
        "minGainGpus": 1,
        "coolDownSeconds": 86_400,
        "actuation": "Auto",
    }
    manifest = {
        "apiVersion": POLICIES.api_version,
        "kind": POLICIES.kind,
        "metadata": {"name": "default"},
        "spec": {"disruption": disruption, "defragmentation": wanted},
    }
    plane.api.apply(POLICIES.path("", "default"), manifest, "bench")

    def has_ended() -> bool:
        plans = plane.api.get(PLANS.path())["items"]
        return any(plan.get("status", {}).get("phase") in ENDED for plan in plans)

    eventually(has_ended, what="our plan has ended", within_s=WITHIN_S)
