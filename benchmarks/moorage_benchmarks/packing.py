"""Protocol ``packing``: the experiment of "Priority Matters", on its generator or on given files.

Per instance: the stock scheduler's result (simulated, with preemption, ties by name) is today; the
paper's staged CP-SAT model (``paper-model``) and ours then answer in turn under the same deadline
with the same workers, model building included. Only instances where a pod waits count. An answer
is *improved* when its placed pods by priority, compared from the top, are more than today's;
*certified* when today's are proven the best; *decided* when one of both; *worse* when they are
fewer. Moves and evictions are ratios of all pods. ``rule`` says whether equals may be evicted
(``paper``) or not (``strict``). With ``cpu_clock`` the deadline counts CPU seconds of the process,
so that a busy machine does not distort it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import numpy as np
import typer
from rich.progress import track

from moorage_benchmarks.packing_cases import Case, place_by_stock, read_cases
from moorage_benchmarks.packing_paper import solve_by_paper_model
from moorage_benchmarks.report import OURS, JsonFile, Row, finish
from moorage_policies.packing.instance import Instance
from moorage_policies.packing.objective import placed_vector
from moorage_policies.packing.solve import Params, solve, warm_up
from moorage_policies.ports import Clock
from moorage_policies.simulation import priority_matters
from moorage_policies.types import IntArray

PROTOCOL = "packing"
PAPER = "paper-model"
SEED = 1
NODES = (4, 8, 16, 32)
PODS_PER_NODE = (4, 8)
USAGES = (90, 95, 100, 105)
SEEDS_TRIED = 4_000
Rule = Literal["paper", "strict"]
Number = TypeVar("Number", int, float)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one arm made of one instance."""

    cell: str
    arm: str
    improved: bool
    certified: bool
    all_proven: bool
    worse: bool
    moves: int
    evictions: int
    pods: int
    wall_s: float
    cpu_s: float
    overrun_ratio: float
    vector: tuple[int, ...]
    match_cpu_s: float | None = None  # until the paper model's vector was reached


def run(
    *,
    quick: bool = False,
    seed: int = SEED,
    instances: Sequence[Path] = (),
    nodes: Sequence[int] = NODES,
    deadlines_s: Sequence[float] = (1.0,),
    seeds_per_cell: int = 3,
    priorities: int = 4,
    workers: int = 2,
    rule: Rule = "paper",
    peer: bool = True,
    cpu_clock: bool = False,
) -> list[Row]:
    """Return the rows of both arms per cell and over all.

    Args:
        quick: 4 and 8 nodes, one instance a cell, half a second.
        seed: first seed that is tried.
        instances: files to use instead of the generator.
        nodes: cluster sizes.
        deadlines_s: deadlines to try.
        seeds_per_cell: instances a cell, the first ones in which a pod waits.
        priorities: priority levels of the generator.
        workers: of both arms.
        rule: whether equals may be evicted (``paper``) or not.
        peer: whether the paper's model runs as well.
        cpu_clock: whether the deadline counts CPU seconds; use one worker with it.
    """
    clock = time.process_time if cpu_clock else time.monotonic
    if quick:
        nodes, deadlines_s, seeds_per_cell = (4, 8), (0.5,), 1
    warm_up()
    if instances:
        cases = [case for case in read_cases(instances) if case.is_needed]
    else:
        cases = list(generate(nodes, seeds_per_cell, priorities, seed))
    rows: list[Row] = []
    for deadline_s in deadlines_s:
        outcomes: list[Outcome] = []
        for case in track(cases, f"packing, {deadline_s:g} s", transient=True):
            outcomes += compare(case, deadline_s, workers, seed, rule=rule, peer=peer, clock=clock)
        rows += _rows(outcomes, deadline_s, seed)
    return rows


def generate(
    nodes: Sequence[int], seeds_per_cell: int, priorities: int, seed: int
) -> Iterator[Case]:
    """Yield, per cell of the paper's grid, the first instances in which a pod waits."""
    for size in nodes:
        for pods_per_node in PODS_PER_NODE:
            for usage in USAGES:
                if (size, pods_per_node, usage) == (32, 8, 90):
                    continue  # the paper found no instance here in which a pod waits
                yield from _cell(size, pods_per_node, usage, priorities, seeds_per_cell, seed)


def _cell(
    nodes: int, pods_per_node: int, usage: int, priorities: int, wanted: int, first: int
) -> Iterator[Case]:
    cell = f"{nodes}x{pods_per_node}-{usage}"
    found = 0
    for seed in range(first, first + SEEDS_TRIED):
        if found == wanted:
            return
        load = priority_matters(
            seed,
            nodes=nodes,
            pods_per_node=pods_per_node,
            priorities=priorities,
            usage_percent=usage,
        )
        case = place_by_stock(cell, seed, load.nodes, load.waves)
        if case.is_needed:
            found += 1
            yield case


