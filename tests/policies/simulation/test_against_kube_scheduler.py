"""The simulator's scores and victims against those of the real kube-scheduler on each minor."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest

from moorage_cli.control_plane import ControlPlane, NodeSpec, SchedulerConfig
from moorage_cli.control_plane.processes import wait_until
from moorage_cli.control_plane.simulated_nodes import node_manifest
from moorage_crds.convert import to_budget, to_node, to_pod
from moorage_crds.objects import NodeObject, PodDisruptionBudgetObject, PodObject
from moorage_policies.feasibility import feasible_nodes
from moorage_policies.simulation.books import Books
from moorage_policies.simulation.preempt import find_candidates, pick_node
from moorage_policies.simulation.scores import StockScores
from moorage_policies.simulation.workloads import priority_matters
from moorage_policies.state import Snapshot, snapshot_of
from moorage_policies.types import CPU, MEMORY, DisruptionBudget, Node, Pod, Taint

pytestmark = pytest.mark.control_plane

SCHEDULER = "stock"
PODS = "/api/v1/namespaces/default/pods"
FINAL_SCORE = re.compile(r'final score for pod" pod="default/(\S+)" node="(\S+)" score=(\d+)')
ZONE, HOSTNAME = "topology.kubernetes.io/zone", "kubernetes.io/hostname"

NODES = (
    NodeSpec("big", zone="x", cpus=64, memory_gib=256, labels={"disk": "ssd"}),
    NodeSpec("wide", zone="x", cpus=96, memory_gib=64),
    NodeSpec("tall", zone="y", cpus=16, memory_gib=512, labels={"disk": "hdd"}),
    NodeSpec(
        "slow", zone="y", cpus=48, memory_gib=192, taints=(Taint("slow", "", "PreferNoSchedule"),)
    ),
    NodeSpec("odd", zone="z", cpus=37, memory_gib=91),
)


class Stock:
    """A stock scheduler that tells all its scores, and what the simulator would have said."""

    def __init__(self, plane: ControlPlane) -> None:
        self.plane = plane
        self.api = plane.api
        minor = int(plane.minor.split(".")[1])
        balance: Any = "change" if minor > 34 else "level"
        self.scores = StockScores(balance=balance, default_spread=True)

    def snapshot(self) -> Snapshot:
        nodes = self._list("/api/v1/nodes", NodeObject)
        pods = self._list("/api/v1/pods", PodObject)
        return snapshot_of(map(to_node, nodes), map(to_pod, pods))

    def budgets(self) -> list[DisruptionBudget]:
        path = "/apis/policy/v1/poddisruptionbudgets"
        return [to_budget(budget) for budget in self._list(path, PodDisruptionBudgetObject)]

    def create(self, name: str, cpu: str, memory: str, **fields: Any) -> None:
        labels = fields.pop("labels", {"app": name})
        resources: dict[str, Any] = {"requests": {"cpu": cpu, "memory": memory}} if cpu else {}
        if gpus := fields.pop("gpus", 0):
            resources["limits"] = {"nvidia.com/gpu": str(gpus)}
        container = {"name": "c", "image": fields.pop("image", "none"), "resources": resources}
        manifest = {
            "metadata": {"name": name, "labels": labels},
            "spec": {
                "schedulerName": SCHEDULER,
                "terminationGracePeriodSeconds": 0,
                "containers": [container],
                **fields,
            },
        }
        self.api.create(PODS, manifest)

    def wait_bound(self, name: str) -> Pod:
        def bound() -> bool:
            return bool(self.api.get(f"{PODS}/{name}")["spec"].get("nodeName"))

        wait_until(bound, f"{name} is bound", deadline_s=60.0)
        return self.pod(name)

    def wait_running(self, name: str) -> Pod:
        """Return a bound pod once its start, which preemption looks at, is known."""
        wait_until(lambda: self.pod(name).started_s, f"{name} runs", deadline_s=60.0)
        return self.pod(name)

    def wait_refused(self, name: str) -> None:
        def refused() -> bool:
            conditions = self.api.get(f"{PODS}/{name}")["status"].get("conditions", ())
            return any(c["type"] == "PodScheduled" and c["status"] == "False" for c in conditions)

        wait_until(refused, f"{name} is refused", deadline_s=60.0)
        assert not self.api.get(f"{PODS}/{name}")["status"].get("nominatedNodeName")

    def pod(self, name: str) -> Pod:
        return to_pod(msgspec.json.decode(self.api.raw("GET", f"{PODS}/{name}"), type=PodObject))

    def told(self, name: str) -> dict[str, int]:
        """Return the real scheduler's final score of each node for the pod."""
        log = self.plane.log_tail(SCHEDULER, 100_000)
        return {node: int(score) for pod, node, score in FINAL_SCORE.findall(log) if pod == name}

    def computed(self, pod: Pod, snapshot: Snapshot) -> dict[str, int]:
        rows = np.flatnonzero(feasible_nodes(pod, snapshot).mask)
        totals = self.scores.total(pod, snapshot, rows, Books(snapshot))
        return {snapshot.node_names[r]: int(t) for r, t in zip(rows, totals, strict=True)}

    def _list(self, path: str, kind: Any) -> list[Any]:
        answer = msgspec.json.decode(self.api.raw("GET", path))
        return msgspec.convert(answer["items"], type=list[kind])


