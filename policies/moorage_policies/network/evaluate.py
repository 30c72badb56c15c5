"""How good choices are: against the node that turned out best, and paired with another rule's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from moorage_policies.network import features
from moorage_policies.network.runs import Trial
from moorage_policies.network.scores import Judge, Sight, choose, topology_choice
from moorage_policies.network.telemetry import View
from moorage_policies.types import FloatArray, IntArray

Choice = Callable[[Trial], int]
"""Returns the index into a trial's rows."""

RESAMPLES = 1000
RTT_MEAN = features.TRAITS.index("rtt-mean")


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What an arm's choices came to, one entry a trial.

    Args:
        chosen: index into the trial's rows.
        hit: whether the chosen node was the fastest.
        near: whether it was one of the two fastest.
        slowdown: duration there by the shortest, less 1.
        duration_s: duration there.
    """

    chosen: IntArray
    hit: FloatArray
    near: FloatArray
    slowdown: FloatArray
    duration_s: FloatArray


def evaluate(trials: Sequence[Trial], choice: Choice) -> Outcome:
    """Return the outcome of a rule on trials with at least two candidates each."""
    return judge_picks(trials, [choice(trial) for trial in trials])


def judge_picks(trials: Sequence[Trial], picks: Sequence[int]) -> Outcome:
    """Return the outcome of picks, indices into the rows of trials with two candidates or more."""
    chosen = np.array(picks, dtype=np.int64)
    took = np.array([t.duration_s[index] for t, index in zip(trials, chosen, strict=True)])
    best = np.array([t.duration_s.min() for t in trials])
    second = np.array([np.partition(t.duration_s, 1)[1] for t in trials])
    return Outcome(
        chosen,
        (took <= best).astype(np.float64),
        (took <= second).astype(np.float64),
        took / best - 1,
        took,
    )


def interval(values: FloatArray, chance: np.random.Generator) -> tuple[float, float]:
    """Return the bootstrapped 95 % interval of the mean."""
    draws = chance.integers(0, len(values), (RESAMPLES, len(values)))
    low, high = np.quantile(values[draws].mean(axis=1), (0.025, 0.975))
    return float(low), float(high)


def by_judge(judge: Judge) -> Choice:
    """Return the rule that takes the judge's best score; it looks at the same view once."""
    last: list[tuple[View, Sight]] = []

    def choice(trial: Trial) -> int:
        if not last or last[0][0] is not trial.view:
            last[:] = [(trial.view, judge.look(trial.view))]
        values = judge.score(last[0][1], trial.job, trial.rows).values
        return choose(
            np.zeros(len(trial.rows)) if values is None else values, trial.view, trial.rows
        )

    return choice


def stock(trial: Trial) -> int:
    """Return the least allocated node: what kube-scheduler's default scores prefer."""
    return choose(np.zeros(len(trial.rows)), trial.view, trial.rows)


def least_loaded(trial: Trial) -> int:
    """Return the node with the least busy CPU."""
    return int(np.argmin(np.nan_to_num(trial.view.cpu_ratio[trial.rows], nan=np.inf)))


def nearest(trial: Trial) -> int:
    """Return the node with the shortest mean round trip to the peers."""
    rtt = features.traits(trial.view, trial.job, trial.rows)[:, RTT_MEAN]
    return int(np.argmin(np.nan_to_num(rtt, nan=np.inf)))


def by_topology(trial: Trial) -> int:
    """Return the nearest node by labels."""
    return topology_choice(trial.view, trial.job, trial.rows)


def ceiling(trial: Trial) -> int:
    """Return the node with the shortest expected time: only chance is not known."""
    assert trial.expected_s is not None
    return int(np.argmin(trial.expected_s))


RULES: Mapping[str, Choice] = {
    "stock": stock,
    "least-loaded": least_loaded,
    "nearest-rtt": nearest,
    "topology": by_topology,
}
