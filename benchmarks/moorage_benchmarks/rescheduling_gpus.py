"""Protocol ``rescheduling-gpus``: whole 8-GPU nodes got back per move, on recorded pods and nodes.

Pods of the openb lists arrive in random order at random nodes with room until nine tenths of the
GPUs are taken, then random ones leave until the given share is. Pods that share a device are left
out. A hole is eight free GPUs on one node.

Arms: ``high-node-utilization`` empties, as descheduler's rule of that name does, all nodes of which
less than a fifth is asked for (CPU, memory and GPUs), the emptiest first, into the fullest nodes;
``greedy`` empties 8-GPU nodes of their GPU pods, those of fewest pods first, as long as any can be
emptied. Ours may make half as many moves as ``greedy`` does, ``moorage-as-many`` as many,
``moorage-half-of-rule`` half as many as descheduler's rule.
``per_move`` is what a move gets back, ``bound`` the most that so many moves can free for all that
is proven; ``broken`` what the independent checker objects to when the moves are taken in order.

With ``--live`` the real descheduler and our operator work on a local control plane as well; see
``rescheduling_live``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.progress import track

from moorage_benchmarks.fragmentation_trace import Trace, read_trace
from moorage_benchmarks.report import OURS, JsonFile, Row, finish
from moorage_benchmarks.rescheduling import count_cpu, watch_clock
from moorage_benchmarks.rescheduling_live import measure as measure_live
from moorage_cli.control_plane.progress import shown_progress
from moorage_policies.rescheduling.check import find_violations
from moorage_policies.rescheduling.instance import Hole, Instance, make_instance
from moorage_policies.rescheduling.objective import worth_of
from moorage_policies.rescheduling.solve import Params, Solution, solve, warm_up
from moorage_policies.scoring.mix import WHOLE_MILLI
from moorage_policies.types import FloatArray, IntArray

PROTOCOL = "rescheduling-gpus"
SEED = 1
TRACES = Path(__file__).with_name("traces") / "openb"
LISTS = ("default", "multigpu20")
CPU, MEMORY, GPU = 0, 1, 2
FULL_SHARE, LOAD_SHARE, LOW_SHARE = 0.9, 0.6, 0.2
ARRIVAL_PERCENT = 200.0
WHOLE_NODE = 8
QUICK_NODES = 12
Moves = list[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class _Settings:
    seed: int
    deadline_s: float
    workers: int
    cpu_clock: bool


def run(
    *,
    quick: bool = False,
    seed: int = SEED,
    nodes: Path | None = None,
    pods: Sequence[Path] = (),
    load: float = LOAD_SHARE,
    deadline_s: float = 5.0,
    workers: int = 2,
    cpu_clock: bool = False,
    live: bool = False,
) -> list[Row]:
    """Return the rows of every arm per pod list.

    Args:
        quick: every twelfth node, one list, a second.
        seed: of the snapshot and of the search.
        nodes: node list to use instead of the one that comes along.
        pods: pod lists to use instead.
        load: share of the GPUs that is taken.
        deadline_s: of ours.
        workers: of ours.
        cpu_clock: whether our deadline counts CPU seconds of all workers, for a shared machine.
        live: whether descheduler and operator run on a control plane as well.
    """
    files = list(pods) or [TRACES / f"{name}.csv" for name in LISTS]
    if quick:
        files, deadline_s = files[:1], 1.0
    warm_up()
    settings = _Settings(seed, deadline_s, workers, cpu_clock)
    rows: list[Row] = []
    for file in track(files, description=PROTOCOL, transient=True):
        trace = read_trace(nodes or TRACES / "nodes.csv", file)
        instance = take_snapshot(trace.thinned(QUICK_NODES) if quick else trace, seed, load)
        rows += _measure(trace.name, instance, settings)
    if live:
        with shown_progress() as report:
            rows += measure_live(PROTOCOL, seed, report)
    return rows


def take_snapshot(trace: Trace, seed: int, load: float = LOAD_SHARE) -> Instance:
    """Return the cluster of a trace, fragmented by random arrivals and departures.

    Args:
        trace: nodes and pods.
        seed: of the random choices.
        load: share of the GPUs that is taken in the end.
    """
    noise = np.random.default_rng(seed)
    nodes = trace.nodes
    gpus = (nodes.milli > 0).sum(axis=1)
    capacity = np.column_stack([nodes.cpu, nodes.memory, gpus]).astype(np.int64)
    needs = np.array([[s.cpu, s.memory, s.devices] for s in trace.shapes], dtype=np.int64)
    accepts = np.array(
        [[s.classes is None or name in s.classes for name in nodes.classes] for s in trace.shapes]
    )
    free, placed = capacity.copy(), list[tuple[int, int]]()
    for shape in trace.arrivals(ARRIVAL_PERCENT, seed).tolist():
        if trace.shapes[shape].milli < WHOLE_MILLI:
            continue
        spots = np.flatnonzero((free >= needs[shape]).all(axis=1) & accepts[shape])
        if len(spots):
            node = int(noise.choice(spots))
            free[node] -= needs[shape]
            placed.append((shape, node))
        if free[:, GPU].sum() <= (1 - FULL_SHARE) * gpus.sum():
            break
    noise.shuffle(placed)
    while placed and free[:, GPU].sum() < (1 - load) * gpus.sum():
        shape, node = placed.pop()
        free[node] += needs[shape]
    shapes = np.array([shape for shape, _ in placed], dtype=np.int64)
    eligible, kind = np.unique(accepts, axis=0, return_inverse=True)
    return make_instance(
        resources=("cpu", "memory", "gpu"),
        capacity=capacity,
        cell_host=np.arange(len(capacity)),
        requests=needs[shapes],
        home=np.array([node for _, node in placed], dtype=np.int64),
        kind=kind.reshape(-1)[shapes].astype(np.int64),
        eligible=eligible,
        holes=(Hole("node-of-8", np.array([0, 0, WHOLE_NODE])),),
        max_moves=len(placed),
    )


def empty_low_nodes(instance: Instance) -> Moves:
    """Return the moves of descheduler's HighNodeUtilization, with room for every evicted pod."""
    free = instance.free(instance.home)
    share = _used_shares(instance, free)
    low = np.flatnonzero((share < LOW_SHARE).all(axis=1) & (share.sum(axis=1) > 0))
    targets = np.asarray((share >= LOW_SHARE).any(axis=1))
    moves: Moves = []
    for node in low[np.argsort(share[low].sum(axis=1), kind="stable")].tolist():
        for item in np.flatnonzero(instance.home == node).tolist():
            _move_to_fullest(instance, free, targets, item, moves)
    return moves


