"""Protocol ``network``: which node a workload runs fastest on, beside simpler rules and models.

Cells: three simulated sites, and measured networks (round trips over time, cloud regions with their
bandwidth) whose jobs and background are simulated; three levels of chance in run times, 4 to 32
nodes. Train on earlier conditions, judge on later ones: of a measured network, on later slices.
``drift`` trains on one measurement of a network and is judged on another, much later one: bundled,
or ``--test-files`` (with ``--train-slices``) for any files. ``given`` takes recorded files.

Arms: ``stock`` (least allocated), ``least-loaded``, ``nearest-rtt``, ``topology`` (labels),
``ridge`` and ``forest`` on the same inputs, ``moorage`` as it ships (600 training jobs),
``moorage-100`` with a hundred, ``informed``: the simulator's own law applied to the readings, which
are noisy and a moment old, so the most that they tell, ``ceiling``: the true expected time at the
start, where only chance is unknown.

``top1`` and ``top2`` are percent of choices that turned out fastest or one of the two fastest,
``slower`` is the mean time over the fastest's in percent, ``on_stock``, ``to_best`` and
``to_informed`` points of ``top1`` above stock and below the ceiling and ``informed``,
``slower_than_best`` points of ``slower`` above the ceiling's, ``of_gain`` the percentage of the way
from stock to the ceiling,
``near_low`` and ``near_high`` the paired 95 % interval of ours less nearest, in points.
``spoilt-…`` cells spoil the telemetry: ``as_labels`` is the percentage of choices equal to those by
labels alone. ``score_ms`` is the CPU time of scoring all candidates of one job, median.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.progress import Progress

from moorage_benchmarks.network_matrices import BUNDLED, Measured, join_later, read_networks
from moorage_benchmarks.report import OURS, JsonFile, Row, finish, write_json
from moorage_cli.train.recorded import read_recorded
from moorage_policies.errors import BadInputError
from moorage_policies.network.evaluate import (
    RULES,
    Choice,
    Outcome,
    by_judge,
    by_topology,
    ceiling,
    evaluate,
    interval,
)
from moorage_policies.network.fit import SIMPLEST_FIRST, fit_family, train
from moorage_policies.network.model import Model
from moorage_policies.network.runs import Trial
from moorage_policies.network.scores import Judge
from moorage_policies.network.simulator import Noise, informed, simulate
from moorage_policies.network.spoil import SPOILS
from moorage_policies.network.worlds import World, measured, shaped_sites

PROTOCOL = "network"
SEED = 1
TRAINING = (600, 100)
JUDGED = 900
NODES = 8
CHANCES = (0.05, 0.10, 0.25)
SIZES = (4, 16, 32)
PEERS = ("ridge", "forest")
OURS_SMALL = f"{OURS}-100"
QUICK_FAMILIES = ("nearest-rtt", "formula", "ridge", "boosted-formula")
SCORED_NODES = 500
SCORINGS = 15


@dataclass(frozen=True, slots=True, eq=False)
class _Cell:
    name: str
    trials: tuple[Trial, ...]
    training: int
    """Trials before this one train, the others judge."""


def run(
    *,
    quick: bool = False,
    seed: int = SEED,
    networks: Sequence[Path] = (),
    test_files: Sequence[Path] = (),
    train_slices: int = 0,
    telemetry: Path | None = None,
    runs: Path | None = None,
    plot: Path | None = None,
    json_file: Path | None = None,
) -> list[Row]:
    """Return the rows of all arms per cell.

    Args:
        quick: two small cells with fewer jobs and families.
        seed: of everything drawn.
        networks: measured networks to use instead of the bundled ones.
        test_files: the same networks later, which judge.
        train_slices: how many slices of each network train, 0 for a share of them.
        telemetry: recorded samples; with ``runs``, the only cell.
        runs: recorded runs.
        plot: where to write a PNG of all cells.
        json_file: where to write all rows so far after each cell.
    """
    if telemetry is not None and runs is not None:
        cells = iter([_given(telemetry, runs)])
        total = 1
    else:
        found = read_networks(networks or BUNDLED)
        if test_files or train_slices:
            found = join_later(found, read_networks(test_files), train_slices)
        cells = _cells(found, seed, quick=quick, given=bool(networks))
        total = _count(found, quick=quick, given=bool(networks))
    rows: list[Row] = []
    with Progress(transient=True) as bar:
        task = bar.add_task("network", total=total)
        for cell in cells:
            bar.update(task, description=cell.name)
            rows += _measure(cell, seed, quick=quick)
            if json_file is not None:
                write_json(rows, json_file)
            bar.advance(task)
    if telemetry is None:
        rows += _time_scoring(seed, quick=quick)
    if plot is not None:
        _draw(rows, plot)
    return rows


def _given(telemetry: Path, runs: Path) -> _Cell:
    recorded = read_recorded(telemetry, runs)
    trials = tuple(trial for trial in recorded.trials if len(trial.rows) > 1)
    if len(trials) < 40:
        message = f"{len(trials)} decisions were run on several nodes; record at least 40"
        raise BadInputError(message, field="runs")
    training = min(max(TRAINING), len(trials) * 6 // 10)
    while training < len(trials) and trials[training].condition == trials[training - 1].condition:
        training += 1  # a condition is either trained on or judged on
    return _Cell("given", trials, training)


def _shapes(*, quick: bool, given: bool) -> Iterator[tuple[int, float]]:
    """Yield node counts and levels of chance to run each network with."""
    if quick:
        yield NODES, CHANCES[1]
        return
    for chance in CHANCES:
        yield NODES, chance
    for nodes in SIZES if not given else ():
        yield nodes, CHANCES[1]


def _count(found: Sequence[Measured], *, quick: bool, given: bool) -> int:
    shapes = len(list(_shapes(quick=quick, given=given)))
    if quick and not given:
        return 2
    return shapes * (len(found) + (not given))


def _cells(found: Sequence[Measured], seed: int, *, quick: bool, given: bool) -> Iterator[_Cell]:
    judged = 240 if quick else JUDGED
    training = 160 if quick else max(TRAINING)
    conditions = (training + judged) // 2
    for number, (nodes, chance) in enumerate(_shapes(quick=quick, given=given)):
        noise = Noise(duration=chance)
        if not given:
            draw = np.random.default_rng([seed, number])
            world = shaped_sites(draw, nodes, conditions)
            name = f"sites-{nodes}@{chance:g}"
            yield _Cell(name, tuple(simulate(draw, world, noise)), training)
        for which, network in enumerate(found[:1] if quick and not given else found):
            draw = np.random.default_rng([seed, number, which])
            share = training / (training + judged)
            world = _world(draw, network, min(nodes, len(network.nodes)), conditions, share)
            trials = tuple(simulate(draw, world, noise))
            drifts = network.early or (len(network.rtt_ms) > 1 and np.isinf(network.slice_s))
            name = f"{network.name}-{nodes}@{chance:g}{'-drift' if drifts else ''}"
            yield _Cell(name, trials, training)


def _world(
    draw: np.random.Generator, network: Measured, nodes: int, conditions: int, share: float
) -> World:
    """Return a part of a network; its early slices train, its later ones judge."""
    rows = np.sort(draw.choice(len(network.nodes), nodes, replace=False))
    count = len(network.rtt_ms)
    pick = np.ix_(np.arange(count), rows, rows)
    early = network.early or max(1, round(share * count))
    return measured(
        draw,
        network.rtt_ms[pick],
        conditions,
        mbps=None if network.mbps is None else network.mbps[pick],
        slice_s=network.slice_s,
        places=None if network.places is None else network.places[rows],
        names=[network.nodes[row] for row in rows],
        split=(early, round(share * conditions)) if count > 1 else None,
    )


def _measure(cell: _Cell, seed: int, *, quick: bool) -> Iterator[Row]:
    past, future = cell.trials[: cell.training], cell.trials[cell.training :]
    families = QUICK_FAMILIES if quick else SIMPLEST_FIRST
    ours = train(past, seed=seed, families=families).model
    arms: dict[str, Choice] = dict(RULES)
    for family in PEERS:
        peer = fit_family(past, family, seed=seed)
        arms[family] = by_judge(Judge(_credulous(peer)))
    arms[OURS] = by_judge(Judge(ours))
    if len(past) > min(TRAINING):
        few = train(past[: min(TRAINING)], seed=seed, families=families).model
        arms[OURS_SMALL] = by_judge(Judge(few))
    if all(trial.expected_s is not None for trial in future):
        arms["informed"] = informed
        arms["ceiling"] = ceiling
    outcomes = {name: evaluate(future, choice) for name, choice in arms.items()}
    for name, outcome in outcomes.items():
        for metric, value, unit in _metrics(name, outcome, outcomes, seed):
            yield Row(PROTOCOL, cell.name, name, metric, value, unit, seed)
    yield from _poison(cell, ours, seed)


def _credulous(model: Model) -> Model:
    """Return a peer that always decides: it has no notion of what it does not know."""
    known = replace(
        model.known,
        strangest=np.inf,
        varied=np.zeros_like(model.known.varied),
        asymmetry=np.inf,
        agreement=float("nan"),
        likeness=float("nan"),
    )
    return replace(model, known=known, distrust="")


def _metrics(
    name: str, outcome: Outcome, outcomes: dict[str, Outcome], seed: int
) -> Iterator[tuple[str, float, str]]:
    top = 100 * float(outcome.hit.mean())
    yield "top1", top, "%"
    yield "top2", 100 * float(outcome.near.mean()), "%"
    yield "slower", 100 * float(outcome.slowdown.mean()), "%"
    yield "mean_s", float(outcome.duration_s.mean()), "s"
    if not name.startswith(OURS):
        return
    stock = 100 * float(outcomes["stock"].hit.mean())
    yield "on_stock", top - stock, "%"
    if "ceiling" in outcomes:
        most = 100 * float(outcomes["ceiling"].hit.mean())
        yield "to_best", most - top, "%"
        told = 100 * float(outcomes["informed"].hit.mean())
        yield "to_informed", told - top, "%"
        lost = float(outcome.slowdown.mean() - outcomes["ceiling"].slowdown.mean())
        yield "slower_than_best", 100 * lost, "%"
        yield "of_gain", 100 * (top - stock) / max(most - stock, 1e-9), "%"
    chance = np.random.default_rng(seed)
    low, high = interval(outcome.hit - outcomes["nearest-rtt"].hit, chance)
    yield "near_low", 100 * low, "%"
    yield "near_high", 100 * high, "%"


def _poison(cell: _Cell, model: Model, seed: int) -> Iterator[Row]:
    """Yield how often spoilt telemetry leads to the choice by labels, where there are labels."""
    future = cell.trials[cell.training :][:100]
    if not (future[0].view.places >= 0).any():
        return
    ours = by_judge(Judge(model))
    for name, spoil in SPOILS.items():
        chance = np.random.default_rng(seed)
        spoilt = [replace(trial, view=spoil(chance, trial.view)) for trial in future]
        same = [ours(trial) == by_topology(trial) for trial in spoilt]
        case = f"spoilt-{cell.name}"
        value = 100 * float(np.mean(same))
        yield Row(PROTOCOL, case, name, "as_labels", value, "%", seed)


def _time_scoring(seed: int, *, quick: bool) -> Iterator[Row]:
    """Yield how long one job's candidates take, by CPU time, for a model with trees."""
    chance = np.random.default_rng(seed)
    small = tuple(simulate(chance, shaped_sites(chance, NODES, 60), Noise()))
    model = fit_family(small, "boosted-formula", seed=seed)
    for nodes in (SCORED_NODES,) if quick else (100, SCORED_NODES):
        trial = next(iter(simulate(chance, shaped_sites(chance, nodes, 1), Noise())))
        judge = Judge(_credulous(model))
        rows, took = np.arange(nodes), []
        sight = judge.look(trial.view)  # once a view, not once a job
        for _ in range(SCORINGS):
            began = time.process_time()
            judge.score(sight, trial.job, rows)
            took.append(1000 * (time.process_time() - began))
        case = f"scoring-{nodes}"
        yield Row(PROTOCOL, case, OURS, "score_ms", float(np.median(took)), "ms", seed)


