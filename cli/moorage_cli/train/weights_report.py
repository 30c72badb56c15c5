"""What a tuning of weights came to: numbers for machines and people, a policy and two plots."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from rich.console import Console
from rich.table import Table

from moorage_cli.train.output import load_pyplot
from moorage_crds.policy import POLICY_NAME
from moorage_crds.ranking import SCORERS
from moorage_policies.tuning import BUILT, FITTED, HINDSIGHT, STOCK, TUNED, Tuning

ARMS = (STOCK, BUILT, FITTED, HINDSIGHT)
GOAL_RATIO = 0.5


def facts(tuning: Tuning, seed: int) -> dict[str, Any]:
    """Return the report: the weights, and what each arm served on days not fitted on."""
    first = len(tuning.days) - tuning.held_out
    chance = np.random.default_rng(seed)
    return {
        "weights": dict(zip(_names(), tuning.shares, strict=True)),
        "builtIn": dict.fromkeys(_names(), 10),
        "daysLearned": first,
        "daysHeldOut": tuning.held_out,
        "seed": seed,
        "arms": {
            arm: {
                "unservedHeldOutRatio": _unserved(tuning, arm, slice(first, None)),
                "unservedLearnedRatio": _unserved(tuning, arm, slice(0, first)),
            }
            for arm in ARMS
        },
        "gapClosedRatio": {
            heuristic: _closed(tuning, heuristic, chance) for heuristic in (STOCK, BUILT)
        },
        "days": [
            {
                "name": day.name,
                "heldOut": row >= first,
                "pods": len(day.pods),
                "nodes": len(day.nodes),
                "gpusOffered": day.offered_gpus,
                "gpusAsked": day.asked_gpus,
                "gpusServed": {arm: int(tuning.gpus[arm][row]) for arm in ARMS},
            }
            for row, day in enumerate(tuning.days)
        ],
    }


def policy_yaml(tuning: Tuning) -> str:
    """Return a PlacementPolicy with the fitted weights, ready to be applied."""
    scorers = [
        {"name": name, "weight": share} for name, share in zip(_names(), tuning.shares, strict=True)
    ]
    document = {
        "apiVersion": "moorage.dev/v1alpha1",
        "kind": "PlacementPolicy",
        "metadata": {"name": POLICY_NAME},
        "spec": {"scorers": scorers},
    }
    text: str = yaml.safe_dump(document, sort_keys=False)
    return text


def show(tuning: Tuning, report: dict[str, Any], console: Console) -> None:
    """Print the report as a table and say what was reached, and what not."""
    title = f"GPUs that nobody got, {tuning.held_out} held-out days"
    table = Table(title=title, title_justify="left")
    for column in ("arm", "held-out days %", "days learned from %"):
        table.add_column(column, justify="left" if column == "arm" else "right")
    for arm, found in report["arms"].items():
        cells = (found["unservedHeldOutRatio"], found["unservedLearnedRatio"])
        style = "bold" if arm == FITTED else None
        table.add_row(arm, *(f"{100 * cell:.2f}" for cell in cells), style=style)
    console.print(table)
    weights = ", ".join(f"{name} {share}" for name, share in report["weights"].items())
    console.print(f"weights (10 is built in): {weights}")
    for heuristic, found in report["gapClosedRatio"].items():
        console.print(f"gap from {heuristic} to hindsight: {_told(found)}")


def _told(found: dict[str, float] | None) -> str:
    if found is None:
        return "there is none on these days"
    reached = "" if found["mean"] >= GOAL_RATIO else "; less than half"
    if found["mean"] < 0:
        reached = "; these weights do worse here, do not apply them"
    low, high = 100 * found["low"], 100 * found["high"]
    return f"{100 * found['mean']:.0f} % closed (95 %: {low:.0f} to {high:.0f} %){reached}"


def draw(tuning: Tuning, report: dict[str, Any], path: Path) -> None:
    """Write two plots: what nobody got by day, and what each set of weights served.

    Raises:
        UnavailableError: matplotlib is not installed.
    """
    pyplot = load_pyplot()
    figure, (left, right) = pyplot.subplots(
        1, 2, figsize=(13, 5), layout="constrained", width_ratios=(3, 1)
    )
    asked = np.array([day.asked_gpus for day in tuning.days])
    for arm in ARMS:
        lost = 100 * (1 - tuning.gpus[arm] / asked)
        left.plot(lost, ".-", label=arm, lw=2 if arm == FITTED else 1)
    left.axvspan(len(asked) - tuning.held_out - 0.5, len(asked) - 0.5, alpha=0.1, label="held out")
    left.set_ylim(bottom=0)
    left.set_xlabel("recorded day")
    left.set_ylabel("asked GPUs that nobody got, %")
    left.legend(fontsize=8, ncols=2)
    left.set_title("lower is better")
    means = [100 * report["arms"][arm]["unservedHeldOutRatio"] for arm in ARMS]
    bars = right.bar(ARMS, means, color=[f"C{at}" for at in range(len(ARMS))])
    right.bar_label(bars, fmt="%.1f")
    right.tick_params(axis="x", rotation=30)
    right.set_title("held-out days, %")
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _names() -> tuple[str, ...]:
    """Return the tuned scorers as a policy calls them."""
    names = {parts[0]: name for name, parts in SCORERS.items() if len(parts) == 1}
    return tuple(names[scorer] for scorer in TUNED)


def _unserved(tuning: Tuning, arm: str, rows: slice) -> float:
    asked = sum(day.asked_gpus for day in tuning.days[rows])
    return round(1 - float(tuning.gpus[arm][rows].sum()) / asked, 5)


def _closed(tuning: Tuning, heuristic: str, chance: np.random.Generator) -> dict[str, float] | None:
    mean = tuning.closed_ratio(heuristic)
    if math.isnan(mean):
        return None
    low, high = tuning.interval(heuristic, chance)
    return {"mean": round(mean, 4), "low": round(low, 4), "high": round(high, 4)}