@pytest.fixture
def stock(own_control_plane: ControlPlane) -> Stock:
    plane = own_control_plane
    plane.create_nodes(NODES)
    plane.start_scheduler(
        SchedulerConfig((SCHEDULER,)), name=SCHEDULER, flags=("--v=10", "--logging-format=text")
    )
    return Stock(plane)


def prefers(weight: int, app: str, key: str) -> dict[str, Any]:
    selector = {"matchLabels": {"app": app}}
    term = {"labelSelector": selector, "topologyKey": key}
    return {
        "preferredDuringSchedulingIgnoredDuringExecution": [
            {"weight": weight, "podAffinityTerm": term}
        ]
    }


def soft_spread(key: str, max_skew: int) -> dict[str, Any]:
    return {
        "topologyKey": key,
        "maxSkew": max_skew,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": {"app": "spread"}},
    }


SSD = {
    "weight": 3,
    "preference": {"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]},
}
ANY_DISK = {
    "weight": 2,
    "preference": {"matchExpressions": [{"key": "disk", "operator": "Exists"}]},
}
SPREAD = {
    "labels": {"app": "spread"},
    "topologySpreadConstraints": [soft_spread(ZONE, 1), soft_spread(HOSTNAME, 2)],
}

STORY: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
    ("plain", "4", "8Gi", {}),
    ("heavy", "12", "10Gi", {}),
    ("best-effort", "", "", {}),
    ("plain-again", "3", "20Gi", {}),
    (
        "likes-disks",
        "1",
        "1Gi",
        {
            "affinity": {
                "nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [SSD, ANY_DISK]}
            }
        },
    ),
    ("tolerates", "1", "1Gi", {"tolerations": [{"key": "slow", "operator": "Exists"}]}),
    ("spread-1", "1", "1Gi", SPREAD),
    ("spread-2", "1", "1Gi", SPREAD),
    ("spread-3", "2", "1Gi", SPREAD),
    ("near", "1", "1Gi", {"affinity": {"podAffinity": prefers(50, "heavy", ZONE)}}),
    ("away", "1", "1Gi", {"affinity": {"podAntiAffinity": prefers(30, "spread", ZONE)}}),
    (
        "away-from-host",
        "1",
        "1Gi",
        {
            "affinity": {
                "podAntiAffinity": prefers(30, "spread", HOSTNAME),
                "podAffinity": prefers(10, "near", ZONE),
            }
        },
    ),
    ("heavy-comes-again", "1", "1Gi", {"labels": {"app": "heavy"}}),
)


