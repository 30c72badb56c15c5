"""Protocol ``packing-scale``: hundreds of nodes, beside partitioning (POP), under one deadline.

``uniform-N``: the generator of "Priority Matters" with 8 pods a node at usage 100 %. ``gpu-…-N``:
8-GPU nodes and pods of 1, 2, 4 and 8 GPUs that together ask for all GPUs: ``trace`` in the shares
of the openb list with 20 % multi-GPU pods, ``mixed`` with a fifth of whole-node pods. Today is
what the stock scheduler leaves. POP splits nodes and
waiting pods at random into equal parts and solves each with the same CP-SAT model.

``closed_ratio`` is the part of the way from stock to a fixed bound (surrogate knapsacks, all tiers
at their bound) that was closed, in placed pods; ``own_bound`` counts pods by the solver's own
bounds, and ``gap_pods_max`` is the largest gap of a tier that its certificate leaves open.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from moorage_benchmarks.packing_cases import Case, place_by_stock, read_cases
from moorage_benchmarks.report import OURS, JsonFile, Row, finish
from moorage_policies.packing.bounds import stage_bounds
from moorage_policies.packing.exact import Limits
from moorage_policies.packing.instance import Instance
from moorage_policies.packing.neighbourhood import resolve_nodes, split_nodes
from moorage_policies.packing.objective import placed_vector
from moorage_policies.packing.search import Answer, score_of
from moorage_policies.packing.solve import Params, solve, warm_up
from moorage_policies.ports import Clock
from moorage_policies.simulation import gpu_mix, gpu_nodes, priority_matters
from moorage_policies.types import IntArray

PROTOCOL = "packing-scale"
POP = "pop"
STOCK = "stock"
SEED = 1
NODES = (100, 300, 1000)
POP_NODES = 8  # per part
GPUS_PER_NODE = 8
MIXES = {
    "trace": {1: 0.966, 2: 0.007, 4: 0.007, 8: 0.020},
    "mixed": {1: 0.6, 2: 0.1, 4: 0.1, 8: 0.2},
}
PRIORITIES = (1, 2, 3, 4)
MIB = 1024


@dataclass(frozen=True, slots=True)
class _Measured:
    placement: IntArray
    wall_s: float
    cpu_s: float
    own_bound: int | None = None
    gap: int | None = None


def run(
    *,
    quick: bool = False,
    seed: int = SEED,
    instances: Sequence[Path] = (),
    nodes: Sequence[int] = NODES,
    deadline_s: float = 10.0,
    workers: int = 2,
    peer: bool = True,
    cpu_clock: bool = False,
) -> list[Row]:
    """Return the rows of stock, POP and ours per case.

    Args:
        quick: 100 nodes and two seconds.
        seed: of the instances and of the search.
        instances: files to use instead of generated clusters.
        nodes: cluster sizes.
        deadline_s: of POP and ours, model building included.
        workers: of both.
        peer: whether POP runs.
        cpu_clock: whether deadlines count CPU seconds; use one worker with it.
    """
    clock = time.process_time if cpu_clock else time.monotonic
    if quick:
        nodes, deadline_s = (100,), 2.0
    warm_up()
    cases = read_cases(instances) if instances else _generate(nodes, seed)
    rows: list[Row] = []
    for case in cases:
        instance = case.to_instance(same_tier_eviction=True)
        rows += _measure(case.cell, instance, deadline_s, workers, seed, clock, peer=peer)
    return rows


def _generate(nodes: Sequence[int], seed: int) -> Iterator[Case]:
    for size in nodes:
        load = priority_matters(
            seed, nodes=size, pods_per_node=8, priorities=len(PRIORITIES), usage_percent=100
        )
        yield place_by_stock(f"uniform-{size}", seed, load.nodes, load.waves)
        for name, shares in MIXES.items():
            noise = np.random.default_rng(seed)
            mix = gpu_mix(noise, size * GPUS_PER_NODE, shares=shares, priorities=PRIORITIES)
            yield place_by_stock(f"gpu-{name}-{size}", seed, gpu_nodes(size), mix)


def _measure(
    cell: str,
    instance: Instance,
    deadline_s: float,
    workers: int,
    seed: int,
    clock: Clock,
    *,
    peer: bool,
) -> list[Row]:
    arms = {STOCK: _Measured(instance.current, 0.0, 0.0)}
    if peer:
        arms[POP] = _by_pop(instance, deadline_s, workers, seed, clock)
    arms[OURS] = _by_ours(instance, deadline_s, workers, seed, clock)
    bound = _fixed_bound(instance)
    return [
        Row(PROTOCOL, f"{cell}@{deadline_s:g}s", arm, metric, value, unit, seed)
        for arm, measured in arms.items()
        for metric, value, unit in _metrics(instance, measured, bound, deadline_s)
    ]


def _fixed_bound(instance: Instance) -> tuple[int, ...]:
    """Return the surrogate bound per tier, each given the bounds of the tiers above."""
    counts = [0] * len(instance.tiers)
    for tier in range(len(counts)):
        counts[tier] = stage_bounds(instance, counts)[tier]
    return tuple(counts)


def _by_pop(
    instance: Instance, deadline_s: float, workers: int, seed: int, clock: Clock
) -> _Measured:
    """Return what partitions, each solved alone, come to together."""
    began, cpu = clock(), time.process_time()
    noise = np.random.default_rng(seed)
    start = Answer(instance.current, score_of(instance, instance.current))
    parts = split_nodes(len(instance.nodes), POP_NODES, noise)
    waiting = np.array_split(noise.permutation(np.flatnonzero(instance.current < 0)), len(parts))
    each_s = deadline_s * workers / len(parts)

    def solve_part(nodes: IntArray, pods: IntArray) -> IntArray:
        left_s = min(each_s, deadline_s - (clock() - began))
        if left_s <= 0:
            return instance.current
        limits = Limits(work=1e9, seconds=left_s, workers=1, seed=seed)
        answer, _ = resolve_nodes(instance, start, nodes, limits, stages_proven=0, pods=pods)
        return answer.placement

    merged = instance.current.copy()
    with ThreadPoolExecutor(workers) as pool:
        for placement in pool.map(solve_part, parts, waiting):
            changed = placement != instance.current
            merged[changed] = placement[changed]
    return _Measured(merged, clock() - began, time.process_time() - cpu)


def _by_ours(
    instance: Instance, deadline_s: float, workers: int, seed: int, clock: Clock
) -> _Measured:
    began, cpu = clock(), time.process_time()
    with ThreadPoolExecutor(workers) as pool:
        solution = solve(
            instance,
            Params(deadline_s=deadline_s, seed=seed, workers=workers),
            clock=clock,
            run_all=lambda tasks: list(pool.map(lambda task: task(), tasks)),
        )
    tiers = solution.certificate.tiers
    return _Measured(
        solution.placement,
        clock() - began,
        time.process_time() - cpu,
        own_bound=sum(tier.bound for tier in tiers),
        gap=max(tier.gap for tier in tiers),
    )


def _metrics(
    instance: Instance, measured: _Measured, bound: Sequence[int], deadline_s: float
) -> Iterator[tuple[str, float, str]]:
    today = placed_vector(instance, instance.current)
    then = placed_vector(instance, measured.placement)
    left = instance.running & (measured.placement != instance.current)
    pods = len(instance.pods)
    yield "placed_pods", sum(then), "1"
    yield "bound_pods", sum(bound), "1"
    yield "improved_ratio", float(then > today), "1"
    yield "worse_count", float(then < today), "1"
    distance = sum(bound) - sum(today)
    yield "closed_ratio", (sum(then) - sum(today)) / distance if distance else 1.0, "1"
    yield "moves_ratio", float((left & (measured.placement >= 0)).sum()) / pods, "1"
    yield "evictions_ratio", float((left & (measured.placement < 0)).sum()) / pods, "1"
    yield "overrun_ratio_max", max(0.0, measured.wall_s / deadline_s - 1), "1"
    yield "cpu_s", measured.cpu_s, "s"
    if measured.own_bound is not None and measured.gap is not None:
        yield "own_bound_pods", measured.own_bound, "1"
        yield "gap_pods_max", measured.gap, "1"
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MIB
        yield "peak_mib", peak, "MiB"


app = typer.Typer()


@app.callback(invoke_without_command=True)
def packing_scale(
    instances: Annotated[
        list[Path] | None, typer.Option(help="Instance files instead of generated clusters.")
    ] = None,
    nodes: Annotated[str, typer.Option(help="Cluster sizes, by comma.")] = "100,300,1000",
    deadline_s: Annotated[float, typer.Option(help="Deadline in seconds.", min=0.1)] = 10.0,
    workers: Annotated[int, typer.Option(help="Workers of POP and ours.", min=1)] = 2,
    peer: Annotated[bool, typer.Option(help="Run POP as well.")] = True,
    cpu_clock: Annotated[bool, typer.Option(help="Count deadlines in CPU seconds.")] = False,
    quick: Annotated[bool, typer.Option(help="100 nodes, 2 seconds.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of instances and search.")] = SEED,
    json_file: JsonFile = None,
) -> None:
    """Pack hundreds of nodes under one deadline, beside random partitioning."""
    try:
        sizes = [int(part) for part in nodes.split(",")]
    except ValueError as error:
        raise typer.BadParameter("write numbers, by comma", param_hint="--nodes") from error
    rows = run(
        quick=quick,
        seed=seed,
        instances=instances or (),
        nodes=sizes,
        deadline_s=deadline_s,
        workers=workers,
        peer=peer,
        cpu_clock=cpu_clock,
    )
    finish(rows, json_file)
