"""Protocol ``fragmentation``: pods of a recorded cluster arrive until nothing fits any more.

Pods arrive in random order, none leaves, until they have asked for 130 % of all GPUs; every policy
sees the same streams. Measured is the share of GPUs that nobody got. Shared devices exist here
only: the API server does not tell which device of a node a pod shares.

Arms: ``least-allocated`` and ``most-allocated`` as kube-scheduler scores (CPU and memory; GPUs as
well in the latter), ``best-fit``, ``dot-product`` and ``fgd`` as their authors' simulator scores
them (whole scores from 0 to 100). Ties fall at random, as in kube-scheduler, but in ``fgd``, where
the last name wins as in its authors' patched scheduler; ``fgd-random-ties`` shows what that is
worth. ``moorage`` learns the mix of requests while it runs; whatever the form of its answer, the
chosen node alone has 10 points, so that its own tie rule decides. ``…(published)`` are the means
over ten seeds that the authors of FGD give, ``offline-sorted`` places the stream sorted from large
to small by our scorer (first seed), and ``offline-bound`` is what no placement of the whole stream
can beat.
"""

from __future__ import annotations

import csv
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from statistics import NormalDist
from typing import Annotated

import numpy as np
import typer
from rich.progress import Progress

from moorage_benchmarks.fragmentation_bound import bound_milli
from moorage_benchmarks.fragmentation_peers import PEERS, replay
from moorage_benchmarks.fragmentation_trace import Trace, read_trace
from moorage_benchmarks.report import OURS, JsonFile, Row, finish
from moorage_policies.simulation.shared_devices import SharedPlacer
from moorage_policies.types import BoolArray, FloatArray, IntArray

PROTOCOL = "fragmentation"
SEED = 1
SEEDS = 10
ARRIVAL_PERCENT = 130.0
SHOWN_PERCENT = (95, 100)
FGD = "fgd"
ONLINE = {peer.name for peer in PEERS} | {OURS}
ALL_LISTS = "mean"
TRACES = Path(__file__).with_name("traces") / "openb"
LISTS = ("default", "cpu050", "cpu100", "gpushare40", "gpuspec10", "gpuspec33", "multigpu20")
_QUICK_NODES = 8
OFFLINE_MARKS = {"offline-sorted": "--", "offline-bound": "-"}
"""Lines of what is no bar, as it knows all pods beforehand."""
PEER_COLOURS = ("#c6dbef", "#9ecae1", "#6baed6", "#3182bd", "#bdbdbd", "#737373", "#dadaeb")
BARS_WIDTH = 0.8


@dataclass(frozen=True, slots=True, eq=False)
class _Outcome:
    """One stream under one policy.

    Args:
        placed: which pods found a node, in order of arrival.
        cpu_s: CPU seconds of the whole replay.
        each_ms: wall milliseconds of each decision, where they were measured one by one.
    """

    placed: BoolArray
    cpu_s: float
    each_ms: FloatArray | None = None


def run(
    *,
    quick: bool = False,
    seed: int = SEED,
    nodes: Path | None = None,
    pods: Sequence[Path] = (),
    seeds: int = SEEDS,
    arrival_percent: float = ARRIVAL_PERCENT,
) -> list[Row]:
    """Return the rows of every arm per pod list, and their means over the lists.

    Args:
        quick: one list, every eighth node, two seeds.
        seed: first of the seeds.
        nodes: node list to use instead of the one that comes along.
        pods: pod lists to use instead.
        seeds: streams per list.
        arrival_percent: GPUs asked for at the end of a stream, in percent of all.
    """
    node_file = nodes or TRACES / "nodes.csv"
    files = list(pods) or [TRACES / f"{name}.csv" for name in LISTS]
    if quick:
        files, seeds = files[:1], min(seeds, 2)
    traces = [read_trace(node_file, file) for file in files]
    if quick and nodes is None:
        traces = [trace.thinned(_QUICK_NODES) for trace in traces]
    rows: list[Row] = []
    arms = len(PEERS) + 1
    with Progress(transient=True) as progress:
        task = progress.add_task("fragmentation", total=len(traces) * seeds * arms)
        for trace in traces:
            found: dict[str, list[dict[str, float]]] = {}
            for each in range(seed, seed + seeds):
                stream = trace.arrivals(arrival_percent, each)
                for arm, metrics in _measure(trace, stream, each, offline=each == seed):
                    found.setdefault(arm, []).append(metrics)
                    progress.advance(task, arm in ONLINE)
            rows += _rows(trace, found, seed)
            if not quick and not pods and nodes is None:
                rows += _published(trace.name, seed)
    return rows + (list(_means(rows, seed)) if len(traces) > 1 else [])


