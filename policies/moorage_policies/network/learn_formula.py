"""The constants of the formula, found from durations within decisions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from moorage_policies.network.formula import LIMITS, Formula, Ways, expect_s
from moorage_policies.types import FloatArray

KNOWN_SHARE = 0.98
MOST_STEPS = 40
PULL = 0.1
"""Weight of a constant's usual value, in durations' logarithms, against what the runs say."""

OUTLIER = 0.5
"""Logarithms farther off than this count in proportion only, not by their square."""

LEAST_S = 1e-6

LOGARITHMS = frozenset({"compute_ratio", "window_mib", "rounds_ratio", "start_s"})
"""Constants that are searched by their logarithm."""

SPREAD = (1.0, 0.5, 1.0, 1.5, 0.5, 0.5, 1.0, 3.0, 0.5, 0.5)
"""How far each constant may well be from its usual value, in the order of ``LIMITS``."""

LeastSquares = Callable[..., Any]


def learn_constants(
    ways: Ways,
    log_s: FloatArray,
    centred: Callable[[FloatArray], FloatArray],
    least_squares: LeastSquares,
) -> Formula:
    """Return the formula whose order within decisions is nearest to what was measured.

    Args:
        ways: candidates of all decisions.
        log_s: logarithm of their durations, shape ``(candidates,)``.
        centred: takes values to what they differ from the mean of their decision.
        least_squares: ``scipy.optimize.least_squares``.
    """
    reads_mbps = _known(ways.log_mbps_in) and _known(ways.log_mbps_out)
    reads_cpu = _known(ways.cpu_ratio)
    wanted = centred(log_s)
    usual, spread = _searched([getattr(Formula(), name) for name in LIMITS]), np.array(SPREAD)

    def off(values: FloatArray) -> FloatArray:
        formula = _formula(values, reads_mbps=reads_mbps, reads_cpu=reads_cpu)
        told = np.log(np.maximum(expect_s(formula, ways), LEAST_S))
        left = np.nan_to_num(centred(np.nan_to_num(told, nan=float(np.nanmean(told)))) - wanted)
        return np.concatenate((left, PULL * (values - usual) / spread))

    found: FloatArray = least_squares(
        off,
        usual,
        bounds=tuple(_searched(ends) for ends in zip(*LIMITS.values(), strict=True)),
        x_scale=spread,
        loss="soft_l1",
        f_scale=OUTLIER,
        max_nfev=MOST_STEPS,
    ).x
    return _formula(found, reads_mbps=reads_mbps, reads_cpu=reads_cpu)


def _formula(values: FloatArray, *, reads_mbps: bool, reads_cpu: bool) -> Formula:
    constants = {
        name: float(np.exp(value)) if name in LOGARITHMS else float(value)
        for name, value in zip(LIMITS, values, strict=True)
    }
    for name, (least, most) in LIMITS.items():
        constants[name] = min(max(constants[name], least), most)
    return Formula(**constants, reads_mbps=reads_mbps, reads_cpu=reads_cpu)


def _searched(constants: Sequence[float]) -> FloatArray:
    """Return constants as they are searched."""
    return np.array(
        [
            np.log(value) if name in LOGARITHMS else value
            for name, value in zip(LIMITS, constants, strict=True)
        ]
    )


def _known(values: FloatArray) -> bool:
    return bool(np.isfinite(values).mean() >= KNOWN_SHARE) if values.size else False