def test_every_score_of_a_story(stock: Stock) -> None:
    for name, cpu, memory, fields in STORY:
        before = stock.snapshot()
        stock.create(name, cpu, memory, **fields)
        bound = stock.wait_bound(name)
        told = stock.told(name)
        computed = stock.computed(_as_it_came(bound), before)
        assert set(told) == set(computed) == {spec.name for spec in NODES}, name
        # plugins that say the same of every node are left out of the sum
        assert len({told[node] - computed[node] for node in told}) == 1, (name, told, computed)
        assert computed[str(bound.node)] == max(computed.values()), name


def test_the_default_spread_of_a_workload(stock: Stock) -> None:
    stock.create("plain", "4", "8Gi")
    stock.wait_bound("plain")
    sets = "/apis/apps/v1/namespaces/default/replicasets"
    labels = {"app": "web"}
    container = {"name": "c", "image": "none", "resources": {"requests": {"cpu": "1"}}}
    template = {
        "metadata": {"labels": labels},
        "spec": {"schedulerName": SCHEDULER, "containers": [container]},
    }
    spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}
    stock.api.create(sets, {"metadata": {"name": "web"}, "spec": spec})
    for replicas in (1, 2, 3, 4):
        before = stock.snapshot()
        known = {pod.name for pods in before.node_pods for pod in pods}
        stock.api.patch(f"{sets}/web", {"spec": {"replicas": replicas}})

        def come(known: set[str] = known) -> list[Pod]:
            pods = (pod for pods in stock.snapshot().node_pods for pod in pods)
            return [pod for pod in pods if pod.name not in known]

        wait_until(lambda come=come: bool(come()), "the replica is bound", deadline_s=60.0)
        (pod,) = come()
        told, computed = stock.told(pod.name), stock.computed(_as_it_came(pod), before)
        assert len({told[node] - computed[node] for node in told}) == 1, (told, computed)


def _as_it_came(pod: Pod) -> Pod:
    return replace(pod, node=None, phase="Pending", started_s=None)


LEVELS = {"lowest": 5, "low": 10, "middle": 20, "upper": 25, "high": 30}
RESIDENTS = (
    # node, name, GPUs, priority
    ("left", "left-lowest", 4, "lowest"),
    ("left", "left-upper", 4, "upper"),
    ("right", "right-free", 2, "low"),
    ("right", "right-guarded", 2, "low"),
    ("right", "right-middle", 4, "middle"),
    ("full", "full-high", 8, "high"),
)


@pytest.mark.parametrize(
    ("gpus", "victims"),
    [
        # left loses 5, right 10
        pytest.param(4, {"left-lowest"}, id="the-lower-priority"),
        # left loses 25 and 5, right 20 and 10; the guarded one comes back first
        pytest.param(6, {"right-middle", "right-free"}, id="the-guarded-stays"),
        # right would break the budget
        pytest.param(8, {"left-lowest", "left-upper"}, id="the-budget-before-the-priority"),
    ],
)
def test_the_victims_of_a_preemption(
    own_control_plane: ControlPlane, gpus: int, victims: set[str]
) -> None:
    own_control_plane.create_nodes(NodeSpec(name, gpus=8) for name in ("left", "right", "full"))
    own_control_plane.start_scheduler(SchedulerConfig((SCHEDULER,)), name=SCHEDULER)
    stock = Stock(own_control_plane)
    populate(stock)
    before = stock.snapshot()
    pod = replace(before.pods_on(0)[0], uid="new", node=None, priority=30, labels={})
    pod = replace(pod, requests={**pod.requests, "nvidia.com/gpu": gpus})
    found = find_candidates(
        pod,
        before,
        feasible_nodes(pod, before).resolvable,
        Books(before),
        stock.budgets(),
        np.random.default_rng(0),
    )
    node = pick_node(found)
    assert {victim.name for victim in found[node].victims} == victims

    stock.create("new", "1", "1Gi", gpus=gpus, priorityClassName="high")
    assert stock.wait_bound("new").node == node
    left = {name for _, name, _, _ in RESIDENTS} - victims | {"new"}
    after = stock.snapshot()
    assert {pod.name for pods in after.node_pods for pod in pods} == left


