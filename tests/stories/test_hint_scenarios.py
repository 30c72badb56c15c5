"""Six placement wishes in plain words beside the same wishes as hand-written affinity.

Both arms are a real kube-scheduler on equal simulated nodes with equal neighbours: one with our
extender and a hint on the pods, one stock with the affinity that a careful person would write. A
pod's satisfaction is the weighted share of its preferences that its node meets when it is placed.
"""

from __future__ import annotations

import math
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import pytest

from moorage_cli.control_plane import ControlPlane, ExtenderConfig, NodeSpec, SchedulerConfig
from moorage_cli.control_plane.simulated_nodes import A100, H100
from moorage_cli.installation import EXTENDER_WEIGHT, Installation
from moorage_crds.names import HINT_ANNOTATION

pytestmark = pytest.mark.control_plane

Json = dict[str, Any]
ARMS = ("moorage", "affinity")
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
ZONE, HOSTNAME = "topology.kubernetes.io/zone", "kubernetes.io/hostname"
PRODUCT = "nvidia.com/gpu.product"


@dataclass(frozen=True)
class Seat:
    """A node as a pod found it: the spec, its pods by app, and what was free."""

    spec: NodeSpec
    apps: Counter[str]
    free_gpus: int
    free_gib: int


Preference = Callable[[Seat, "Scene"], float]


@dataclass
class Neighbour:
    """A pod that runs before the wished-for ones come."""

    app: str
    node: str
    gpus: int = 0
    gib: int = 1


@dataclass
class Scenario:
    """A wish, once in words and once as affinity.

    Args:
        hint: the wish in words.
        affinity: fields of the pod's spec that say the same.
        preferences: each preference's weight, and how well a seat meets it, 0 to 1.
        neighbours: pods that run already.
        nodes: the nodes.
        burst: whether all pods come at once.
        pods: how many come.
        gib: GiB of memory that each asks for.
    """

    hint: str
    affinity: Json
    preferences: tuple[tuple[float, Preference], ...]
    neighbours: tuple[Neighbour, ...] = ()
    nodes: tuple[NodeSpec, ...] = ()
    burst: bool = False
    pods: int = 6
    gib: int = 8


@dataclass
class Scene:
    """One scenario in one arm."""

    name: str
    arm: str
    scenario: Scenario
    tag: str
    scheduler: str
    pods: dict[str, str] = field(default_factory=dict)
    met: list[float] = field(default_factory=list)

    @property
    def namespace(self) -> str:
        return f"{self.tag}-{self.name}-{self.arm}"

    def node_name(self, node: str) -> str:
        return f"{node}-{self.name}-{self.arm}-{self.tag}"

    def seat(self, node: str) -> Seat:
        """Return the node as it is with the neighbours and the pods placed so far."""
        spec = next(spec for spec in self.scenario.nodes if spec.name == node)
        there = [n for n in self.scenario.neighbours if n.node == node]
        mine = [pod for pod, at in self.pods.items() if at == node]
        apps = Counter(n.app for n in there) + Counter({"wish": len(mine)})
        return Seat(
            spec,
            apps,
            spec.gpus - sum(n.gpus for n in there) - len(mine),
            spec.memory_gib - sum(n.gib for n in there) - self.scenario.gib * len(mine),
        )

    def take(self, pod: str, node: str) -> None:
        """Note where a pod went, and how well that met the wish."""
        seat = self.seat(node)
        total = sum(weight for weight, _ in self.scenario.preferences)
        met = sum(weight * meets(seat, self) for weight, meets in self.scenario.preferences)
        self.met.append(met / total)
        self.pods[pod] = node

    def satisfaction(self) -> float:
        return sum(self.met) / len(self.met)

    def most_on_one_node(self) -> int:
        return max(Counter(self.pods.values()).values())


def labels(key: str, value: str) -> Json:
    return {"labelSelector": {"matchLabels": {"app": value}}, "topologyKey": key}


def near(app: str, key: str = HOSTNAME, weight: int = 100) -> Json:
    return {"podAffinity": {PREFERRED: [{"weight": weight, "podAffinityTerm": labels(key, app)}]}}


def apart(app: str, key: str = HOSTNAME, weight: int = 100) -> Json:
    term = {"weight": weight, "podAffinityTerm": labels(key, app)}
    return {"podAntiAffinity": {PREFERRED: [term]}}


def on(*terms: tuple[int, str, str, str]) -> Json:
    """Return node affinity from weights, keys, operators and values."""
    wishes = [
        {
            "weight": weight,
            "preference": {
                "matchExpressions": [{"key": key, "operator": operator, "values": [value]}]
            },
        }
        for weight, key, operator, value in terms
    ]
    return {"nodeAffinity": {PREFERRED: wishes}}


