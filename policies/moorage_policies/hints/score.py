"""Intents on a snapshot: one bounded score per node, and what each intent added.

A score orders nodes that are already allowed. It is a weighted mean of numbers in [0, 1], so no
hint, however worded, can leave that range, remove a node or add one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from moorage_policies.hints.intent import Intent
from moorage_policies.hints.memory import HintMemory
from moorage_policies.hints.scorers import SCORERS, View, rests_on, rests_on_snapshot
from moorage_policies.hints.signals import NO_SIGNALS, Signals
from moorage_policies.state import Snapshot
from moorage_policies.types import Decision, FloatArray, IntArray, Pod

_FEW = 4
"""Candidates are few where less than one node in this many is one: all nodes would cost more."""
UNKNOWN_SCORE = 0.5
"""Score of a single node about which an intent knows nothing while it knows others."""


@dataclass(frozen=True, slots=True, eq=False)
class IntentScore:
    """What one intent says.

    Args:
        intent: the wish.
        score: 0 (worst) to 1 (best) per candidate, ``None`` when it cannot tell nodes apart.
        reason: what it looked at, in words.
    """

    intent: Intent
    score: FloatArray | None
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class HintScore:
    """What a hint says.

    Args:
        score: weighted mean of the intents that know something, in [0, 1], shape ``(rows,)``;
            ``None`` when none of them does.
        parts: every intent's share, in the order of the hint.
    """

    score: FloatArray | None
    parts: tuple[IntentScore, ...]

    def contributions(self, at: int) -> tuple[tuple[Intent, float, str], ...]:
        """Return what each intent added to the candidate at this position, and why."""
        total = sum(p.intent.weight.ratio for p in self.parts if p.score is not None)
        return tuple(
            (p.intent, p.intent.weight.ratio * float(p.score[at]) / total, p.reason)
            for p in self.parts
            if p.score is not None
        )


def score_hint(
    intents: Sequence[Intent],
    pod: Pod,
    snapshot: Snapshot,
    rows: IntArray | None = None,
    signals: Signals = NO_SIGNALS,
    memory: HintMemory | None = None,
) -> Decision[HintScore]:
    """Return how well candidates meet a pod's hint.

    Args:
        intents: what the hint means.
        pod: the pod that carries it.
        snapshot: the cluster.
        rows: candidate rows, shape ``(rows,)``; every node when left out.
        signals: measured facts, where somebody measures them.
        memory: of what was worked out before; none when left out.
    """
    at = slice(None) if rows is None else rows
    view = View(pod, snapshot, at, signals, memory or HintMemory())
    parts = tuple(_part(intent, view) for intent in intents)
    told = [(part.intent.weight.ratio, part.score) for part in parts if part.score is not None]
    result = HintScore(_mean(told), parts)
    reason = f"{len(told)} of {len(parts)} intents tell nodes apart"
    return Decision(result, reason, {"pod": pod.key, "generation": snapshot.generation})


def score_nodes(
    intents: Sequence[Intent],
    pod: Pod,
    snapshot: Snapshot,
    rows: IntArray,
    signals: Signals,
    memory: HintMemory,
) -> FloatArray | None:
    """Return the score of :func:`score_hint` alone; pods of one template cost a look-up each."""
    few = len(rows) * _FEW < len(snapshot.nodes)
    if few or not all(rests_on_snapshot(intent, signals) for intent in intents):
        return _mean(_said(intents, View(pod, snapshot, rows, signals, memory)))
    whole = memory.by_snapshot(
        tuple((intent, rests_on(intent, pod)) for intent in intents),
        snapshot,
        lambda: _mean(_said(intents, View(pod, snapshot, slice(None), signals, memory))),
    )
    return None if whole is None else whole[rows]


def _said(intents: Iterable[Intent], view: View) -> Iterator[tuple[float, FloatArray]]:
    for intent in intents:
        score, _ = SCORERS[intent.kind](intent, view)
        if score is not None:
            yield intent.weight.ratio, _bounded(score)


def _mean(told: Iterable[tuple[float, FloatArray]]) -> FloatArray | None:
    """Return the weighted mean of scores, ``None`` without any."""
    total: FloatArray | None = None
    weights = 0.0
    for weight, score in told:
        weights += weight
        total = weight * score if total is None else total + weight * score
    return None if total is None else np.minimum(total / weights, 1.0)


def _part(intent: Intent, view: View) -> IntentScore:
    score, reason = SCORERS[intent.kind](intent, view)
    if score is None:
        return IntentScore(intent, None, reason)
    return IntentScore(intent, _bounded(score), reason)


def _bounded(score: FloatArray) -> FloatArray:
    known = np.where(np.isnan(score), UNKNOWN_SCORE, score)
    return np.minimum(np.maximum(known, 0.0), 1.0)
