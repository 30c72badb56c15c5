"""``moorage train weights``: from recorded pods to scorers' weights and a report."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console

from moorage_cli.train.lists import ListedNode, ListedPod, list_name, read_nodes, read_pods
from moorage_cli.train.output import make_bar
from moorage_cli.train.weights_report import draw, facts, policy_yaml, show
from moorage_policies.errors import BadInputError, UnavailableError
from moorage_policies.scoring import RankingParams
from moorage_policies.scoring.mix import CLASS_LABEL
from moorage_policies.tuning import (
    Day,
    Recorded,
    Tuning,
    cut_by_count,
    cut_by_time,
    draw_nodes,
    solve_day,
    steps,
    tune,
)
from moorage_policies.types import (
    CPU,
    MEMORY,
    NO_AFFINITY,
    NVIDIA_GPU,
    PODS,
    Affinity,
    Node,
    NodeSelectorTerm,
    Pod,
    Requirement,
)

app = typer.Typer()
MIB = 2**20
POD_SLOTS = 110
PARTS = 14
HELD_OUT_PERCENT = 30
LOAD_PERCENT = 105
SOLVE_S = 2.0
QUICK_DAYS, QUICK_SOLVE_S = 4, 0.2


@app.command()
def weights(
    trace: Annotated[
        list[Path],
        typer.Option(help="Recorded pods (CSV, .gz); give it several times.", exists=True),
    ],
    nodes: Annotated[Path, typer.Option(help="Node list (CSV, .gz).", exists=True)],
    out: Annotated[
        Path, typer.Option(help="Folder for policy.yaml, report.json and report.png.")
    ] = Path("scorer-weights"),
    parts: Annotated[
        int, typer.Option(min=4, help="Days to cut a list without times into.")
    ] = PARTS,
    held_out_percent: Annotated[
        int, typer.Option(min=1, max=50, help="Last days of each list that are only judged on.")
    ] = HELD_OUT_PERCENT,
    load_percent: Annotated[
        int,
        typer.Option(min=10, max=1000, help="GPUs asked for in a day, in percent of its cluster."),
    ] = LOAD_PERCENT,
    solve_s: Annotated[
        float, typer.Option(min=0.05, help="CPU seconds of the packing solver a day.")
    ] = SOLVE_S,
    seed: Annotated[int, typer.Option(min=0, help="Seed of clusters, ties and the solver.")] = 1,
    quick: Annotated[bool, typer.Option(help="A few days of one list, to see it run.")] = False,
) -> None:
    """Replay recorded days, solve them in hindsight, and fit the scorers' weights to that."""
    console = Console()
    days, held_out = _read_days(trace, nodes, parts, held_out_percent, load_percent, seed, quick)
    out.mkdir(parents=True, exist_ok=True)
    tuning = _run(days, held_out, seed, QUICK_SOLVE_S if quick else solve_s, console)
    report = facts(tuning, seed)
    text = json.dumps(report, indent=1, allow_nan=False)
    (out / "report.json").write_text(f"{text}\n", encoding="utf-8")
    (out / "policy.yaml").write_text(policy_yaml(tuning), encoding="utf-8")
    show(tuning, report, console)
    try:
        draw(tuning, report, out / "report.png")
    except UnavailableError as error:
        console.print(str(error), style="yellow")
    console.print(f"kubectl apply --server-side -f {out / 'policy.yaml'}", soft_wrap=True)


def _run(days: Sequence[Day], held_out: int, seed: int, solve_s: float, console: Console) -> Tuning:
    """Return the tuning, with a progress bar."""
    bar = make_bar(console)
    with bar:
        task = bar.add_task("training", total=steps(len(days)))
        return tune(
            days,
            RankingParams(),
            held_out=held_out,
            seed=seed,
            solve=partial(solve_day, deadline_s=solve_s, seed=seed, clock=time.process_time),
            told=lambda step: bar.update(task, advance=1, description=step),
        )


def _read_days(
    traces: Sequence[Path],
    nodes_file: Path,
    parts: int,
    held_out_percent: int,
    load_percent: int,
    seed: int,
    quick: bool,
) -> tuple[list[Day], int]:
    """Return the days of all lists, those to learn from first, and how many are held out."""
    nodes = [
        _to_node(number, node)
        for number, node in enumerate(
            n for n, count in read_nodes(nodes_file) for _ in range(count)
        )
    ]
    chance = np.random.default_rng(seed)
    early: list[Day] = []
    late: list[Day] = []
    for file in traces[: 1 if quick else None]:
        cut = list(_cut(file, parts, chance))[: QUICK_DAYS if quick else None]
        days = [
            Day(
                f"{list_name(file)} {name}",
                draw_nodes(nodes, pods, load_percent / 100, chance),
                pods,
            )
            for name, pods in cut
        ]
        first = len(days) - max(1, round(len(days) * held_out_percent / 100))
        early += days[:first]
        late += days[first:]
    return early + late, len(late)


def _cut(
    file: Path, parts: int, chance: np.random.Generator
) -> Iterator[tuple[str, tuple[Pod, ...]]]:
    """Yield a list's days: by its own times, or equal parts where it has none.

    Raises:
        BadInputError: some pods have a time and others have none.
    """
    listed = read_pods(file)
    every = [pod for pod, count in listed for _ in range(count)]
    timed = [pod.comes_s is not None for pod in every]
    if any(timed) and not all(timed):
        message = "some pods have none; give all pods a time, or none"
        raise BadInputError(message, field=f"{file.name}, creation_time")
    if not any(timed) and len(every) > len(listed):  # equal pods stand together in such a list
        every = [every[at] for at in chance.permutation(len(every))]
    pods = [_to_pod(f"{list_name(file)}-{number:06d}", pod) for number, pod in enumerate(every)]
    if any(timed):
        times = [float(pod.comes_s or 0) for pod in every]
        yield from cut_by_time([Recorded(pod, at) for pod, at in zip(pods, times, strict=True)])
    else:
        yield from cut_by_count(pods, parts)


def _to_node(number: int, node: ListedNode) -> Node:
    name = f"node-{number:05d}"
    return Node(
        name,
        uid=name,
        labels={"kubernetes.io/hostname": name, CLASS_LABEL: node.model},
        allocatable={
            CPU: node.cpu_milli,
            MEMORY: node.memory_mib * MIB,
            PODS: POD_SLOTS,
            NVIDIA_GPU: node.gpus,
        },
    )


def _to_pod(name: str, pod: ListedPod) -> Pod:
    """Return a pod as the API server would have it: a shared device is a whole one there."""
    requests = {CPU: pod.cpu_milli, MEMORY: pod.memory_mib * MIB}
    if pod.gpus:
        requests[NVIDIA_GPU] = pod.gpus
    affinity = NO_AFFINITY
    if pod.models:
        term = NodeSelectorTerm((Requirement(CLASS_LABEL, "In", pod.models),))
        affinity = Affinity(required_node_terms=(term,))
    return Pod(name, "default", name, requests=requests, affinity=affinity)
