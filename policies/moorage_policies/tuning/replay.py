"""Recorded days played again under some weights: which pods would have found a node."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from moorage_policies.preemption import Victims
from moorage_policies.scoring import Ranker, RankingParams
from moorage_policies.scoring.load import Load, Utilisation, asked_ratio
from moorage_policies.simulation import Arrival, SchedulerParams, play
from moorage_policies.state import Snapshot
from moorage_policies.tuning.days import DAY_S, Day, gpus_of
from moorage_policies.types import DisruptionBudget, IntArray, Pod

LEARN_EVERY = 32
"""Decisions between two lessons of the ranking; the extender learns every few seconds."""
FOREVER_S = float("inf")


def replay(
    days: Sequence[Day], params: RankingParams | None, seed: int
) -> Iterator[frozenset[str]]:
    """Yield UIDs of the pods that find a node, day by day; nobody is moved or evicted.

    Args:
        days: the days in their order; what the ranking learned on one it knows on the next.
        params: weights of our ranking; ``None`` for kube-scheduler's own scores.
        seed: breaks kube-scheduler's ties.
    """
    extender = None if params is None else TaughtRanking(params)
    chance = np.random.default_rng(seed)
    for day in days:
        if extender is not None:
            extender.begin_day(len(day.pods))
        arrivals = [Arrival(float(at), pod, FOREVER_S) for at, pod in enumerate(day.pods)]
        scheduler = SchedulerParams(preemption=False)
        history = play(day.nodes, arrivals, scheduler, chance, extender=extender)
        yield frozenset(history.waits_s)


class TaughtRanking:
    """Our ranking in the extender's place, which learns between decisions.

    It decides by the filter verb. A recording has no measurements, so nodes are taken to use what
    their pods ask for.

    Args:
        params: the ranking's weights.
    """

    weight = 1

    def __init__(self, params: RankingParams) -> None:
        self._now_s = 0.0
        self._gap_s = 0.0
        self._decisions = 0
        self._batch: Utilisation | None = None
        load = Load(lambda: self._batch, lambda: 0.0)
        self._ranker = Ranker(params, lambda: self._now_s, (load,))

    def begin_day(self, pods: int) -> None:
        """Let a day of so many pods begin: what is learned fades by days, not by decisions."""
        self._gap_s = DAY_S / pods
        self._decisions = 0

    def is_interested(self, pod: Pod) -> bool:
        """Return whether the pod asks for GPUs."""
        return gpus_of(pod) > 0

    def filter(self, pod: Pod, snapshot: Snapshot, rows: IntArray) -> IntArray:
        """Return the chosen row alone."""
        if self._decisions % LEARN_EVERY == 0:
            self._ranker.learn(snapshot)
            self._batch = _measure(snapshot)
        self._decisions += 1
        self._now_s += self._gap_s
        chosen = self._ranker.rank(pod, snapshot, rows).value.chosen
        return rows if chosen is None else rows[[chosen]]

    def prioritize(self, pod: Pod, snapshot: Snapshot, rows: IntArray) -> IntArray:
        """Return the scores of rows."""
        return self._ranker.rank(pod, snapshot, rows).value.scores

    def preempt(
        self,
        _pod: Pod,
        _candidates: Mapping[str, tuple[str, ...]],
        _snapshot: Snapshot,
        _budgets: Sequence[DisruptionBudget],
        _now_s: float,
    ) -> Mapping[str, Victims]:
        """Return no victims: in a replay nobody is evicted."""
        return {}


def _measure(snapshot: Snapshot) -> Utilisation:
    asked = asked_ratio(snapshot)
    used = np.full((len(snapshot.nodes), 4), np.nan)
    used[:, : asked.shape[1]] = np.clip(asked, 0.0, 1.0)
    return Utilisation(0.0, snapshot.node_names, used, asked)
