"""A trained model: how long a job takes on a node, up to a factor that all nodes share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from moorage_policies.network import features
from moorage_policies.network.formula import Formula, expect_s, find_ways
from moorage_policies.network.runs import Job
from moorage_policies.network.telemetry import View, agreement, asymmetry, likeness
from moorage_policies.network.trees import LEAF, Forest, Tree
from moorage_policies.types import BoolArray, FloatArray, IntArray

LEAST_COST_S = 1e-3
FLAT_SHARE = 0.1

ESTIMATE = "estimate"
"""Input of the trees: logarithm of what the costs add up to."""

INPUTS = (
    *features.TRAITS,
    *(f"log-{name}" for name in features.COSTS if name not in features.AMOUNTS),
    ESTIMATE,
)
VARIABLE = tuple(name for name in INPUTS if name not in features.SIZES)
"""Inputs that tell nodes apart."""

_COUNTED = np.array([name not in features.AMOUNTS for name in features.COSTS])


@dataclass(frozen=True, slots=True)
class Profile:
    """What a class of workloads usually asks for (medians); see ``Job``."""

    receive_mib: float
    send_mib: float
    compute_s: float
    rounds: float

    def to_job(self, workload: str, peers: IntArray) -> Job:
        """Return a typical job of the class with these peers."""
        return Job(workload, peers, self.receive_mib, self.send_mib, self.compute_s, self.rounds)


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """What training saw, to notice what it did not.

    Args:
        centre: mean of each variable input, shape ``(inputs,)``; NaN for inputs never known.
        whiten: takes deviations to uncorrelated ones of variance 1, shape ``(inputs, inputs)``.
        strangest: mean squared whitened deviation of a decision that still counts as known.
        varied: inputs that told candidates apart in nearly every decision.
        asymmetry: largest difference of the two ends' round trips that still counts as honest.
        agreement: smallest rank correlation of round trips with topology; NaN if labels said
            nothing.
        names: nodes of the training, empty when they were too many or changed.
        usual_log_rtt: logarithm of round trips between them, shape ``(names, names)``.
        likeness: smallest correlation of round trips with those that still counts as known.
    """

    centre: FloatArray
    whiten: FloatArray
    strangest: float
    varied: BoolArray
    asymmetry: float
    agreement: float
    names: tuple[str, ...] = ()
    usual_log_rtt: FloatArray = field(default_factory=lambda: np.zeros((0, 0)))
    likeness: float = float("nan")

    def problem_of_view(self, view: View) -> str:
        """Return why the telemetry as a whole cannot be believed, empty if it can."""
        if asymmetry(view) > self.asymmetry:
            return "inconsistent"
        now = agreement(view)
        if now < self.agreement:  # never with NaN
            return "contradicts-topology"
        now = likeness(view, self.names, self.usual_log_rtt)
        if now < self.likeness:  # never with NaN
            return "contradicts-history"
        return ""

    def problem_of(self, inputs: FloatArray) -> str:
        """Return why candidates with these inputs are outside what is known, empty if inside.

        Args:
            inputs: values of ``INPUTS`` per candidate, shape ``(candidates, len(INPUTS))``.
        """
        variable = inputs[:, _VARIES]
        if len(variable) > 2 and self._flat_share(variable) > FLAT_SHARE:  # noqa: PLR2004
            return "constant"
        return "out-of-distribution" if self.strangeness(inputs) > self.strangest else ""

    def _flat_share(self, variable: FloatArray) -> float:
        """Return how many of the inputs that tell candidates apart do not, 0 to 1."""
        flat = np.ptp(variable[:, self.varied], axis=0) == 0
        return float(flat.mean()) if len(flat) else 0.0

    def strangeness(self, inputs: FloatArray) -> float:
        """Return the mean squared whitened deviation of the candidates, about 1 where known."""
        seen = np.isfinite(self.centre)
        apart = np.where(seen, inputs[:, _VARIES] - self.centre, 0.0)
        return float(np.mean((apart @ self.whiten) ** 2))


_VARIES = np.array([name not in features.SIZES for name in INPUTS])


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """Predicts the logarithm of a completion time.

    The prediction is ``log(costs @ cost_weights) + inputs @ slopes + sum of trees``, or the same
    with the formula's seconds instead of the costs; a family uses some of these.

    Args:
        family: how it was trained (``costs``, ``boosted-costs``, ``ridge``, ...).
        cost_weights: weight from 0 up of each of ``features.COSTS``; all 0 when unused.
        slopes: weight of each of ``INPUTS``.
        trees: trees over ``INPUTS``.
        known: what it was trained on.
        workloads: profile of each class that it was trained on.
        distrust: why it should not decide, empty if it did better than topology distance on data
            that it had not seen.
        evidence: numbers from training, for people.
        formula: what takes the place of the sum of costs, if the family has one.
    """

    family: str
    cost_weights: FloatArray
    slopes: FloatArray
    trees: tuple[Tree, ...]
    known: Known
    workloads: Mapping[str, Profile]
    distrust: str
    evidence: Mapping[str, float]
    formula: Formula | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """What a model says of candidates.

    Args:
        log_s: logarithm of seconds per candidate, shape ``(candidates,)``; NaN where something
            that the model needs is unknown.
        inputs: values of ``INPUTS``, shape ``(candidates, len(INPUTS))``.
    """

    log_s: FloatArray
    inputs: FloatArray


class Predictor:
    """A model made ready to predict.

    Args:
        model: the model.
    """

    __slots__ = ("_forest", "_needed", "model")

    def __init__(self, model: Model) -> None:
        self.model = model
        self._forest = Forest(model.trees, len(INPUTS))
        needed = model.slopes != 0
        for tree in model.trees:
            needed[tree.feature[tree.feature != LEAF]] = True
        needed[-1] |= _uses_estimate(model)
        self._needed = needed

    def predict(self, view: View, job: Job, rows: IntArray) -> Prediction:
        """Return predictions for the rows."""
        seconds = features.costs(view, job, rows)
        if self.model.formula is None:
            estimated = estimate(seconds, self.model.cost_weights)
        else:
            estimated = log_of(expect_s(self.model.formula, find_ways(view, job, rows)))
        inputs = encode(seconds, features.traits(view, job, rows), estimated)
        return Prediction(self.predict_encoded(inputs), inputs)

    def predict_encoded(self, inputs: FloatArray) -> FloatArray:
        """Return the logarithm of seconds from inputs, shape ``(candidates,)``."""
        unknown = ~np.isfinite(inputs[:, self._needed]).all(axis=1)
        filled = np.where(np.isfinite(inputs), inputs, 0.0)
        log_s = filled @ self.model.slopes + self._forest.predict(filled)
        if _uses_estimate(self.model):
            log_s = log_s + filled[:, -1]
        log_s[unknown] = np.nan
        return log_s


def _uses_estimate(model: Model) -> bool:
    return model.formula is not None or bool((model.cost_weights > 0).any())


def estimate(seconds: FloatArray, weights: FloatArray) -> FloatArray:
    """Return the logarithm of the weighted sum of costs, shape ``(candidates,)``."""
    used = weights > 0
    return log_of(seconds[:, used] @ weights[used])


def log_of(seconds: FloatArray) -> FloatArray:
    """Return the logarithm of seconds, held above nothing."""
    logs: FloatArray = np.log(np.maximum(seconds, LEAST_COST_S))
    return logs


def encode(seconds: FloatArray, traits: FloatArray, estimated: FloatArray) -> FloatArray:
    """Return the values of ``INPUTS``, shape ``(candidates, len(INPUTS))``.

    Args:
        seconds: costs, shape ``(candidates, costs)``.
        traits: shape ``(candidates, traits)``.
        estimated: logarithm of what costs or the formula come to, shape ``(candidates,)``.
    """
    return np.concatenate((traits, log_of(seconds[:, _COUNTED]), estimated[:, None]), axis=1)