def empty_greedily(instance: Instance) -> Moves:
    """Return the moves that empty 8-GPU nodes of GPU pods, those of fewest pods first."""
    free = instance.free(instance.home)
    uses = instance.requests[:, GPU] > 0
    count = np.bincount(instance.home[uses], minlength=len(free))
    wanted = np.flatnonzero((instance.capacity[:, GPU] == WHOLE_NODE) & (count > 0))
    targets = free[:, GPU] < instance.capacity[:, GPU]
    targets |= instance.capacity[:, GPU] < WHOLE_NODE
    received: set[int] = set()
    moves: Moves = []
    for node in wanted[np.argsort(count[wanted], kind="stable")].tolist():
        if node in received:
            continue
        trial, own = free.copy(), Moves()
        targets[node] = False
        members = np.flatnonzero((instance.home == node) & uses)
        if all(_move_to_fullest(instance, trial, targets, i, own) for i in members.tolist()):
            free = trial
            moves += own
            received |= {target for _, target in own}
        else:
            targets[node] = True
    return moves


def _used_shares(instance: Instance, free: IntArray) -> FloatArray:
    shares: FloatArray = 1 - free / np.maximum(instance.capacity, 1)
    return np.where(instance.capacity > 0, shares, 0.0)


def _move_to_fullest(
    instance: Instance, free: IntArray, targets: np.ndarray, item: int, moves: Moves
) -> bool:
    need = instance.requests[item]
    fits = (free >= need).all(axis=1) & targets & instance.eligible[instance.kind[item]]
    spots = np.flatnonzero(fits)
    if not len(spots):
        return False
    target = int(spots[np.lexsort((free[spots, CPU], free[spots, GPU]))[0]])
    free[target] -= need
    free[instance.home[item]] += need
    moves.append((item, target))
    return True


