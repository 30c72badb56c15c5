"""Training: families compared on conditions they did not see, the best one fitted on everything.

Offline only: the one place that imports the model libraries.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from moorage_policies.errors import BadInputError
from moorage_policies.network.learners import Pieces, Table, learn, make_table
from moorage_policies.network.model import (
    INPUTS,
    VARIABLE,
    Known,
    Model,
    Predictor,
    Profile,
    encode,
)
from moorage_policies.network.runs import Trial
from moorage_policies.network.scores import topology_choice
from moorage_policies.network.telemetry import LOCAL_RTT_MS, View, agreement, asymmetry, likeness
from moorage_policies.types import FloatArray, IntArray

FOLDS = 5
LEAST_TRIALS = 20
MAX_NAMES = 128
HISTORY_RATIO, STEADY = 0.6, 0.7
"""Likeness to the past, as a share of the least in training, below which readings are not believed.
A network that was less steady than ``STEADY`` even then is not held to its past."""
SIMPLEST_FIRST = (
    "nearest-rtt",
    "costs",
    "formula",
    "ridge",
    "boosted-formula",
    "boosting",
    "forest",
)
STRANGEST_RATIO = 4.0
"""How many times stranger than anything in training a decision may be and still count as known."""

WORTH_RATIO = 0.002
"""A less simple family must lower the mean slowdown by this much to be taken."""


@dataclass(frozen=True, slots=True, eq=False)
class Training:
    """A trained model, and what every family did on conditions that it had not seen.

    Args:
        model: the best family, fitted on all trials.
        held_out: predicted log seconds by family for every candidate of every trial, in order.
        folds: fold of each trial, shape ``(trials,)``.
        slowdown: mean slowdown by family, duration on its choice by the shortest, less 1.
    """

    model: Model
    held_out: Mapping[str, FloatArray]
    folds: IntArray
    slowdown: Mapping[str, float]


def train(
    trials: Sequence[Trial],
    *,
    seed: int,
    families: Sequence[str] = SIMPLEST_FIRST,
    told: Callable[[str], None] = lambda _step: None,
) -> Training:
    """Return the best model for the trials.

    Args:
        trials: recorded runs; those with two candidates or more also choose the family.
        seed: of the folds and of the trees.
        families: which to compare, of ``SIMPLEST_FIRST``.
        told: hears each finished step, for progress bars: ``steps(families)`` times.

    Raises:
        BadInputError: too few usable trials.
    """
    table = make_table(trials)
    if len(table.trials) < LEAST_TRIALS:
        message = f"{len(table.trials)} usable decisions; give at least {LEAST_TRIALS}"
        raise BadInputError(message, field="runs")
    folds = _fold(table, seed)
    held_out = {family: np.full(len(table.log_s), np.nan) for family in families}
    for fold in range(int(folds.max()) + 1):
        inside = folds[table.group] != fold
        past, future = table.part(inside), table.part(~inside)
        learned: dict[str, Pieces] = {}
        for family in sorted(families, key=SIMPLEST_FIRST.index):
            learned[family] = learn(family, past, seed, learned)
            held_out[family][~inside] = _apply(learned[family], future)
            told(f"{family}, fold {fold + 1}")
    slowdown = {family: _error(table, guess) for family, guess in held_out.items()}
    best = _simplest_good(slowdown)
    pieces = learn(best, table, seed, {})
    told(f"{best}, all")
    model = _assemble(best, pieces, table, slowdown[best])
    distrust = _distrust(table, held_out[best], seed)
    return Training(replace(model, distrust=distrust), held_out, folds, slowdown)


def fit_family(trials: Sequence[Trial], family: str, *, seed: int) -> Model:
    """Return a model of one family, without asking whether it is the best."""
    table = make_table(trials)
    return _assemble(family, learn(family, table, seed, {}), table, float("nan"))


def steps(families: Sequence[str] = SIMPLEST_FIRST) -> int:
    """Return how often ``train`` tells of a finished step, when there are ``FOLDS`` conditions."""
    return len(families) * FOLDS + 1


def _fold(table: Table, seed: int) -> IntArray:
    """Return a fold per trial; trials of one condition share theirs."""
    conditions = np.unique([trial.condition for trial in table.trials], return_inverse=True)[1]
    count = int(conditions.max()) + 1
    if count < 2:  # noqa: PLR2004 - nothing to hold out
        raise BadInputError("all runs share one condition; record at least two", field="runs")
    shuffled = np.random.default_rng(seed).permutation(count) % min(FOLDS, count)
    fold: IntArray = shuffled[conditions]
    return fold


def _apply(pieces: Pieces, table: Table) -> FloatArray:
    known = Known(*(np.zeros(0),) * 2, 0.0, np.zeros(0, dtype=bool), 0.0, 0.0)
    model = Model(
        "", pieces.cost_weights, pieces.slopes, pieces.trees, known, {}, "", {}, pieces.formula
    )
    return Predictor(model).predict_encoded(_encode(pieces, table))


def _encode(pieces: Pieces, table: Table) -> FloatArray:
    return encode(table.seconds, table.traits, pieces.estimate(table))


def _error(table: Table, guess: FloatArray) -> float:
    """Return the mean slowdown, or where no trial has a choice the spread of the log error."""
    slow = [
        table.duration_s[rows][_argmin(guess[rows])] / table.duration_s[rows].min() - 1
        for rows in table.rows_by_trial()
        if len(rows) > 1
    ]
    return float(np.mean(slow)) if slow else float(np.nanstd(guess - table.log_s))


def _argmin(values: FloatArray) -> int:
    return int(np.argmin(np.where(np.isfinite(values), values, np.inf)))


def _simplest_good(slowdown: Mapping[str, float]) -> str:
    least = min(slowdown.values())
    good = (name for name in SIMPLEST_FIRST if slowdown.get(name, np.inf) <= least + WORTH_RATIO)
    return next(good)


def _distrust(table: Table, guess: FloatArray, seed: int) -> str:
    """Return why the model should not decide: it is not surely better than topology distance."""
    gains = []
    for trial, rows in zip(table.trials, table.rows_by_trial(), strict=True):
        if len(rows) > 1:
            ours = trial.duration_s[_argmin(guess[rows])]
            theirs = trial.duration_s[topology_choice(trial.view, trial.job, trial.rows)]
            gains.append(np.log(theirs / ours))
    if not gains:
        return ""
    chance = np.random.default_rng(seed)
    means = [np.mean(chance.choice(gains, len(gains))) for _ in range(500)]
    if np.quantile(means, 0.025) > 0:
        return ""
    return "not surely better than topology distance on conditions that it had not seen"


def _assemble(family: str, pieces: Pieces, table: Table, slowdown: float) -> Model:
    inputs = _encode(pieces, table)
    jobs: dict[str, list[Trial]] = {}
    for trial in table.trials:
        jobs.setdefault(trial.job.workload, []).append(trial)
    return Model(
        family,
        pieces.cost_weights,
        pieces.slopes,
        pieces.trees,
        _learn_known(table, inputs),
        {name: _profile(found) for name, found in sorted(jobs.items())},
        "",
        _evidence(len(table.trials), slowdown),
        pieces.formula,
    )


def _evidence(decisions: int, slowdown: float) -> dict[str, float]:
    known = {"held_out_slowdown": round(slowdown, 6)} if np.isfinite(slowdown) else {}
    return {"decisions": float(decisions), **known}


def _profile(trials: Sequence[Trial]) -> Profile:
    names = ("receive_mib", "send_mib", "compute_s", "rounds")
    return Profile(*(float(np.median([getattr(t.job, n) for t in trials])) for n in names))


def _learn_known(table: Table, inputs: FloatArray) -> Known:
    variable = inputs[:, [name in VARIABLE for name in INPUTS]]
    seen = np.isfinite(variable).mean(axis=0) > 0.95  # noqa: PLR2004
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # columns that nobody ever measured
        centre = np.where(seen, np.nanmean(variable, axis=0), np.nan)
    apart = np.nan_to_num(variable - centre)
    scale = np.maximum(apart.std(axis=0), 1e-6)
    correlation = (apart / scale).T @ (apart / scale) / len(apart)
    values, vectors = np.linalg.eigh(correlation + 1e-3 * np.eye(len(correlation)))
    whiten = (vectors / np.sqrt(np.maximum(values, 1e-3))) / scale[:, None]
    known = Known(centre, whiten, np.inf, np.zeros(variable.shape[1], dtype=bool), 0.0, np.nan)
    groups = [rows for rows in table.rows_by_trial() if len(rows) > 1]
    strange = [known.strangeness(inputs[rows]) for rows in table.rows_by_trial()]
    varied = np.array([np.ptp(variable[rows], axis=0) > 0 for rows in groups if len(rows) > 2])  # noqa: PLR2004
    views = tuple({id(trial.view): trial.view for trial in table.trials}.values())
    agreed = [value for value in map(agreement, views) if np.isfinite(value)]
    return Known(
        centre,
        whiten,
        STRANGEST_RATIO * float(np.max(strange)),
        varied.mean(axis=0) >= 0.999 if len(varied) else known.varied,  # noqa: PLR2004
        2.0 * max(map(asymmetry, views)) + 0.05,
        min(agreed) - 0.05 if len(agreed) > len(views) / 2 else float("nan"),
        *_history(views),
    )


def _history(views: Sequence[View]) -> tuple[tuple[str, ...], FloatArray, float]:
    """Return the nodes' names, usual round trips as logs, and how like them new ones must be."""
    names = views[0].nodes
    if len(names) > MAX_NAMES or any(view.nodes != names for view in views):
        return (), np.zeros((0, 0)), float("nan")
    logs = np.log(np.maximum(np.stack([view.rtt_ms for view in views]), LOCAL_RTT_MS))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # pairs that nobody ever measured
        usual = np.nanmedian(logs, axis=0)
    alike = [likeness(view, names, usual) for view in views]
    known = [value for value in alike if np.isfinite(value)]
    least = min(known, default=0.0)
    return names, usual, (HISTORY_RATIO * least if least >= STEADY else float("nan"))