def grid(**fields: Any) -> tuple[NodeSpec, ...]:
    """Three zones of three nodes."""
    names = [f"{zone}{number}" for zone in "abc" for number in "123"]
    return tuple(NodeSpec(name, zone=f"zone-{name[0]}", **fields) for name in names)


def is_evenly_spread(seat: Seat, scene: Scene) -> float:
    counts = Counter(node[0] for node in scene.pods.values())
    return float(counts[seat.spec.name[0]] == min(counts[zone] for zone in "abc"))


def has_product(product: str) -> Preference:
    return lambda seat, _: float(seat.spec.gpu.product == product)


def has_label(key: str, value: str) -> Preference:
    return lambda seat, _: float(seat.spec.labels.get(key) == value)


def is_with(app: str) -> Preference:
    return lambda seat, _: float(seat.apps[app] > 0)


def is_without(app: str) -> Preference:
    return lambda seat, _: float(seat.apps[app] == 0)


def is_in_zone(zone: str) -> Preference:
    return lambda seat, _: float(seat.spec.zone == zone)


def joins_siblings(seat: Seat, scene: Scene) -> float:
    zones = {node[0] for node in scene.pods.values()}
    return float(not zones or seat.spec.name[0] in zones)


def has_free(*, gpus: int = 0, gib: int = 0) -> Preference:
    return lambda seat, _: float(seat.free_gpus >= gpus and seat.free_gib >= gib)


def is_not_in_zone(zone: str) -> Preference:
    return lambda seat, _: float(seat.spec.zone != zone)


LOW, MEDIUM, HIGH = 0.25, 0.5, 1.0

SPREAD = Scenario(
    hint="spread the replicas evenly over zones",
    affinity={
        "topologySpreadConstraints": [
            {"maxSkew": 1, "whenUnsatisfiable": "ScheduleAnyway", **labels(ZONE, "wish")}
        ]
    },
    preferences=((MEDIUM, is_evenly_spread),),
    # two zones are busy, so that evenness costs something
    neighbours=tuple(Neighbour("other", f"{zone}{i}", gpus=4) for zone in "ab" for i in "123"),
    nodes=grid(),
)
RESOURCES = Scenario(
    hint="prefer H100 with local NVMe, please",
    affinity={"affinity": on((50, PRODUCT, "In", H100.product), (50, "disktype", "In", "nvme"))},
    preferences=((MEDIUM, has_product(H100.product)), (MEDIUM, has_label("disktype", "nvme"))),
    neighbours=(Neighbour("other", "h-nvme", gpus=1),),
    nodes=(
        NodeSpec("h-nvme", gpu=H100, labels={"disktype": "nvme"}),
        NodeSpec("h-hdd", gpu=H100, labels={"disktype": "hdd"}),
        NodeSpec("a-nvme", gpu=A100, labels={"disktype": "nvme"}),
        NodeSpec("a-hdd", gpu=A100, labels={"disktype": "hdd"}),
    ),
)
TOGETHER_AND_APART = Scenario(
    hint="together with redis, but away from batch jobs",
    affinity={"affinity": {**near("redis"), **apart("batch")}},
    preferences=((MEDIUM, is_with("redis")), (MEDIUM, is_without("batch"))),
    neighbours=(
        Neighbour("redis", "a1"),
        Neighbour("batch", "a1"),
        Neighbour("redis", "b1"),
        Neighbour("batch", "c1"),
    ),
    nodes=grid(),
)
BURST = Scenario(
    hint="keep the replicas together in one zone, the same zone as the router",
    affinity={
        "affinity": {
            "podAffinity": {
                PREFERRED: [
                    {"weight": 100, "podAffinityTerm": labels(ZONE, "wish")},
                    {"weight": 100, "podAffinityTerm": labels(ZONE, "router")},
                ]
            }
        }
    },
    preferences=((MEDIUM, is_in_zone("zone-b")), (MEDIUM, joins_siblings)),
    neighbours=(Neighbour("router", "b2"), Neighbour("other", "b1", gpus=2)),
    nodes=grid(),
    burst=True,
    pods=12,
)
QUANTITIES = Scenario(
    hint="at least 4 free GPUs and more than 300 GiB of free memory",
    # affinity knows what a node is, not what is left of it
    affinity={
        "affinity": on(
            (50, "nvidia.com/gpu.count", "Gt", "3"), (50, "example.com/memory-gib", "Gt", "300")
        )
    },
    preferences=((MEDIUM, has_free(gpus=4)), (MEDIUM, has_free(gib=300))),
    neighbours=(
        *(Neighbour("other", f"big{i}", gpus=5, gib=100) for i in "12"),
        *(Neighbour("other", f"big{i}", gpus=1, gib=800) for i in "34"),
        *(Neighbour("other", f"mid{i}", gpus=1, gib=60) for i in "12"),
    ),
    nodes=(
        *(NodeSpec(f"big{i}", labels={"example.com/memory-gib": "1024"}) for i in "1234"),
        *(
            NodeSpec(f"mid{i}", gpus=8, memory_gib=512, labels={"example.com/memory-gib": "512"})
            for i in "12"
        ),
        *(
            NodeSpec(f"low{i}", gpus=2, memory_gib=256, labels={"example.com/memory-gib": "256"})
            for i in "12"
        ),
    ),
)
CONFLICT = Scenario(
    hint="It is very important to run on H100. Avoid zone c. Ideally together with redis.",
    affinity={
        "affinity": {
            **on((100, PRODUCT, "In", H100.product), (50, ZONE, "NotIn", "zone-c")),
            **near("redis", weight=25),
        }
    },
    preferences=(
        (HIGH, has_product(H100.product)),
        (MEDIUM, is_not_in_zone("zone-c")),
        (LOW, is_with("redis")),
    ),
    neighbours=(
        Neighbour("redis", "a1"),
        Neighbour("redis", "c1"),
        *(Neighbour("other", f"b{i}", gpus=2, gib=600) for i in "12"),
    ),
    nodes=(
        *(NodeSpec(f"a{i}", zone="zone-a", gpu=A100) for i in "12"),
        *(NodeSpec(f"b{i}", zone="zone-b", gpu=H100) for i in "12"),
        *(NodeSpec(f"c{i}", zone="zone-c", gpu=A100) for i in "12"),
    ),
)
SCENARIOS = {
    "spread": SPREAD,
    "resources": RESOURCES,
    "together-apart": TOGETHER_AND_APART,
    "burst": BURST,
    "quantities": QUANTITIES,
    "conflict": CONFLICT,
}
MUST_BE_BETTER = ("quantities", "conflict")


