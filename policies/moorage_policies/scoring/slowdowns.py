"""How much longer workload classes take beside each other, learned from what pods report."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from moorage_policies.types import FloatArray

Pair = tuple[str, str]
"""Who suffers, and from whom."""

HALF_LIFE_S = 7 * 86_400.0
MOST_CLASSES = 32
"""Classes that are told apart, as victims and as neighbours; further ones are not looked at."""
MOST_SLOWDOWN = 10.0
LEAST_S, MOST_S = 1e-9, 1e9
"""Between these, a report is taken for a time."""
FEWEST_OBSERVATIONS = 8.0
"""With the neighbour, and in all beyond one for each number that is estimated; decayed ones."""
PRIOR_OBSERVATIONS = 1.0
ERRORS_ABOVE = 3.0
"""Standard errors by which a loss must exceed nothing before it is believed."""
LEAST_NOISE_RATIO = 0.01
"""What readings are taken to be unsure by at least, of the time alone on a node."""


@dataclass(slots=True, eq=False)
class _Evidence:
    """Decayed sums over one class's observations: 1 and counts of neighbours against times."""

    names: list[str] = field(default_factory=list)
    products: FloatArray = field(default_factory=lambda: np.zeros((1, 1)))
    moments: FloatArray = field(default_factory=lambda: np.zeros(1))
    with_neighbour: FloatArray = field(default_factory=lambda: np.zeros(1))
    square: float = 0.0

    def add(self, neighbours: Mapping[str, int], seconds: float, weight: float) -> None:
        for name in sorted(neighbours):
            if name not in self.names and len(self.names) < MOST_CLASSES:
                self._grow(name)
        counts = np.array([1.0, *(float(neighbours.get(name, 0)) for name in self.names)])
        self.products += weight * np.outer(counts, counts)
        self.moments += weight * seconds * counts
        self.with_neighbour += weight * (counts > 0)
        self.square += weight * seconds**2

    def scale(self, factor: float) -> None:
        self.products *= factor
        self.moments *= factor
        self.with_neighbour *= factor
        self.square *= factor

    def losses(self, kept_ratio: float) -> Iterator[tuple[str, float]]:
        """Yield what each neighbour costs, of the time alone, where that is beyond doubt.

        Args:
            kept_ratio: how much an observation of the last update counts by now.
        """
        seen = kept_ratio * self.with_neighbour
        spare = seen[0] - len(seen)
        if spare < FEWEST_OBSERVATIONS:
            return
        prior = np.full(len(seen), PRIOR_OBSERVATIONS)
        prior[0] = 0.0
        inverse = np.linalg.inv(kept_ratio * self.products + np.diag(prior))
        found = inverse @ (kept_ratio * self.moments)
        alone_s = found[0]
        if alone_s <= 0:
            return
        missed = kept_ratio * (
            self.square - 2.0 * found @ self.moments + found @ self.products @ found
        )
        noise = max(float(missed) / spare, (LEAST_NOISE_RATIO * alone_s) ** 2)
        errors = np.sqrt(noise * np.diag(inverse))
        sure = (found > ERRORS_ABOVE * errors) & (seen >= FEWEST_OBSERVATIONS)
        for column, name in enumerate(self.names, 1):
            if sure[column]:
                yield name, min(float(found[column] / alone_s), MOST_SLOWDOWN - 1.0)

    def _grow(self, name: str) -> None:
        self.names.append(name)
        self.products = np.pad(self.products, (0, 1))
        self.moments = np.pad(self.moments, (0, 1))
        self.with_neighbour = np.pad(self.with_neighbour, (0, 1))


class SlowdownLearner:
    """Learns slow-downs by class from times of pods and the classes of their neighbours.

    A class's time is taken to be that alone, plus a part of it for each neighbour by its class;
    the parts are fitted by least squares over observations that count half after a half-life.

    Args:
        half_life_s: see above.
    """

    def __init__(self, half_life_s: float = HALF_LIFE_S) -> None:
        self._half_life_s = half_life_s
        self._by_class: dict[str, _Evidence] = {}
        self._at_s = -math.inf

    def observe(
        self, own: str, neighbours: Mapping[str, int], seconds: float, now_s: float
    ) -> bool:
        """Take in one observation; return whether it could be used.

        Args:
            own: class of the pod.
            neighbours: other pods on its node by class.
            seconds: how long it takes for a unit of its work.
            now_s: when; on a clock that only goes forward.
        """
        if not own or not LEAST_S <= seconds <= MOST_S:
            return False
        if own not in self._by_class:
            if len(self._by_class) >= MOST_CLASSES:
                return False
            self._by_class[own] = _Evidence()
        self._fade(now_s)
        self._by_class[own].add(neighbours, seconds, 1.0)
        return True

    def slowdowns(self, now_s: float) -> dict[Pair, float]:
        """Return how many times as long each class takes for one neighbour of another.

        Above 1 and at most 10; pairs about which too little is known are left out.
        """
        kept_ratio = self._kept_ratio(now_s)
        return {
            (own, neighbour): 1.0 + loss
            for own, evidence in self._by_class.items()
            for neighbour, loss in evidence.losses(kept_ratio)
        }

    def _kept_ratio(self, now_s: float) -> float:
        return math.pow(0.5, max(0.0, now_s - self._at_s) / self._half_life_s)

    def _fade(self, now_s: float) -> None:
        kept_ratio = self._kept_ratio(now_s)
        if kept_ratio < 1.0:
            for evidence in self._by_class.values():
                evidence.scale(kept_ratio)
        self._at_s = max(self._at_s, now_s)