def compare(
    case: Case,
    deadline_s: float,
    workers: int,
    seed: int,
    *,
    rule: Rule,
    peer: bool,
    clock: Clock = time.monotonic,
) -> list[Outcome]:
    """Return what each arm makes of one case."""
    instance = case.to_instance(same_tier_eviction=rule == "paper")
    outcomes = []
    target: tuple[int, ...] | None = None
    if peer:
        outcomes.append(_by_paper(case.cell, instance, deadline_s, workers, seed, clock))
        target = outcomes[0].vector
    outcomes.append(_by_ours(case.cell, instance, deadline_s, workers, seed, target, clock))
    return outcomes


def _by_paper(
    cell: str, instance: Instance, deadline_s: float, workers: int, seed: int, clock: Clock
) -> Outcome:
    began, cpu = clock(), time.process_time()
    answer = solve_by_paper_model(instance, deadline_s, workers=workers, seed=seed, clock=clock)
    wall_s, cpu_s = clock() - began, time.process_time() - cpu
    placement = instance.current if answer.placement is None else answer.placement
    then, today = placed_vector(instance, placement), placed_vector(instance, instance.current)
    certified = answer.placement is not None and answer.certified and then >= today
    if then <= today:  # the paper's plug-in carries out only what is better than today
        placement = instance.current
    outcome = _outcome(
        cell, PAPER, instance, placement, deadline_s, wall_s, cpu_s, proven=certified
    )
    return replace(outcome, worse=then < today)


def _by_ours(
    cell: str,
    instance: Instance,
    deadline_s: float,
    workers: int,
    seed: int,
    target: tuple[int, ...] | None,
    clock: Clock,
) -> Outcome:
    match: list[float] = []
    began, cpu = clock(), time.process_time()

    def listen(placement: IntArray) -> None:
        if target is not None and not match and placed_vector(instance, placement) >= target:
            match.append(time.process_time() - cpu)

    listen(instance.current)
    with ThreadPoolExecutor(workers) as pool:
        solution = solve(
            instance,
            Params(deadline_s=deadline_s, seed=seed, workers=workers),
            clock=clock,
            run_all=lambda tasks: list(pool.map(lambda task: task(), tasks)),
            on_incumbent=listen,
        )
    wall_s, cpu_s = clock() - began, time.process_time() - cpu
    return _outcome(
        cell,
        OURS,
        instance,
        solution.placement,
        deadline_s,
        wall_s,
        cpu_s,
        proven=solution.certificate.is_proven,
        match_cpu_s=match[0] if match else None,
    )


def _outcome(
    cell: str,
    arm: str,
    instance: Instance,
    placement: IntArray,
    deadline_s: float,
    wall_s: float,
    cpu_s: float,
    *,
    proven: bool,
    match_cpu_s: float | None = None,
) -> Outcome:
    today, then = placed_vector(instance, instance.current), placed_vector(instance, placement)
    left = instance.running & (placement != instance.current)
    return Outcome(
        cell=cell,
        arm=arm,
        improved=then > today,
        certified=proven and then == today,
        all_proven=proven,
        worse=then < today,
        moves=int((left & (placement >= 0)).sum()),
        evictions=int((left & (placement < 0)).sum()),
        pods=len(instance.pods),
        wall_s=wall_s,
        cpu_s=cpu_s,
        overrun_ratio=max(0.0, wall_s / deadline_s - 1),
        vector=then,
        match_cpu_s=match_cpu_s,
    )


def _rows(outcomes: Sequence[Outcome], deadline_s: float, seed: int) -> list[Row]:
    rows = []
    cells = dict.fromkeys(outcome.cell for outcome in outcomes)
    for cell in [*cells, "all"]:
        chosen = [o for o in outcomes if cell in (o.cell, "all")]
        case = f"{cell}@{deadline_s:g}s"
        for arm in dict.fromkeys(outcome.arm for outcome in chosen):
            mine = [outcome for outcome in chosen if outcome.arm == arm]
            rows += [
                Row(PROTOCOL, case, arm, metric, value, unit, seed)
                for metric, value, unit in _metrics(mine, chosen)
            ]
    return rows


