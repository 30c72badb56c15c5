"""What a pod's hint says of the candidates, as one scorer among others."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from moorage_policies.hints import Intent, Signals, score_hint
from moorage_policies.state import Snapshot
from moorage_policies.types import FloatArray, IntArray, Pod

IntentsOf = Callable[[Pod], Sequence[Intent]]
"""Tells a pod's intents without reading any text; empty while nobody knows them."""
SignalsOf = Callable[[Snapshot], Signals]
"""Tells what is measured about the snapshot's nodes."""


class HintedNodes:
    """Nodes that suit the pod's natural-language hint.

    Args:
        intents_of: see :data:`IntentsOf`.
        signals_of: see :data:`SignalsOf`.
    """

    __slots__ = ("_intents_of", "_signals_of")

    name = "hints"

    def __init__(self, intents_of: IntentsOf, signals_of: SignalsOf) -> None:
        self._intents_of = intents_of
        self._signals_of = signals_of

    def score(self, pod: Pod, snapshot: Snapshot, rows: IntArray) -> FloatArray | None:
        """Return how well candidates meet the hint; ``None`` without intents that tell."""
        intents = self._intents_of(pod)
        if not intents:
            return None
        return score_hint(intents, pod, snapshot, rows, self._signals_of(snapshot)).value.score