class Theatre:
    """Both schedulers, and a scene for every scenario and arm on nodes of its own."""

    def __init__(self, plane: ControlPlane, wait_for: Callable[[Callable[[], Any]], Any]) -> None:
        self.plane = plane
        self._wait_for = wait_for
        self.tag = f"h{uuid.uuid4().hex[:6]}"
        self.installation = Installation(plane)
        self.schedulers = {arm: f"{arm}-{self.tag}" for arm in ARMS}
        self.scenes = [
            Scene(name, arm, scenario, self.tag, self.schedulers[arm])
            for name, scenario in SCENARIOS.items()
            for arm in ARMS
        ]
        self._nodes: list[str] = []

    def build(self) -> None:
        specs = [self._node(scene, spec) for scene in self.scenes for spec in scene.scenario.nodes]
        self.plane.create_nodes(specs)
        self._nodes = [spec.name for spec in specs]
        api = self.plane.api
        for scene in self.scenes:
            api.create("/api/v1/namespaces", {"metadata": {"name": scene.namespace}})
        for scene in self.scenes:
            account = f"/api/v1/namespaces/{scene.namespace}/serviceaccounts/default"
            self._wait_for(lambda account=account: api.answers(account))
            for number, neighbour in enumerate(scene.scenario.neighbours):
                manifest = pod_manifest(f"n{number}", neighbour.app, neighbour.gpus, neighbour.gib)
                manifest["spec"]["nodeName"] = scene.node_name(neighbour.node)
                self._create(scene, manifest)
        self.installation.install()
        door = self.installation.start_extender(name=f"extender-{self.tag}")
        ours = ExtenderConfig(door.verbs, weight=EXTENDER_WEIGHT, ignorable=False)
        for arm, extenders in (("moorage", (ours,)), ("affinity", ())):
            config = SchedulerConfig((self.schedulers[arm],), extenders)
            self.plane.start_scheduler(config, name=self.schedulers[arm])

    def play(self) -> None:
        """Let the wished-for pods come, one by one but for bursts, in all scenes side by side."""
        for turn in range(max(scenario.pods for scenario in SCENARIOS.values())):
            coming = [(scene, pod) for scene in self.scenes for pod in _coming(scene, turn)]
            for scene, pod in coming:
                self._create(scene, self._wish(scene, pod))
            for scene, pod in coming:
                node = self._wait_for(lambda scene=scene, pod=pod: self._node_of(scene, pod))
                scene.take(pod, node.partition("-" + scene.name)[0])

    def metric(self, series: str) -> dict[str, float]:
        door = self.installation.doors[f"extender-{self.tag}"].health
        lines = self.installation.fetch(f"{door}/metrics").decode().splitlines()
        found = [line.rpartition(" ") for line in lines if line.startswith(f"{series}{{")]
        return {name.split('"')[1]: float(value) for name, _, value in found}

    def close(self) -> None:
        for name in self.schedulers.values():
            self.plane.stop_scheduler(name)
        self.installation.close()
        for scene in self.scenes:
            self.plane.api.delete(f"/api/v1/namespaces/{scene.namespace}")
        self.plane.delete_nodes(self._nodes)

    def burst_of_texts(self, count: int) -> None:
        """Let pods come at once, each with words that nobody has read before."""
        scene = self.scenes[0]
        for number in range(count):
            manifest = self._wish(scene, f"text-{number}")
            manifest["metadata"]["annotations"][HINT_ANNOTATION] = f"away from app-{number} on H100"
            limits = manifest["spec"]["containers"][0]["resources"]
            limits["limits"] = {"nvidia.com/gpu": "1"}
            limits["requests"] = {"memory": "1Gi"}
            self._create(scene, manifest)
        for number in range(count):
            self._wait_for(lambda number=number: self._node_of(scene, f"text-{number}"))

    def _node(self, scene: Scene, spec: NodeSpec) -> NodeSpec:
        more = {"scene": f"{scene.name}-{scene.arm}-{self.tag}", **spec.labels}
        more["nvidia.com/gpu.count"] = str(spec.gpus)
        return replace(spec, name=scene.node_name(spec.name), labels=more)

    def _wish(self, scene: Scene, pod: str) -> Json:
        manifest = pod_manifest(pod, "wish", 1, scene.scenario.gib)
        manifest["spec"]["schedulerName"] = scene.scheduler
        manifest["spec"]["nodeSelector"] = {"scene": f"{scene.name}-{scene.arm}-{self.tag}"}
        if scene.arm == "moorage":
            manifest["metadata"]["annotations"] = {HINT_ANNOTATION: scene.scenario.hint}
        else:
            manifest["spec"].update(scene.scenario.affinity)
        return manifest

    def _create(self, scene: Scene, manifest: Json) -> None:
        self.plane.api.create(f"/api/v1/namespaces/{scene.namespace}/pods", manifest)

    def _node_of(self, scene: Scene, pod: str) -> str:
        live = self.plane.api.get(f"/api/v1/namespaces/{scene.namespace}/pods/{pod}")
        node: str = live["spec"].get("nodeName", "")
        return node


