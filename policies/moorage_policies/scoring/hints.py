"""What a pod's hint says of the candidates, as one scorer among others."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from moorage_policies.hints import HintMemory, Intent, Signals, score_nodes
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
        memory: of what intents said of nodes before.
    """

    __slots__ = ("_intents_of", "_memory", "_signals_of")

    name = "hints"

    def __init__(
        self, intents_of: IntentsOf, signals_of: SignalsOf, memory: HintMemory | None = None
    ) -> None:
        self._intents_of = intents_of
        self._memory = memory or HintMemory()
        self._signals_of = signals_of

    def score(self, pod: Pod, snapshot: Snapshot, rows: IntArray) -> FloatArray | None:
        """Return how well candidates meet the hint; ``None`` without intents that tell."""
        intents = self._intents_of(pod)
        if not intents:
            return None
        return score_nodes(intents, pod, snapshot, rows, self._signals_of(snapshot), self._memory)
