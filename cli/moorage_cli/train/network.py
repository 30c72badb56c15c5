"""``moorage train network``: from recorded runs, or simulated ones, to a model and a report."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console

from moorage_cli.train.output import make_bar
from moorage_cli.train.recorded import Recorded, read_recorded, write_recorded
from moorage_cli.train.report import draw, facts, show
from moorage_policies.errors import BadInputError, UnavailableError
from moorage_policies.network.document import digest, write
from moorage_policies.network.fit import SIMPLEST_FIRST, Training, steps, train
from moorage_policies.network.runs import Trial
from moorage_policies.network.simulator import Noise, simulate
from moorage_policies.network.worlds import shaped_sites

app = typer.Typer()
SIMULATED_NODES, SIMULATED_CONDITIONS = 9, 300


@app.command()
def network(
    telemetry: Annotated[
        Path | None, typer.Option(help="Recorded samples, CSV or Parquet.")
    ] = None,
    runs: Annotated[Path | None, typer.Option(help="Recorded runs, CSV or Parquet.")] = None,
    out: Annotated[
        Path, typer.Option(help="Folder for model.json, report.json and report.png.")
    ] = Path("network-model"),
    seed: Annotated[int, typer.Option(min=0, help="Seed of folds, trees and the simulator.")] = 1,
    families: Annotated[
        list[str] | None, typer.Option("--family", help="Compare only these families.")
    ] = None,
    quick: Annotated[bool, typer.Option(help="Few simulated jobs, to see that it runs.")] = False,
    record: Annotated[
        bool, typer.Option(help="Also write what was simulated, as an example of both files.")
    ] = False,
) -> None:
    """Learn where workloads run fastest; without files, from a simulated network of three sites."""
    console = Console()
    recorded = _recorded(telemetry, runs, seed, quick=quick)
    out.mkdir(parents=True, exist_ok=True)
    if record:
        write_recorded(recorded.trials, out / "telemetry.csv", out / "runs.csv")
    for reason, count in sorted(recorded.ignored.items()):
        console.print(f"left out: {reason}, {count} times", style="yellow")
    training = run_training(recorded.trials, seed, _checked(families), console)
    document = write(training.model)
    (out / "model.json").write_text(document, encoding="utf-8")
    report = facts(training, recorded.trials, digest(document))
    text = json.dumps(report, indent=1, allow_nan=False)
    (out / "report.json").write_text(f"{text}\n", encoding="utf-8")
    show(report, console)
    try:
        draw(training, recorded.trials, out / "report.png")
    except UnavailableError as error:
        console.print(str(error), style="yellow")
    console.print(f"{out / 'model.json'}  {digest(document)}", soft_wrap=True)


def run_training(
    trials: Sequence[Trial], seed: int, families: Sequence[str], console: Console
) -> Training:
    """Return the training, with a progress bar."""
    bar = make_bar(console)
    with bar:
        task = bar.add_task("training", total=steps(families))
        return train(
            trials,
            seed=seed,
            families=families,
            told=lambda step: bar.update(task, advance=1, description=step),
        )


def _checked(families: Sequence[str] | None) -> Sequence[str]:
    unknown = sorted(set(families or ()) - set(SIMPLEST_FIRST))
    if unknown:
        known = ", ".join(SIMPLEST_FIRST)
        raise BadInputError(f"no family {unknown[0]!r}; there are {known}", field="--family")
    return tuple(families) if families else SIMPLEST_FIRST


def _recorded(telemetry: Path | None, runs: Path | None, seed: int, *, quick: bool) -> Recorded:
    if (telemetry is None) != (runs is None):
        raise BadInputError("give both --telemetry and --runs, or none", field="--runs")
    if telemetry is not None and runs is not None:
        return read_recorded(telemetry, runs)
    chance = np.random.default_rng(seed)
    conditions = 40 if quick else SIMULATED_CONDITIONS
    world = shaped_sites(chance, SIMULATED_NODES, conditions)
    return Recorded(tuple(simulate(chance, world, Noise())), Counter())