def _draw(rows: Sequence[Row], path: Path) -> None:
    """Write the accuracy of every arm in every cell."""
    import_module("matplotlib").use("Agg")
    pyplot = import_module("matplotlib.pyplot")
    accuracy = {(row.case, row.arm): row.value for row in rows if row.metric == "top1"}
    cells = list(dict.fromkeys(case for case, _ in accuracy))
    arms = list(dict.fromkeys(arm for _, arm in accuracy))
    figure, axis = pyplot.subplots(figsize=(max(8, 0.7 * len(cells) + 3), 6), layout="constrained")
    for arm in arms:
        axis.plot(
            range(len(cells)),
            [accuracy.get((cell, arm), float("nan")) for cell in cells],
            "o" if arm.startswith(OURS) else "_" if arm == "ceiling" else ".",
            markersize=18 if arm == "ceiling" else 8,
            color="black" if arm == "ceiling" else "tab:orange" if arm == OURS else None,
            label=arm,
        )
    axis.set_xticks(range(len(cells)), cells, rotation=60, ha="right")
    axis.set_ylabel("fastest node chosen, % of held-out decisions")
    axis.set_title("network: nodes and chance (standard deviation of log duration) per cell")
    axis.grid(axis="y", alpha=0.4)
    axis.legend(ncols=2, fontsize=8)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


