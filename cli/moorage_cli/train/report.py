"""What a training came to: numbers for machines and people, and four plots."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from moorage_cli.train.output import load_pyplot
from moorage_policies.network.evaluate import RULES, Outcome, evaluate, interval, judge_picks
from moorage_policies.network.fit import Training
from moorage_policies.network.importance import importance
from moorage_policies.network.runs import Trial
from moorage_policies.types import FloatArray, IntArray

BINS = 10
SHOWN = 12
CHANCE_SEED = 7


def facts(training: Training, trials: Sequence[Trial], digest: str) -> dict[str, Any]:
    """Return the report: what each family and rule did on conditions that it had not seen."""
    outcomes = _outcomes(training, trials)
    chance = np.random.default_rng(CHANCE_SEED)
    model = training.model
    return {
        "digest": digest,
        "family": model.family,
        "distrust": model.distrust,
        "decisions": len(trials),
        "choices": len(_choices(trials)),
        "workloads": sorted(model.workloads),
        "arms": {
            name: {
                "top1": round(float(outcome.hit.mean()), 4),
                "top1Interval": [round(value, 4) for value in interval(outcome.hit, chance)],
                "top2": round(float(outcome.near.mean()), 4),
                "meanSlowdown": round(float(outcome.slowdown.mean()), 4),
                "p95Slowdown": round(float(np.quantile(outcome.slowdown, 0.95)), 4),
            }
            for name, outcome in outcomes.items()
        },
        "calibration": [
            {"predicted": round(x, 4), "measured": round(y, 4)}
            for x, y in zip(*_calibration(training, trials), strict=True)
        ],
        "importance": {
            name: round(value, 4) for name, value in importance(model, trials).items() if value > 0
        },
    }


def show(report: dict[str, Any], console: Console) -> None:
    """Print the report as a table."""
    table = Table(title="on conditions not seen in training", title_justify="left")
    for column in ("arm", "fastest node %", "one of two fastest %", "mean slowdown %"):
        table.add_column(column, justify="left" if column == "arm" else "right")
    for name, arm in report["arms"].items():
        cells = (arm["top1"], arm["top2"], arm["meanSlowdown"])
        style = "bold" if name == report["family"] else None
        table.add_row(name, *(f"{100 * cell:.1f}" for cell in cells), style=style)
    console.print(table)
    console.print(f"taken: {report['family']}, from {report['decisions']} decisions")
    if report["distrust"]:
        console.print(f"the model will not decide: {report['distrust']}", style="yellow")


def draw(training: Training, trials: Sequence[Trial], path: Path) -> None:
    """Write four plots: accuracy, slowdown, calibration, and what the model looks at.

    Raises:
        UnavailableError: matplotlib is not installed.
    """
    pyplot = load_pyplot()
    outcomes = _outcomes(training, trials)
    figure, axes = pyplot.subplots(2, 2, figsize=(12, 8.5), layout="constrained")
    figure.suptitle(
        f"network model «{training.model.family}», {len(trials)} decisions, held-out conditions"
    )
    _draw_accuracy(axes[0, 0], outcomes, training.model.family)
    _draw_slowdown(axes[0, 1], outcomes, training.model.family)
    _draw_calibration(axes[1, 0], *_calibration(training, trials))
    _draw_importance(axes[1, 1], importance(training.model, trials))
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _draw_accuracy(axis: Any, outcomes: dict[str, Outcome], ours: str) -> None:  # noqa: ANN401
    chance = np.random.default_rng(CHANCE_SEED)
    names = sorted(outcomes, key=lambda name: float(outcomes[name].hit.mean()))
    means = [100 * float(outcomes[name].hit.mean()) for name in names]
    ends = [interval(outcomes[name].hit, chance) for name in names]
    spread = [
        [mean - 100 * low for mean, (low, _) in zip(means, ends, strict=True)],
        [100 * high - mean for mean, (_, high) in zip(means, ends, strict=True)],
    ]
    colours = ["tab:orange" if name == ours else "tab:blue" for name in names]
    axis.barh(names, means, xerr=spread, color=colours, error_kw={"lw": 1})
    axis.set_xlabel("fastest node chosen, % (95 % interval)")
    axis.set_title("accuracy")


def _draw_slowdown(axis: Any, outcomes: dict[str, Outcome], ours: str) -> None:  # noqa: ANN401
    share = np.linspace(0, 100, 201)
    for name, outcome in outcomes.items():
        axis.plot(
            100 * np.percentile(outcome.slowdown, share),
            share,
            label=name,
            lw=2.5 if name == ours else 1,
            color="tab:orange" if name == ours else None,
            ls="-" if name == ours else "--",
        )
    axis.set_xscale("symlog", linthresh=1)
    axis.set_xlim(left=0)
    axis.set_xlabel("slower than the fastest node, %")
    axis.set_ylabel("share of decisions, %")
    axis.set_title("regret")
    axis.legend(fontsize=8, loc="lower right")


def _draw_calibration(axis: Any, predicted: FloatArray, measured: FloatArray) -> None:  # noqa: ANN401
    axis.plot(predicted, measured, "o-", label="mean of a tenth of the runs")
    ends = [
        float(min(predicted.min(), measured.min())),
        float(max(predicted.max(), measured.max())),
    ]
    axis.plot(ends, ends, "k--", lw=1, label="perfect")
    axis.set_xlabel("predicted: log of duration by the decision's mean")
    axis.set_ylabel("measured")
    axis.set_title("calibration")
    axis.legend(fontsize=8)


def _draw_importance(axis: Any, values: dict[str, float]) -> None:  # noqa: ANN401
    first = sorted(values.items(), key=lambda item: item[1])[-SHOWN:]
    axis.barh([name for name, _ in first], [100 * value for _, value in first])
    axis.set_xlabel("mean slowdown added when its readings are exchanged, points")
    axis.set_title("what the model looks at")


def _choices(trials: Sequence[Trial]) -> list[int]:
    return [number for number, trial in enumerate(trials) if len(trial.rows) > 1]


def _spans(trials: Sequence[Trial]) -> Iterator[IntArray]:
    end = 0
    for trial in trials:
        begin, end = end, end + len(trial.rows)
        yield np.arange(begin, end)


def _outcomes(training: Training, trials: Sequence[Trial]) -> dict[str, Outcome]:
    numbers = _choices(trials)
    chosen_from = [trials[number] for number in numbers]
    if not chosen_from:
        return {}
    rules = {name: rule for name, rule in RULES.items() if name not in training.held_out}
    outcomes = {name: evaluate(chosen_from, rule) for name, rule in rules.items()}
    spans = list(_spans(trials))
    for family, guess in training.held_out.items():
        picks = [int(np.nanargmin(guess[spans[number]])) for number in numbers]
        outcomes[family] = judge_picks(chosen_from, picks)
    return outcomes


def _calibration(training: Training, trials: Sequence[Trial]) -> tuple[FloatArray, FloatArray]:
    """Return predicted and measured log ratios to the decision's mean, means of tenths."""
    guess = training.held_out[training.model.family]
    pairs = [
        (guess[rows] - guess[rows].mean(), np.log(trial.duration_s / trial.duration_s.mean()))
        for trial, rows in zip(trials, _spans(trials), strict=True)
        if len(rows) > 1 and np.isfinite(guess[rows]).all()
    ]
    if not pairs:
        return np.zeros(1), np.zeros(1)
    predicted = np.concatenate([left for left, _ in pairs])
    measured = np.concatenate([right - right.mean() for _, right in pairs])
    tenths = np.array_split(np.argsort(predicted), BINS)
    return (
        np.array([predicted[tenth].mean() for tenth in tenths if len(tenth)]),
        np.array([measured[tenth].mean() for tenth in tenths if len(tenth)]),
    )