def _measure(
    trace: Trace, stream: IntArray, seed: int, *, offline: bool
) -> Iterator[tuple[str, dict[str, float]]]:
    for peer in PEERS:
        began = time.process_time()
        placed = replay(trace, stream, peer, seed)
        outcome = _Outcome(placed, time.process_time() - began)
        yield peer.name, _metrics(trace, stream, outcome)
    yield OURS, _metrics(trace, stream, _place(trace, stream))
    if not offline:
        return
    gpus = trace.gpus_milli
    largest_first = stream[np.lexsort((-_cpu(trace)[stream], -gpus[stream]))]
    placed = _place(trace, largest_first).placed
    got = float(gpus[largest_first][placed].sum())
    yield "offline-sorted", {"unalloc_pct": _unallocated(trace, got)}
    yield "offline-bound", {"unalloc_pct": _unallocated(trace, bound_milli(trace, stream))}


def _place(trace: Trace, stream: IntArray) -> _Outcome:
    placer = SharedPlacer(trace.nodes.copy())
    placed = np.zeros(len(stream), dtype=bool)
    each_s = np.zeros(len(stream))
    began = time.process_time()
    for at, shape in enumerate(stream.tolist()):
        placer.learn_if_due()  # never within a decision: the extender learns off its verbs as well
        started_s = time.perf_counter()
        placed[at] = placer.place(trace.shapes[shape]) is not None
        each_s[at] = time.perf_counter() - started_s
    return _Outcome(placed, time.process_time() - began, each_s * 1e3)


def _metrics(trace: Trace, stream: IntArray, outcome: _Outcome) -> dict[str, float]:
    asked = trace.gpus_milli[stream]
    arrived = np.cumsum(asked)
    got = np.cumsum(np.where(outcome.placed, asked, 0))
    metrics = {"unalloc_pct": _unallocated(trace, float(got[-1]))}
    for percent in SHOWN_PERCENT:
        until = int(np.searchsorted(arrived, percent / 100 * trace.capacity_milli, side="right"))
        got_then = float(got[min(until, len(got)) - 1])
        metrics[f"at_{percent}_pct"] = _unallocated(trace, got_then)
    devices = np.array([shape.devices for shape in trace.shapes])[stream]
    shared = np.array([shape.milli < 1000 for shape in trace.shapes])[stream]
    metrics["failed_shared"] = float((~outcome.placed & shared).sum())
    metrics["failed_single"] = float((~outcome.placed & (devices == 1) & ~shared).sum())
    metrics["failed_multi"] = float((~outcome.placed & (devices > 1)).sum())
    metrics["cpu_s"] = outcome.cpu_s
    if outcome.each_ms is not None:
        metrics["p50_ms"] = float(np.percentile(outcome.each_ms, 50))
        metrics["p99_ms"] = float(np.percentile(outcome.each_ms, 99))
    return metrics


def _cpu(trace: Trace) -> IntArray:
    return np.array([shape.cpu for shape in trace.shapes], dtype=np.int64)


def _unallocated(trace: Trace, got_milli: float) -> float:
    return max(0.0, 100.0 * (1.0 - got_milli / trace.capacity_milli))


def _rows(trace: Trace, found: dict[str, list[dict[str, float]]], seed: int) -> Iterator[Row]:
    """Yield means over the seeds, and how ours compares with FGD stream by stream."""
    for arm, each in found.items():
        for metric in each[0]:
            value = float(np.mean([metrics[metric] for metrics in each]))
            yield Row(PROTOCOL, trace.name, arm, metric, value, _unit(metric), seed)
    ours, fgd = (
        np.array([metrics["unalloc_pct"] for metrics in found[arm]]) for arm in (OURS, FGD)
    )
    yield Row(PROTOCOL, trace.name, OURS, "to_fgd", ours.mean() / fgd.mean(), "1", seed)
    better = float((ours < fgd).mean())
    yield Row(PROTOCOL, trace.name, OURS, "below_fgd", better, "1", seed)
    if len(ours) > 1:
        error = (ours - fgd).std(ddof=1) / len(ours) ** 0.5
        margin = (ours - fgd).mean() + NormalDist().inv_cdf(0.975) * error
        yield Row(PROTOCOL, trace.name, OURS, "fgd_margin_pct", margin, "%", seed)