def _coming(scene: Scene, turn: int) -> Iterable[str]:
    scenario = scene.scenario
    if scenario.burst:
        return [f"wish-{number}" for number in range(scenario.pods)] if turn == 0 else []
    return [f"wish-{turn}"] if turn < scenario.pods else []


def pod_manifest(name: str, app: str, gpus: int, gib: int) -> Json:
    resources: Json = {"requests": {"memory": f"{gib}Gi", "cpu": "1"}}
    if gpus:
        resources["limits"] = {"nvidia.com/gpu": str(gpus)}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": app}},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "c", "image": "none", "resources": resources}],
        },
    }


@pytest.fixture(scope="module")
def theatre(control_plane: ControlPlane, eventually: Callable[..., Any]) -> Iterator[Theatre]:
    one = Theatre(control_plane, partial(eventually, what="a pod is placed", within_s=60.0))
    one.build()
    yield one
    one.close()


def test_hints_place_at_least_as_well_as_hand_written_affinity(
    theatre: Theatre, capsys: pytest.CaptureFixture[str]
) -> None:
    theatre.play()
    found = {(scene.name, scene.arm): scene for scene in theatre.scenes}
    lines = [f"{'scenario':16}{'arm':10}{'wishes met':>11}{'on one node':>12}  nodes"]
    for (name, arm), scene in found.items():
        nodes = " ".join(f"{n}x{c}" for n, c in sorted(Counter(scene.pods.values()).items()))
        lines.append(
            f"{name:16}{arm:10}{scene.satisfaction():11.3f}{scene.most_on_one_node():12}  {nodes}"
        )
    table = "\n".join(lines)
    with capsys.disabled():
        print(f"\n{table}")
    for name in SCENARIOS:
        ours, theirs = (found[name, arm].satisfaction() for arm in ARMS)
        assert ours >= theirs or math.isclose(ours, theirs), table
        if name in MUST_BE_BETTER:
            assert ours > theirs, table
    wished = sum(scenario.pods for scenario in SCENARIOS.values())
    ranked = theatre.metric("moorage_extender_hinted_rankings_total")
    # the first of the spread replicas has no sibling to be apart from
    assert ranked == {"counted": wished - 1, "tells-no-nodes-apart": 1}


def test_a_burst_of_unread_texts_is_ranked_with_its_intents(theatre: Theatre) -> None:
    before = theatre.metric("moorage_extender_hinted_rankings_total")
    theatre.burst_of_texts(30)
    after = theatre.metric("moorage_extender_hinted_rankings_total")
    ranked = {name: count - before.get(name, 0.0) for name, count in after.items()}
    assert sum(ranked.values()) == 30
    assert ranked.get("not-read-yet", 0.0) <= 0.01 * 30
