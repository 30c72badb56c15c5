"""What a model looks at: how much worse its choices get when a reading is exchanged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from moorage_policies.network.model import Model, Predictor
from moorage_policies.network.runs import Trial
from moorage_policies.network.telemetry import View

READINGS = (
    "rtt_ms",
    "usual_rtt_ms",
    "mbps",
    "usual_mbps",
    "cpu_ratio",
    "receive_mbps",
    "transmit_mbps",
    "places",
)
MOST_TRIALS = 200


def importance(model: Model, trials: Sequence[Trial]) -> dict[str, float]:
    """Return the mean slowdown that each kind of reading adds when nodes exchange theirs.

    Readings are passed on to the next node, so that they stay as likely as they were.
    """
    predictor = Predictor(model)
    some = [trial for trial in trials if len(trial.rows) > 1][:MOST_TRIALS]
    if not some:
        return {}
    base = _slowdown(predictor, some, "")
    return {name: max(0.0, _slowdown(predictor, some, name) - base) for name in READINGS}


def _slowdown(predictor: Predictor, trials: Sequence[Trial], exchanged: str) -> float:
    total = 0.0
    for trial in trials:
        view = _exchange(trial.view, exchanged) if exchanged else trial.view
        log_s = predictor.predict(view, trial.job, trial.rows).log_s
        chosen = int(np.argmin(np.where(np.isfinite(log_s), log_s, np.inf)))
        total += float(trial.duration_s[chosen] / trial.duration_s.min() - 1)
    return total / len(trials)


def _exchange(view: View, name: str) -> View:
    return replace(view, **{name: np.roll(getattr(view, name), 1, axis=0)})