def _metrics(
    mine: Sequence[Outcome], everyone: Sequence[Outcome]
) -> Iterator[tuple[str, float, str]]:
    def mean(values: Iterable[float]) -> float:
        return float(np.mean(list(values)))

    pods = sum(o.pods for o in mine)
    yield "instances", len(mine), "1"
    yield "improved_ratio", mean(o.improved for o in mine), "1"
    yield "certified_ratio", mean(o.certified for o in mine), "1"
    yield "decided_ratio", mean(o.improved or o.certified for o in mine), "1"
    yield "all_tiers_proven_ratio", mean(o.all_proven for o in mine), "1"
    yield "worse_count", sum(o.worse for o in mine), "1"
    yield "moves_ratio", sum(o.moves for o in mine) / pods, "1"
    yield "evictions_ratio", sum(o.evictions for o in mine) / pods, "1"
    yield "overrun_ratio_max", max(o.overrun_ratio for o in mine), "1"
    yield "cpu_s_mean", mean(o.cpu_s for o in mine), "s"
    yield from _against_peer(mine, everyone)


def _against_peer(
    mine: Sequence[Outcome], everyone: Sequence[Outcome]
) -> Iterator[tuple[str, float, str]]:
    """Yield moves where both arms reach one vector, and CPU until the peer's vector is matched."""
    theirs = [o for o in everyone if o.arm == PAPER]
    ours = [o for o in everyone if o.arm == OURS]
    if not theirs or not ours:
        return
    equal = [(a, b) for a, b in zip(theirs, ours, strict=True) if a.vector == b.vector]
    pick: Callable[[tuple[Outcome, Outcome]], Outcome] = (
        (lambda pair: pair[1]) if mine[0].arm == OURS else (lambda pair: pair[0])
    )
    pods = sum(pick(pair).pods for pair in equal)
    if pods:
        yield "same_vector_moves_ratio", sum(pick(p).moves for p in equal) / pods, "1"
        yield "same_vector_evictions_ratio", sum(pick(p).evictions for p in equal) / pods, "1"
    if mine[0].arm == OURS:
        matched = [(a, b) for a, b in zip(theirs, ours, strict=True) if b.match_cpu_s is not None]
        yield "matched_ratio", len(matched) / len(ours), "1"
        cpu = sum(a.cpu_s for a, _ in matched)
        yield "match_cpu_ratio", sum(b.match_cpu_s or 0.0 for _, b in matched) / max(cpu, 1e-9), "1"


app = typer.Typer()


@app.callback(invoke_without_command=True)
def packing(
    instances: Annotated[
        list[Path] | None, typer.Option(help="Instance files instead of the generator.")
    ] = None,
    nodes: Annotated[str, typer.Option(help="Cluster sizes, by comma.")] = "4,8,16,32",
    deadline_s: Annotated[str, typer.Option(help="Deadlines in seconds, by comma.")] = "1",
    seeds_per_cell: Annotated[int, typer.Option(help="Instances a cell of the grid.")] = 3,
    priorities: Annotated[int, typer.Option(help="Priority levels.")] = 4,
    workers: Annotated[int, typer.Option(help="Workers of both arms.")] = 2,
    rule: Annotated[str, typer.Option(help="paper: equals may be evicted; strict: not.")] = "paper",
    peer: Annotated[bool, typer.Option(help="Run the paper's model as well.")] = True,
    cpu_clock: Annotated[bool, typer.Option(help="Count the deadline in CPU seconds.")] = False,
    quick: Annotated[bool, typer.Option(help="4 and 8 nodes, one instance a cell.")] = False,
    seed: Annotated[int, typer.Option(help="First seed of the instances.")] = SEED,
    json_file: JsonFile = None,
) -> None:
    """Compare with the model of "Priority Matters" on its own experiment or on given instances."""
    if rule not in ("paper", "strict"):
        raise typer.BadParameter("write paper or strict", param_hint="--rule")
    rows = run(
        quick=quick,
        seed=seed,
        instances=instances or (),
        nodes=_numbers(nodes, int, "--nodes"),
        deadlines_s=_numbers(deadline_s, float, "--deadline-s"),
        seeds_per_cell=seeds_per_cell,
        priorities=priorities,
        workers=workers,
        rule="paper" if rule == "paper" else "strict",
        peer=peer,
        cpu_clock=cpu_clock,
    )
    finish(rows, json_file)


def _numbers(text: str, to: Callable[[str], Number], option: str) -> list[Number]:
    try:
        values = [to(part) for part in text.split(",")]
    except ValueError as error:
        raise typer.BadParameter("write numbers, by comma", param_hint=option) from error
    if any(value <= 0 for value in values):
        raise typer.BadParameter("write positive numbers", param_hint=option)
    return values