def populate(stock: Stock) -> None:
    """Create the residents and a budget without slack for one of them; wait until it is known."""
    for name, value in LEVELS.items():
        path = "/apis/scheduling.k8s.io/v1/priorityclasses"
        stock.api.create(path, {"metadata": {"name": name}, "value": value})
    for node, name, gpus, level in RESIDENTS:
        stock.create(name, "1", "1Gi", gpus=gpus, nodeName=node, priorityClassName=level)
    budgets = "/apis/policy/v1/namespaces/default/poddisruptionbudgets"
    selector = {"matchLabels": {"app": "right-guarded"}}
    spec = {"minAvailable": 1, "selector": selector}
    stock.api.create(budgets, {"metadata": {"name": "guard"}, "spec": spec})

    def settled() -> bool:
        status = stock.api.get(f"{budgets}/guard").get("status", {})
        pods = [pod for pods in stock.snapshot().node_pods for pod in pods]
        return status.get("currentHealthy") == 1 and all(pod.started_s for pod in pods)

    wait_until(settled, "residents run and the budget counts them", deadline_s=60.0)


@pytest.mark.parametrize("seed", [1, 2])
def test_every_placement_of_an_instance_of_priority_matters(
    own_control_plane: ControlPlane, seed: int
) -> None:
    """Among equals the real choice is taken over, so that the next pod finds the same cluster."""
    load = priority_matters(seed, nodes=6, pods_per_node=4, priorities=4, usage_percent=105)
    create_plain_nodes(own_control_plane, load.nodes)
    stock = Stock(own_control_plane)
    for level in range(1, 5):
        body = {"metadata": {"name": f"level-{level}"}, "value": level}
        stock.api.create("/apis/scheduling.k8s.io/v1/priorityclasses", body)
    own_control_plane.start_scheduler(SchedulerConfig((SCHEDULER,)), name=SCHEDULER)
    outcomes = [place_next(stock, pod) for pod in load.pods]
    assert set(outcomes) == {"bound", "nominated", "unschedulable"}


def create_plain_nodes(plane: ControlPlane, nodes: tuple[Node, ...]) -> None:
    plane.start_kwok()
    for node in nodes:
        manifest = node_manifest(NodeSpec(node.name, gpus=0), f"v{plane.version}")
        room = {
            name: f"{amount}m" if name == CPU else str(amount)
            for name, amount in node.allocatable.items()
        }
        manifest["status"] |= {"capacity": room, "allocatable": room}
        plane.api.create("/api/v1/nodes", manifest)
    plane.wait_for_nodes(node.name for node in nodes)


def place_next(stock: Stock, pod: Pod) -> str:
    """Let the real scheduler decide on one more pod, as the simulator would; return how."""
    before = stock.snapshot()
    stock.create(
        pod.name,
        f"{pod.requests[CPU]}m",
        str(pod.requests[MEMORY]),
        labels=dict(pod.labels),
        priorityClassName=f"level-{pod.priority}",
    )
    asked = _as_it_came(stock.pod(pod.name))
    if scores := stock.computed(asked, before):
        best = {node for node, score in scores.items() if score == max(scores.values())}
        assert stock.wait_running(pod.name).node in best, (pod.name, scores)
        return "bound"
    if choices := preemptions(asked, before):
        bound = stock.wait_running(pod.name)
        left = {p.name for pods in stock.snapshot().node_pods for p in pods}
        lost = {p.name for pods in before.node_pods for p in pods} - left
        assert lost == choices.get(str(bound.node)), (pod.name, choices)
        return "nominated"
    stock.wait_refused(pod.name)  # and removed: nothing shall wake it once others are evicted
    stock.api.delete(f"{PODS}/{pod.name}")
    return "unschedulable"


def preemptions(pod: Pod, snapshot: Snapshot) -> dict[str, set[str]]:
    """Return the victims on each node that may be picked, wherever the search starts."""
    resolvable = feasible_nodes(pod, snapshot).resolvable
    choices = {}
    for start in range(30):
        rng = np.random.default_rng(start)
        found = find_candidates(pod, snapshot, resolvable, Books(snapshot), (), rng)
        if found:
            node = pick_node(found)
            choices[node] = {victim.name for victim in found[node].victims}
    return choices
