"""How well a load is foreseen at the horizon of a start-up: ours, simple rules and a library's.

The load is the decode work that arrives per tick, in replicas. Every forecaster sees the past only;
what has to be fitted is fitted on the warm-up and then left as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from sklearn.linear_model import Ridge

from moorage_benchmarks.report import OURS
from moorage_benchmarks.scaling_profiles import Profile
from moorage_benchmarks.scaling_traces import Trace
from moorage_policies.scaling.forecast import follow, forecast
from moorage_policies.scaling.state import Track
from moorage_policies.types import FloatArray, IntArray

LAGS = 20
MEAN_TICKS = 20


def arriving_load(trace: Trace, profile: Profile, tick_s: float) -> FloatArray:
    """Return the decode replicas that each tick's arrivals keep busy for one tick."""
    ticks = max(1, int(np.ceil(trace.end_s / tick_s)))
    place = np.minimum((trace.arrival_s / tick_s).astype(np.int64), ticks - 1)
    tokens = np.bincount(place, weights=trace.output_tokens, minlength=ticks)
    load: FloatArray = tokens / tick_s / profile.good_tokens_per_s
    return load


def foresee(load: FloatArray, warm: int, ticks: int, tick_s: float) -> Mapping[str, FloatArray]:
    """Return by forecaster what it said, ``ticks`` before, of each tick after the warm-up.

    Args:
        load: by tick.
        warm: ticks of the warm-up.
        ticks: the horizon.
        tick_s: length of a tick.
    """
    first = max(warm, LAGS + ticks)  # the first tick that is foreseen with all lags known
    since = np.arange(first, len(load)) - ticks  # the last tick that was seen for each
    sums = np.concatenate(([0.0], np.cumsum(load)))
    mean = (sums[since + 1] - sums[np.maximum(0, since + 1 - MEAN_TICKS)]) / MEAN_TICKS
    return {
        "last-value": load[since],
        "mean-of-20": mean,
        "ridge-on-lags": _by_ridge(load, warm, ticks, since),
        OURS: _by_trend(load, ticks, tick_s)[since],
    }


def measure_forecasts(
    load: FloatArray, warm: int, start_up_s: float, tick_s: float
) -> Iterator[tuple[str, str, float, str]]:
    """Yield arm, metric, value and unit; nothing where the trace is too short to learn from."""
    ticks = int(np.ceil(start_up_s / tick_s)) + 1
    if warm < 2 * LAGS + ticks or len(load) <= warm:
        return
    truth = load[max(warm, LAGS + ticks) :]
    mean = float(truth.mean())
    if mean <= 0.0:
        return
    for arm, said in foresee(load, warm, ticks, tick_s).items():
        miss = truth - said
        yield arm, "error_ratio", float(np.sqrt(np.mean(miss**2))) / mean, "1"
        yield arm, "short_ratio", float(np.maximum(0.0, miss).mean()) / mean, "1"


def _by_trend(load: FloatArray, ticks: int, tick_s: float) -> FloatArray:
    """Return what our level and trend say at each tick of the tick one horizon later."""
    track, said = Track(), np.empty(len(load))
    horizon_s = ticks * tick_s
    for at, value in enumerate(load.tolist()):
        track = follow(track, value, tick_s=tick_s, horizon_s=horizon_s)
        said[at] = forecast(track, horizon_s)
    return said


def _by_ridge(load: FloatArray, warm: int, ticks: int, since: IntArray) -> FloatArray:
    """Return what scikit-learn's ridge regression on the last loads says, fitted on the warm-up."""
    windows = np.lib.stride_tricks.sliding_window_view(
        load, LAGS
    )  # row i ends at tick i + LAGS - 1
    known = windows[: warm - ticks - LAGS + 1]
    model = Ridge(alpha=1.0).fit(known, load[LAGS - 1 + ticks : warm])
    said: FloatArray = np.maximum(0.0, model.predict(windows[since - LAGS + 1]))
    return said
