"""Protocol ``load``: how much staleness of measurements costs when pods go to idle nodes.

Pods come at random, use more or less CPU than they ask for, and go. Each is placed by the scorer
``load`` alone among the nodes that have room for its request. A node that is busy to the share u
makes its pods take 1 / (1 - u) times as long; ``slowdown`` is the mean of that over all pods and
time, each pod weighted by what it uses, and ``p99_slowdown`` its 99th percentile.

Arms: ``fresh`` measures before every decision, ``moorage`` every 15 s as the extender does and
carries on by what pods ask for in between, ``carried-…`` does the same less often; ``plain-…``
takes each batch as it is until the next, ``requests`` looks at what pods ask for, ``random`` at
nothing. ``to_fresh`` is the slow-down in terms of that of ``fresh`` on the same pods
(``to_fresh_high``: upper end of the 95 % interval over streams), and ``messages`` how many nodes'
measurements were read for each decision.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import NormalDist
from typing import Annotated, NamedTuple

import numpy as np
import typer
from rich.progress import Progress

from moorage_benchmarks.report import OURS, JsonFile, Row, finish
from moorage_cli.train.lists import read_nodes, read_pods
from moorage_policies.errors import BadInputError
from moorage_policies.scoring.load import Load, Utilisation, asked_ratio
from moorage_policies.state import ClusterState, NodesListed, PodChanged, PodDeleted, Snapshot
from moorage_policies.types import CPU, MEMORY, PODS, FloatArray, IntArray, Node, Pod

PROTOCOL = "load"
SEED = 1
SEEDS = 8
NODES, NODE_CPU_M = 100, 64_000
SIZES_M = (1_000, 2_000, 4_000, 8_000)
MEAN_STAY_S = 600.0
BUSY_RATIO = 0.5
"""Mean use of all nodes' CPU."""
USE_SPREAD = 0.6
"""Standard deviation of the logarithm of what a pod uses, by what it asks for."""
MEAN_USE_RATIO = 0.7
BUSIEST = 0.98
WARM_UP_S, LENGTH_S = 900.0, 2_700.0
QUICK_NODES, QUICK_WARM_UP_S, QUICK_LENGTH_S = 20, 200.0, 600.0
SAMPLE_EVERY_S = 10.0
FRESH, RANDOM, REQUESTS = "fresh", "random", "requests"


class _Arm(NamedTuple):
    """A name, seconds between batches, and whether they are carried on in between."""

    name: str
    every_s: float
    carried: bool


ARMS = (
    _Arm(FRESH, 0.0, carried=True),
    _Arm(OURS, 15.0, carried=True),
    _Arm("carried-60s", 60.0, carried=True),
    _Arm("carried-110s", 110.0, carried=True),
    _Arm("plain-15s", 15.0, carried=False),
    _Arm("plain-60s", 60.0, carried=False),
    _Arm(REQUESTS, float("inf"), carried=True),
    _Arm(RANDOM, float("inf"), carried=True),
)


class _Guest(NamedTuple):
    """A pod: when it comes, for how long, and millicores that it asks for and uses."""

    at_s: float
    stay_s: float
    asked_m: int
    used_m: float


@dataclass(frozen=True, slots=True, eq=False)
class _Case:
    """The CPU of each node and the sizes that pods are drawn from, millicores."""

    name: str
    node_cpu_m: IntArray
    sizes_m: IntArray
    length_s: float = LENGTH_S
    warm_up_s: float = WARM_UP_S

    def guests(self, seed: int) -> Iterator[_Guest]:
        """Yield pods in order of arrival, enough to keep the nodes as busy as wanted."""
        chance = np.random.default_rng(seed)
        used_m = float(self.sizes_m.mean()) * MEAN_USE_RATIO
        gap_s = MEAN_STAY_S * used_m / (BUSY_RATIO * float(self.node_cpu_m.sum()))
        at_s = chance.exponential(gap_s)
        while at_s < self.length_s:
            asked_m = int(chance.choice(self.sizes_m))
            ratio = MEAN_USE_RATIO * chance.lognormal(-(USE_SPREAD**2) / 2, USE_SPREAD)
            yield _Guest(at_s, chance.exponential(MEAN_STAY_S), asked_m, asked_m * ratio)
            at_s += chance.exponential(gap_s)