def _published(name: str, seed: int) -> Iterator[Row]:
    with (TRACES / "published.csv").open(encoding="utf-8", newline="") as text:
        for line in csv.DictReader(text):
            if line["list"] == name:
                arm = f"{line['arm']} (published)"
                for metric, column in (
                    ("unalloc_pct", "allocated_130_pct"),
                    ("at_95_pct", "allocated_95_pct"),
                    ("at_100_pct", "allocated_100_pct"),
                ):
                    yield Row(PROTOCOL, name, arm, metric, 100 - float(line[column]), "%", seed)


def _means(rows: Sequence[Row], seed: int) -> Iterator[Row]:
    """Yield the means over the lists of what is unallocated, and ours in terms of FGD's."""
    by_arm: dict[str, list[float]] = {}
    for row in rows:
        if row.metric == "unalloc_pct":
            by_arm.setdefault(row.arm, []).append(row.value)
    for arm, values in by_arm.items():
        value = float(np.mean(values))
        yield Row(PROTOCOL, ALL_LISTS, arm, "unalloc_pct", value, "%", seed)
    ratio = float(np.mean(by_arm[OURS]) / np.mean(by_arm[FGD]))
    yield Row(PROTOCOL, ALL_LISTS, OURS, "to_fgd", ratio, "1", seed)


def draw(rows: Sequence[Row], path: Path) -> None:
    """Write what is left unallocated by arm and list as a PNG: online bars, offline marks."""
    import_module("matplotlib").use("Agg")
    pyplot = import_module("matplotlib.pyplot")
    left = {(row.case, row.arm): row.value for row in rows if row.metric == "unalloc_pct"}
    cases = list(dict.fromkeys(case for case, _ in left))
    every = list(dict.fromkeys(arm for _, arm in left if not arm.endswith("(published)")))
    arms = [arm for arm in every if arm not in OFFLINE_MARKS]
    colours = dict(zip((arm for arm in arms if arm != OURS), PEER_COLOURS, strict=False))
    figure, axis = pyplot.subplots(figsize=(max(8, 1.6 * len(cases)), 6), layout="constrained")
    width = BARS_WIDTH / len(arms)
    for number, arm in enumerate(arms):
        bars = axis.bar(
            [place + (number + 0.5) * width - BARS_WIDTH / 2 for place in range(len(cases))],
            [left.get((case, arm), float("nan")) for case in cases],
            width,
            color=colours.get(arm, "tab:orange"),
            label=arm,
        )
        if arm == OURS:
            box = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}
            axis.bar_label(bars, fmt="%.1f", fontsize=8, padding=2, bbox=box)
    for arm, style in OFFLINE_MARKS.items():
        for place, case in enumerate(cases):
            ends = (place - BARS_WIDTH / 2, place + BARS_WIDTH / 2)
            label = arm if place == 0 else None
            value = left.get((case, arm), float("nan"))
            axis.hlines(value, *ends, color="black", ls=style, lw=1.5, label=label)
    axis.set_xticks(range(len(cases)), cases)
    axis.set_ylim(bottom=-0.1)
    axis.set_ylabel("GPUs that nobody got, %")
    axis.set_title("fragmentation: lower is better")
    axis.grid(axis="y", alpha=0.4)
    axis.set_axisbelow(True)
    figure.legend(loc="outside lower center", ncols=5, fontsize=9, frameon=False)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _unit(metric: str) -> str:
    units = {"pct": "%", "ms": "ms", "s": "s"}
    return units.get(metric.rsplit("_", 1)[-1], "1")


app = typer.Typer()


@app.callback(invoke_without_command=True)
def fragmentation(
    nodes: Annotated[Path | None, typer.Option(help="Node list (CSV, .gz).", exists=True)] = None,
    pods: Annotated[
        list[Path] | None, typer.Option(help="Pod list; give it several times.", exists=True)
    ] = None,
    quick: Annotated[bool, typer.Option(help="One list, fewer nodes, two seeds.")] = False,
    seed: Annotated[int, typer.Option(help="First seed.")] = SEED,
    seeds: Annotated[int, typer.Option(help="Streams per list.", min=1)] = SEEDS,
    arrival_percent: Annotated[
        float, typer.Option(help="GPUs asked for at the end, in percent of all.", min=1, max=1000)
    ] = ARRIVAL_PERCENT,
    plot: Annotated[Path | None, typer.Option(help="Write a PNG of all lists here.")] = None,
    json_file: JsonFile = None,
) -> None:
    """Fill a recorded cluster with pods and measure which GPUs nobody gets."""
    rows = run(
        quick=quick,
        seed=seed,
        nodes=nodes,
        pods=pods or (),
        seeds=seeds,
        arrival_percent=arrival_percent,
    )
    if plot is not None:
        draw(rows, plot)
    finish(rows, json_file)
