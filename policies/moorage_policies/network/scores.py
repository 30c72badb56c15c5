"""Scores of candidates for one job: by the model where it may be believed, else by topology."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from moorage_policies.network.model import Model, Prediction, Predictor
from moorage_policies.network.runs import Job
from moorage_policies.network.telemetry import View, distance, is_plausible
from moorage_policies.types import BoolArray, FloatArray, IntArray

STALE_AFTER_S = 60.0
WORST_RATIO = 4.0
"""A node that takes this many times as long as the best has score 0."""
LEAST_KNOWN_SHARE = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class NodeScores:
    """What the network says of candidates.

    Args:
        values: 1 for the best, down to 0, shape ``(candidates,)``; ``None`` without any opinion.
        abstained: why the model did not decide, empty if it did: ``no-model``, ``distrusted``,
            ``stale``, ``missing``, ``constant``, ``inconsistent``, ``contradicts-topology``,
            ``out-of-distribution`` or ``no-difference``.
        log_s: what the model predicts all the same, for shadow mode, where it can.
    """

    values: FloatArray | None
    abstained: str
    log_s: FloatArray | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Sight:
    """Telemetry that was looked at.

    Args:
        view: the telemetry.
        usable: nodes with fresh and plausible readings, shape ``(nodes,)``.
        problem: why the whole cannot be believed, empty if it can.
    """

    view: View
    usable: BoolArray
    problem: str


class Judge:
    """Scores candidates by a model that knows when to keep silent.

    Args:
        model: the model; ``None`` when there is none.
        stale_after_s: age of a node's newest sample after which it counts as unknown.
    """

    __slots__ = ("_predictor", "_stale_after_s")

    def __init__(self, model: Model | None, *, stale_after_s: float = STALE_AFTER_S) -> None:
        self._predictor = None if model is None else Predictor(model)
        self._stale_after_s = stale_after_s

    def look(self, view: View) -> Sight:
        """Return what may be believed of the view; once a view, not once a job."""
        usable = is_plausible(view) & (view.age_s <= self._stale_after_s)
        if self._predictor is None:
            return Sight(view, usable, "no-model")
        if self._predictor.model.distrust:
            return Sight(view, usable, "distrusted")
        return Sight(view, usable, self._predictor.model.known.problem_of_view(view))

    def score(self, sight: Sight, job: Job, rows: IntArray) -> NodeScores:
        """Return the scores of rows of the view."""
        view = sight.view
        if self._predictor is None:
            return _by_topology(view, job, rows, sight.problem)
        found = self._predictor.predict(view, job, rows)
        known = np.isfinite(found.log_s) & sight.usable[rows]
        problem = sight.problem or self._problem(self._predictor, sight, job, rows, known, found)
        if problem:
            return _by_topology(view, job, rows, problem, found.log_s)
        log_s = _fill(found.log_s, known, distance(view.places, rows, job.peers))
        slower = (log_s - log_s.min()) / np.log(WORST_RATIO)
        return NodeScores(np.clip(1.0 - slower, 0.0, 1.0), "", found.log_s)

    def _problem(
        self,
        predictor: Predictor,
        sight: Sight,
        job: Job,
        rows: IntArray,
        known: BoolArray,
        found: Prediction,
    ) -> str:
        """Return why these predictions should not decide, empty if they may."""
        old = sight.view.age_s > self._stale_after_s
        if not sight.usable[job.peers].all():
            return "stale" if old[job.peers].any() else "missing"
        if not len(rows) or known.mean() < LEAST_KNOWN_SHARE:
            return "stale" if old[rows].mean() > 1 - LEAST_KNOWN_SHARE else "missing"
        if problem := predictor.model.known.problem_of(found.inputs[known]):
            return problem
        return "no-difference" if np.ptp(found.log_s[known]) == 0 else ""


def topology_values(places: IntArray, peers: IntArray, rows: IntArray) -> FloatArray | None:
    """Return 1 for the nearest by labels down to 0, ``None`` where labels tell nothing apart."""
    apart = distance(places, rows, peers)
    span = np.ptp(apart) if len(apart) else 0.0
    return None if span == 0 else 1.0 - (apart - apart.min()) / span


def topology_choice(view: View, job: Job, rows: IntArray) -> int:
    """Return the index of the nearest row by labels; the least allocated of equals."""
    values = topology_values(view.places, job.peers, rows)
    return choose(np.zeros(len(rows)) if values is None else values, view, rows)


def choose(values: FloatArray, view: View, rows: IntArray) -> int:
    """Return the index of the best value; the least allocated of equals, then the first."""
    allocated = np.nan_to_num(view.allocated_ratio[rows], nan=np.inf)
    return int(np.lexsort((allocated, -values))[0])


def _by_topology(
    view: View, job: Job, rows: IntArray, problem: str, log_s: FloatArray | None = None
) -> NodeScores:
    return NodeScores(topology_values(view.places, job.peers, rows), problem, log_s)


def _fill(log_s: FloatArray, known: BoolArray, apart: FloatArray) -> FloatArray:
    """Return predictions with unknown ones filled: no better than the known ones as far away."""
    filled = log_s.copy()
    for row in np.flatnonzero(~known):
        alike = known & (apart >= apart[row])
        filled[row] = np.median(log_s[alike]) if alike.any() else log_s[known].max()
    return filled