@dataclass(slots=True, eq=False)
class _World:
    """Nodes, who is on them, and what is measured of them.

    Args:
        case: the nodes.
        arm: how often they are measured.
    """

    case: _Case
    arm: _Arm
    state: ClusterState = field(default_factory=ClusterState)
    used_m: FloatArray = field(init=False)
    now_s: float = 0.0
    batch: Utilisation | None = None
    measured: int = 0
    leaving: list[tuple[float, str, int, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.used_m = np.zeros(len(self.case.node_cpu_m))
        self.state.apply(
            NodesListed(tuple(_node(*each) for each in enumerate(self.case.node_cpu_m.tolist())))
        )

    def advance(self, to_s: float) -> None:
        """Let pods go until then."""
        while self.leaving and self.leaving[0][0] <= to_s:
            _, uid, row, used_m = heapq.heappop(self.leaving)
            self.state.apply(PodDeleted(uid))
            self.used_m[row] -= used_m
        self.now_s = to_s

    def measure_if_due(self) -> None:
        """Take a batch if the last one is old enough."""
        last_s = self.batch.measured_s if self.batch else -np.inf
        if self.arm.every_s == np.inf or self.now_s - last_s < self.arm.every_s:
            return
        snapshot = self.state.snapshot()
        used = np.full((len(self.used_m), 4), np.nan)
        used[:, 0] = np.minimum(self.used_m / self.case.node_cpu_m, 1.0)
        used[:, 1] = asked_ratio(snapshot)[:, 1]
        self.batch = Utilisation(self.now_s, snapshot.node_names, used, asked_ratio(snapshot))
        self.measured += 1

    def slowdown(self) -> tuple[FloatArray, FloatArray]:
        """Return how many times as long pods take on each node, and the weight of each node."""
        busy = np.minimum(self.used_m / self.case.node_cpu_m, BUSIEST)
        return 1.0 / (1.0 - busy), np.maximum(self.used_m, 0.0)

    def place(self, guest: _Guest, number: int, scorer: Load, chance: np.random.Generator) -> None:
        """Put a pod on the best node that has room for what it asks for; drop it if none has."""
        snapshot = self.state.snapshot()
        room = snapshot.free_of(CPU) >= guest.asked_m
        rows = np.flatnonzero(room)
        if not len(rows):
            return
        name = f"pod-{number}"
        pod = Pod(name, "default", name, requests={CPU: guest.asked_m})
        scores = self._scores(pod, snapshot, rows, scorer, chance)
        row = int(chance.choice(rows[scores >= scores.max() - 1e-9]))
        node = snapshot.node_names[row]
        self.state.apply(PodChanged(Pod(name, "default", name, node=node, requests=pod.requests)))
        self.used_m[row] += guest.used_m
        heapq.heappush(self.leaving, (self.now_s + guest.stay_s, name, row, guest.used_m))

    def _scores(
        self, pod: Pod, snapshot: Snapshot, rows: IntArray, scorer: Load,
        chance: np.random.Generator,
    ) -> FloatArray:  # fmt: skip
        if self.arm.name == RANDOM:
            return chance.random(len(rows))
        if self.arm.name == REQUESTS:
            return snapshot.free_of(CPU)[rows] / self.case.node_cpu_m[rows]
        assert self.batch is not None
        if not self.arm.carried:
            plain: FloatArray = 1.0 - self.batch.used_ratio[rows, 0]
            return plain
        found = scorer.score(pod, snapshot, rows)
        assert found is not None
        return found


def run(
    *,
    quick: bool = False,
    seed: int = SEED,
    nodes: Path | None = None,
    pods: Path | None = None,
    seeds: int = SEEDS,
) -> list[Row]:
    """Return the rows of every arm, means over the seeds.

    Args:
        quick: few nodes, little time, one seed.
        seed: first of the seeds.
        nodes: node list whose CPU is used instead of equal nodes.
        pods: pod list whose CPU requests are drawn instead of sizes from 1 to 8 cores.
        seeds: streams of pods.
    """
    case = _case(nodes, pods, quick=quick)
    found: dict[str, list[dict[str, float]]] = {arm.name: [] for arm in ARMS}
    numbers = range(seed, seed + (1 if quick else seeds))
    with Progress(transient=True) as progress:
        task = progress.add_task("load", total=len(numbers) * len(ARMS))
        for number in numbers:
            for arm in ARMS:
                found[arm.name].append(_play(case, arm, number))
                progress.advance(task)
    fresh = np.array([each["slowdown"] for each in found[FRESH]])
    rows: list[Row] = []
    for name, each in found.items():
        for metric in each[0]:
            value = float(np.mean([metrics[metric] for metrics in each]))
            rows.append(Row(PROTOCOL, case.name, name, metric, value, "1", seed))
        ratio = np.array([metrics["slowdown"] for metrics in each]) / fresh
        rows.append(Row(PROTOCOL, case.name, name, "to_fresh", float(ratio.mean()), "1", seed))
        if len(ratio) > 1:
            error = ratio.std(ddof=1) / len(ratio) ** 0.5
            high = float(ratio.mean() + NormalDist().inv_cdf(0.975) * error)
            rows.append(Row(PROTOCOL, case.name, name, "to_fresh_high", high, "1", seed))
    return rows


def _case(nodes: Path | None, pods: Path | None, *, quick: bool) -> _Case:
    cpu_m = [NODE_CPU_M] * NODES
    sizes_m = list(SIZES_M)
    if nodes is not None:
        cpu_m = [node.cpu_milli for node, count in read_nodes(nodes) for _ in range(count)]
    if pods is not None:
        sizes_m = [pod.cpu_milli for pod, count in read_pods(pods) for _ in range(count)]
    cpu_m = list(filter(None, cpu_m))[: QUICK_NODES if quick else None]
    sizes_m = list(filter(None, sizes_m))
    if not cpu_m or not sizes_m:
        raise BadInputError("no node or no pod has CPU; give other lists", field="--nodes, --pods")
    lengths = (QUICK_LENGTH_S, QUICK_WARM_UP_S) if quick else (LENGTH_S, WARM_UP_S)
    return _Case(f"{len(cpu_m)} nodes", np.array(cpu_m), np.array(sizes_m), *lengths)


def _play(case: _Case, arm: _Arm, seed: int) -> dict[str, float]:
    world = _World(case, arm)
    scorer = Load(lambda: world.batch, lambda: world.now_s)
    chance = np.random.default_rng(seed)
    slow: list[FloatArray] = []
    weight: list[FloatArray] = []
    decisions = 0
    sample_s = case.warm_up_s
    for guest in case.guests(seed):
        while sample_s <= guest.at_s:
            world.advance(sample_s)
            factor, used = world.slowdown()
            slow.append(factor)
            weight.append(used)
            sample_s += SAMPLE_EVERY_S
        world.advance(guest.at_s)
        world.measure_if_due()
        world.place(guest, decisions, scorer, chance)
        decisions += 1
    factors, weights = np.concatenate(slow), np.concatenate(weight)
    return {
        "slowdown": float(np.average(factors, weights=weights)),
        "p99_slowdown": _weighted_percentile(factors, weights, 0.99),
        "messages": world.measured * len(case.node_cpu_m) / decisions,
    }


def _weighted_percentile(values: FloatArray, weights: FloatArray, share: float) -> float:
    order = np.argsort(values)
    upto = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(upto, share * upto[-1])])


def _node(number: int, cpu_m: int) -> Node:
    name = f"node-{number:05d}"
    return Node(name, uid=name, allocatable={CPU: cpu_m, MEMORY: 2**40, PODS: 10_000})


app = typer.Typer()


@app.callback(invoke_without_command=True)
def load(
    nodes: Annotated[Path | None, typer.Option(help="Node list (CSV, .gz).", exists=True)] = None,
    pods: Annotated[Path | None, typer.Option(help="Pod list (CSV, .gz).", exists=True)] = None,
    quick: Annotated[bool, typer.Option(help="Few nodes, little time, one seed.")] = False,
    seed: Annotated[int, typer.Option(help="First seed.")] = SEED,
    seeds: Annotated[int, typer.Option(help="Streams of pods.", min=1)] = SEEDS,
    json_file: JsonFile = None,
) -> None:
    """Place pods by how busy nodes are, and measure what old measurements cost."""
    finish(run(quick=quick, seed=seed, nodes=nodes, pods=pods, seeds=seeds), json_file)
