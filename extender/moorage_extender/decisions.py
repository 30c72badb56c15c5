"""What was decided lately and why, for people: the last decisions in memory."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping

import structlog
from msgspec import Struct, structs

from moorage_policies.scoring import Ranking
from moorage_policies.state import Snapshot

BEST_SHOWN = 5
DIGITS = 4
SETTLE_AFTER_S = 0.02

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


class ScoredNode(Struct, gc=False):
    """One candidate: its total and the points of each scorer."""

    node: str
    score: int
    total: float
    points: Mapping[str, float]


class IntentRecord(Struct, rename="camel", omit_defaults=True, gc=False):
    """One intent of a hint: what it looked at, and its part of the hint's 0 to 1 by node."""

    intent: Mapping[str, object]
    reason: str
    added: Mapping[str, float] = {}


class HintRecord(Struct, rename="camel", omit_defaults=True):
    """A pod's hint and what became of it."""

    text: str
    outcome: str
    origin: str = ""
    problem: str = ""
    intents: list[IntentRecord] = []
    not_understood: tuple[str, ...] = ()


class Record(Struct, rename="camel", omit_defaults=True):
    """One decision.

    ``verb``, ``outcome``, ``at_s`` (Unix seconds) and ``took_ms`` are filled in by the call.
    ``best`` holds the best candidates, the chosen one first; the points of each add up to its
    total, ``weights`` are those of the scorers, and ``form`` tells how totals became scores.
    ``refused`` counts nodes by reason, ``victims`` lists UIDs by node.
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
    weights: Mapping[str, float] = {}
    form: str = ""
    dropped: tuple[str, ...] = ()
    refused: Mapping[str, int] = {}
    victims: Mapping[str, tuple[str, ...]] = {}
    hint: HintRecord | None = None


class Decisions:
    """The last records, newest last.

    A record is made a moment after its decision, several at a time: the scheduler's one serial
    cycle waits for answers, nobody waits for records. Whoever reads gets them all.

    Args:
        kept: how many.
    """

    __slots__ = ("_records", "_waiting")

    def __init__(self, kept: int) -> None:
        self._records: deque[Record] = deque(maxlen=kept)
        self._waiting: list[Callable[[], Record]] = []

    def add(self, make: Callable[[], Record]) -> None:
        """Keep what makes a record until the next ``settle``."""
        if not self._waiting:
            asyncio.get_running_loop().call_later(SETTLE_AFTER_S, self.settle)
        self._waiting.append(make)

    def settle(self) -> None:
        """Make and log the records that wait; the oldest ones go when there are too many."""
        waiting, self._waiting = self._waiting, []
        for make in waiting:
            record = make()
            self._records.append(record)
            facts = {name: value for name, value in structs.asdict(record).items() if value}
            for long in ("best", "weights"):
                facts.pop(long, None)
            if record.hint is not None:
                facts["hint"] = record.hint.outcome
            log.info("decision", **facts)

    def latest(self, limit: int) -> list[Record]:
        """Return up to ``limit`` records, newest first."""
        self.settle()
        return [record for record, _ in zip(reversed(self._records), range(limit), strict=False)]

    def of_pod(self, namespace: str, name: str) -> list[Record]:
        """Return the records of a pod of this name, newest first."""
        self.settle()
        key = f"{namespace}/{name}"
        return [record for record in reversed(self._records) if record.pod == key]


def note_ranking(record: Record, ranking: Ranking, snapshot: Snapshot) -> Record:
    """Write into a record which nodes were best and what each scorer gave them."""
    record.best = [
        _scored(ranking, index, snapshot.node_names[ranking.rows[index]])
        for index in ranking.best(BEST_SHOWN).tolist()
    ]
    record.weights = {part.name: part.weight for part in ranking.parts}
    record.form, record.dropped = ranking.form, ranking.dropped
    return record


def _scored(ranking: Ranking, index: int, node: str) -> ScoredNode:
    points = ranking.explain(index)
    total = round(sum(points.values()), DIGITS)  # of what is shown, so that it adds up
    return ScoredNode(node=node, score=int(ranking.scores[index]), total=total, points=points)