app = typer.Typer()


@app.command()
def network(
    networks: Annotated[
        list[Path] | None, typer.Argument(help="Measured networks, instead of those bundled.")
    ] = None,
    test_files: Annotated[
        list[Path] | None,
        typer.Option(help="The same networks measured later: train on the others, judge on these."),
    ] = None,
    train_slices: Annotated[
        int, typer.Option(min=0, help="Train on so many first slices of each network.")
    ] = 0,
    quick: Annotated[bool, typer.Option(help="Two small cells, to see that it runs.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Seed of every random choice.")] = SEED,
    telemetry: Annotated[Path | None, typer.Option(help="Recorded samples.")] = None,
    runs: Annotated[Path | None, typer.Option(help="Recorded runs.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Write a PNG of all cells here.")] = None,
    json_file: JsonFile = None,
) -> None:
    """Choose nodes by the network, beside simpler rules, on conditions not seen in training."""
    if (telemetry is None) != (runs is None):
        raise BadInputError("give both --telemetry and --runs, or none", field="--runs")
    rows = run(
        quick=quick,
        seed=seed,
        networks=tuple(networks or ()),
        test_files=tuple(test_files or ()),
        train_slices=train_slices,
        telemetry=telemetry,
        runs=runs,
        plot=plot,
        json_file=json_file,
    )
    finish(rows, json_file)