def _measure(name: str, instance: Instance, settings: _Settings) -> Iterator[Row]:
    seed = settings.seed
    now = worth_of(instance, instance.home)
    peers: dict[str, Callable[[], Moves]] = {
        "high-node-utilization": lambda: empty_low_nodes(instance),
        "greedy": lambda: empty_greedily(instance),
    }
    counts: list[int] = []
    for arm, act in peers.items():
        began_s = time.process_time()
        moves = act()
        metrics = _metrics(instance, moves, time.process_time() - began_s)
        yield from (Row(PROTOCOL, name, arm, *metric, seed) for metric in metrics)
        counts.append(len(moves))
    of_rule, of_greedy = counts
    for arm, limit in (
        (f"{OURS}-half-of-rule", of_rule // 2),
        (OURS, of_greedy // 2),
        (f"{OURS}-as-many", of_greedy),
    ):
        began_s = time.process_time()
        found = _ours(replace(instance, max_moves=limit), settings)
        moves = [(move.item, move.target) for move in found.moves]
        metrics = _metrics(instance, moves, time.process_time() - began_s)
        metrics.append(("bound", found.bound - now, "1"))
        yield from (Row(PROTOCOL, name, arm, *metric, seed) for metric in metrics)


def _ours(instance: Instance, settings: _Settings) -> Solution:
    workers = settings.workers
    with ThreadPoolExecutor(workers) as pool:
        return solve(
            instance,
            Params(deadline_s=settings.deadline_s, seed=settings.seed, workers=workers),
            clock=count_cpu(workers) if settings.cpu_clock else time.monotonic,
            run_all=lambda tasks: list(pool.map(lambda task: task(), tasks)),
            watch=watch_clock if settings.cpu_clock else None,
        )


def _metrics(instance: Instance, moves: Moves, cpu_s: float) -> list[tuple[str, float, str]]:
    gained = _gained(instance, moves)
    return [
        ("freed", gained, "1"),
        ("moves", len(moves), "1"),
        ("per_move", gained / max(1, len(moves)), "1"),
        ("broken", len(find_violations(instance, moves)), "1"),
        ("cpu_s", cpu_s, "s"),
    ]


def _gained(instance: Instance, moves: Moves) -> float:
    places = instance.home.copy()
    for item, target in moves:
        places[item] = target
    return worth_of(instance, places) - worth_of(instance, instance.home)


app = typer.Typer()


@app.command()
def main(
    nodes: Annotated[Path | None, typer.Option(help="Node list (CSV, .gz).", exists=True)] = None,
    pods: Annotated[
        list[Path] | None, typer.Option(help="Pod list; give it several times.", exists=True)
    ] = None,
    quick: Annotated[bool, typer.Option(help="One list, fewer nodes, a second.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of snapshot and search.")] = SEED,
    load: Annotated[
        float, typer.Option(help="Share of the GPUs that is taken.", min=0.05, max=0.9)
    ] = LOAD_SHARE,
    deadline_s: Annotated[float, typer.Option(help="Our deadline, seconds.", min=0.1)] = 5.0,
    workers: Annotated[int, typer.Option(help="Our workers.", min=1)] = 2,
    cpu_clock: Annotated[
        bool, typer.Option(help="Our deadline counts CPU seconds of all workers.")
    ] = False,
    live: Annotated[
        bool, typer.Option(help="Run the real descheduler and our operator as well.")
    ] = False,
    json_file: JsonFile = None,
) -> None:
    """Whole 8-GPU nodes got back per move, beside HighNodeUtilization and an unlimited greedy."""
    rows = run(
        quick=quick,
        seed=seed,
        nodes=nodes,
        pods=pods or (),
        load=load,
        deadline_s=deadline_s,
        workers=workers,
        cpu_clock=cpu_clock,
        live=live,
    )
    finish(rows, json_file)
