"""The ranking: weighted scorers joined into one order of the candidates, with one chosen node."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np

from moorage_policies.errors import BadInputError
from moorage_policies.ports import Clock
from moorage_policies.scoring.energy import Draw, Energy
from moorage_policies.scoring.fragmentation import Fragmentation
from moorage_policies.scoring.heterogeneity import Heterogeneity
from moorage_policies.scoring.interference import Interference, Observed
from moorage_policies.scoring.mix import HALF_LIFE_S
from moorage_policies.scoring.neighbours import PreferredNeighbours, SoftSpread
from moorage_policies.scoring.slowdowns import Pair
from moorage_policies.scoring.soft import LocalImages, PreferredNodes, SoftTaints
from moorage_policies.state import Snapshot
from moorage_policies.types import CPU, NVIDIA_GPU, Decision, FloatArray, IntArray, Pod

Form = Literal["scores", "top-node", "deciding-filter"]

POOL_LABEL = "moorage.dev/pool"
"""Label of pods that names their pool."""
LOWEST_PRIORITY, HIGHEST_PRIORITY = -(2**31), 2**31 - 1
MAX_SCORE = 10
MANY = 50
EQUAL_WITHIN = 1e-9
"""Totals closer than this are ties, so that the order of floating-point sums decides nothing."""

DEFAULT_WEIGHTS: Mapping[str, float] = {
    "preferred-nodes": 4.0,
    "preferred-neighbours": 4.0,
    "soft-spread": 4.0,
    "soft-taints": 6.0,
    "hints": 3.0,
    "heterogeneity": 0.75,
    "fragmentation": 1.0,
    "network": 0.2,
    "local-images": 0.3,
    "energy": 0.2,
    "fairness": 0.2,
    "load": 0.15,
    "interference": 0.15,
}
"""What users and admins wrote outweighs everything else together; see README.md."""


class Scorer(Protocol):
    """One reason to prefer a node."""

    @property
    def name(self) -> str:
        """Return the name under which it is weighted and explained."""
        ...

    def score(self, pod: Pod, snapshot: Snapshot, rows: IntArray) -> FloatArray | None:
        """Return 0 (worst) to 1 (best) per candidate row, or ``None`` without any opinion."""
        ...


@dataclass(frozen=True, slots=True)
class WeightOverride:
    """Other weights for some pods.

    Args:
        weights: weight of each scorer that changes, by name.
        pools: pools as ``namespace/name``; empty for all pods, those of no pool included.
        lowest_priority: priority from which on it holds.
        highest_priority: priority up to which it holds.
    """

    weights: Mapping[str, float]
    pools: frozenset[str] = frozenset()
    lowest_priority: int = LOWEST_PRIORITY
    highest_priority: int = HIGHEST_PRIORITY

    def covers(self, pod: Pod) -> bool:
        """Return whether it holds for the pod."""
        if not self.lowest_priority <= pod.priority <= self.highest_priority:
            return False
        return not self.pools or f"{pod.namespace}/{pod.labels.get(POOL_LABEL, '')}" in self.pools


@dataclass(frozen=True, slots=True)
class RankingParams:
    """How scorers are joined, and what they are told once.

    Args:
        weights: weight of each scorer by name, at least 0; a scorer at 0 is not asked.
        accelerators: resources that count devices, the first is the default.
        form: ``scores`` spreads the totals over 0 to 10 and keeps 10 for the chosen node;
            ``top-node`` and ``deciding-filter`` give the chosen node 10 and the others 0.
        overrides: other weights for some pods; of several that cover a pod, later ones win.
        half_life_s: seconds after which a pod that is gone counts half in the mix of requests.
        topology_levels: node label keys from the outermost level to the nearest.
        draws: what accelerator classes draw, for ``energy``.
        slowdowns: what workload classes lose to each other, for ``interference``.
    """

    weights: Mapping[str, float] = field(default_factory=lambda: DEFAULT_WEIGHTS)
    accelerators: tuple[str, ...] = (NVIDIA_GPU,)
    form: Form = "top-node"
    overrides: tuple[WeightOverride, ...] = ()
    half_life_s: float = HALF_LIFE_S
    topology_levels: tuple[str, ...] = ()
    draws: Mapping[str, Draw] = field(default_factory=dict)
    slowdowns: Mapping[Pair, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_weights(self.weights, "weights")
        for position, override in enumerate(self.overrides):
            _check_weights(override.weights, f"overrides[{position}].weights")
        if not self.accelerators:
            raise BadInputError("name at least one resource", field="accelerators")
        if not self.half_life_s > 0:
            raise BadInputError("must be more than 0 seconds", field="half_life_s")

    def weights_of(self, pod: Pod) -> Mapping[str, float]:
        """Return the weight of each scorer for one pod."""
        if not self.overrides:
            return self.weights
        changed = [override.weights for override in self.overrides if override.covers(pod)]
        return ChainMap(*map(dict, reversed(changed)), dict(self.weights))


def _check_weights(weights: Mapping[str, float], field: str) -> None:
    unknown = sorted(set(weights) - set(DEFAULT_WEIGHTS))
    if unknown:
        known = ", ".join(DEFAULT_WEIGHTS)
        raise BadInputError(f"no scorer {unknown[0]!r}; there are {known}", field=field)
    for name, weight in weights.items():
        if not 0 <= weight < float("inf"):
            raise BadInputError(f"{weight} must be a number from 0 up", field=f"{field}.{name}")


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """What one scorer said: 0 to 1 per candidate, shape ``(candidates,)``, and its weight."""

    name: str
    weight: float
    values: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """The candidates in order of preference.

    Args:
        rows: the candidates' rows in the snapshot, shape ``(candidates,)``.
        scores: 0 to 10 per candidate, shape ``(candidates,)``.
        totals: weighted sums, higher is better, shape ``(candidates,)``.
        chosen: index into ``rows`` of the chosen node; ``None`` without candidates.
        tied: how many candidates shared the best total.
        parts: what each scorer that had an opinion said.
        dropped: scorers that the deadline left no time for.
        form: how totals became scores.
    """

    rows: IntArray
    scores: IntArray
    totals: FloatArray
    chosen: int | None
    tied: int
    parts: tuple[Part, ...]
    dropped: tuple[str, ...]
    form: Form

    def best(self, count: int) -> IntArray:
        """Return indices of the best candidates, the chosen one first."""
        among = np.arange(len(self.totals))
        if len(among) > MANY:
            among = np.argpartition(-self.totals, count)[: count + 1]
        order = among[np.argsort(-self.totals[among], kind="stable")]
        if self.chosen is None:
            return order
        return np.concatenate(([self.chosen], order[order != self.chosen]))[:count]

    def explain(self, index: int) -> dict[str, float]:
        """Return the weighted points of one candidate by scorer."""
        return {part.name: round(part.weight * float(part.values[index]), 4) for part in self.parts}


class Ranker:
    """Ranks nodes for one pod at a time; remembers only what a snapshot would say again.

    Args:
        params: weights and form.
        clock: measures deadlines.
        told: scorers that rest on more than the snapshot; they are asked after what users wrote
            as affinity and before what only saves room.
    """

    __slots__ = (
        "_clock",
        "_fragmentation",
        "_heterogeneity",
        "_interference",
        "_observed",
        "_params",
        "_scorers",
        "_told",
    )

    def __init__(self, params: RankingParams, clock: Clock, told: tuple[Scorer, ...] = ()) -> None:
        self._clock = clock
        self._told = told
        self._observed = Observed()  # what was learned survives another policy
        self.adopt(params)

    @property
    def params(self) -> RankingParams:
        """Return how it ranks now."""
        return self._params

    def adopt(self, params: RankingParams) -> None:
        """Rank in another way from now on; let it learn again before it is asked."""
        self._params = params
        self._fragmentation = Fragmentation(params.accelerators, half_life_s=params.half_life_s)
        self._interference = Interference(params.slowdowns, self._observed)
        self._heterogeneity = Heterogeneity(levels=params.topology_levels)
        self._scorers: tuple[Scorer, ...] = (
            PreferredNodes(),
            PreferredNeighbours(),
            SoftSpread(),
            SoftTaints(),
            *self._told,
            self._heterogeneity,
            self._fragmentation,
            LocalImages(),
            Energy(params.draws),
            self._interference,
        )

    def learn(self, snapshot: Snapshot) -> None:
        """Take what scorers learn from the cluster (the request mix) from this snapshot."""
        self._fragmentation.learn(snapshot, self._clock())
        self._heterogeneity.learn(self._fragmentation.mixes, snapshot)
        self._interference.learn(snapshot, self._clock())

    def opinion(self, name: str, pod: Pod, snapshot: Snapshot, rows: IntArray) -> FloatArray | None:
        """Return what one scorer says, whatever its weight, ``None`` without any opinion."""
        scorer = next(scorer for scorer in self._scorers if scorer.name == name)
        return scorer.score(pod, snapshot, rows)

    def rank(
        self, pod: Pod, snapshot: Snapshot, rows: IntArray, *, deadline_s: float = float("inf")
    ) -> Decision[Ranking]:
        """Return the candidates ranked for the pod.

        Args:
            pod: the pod to place.
            snapshot: the cluster.
            rows: rows of the candidates, shape ``(candidates,)``.
            deadline_s: time on the clock after which no further scorer is asked; what was not
                asked is reported, the most binding wishes are asked first.
        """
        parts, dropped = self._ask(pod, snapshot, rows, deadline_s)
        totals = np.zeros(len(rows), dtype=np.float64)
        for part in parts:
            totals += part.weight * part.values
        chosen, tied = self._choose(pod, snapshot, rows, totals)
        scores = _to_scores(totals, chosen, self._params.form)
        ranking = Ranking(rows, scores, totals, chosen, tied, parts, dropped, self._params.form)
        inputs = {"generation": snapshot.generation, "candidates": len(rows), "dropped": dropped}
        return Decision(ranking, _reason(ranking, snapshot), inputs)

    def _ask(
        self, pod: Pod, snapshot: Snapshot, rows: IntArray, deadline_s: float
    ) -> tuple[tuple[Part, ...], tuple[str, ...]]:
        weights = self._params.weights_of(pod)
        asked = [scorer for scorer in self._scorers if weights.get(scorer.name, 0) > 0]
        parts: list[Part] = []
        for position, scorer in enumerate(asked):
            if self._clock() >= deadline_s:
                return tuple(parts), tuple(s.name for s in asked[position:])
            values = scorer.score(pod, snapshot, rows)
            if values is not None:
                parts.append(Part(scorer.name, weights[scorer.name], values))
        return tuple(parts), ()

    def _choose(
        self, pod: Pod, snapshot: Snapshot, rows: IntArray, totals: FloatArray
    ) -> tuple[int | None, int]:
        """Return the best candidate and how many tied: fewest free GPUs, least free CPU, name."""
        if not len(rows):
            return None, 0
        best = np.flatnonzero(totals >= totals.max() - EQUAL_WITHIN)
        tied = len(best)
        for resource in (self._fragmentation.accelerator_of(pod), CPU):
            free = snapshot.free_of(resource)[rows[best]]
            best = best[free == free.min()]
        first = min(map(snapshot.node_names.__getitem__, rows[best].tolist()))
        return int(best[rows[best] == snapshot.node_index[first]][0]), tied


def _to_scores(totals: FloatArray, chosen: int | None, form: Form) -> IntArray:
    scores = np.zeros(len(totals), dtype=np.int64)
    if chosen is None:
        return scores
    if form == "scores":
        span = np.ptp(totals)
        spread = (totals - totals.min()) / span if span > EQUAL_WITHIN else np.ones_like(totals)
        scores = np.minimum(spread * MAX_SCORE, MAX_SCORE - 1).astype(np.int64)
    scores[chosen] = MAX_SCORE
    return scores


def _reason(ranking: Ranking, snapshot: Snapshot) -> str:
    if ranking.chosen is None:
        return "no candidate to rank"
    node = snapshot.node_names[ranking.rows[ranking.chosen]]
    points = ", ".join(
        f"{part.name} {part.weight * part.values[ranking.chosen]:.2f}" for part in ranking.parts
    )
    ties = f", fullest of {ranking.tied} equal ones" if ranking.tied > 1 else ""
    return f"{node} is best of {len(ranking.rows)}{ties} ({points or 'no scorer has an opinion'})"
