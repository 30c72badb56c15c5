"""What was decided lately and why, for people: the last decisions in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from msgspec import Struct

from moorage_policies.scoring import Ranking
from moorage_policies.state import Snapshot

BEST_SHOWN = 5


class ScoredNode(Struct, gc=False):
    """One candidate: its total and the points of each scorer."""

    node: str
    score: int
    total: float
    points: Mapping[str, float]


class Record(Struct, rename="camel", omit_defaults=True):
    """One decision.

    ``verb``, ``outcome``, ``at_s`` (Unix seconds) and ``took_ms`` are filled in by the call.
    ``best`` holds the best candidates, the chosen one first. ``refused`` counts nodes by reason,
    ``victims`` lists UIDs by node.
    """

    pod: str
    uid: str
    reason: str
    verb: str = ""
    outcome: str = "ok"
    at_s: float = 0.0
    took_ms: float = 0.0
    node: str = ""
    generation: int = 0
    candidates: int = 0
    best: list[ScoredNode] = []
    dropped: tuple[str, ...] = ()
    refused: Mapping[str, int] = {}
    victims: Mapping[str, tuple[str, ...]] = {}


class Decisions:
    """The last records, newest last.

    Args:
        kept: how many.
    """

    __slots__ = ("_records",)

    def __init__(self, kept: int) -> None:
        self._records: deque[Record] = deque(maxlen=kept)

    def add(self, record: Record) -> None:
        """Keep a record; the oldest one goes when there are too many."""
        self._records.append(record)

    def latest(self, limit: int) -> list[Record]:
        """Return up to ``limit`` records, newest first."""
        return [record for record, _ in zip(reversed(self._records), range(limit), strict=False)]

    def of_pod(self, namespace: str, name: str) -> list[Record]:
        """Return the records of a pod of this name, newest first."""
        key = f"{namespace}/{name}"
        return [record for record in reversed(self._records) if record.pod == key]


def scored_nodes(ranking: Ranking, snapshot: Snapshot) -> list[ScoredNode]:
    """Return the best candidates with what each scorer gave them."""
    return [
        ScoredNode(
            node=snapshot.node_names[ranking.rows[index]],
            score=int(ranking.scores[index]),
            total=round(float(ranking.totals[index]), 4),
            points=ranking.explain(index),
        )
        for index in ranking.best(BEST_SHOWN).tolist()
    ]
