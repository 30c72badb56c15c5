"""Weights of scorers, fitted on the first days of a recording and judged on the last."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from moorage_policies.errors import BadInputError
from moorage_policies.scoring import RankingParams
from moorage_policies.tuning.days import Day
from moorage_policies.tuning.hindsight import solve_day
from moorage_policies.tuning.replay import replay
from moorage_policies.types import FloatArray, IntArray

TUNED = ("fragmentation", "heterogeneity", "load")
"""Scorers that have an opinion on a recorded pod; the others need what no recording tells."""
BUILT_IN = 10
LEVELS = (0, 1, 2, 5, 10, 20, 50, 100)
ROUNDS = 2
STEPS_AT_MOST = ROUNDS * len(TUNED) * (len(LEVELS) - 1) + 1
FEWEST_DAYS = 4
STOCK, BUILT, FITTED, HINDSIGHT = "kube-scheduler", "built-in", "fitted", "hindsight"
RESAMPLES = 2_000

Shares = tuple[int, ...]
"""A policy's weight of each tuned scorer, 0 to 100; 10 is the built-in one."""
Told = Callable[[str], None]


@dataclass(frozen=True, slots=True, eq=False)
class Tuning:
    """What a training came to.

    Args:
        shares: the fitted weights.
        days: all days in their order.
        held_out: how many of them, the last ones, were not fitted on.
        gpus: GPUs served by arm and day, shape ``(days,)`` each.
        tried: weights that were replayed and the GPUs that they served on the days of training.
    """

    shares: Shares
    days: tuple[Day, ...]
    held_out: int
    gpus: Mapping[str, IntArray]
    tried: Mapping[Shares, int] = field(default_factory=dict)

    def closed_ratio(self, heuristic: str, days: IntArray | None = None) -> float:
        """Return which part of the gap from a heuristic to hindsight the fitted weights close.

        Args:
            heuristic: the arm to start from.
            days: rows to look at; the held-out days without. NaN where there is no gap.
        """
        rows = np.arange(len(self.days) - self.held_out, len(self.days)) if days is None else days
        start, end, got = (
            float(self.gpus[arm][rows].sum()) for arm in (heuristic, HINDSIGHT, FITTED)
        )
        return (got - start) / (end - start) if end > start else float("nan")

    def interval(self, heuristic: str, chance: np.random.Generator) -> tuple[float, float]:
        """Return the 95 % interval of ``closed_ratio`` over held-out days drawn again."""
        first = len(self.days) - self.held_out
        drawn = chance.integers(first, len(self.days), size=(RESAMPLES, self.held_out))
        ratios: FloatArray = np.array([self.closed_ratio(heuristic, rows) for rows in drawn])
        ratios = ratios[~np.isnan(ratios)]
        if not len(ratios):
            return float("nan"), float("nan")
        low, high = np.quantile(ratios, (0.025, 0.975))
        return float(low), float(high)


def tune(
    days: Sequence[Day],
    base: RankingParams,
    *,
    held_out: int,
    seed: int,
    solve: Callable[[Day], frozenset[str]] | None = None,
    told: Told = lambda _: None,
) -> Tuning:
    """Return weights fitted on all days but the last ones, with what every arm served.

    Each scorer's weight is varied in turn while the others stay; what serves the most GPUs on the
    days of training is kept, of equals what is nearest to the built-in weights.

    Args:
        days: the recorded days in their order.
        base: the ranking whose weights are tuned.
        held_out: how many of the last days are kept for judging.
        seed: breaks kube-scheduler's ties and seeds the solver.
        solve: returns who could have been served in hindsight; the packing solver without.
        told: hears what is done next, once a step (:func:`steps`).
    """
    if len(days) < FEWEST_DAYS or not 0 < held_out <= len(days) // 2:
        message = f"{held_out} of {len(days)} cannot be held out; keep more days to learn from"
        raise BadInputError(message, field="held_out")
    training = days[: len(days) - held_out]
    tried = _Tried(training, base, told)
    shares = tried.search()
    played: dict[str, IntArray] = {}
    for arm, params in (
        (STOCK, None), (BUILT, base), (FITTED, with_shares(base, shares)),
    ):  # fmt: skip
        told(f"all days, {arm}")
        played[arm] = _count(days, replay(days, params, seed))
    best = np.max(list(played.values()), axis=0)
    solve = solve or (lambda day: solve_day(day, deadline_s=2.0, seed=seed))
    for row, day in enumerate(days):
        told(f"{day.name} in hindsight")
        best[row] = max(best[row], day.gpus(solve(day)))
    played[HINDSIGHT] = best
    return Tuning(shares, tuple(days), held_out, played, tried.gpus)


def steps(days: int) -> int:
    """Return how many steps ``tune`` takes at most."""
    return STEPS_AT_MOST + 3 + days


def with_shares(base: RankingParams, shares: Shares) -> RankingParams:
    """Return the ranking under a policy that gives the tuned scorers these weights."""
    changed = {
        name: base.weights.get(name, 0.0) * share / BUILT_IN
        for name, share in zip(TUNED, shares, strict=True)
    }
    return replace(base, weights={**base.weights, **changed})


class _Tried:
    """Replays of the days of training, each set of proportions once."""

    def __init__(self, days: Sequence[Day], base: RankingParams, told: Told) -> None:
        self._days = days
        self._base = base
        self._told = told
        self._known: dict[tuple[float, ...], int] = {}
        self.gpus: dict[Shares, int] = {}

    def search(self) -> Shares:
        """Return the best weights that single changes lead to."""
        best = (BUILT_IN,) * len(TUNED)
        self._served(best)
        for _ in range(ROUNDS):
            before = best
            for position in range(len(TUNED)):
                options = ((*best[:position], level, *best[position + 1 :]) for level in LEVELS)
                best = max((best, *filter(any, options)), key=self._merit)
            if best == before:
                break
        return best

    def _merit(self, shares: Shares) -> tuple[int, float]:
        distance = sum(abs(np.log1p(share) - np.log1p(BUILT_IN)) for share in shares)
        return self._served(shares), -float(distance)

    def _served(self, shares: Shares) -> int:
        """Return the GPUs that were served; only the proportions of weights matter."""
        proportions = tuple(round(share / max(shares), 9) for share in shares)
        if proportions not in self._known:
            self._told("weights " + " : ".join(map(str, shares)))
            params = with_shares(self._base, shares)
            # ties of our ranking are not drawn, so any seed gives the same answer
            self._known[proportions] = int(_count(self._days, replay(self._days, params, 0)).sum())
        self.gpus[shares] = self._known[proportions]
        return self._known[proportions]


def _count(days: Sequence[Day], served: Iterable[frozenset[str]]) -> IntArray:
    return np.array([day.gpus(uids) for day, uids in zip(days, served, strict=True)])
