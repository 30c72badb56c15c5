"""What became of a pod's hint in one ranking: counted at once, told in the decision's record."""

from __future__ import annotations

from dataclasses import dataclass

from moorage_extender.context import Context
from moorage_extender.decisions import BEST_SHOWN, HintRecord, IntentRecord
from moorage_extender.hints import outcome_of
from moorage_policies.hints import (
    HintMemory,
    HintScore,
    HintSource,
    Reading,
    Signals,
    intent_to_json,
    score_hint,
)
from moorage_policies.scoring import HintedNodes, Ranking
from moorage_policies.state import Snapshot
from moorage_policies.types import Pod

SHOWN_CHARS = 500


@dataclass(frozen=True, slots=True)
class HintUse:
    """A hint as it was known when its pod was ranked."""

    source: HintSource
    reading: Reading | None
    outcome: str
    signals: Signals
    memory: HintMemory

    def to_record(self, pod: Pod, ranking: Ranking, snapshot: Snapshot) -> HintRecord:
        """Return the hint with what each intent added to the best candidates."""
        record = HintRecord(self.source.text[:SHOWN_CHARS], self.outcome)
        if self.reading is None:
            return record
        hint = self.reading.hint
        record.origin, record.problem = self.reading.origin.value, self.reading.problem
        record.not_understood = hint.not_understood
        if hint.intents:
            scored = score_hint(
                hint.intents, pod, snapshot, ranking.rows, self.signals, self.memory
            ).value
            record.intents = _intents(scored, ranking, snapshot)
        return record


def note_hint(pod: Pod, ranking: Ranking, ctx: Context, snapshot: Snapshot) -> HintUse | None:
    """Count what became of the pod's hint, ``None`` for a pod without one."""
    source = ctx.hints.source_of(pod)
    if source is None:
        return None
    reading = ctx.hints.book.find(source)
    is_on = ctx.policy.spec.hints.actuation == "Auto"
    outcome = _outcome(reading, ranking) if is_on else "switched-off"
    ctx.metrics.hinted_rankings.labels(outcome).inc()
    signals = ctx.hint_signals.of(snapshot)
    return HintUse(source, reading, outcome, signals, ctx.hints.memory)


def _outcome(reading: Reading | None, ranking: Ranking) -> str:
    if reading is None:
        return "not-read-yet"
    if not reading.hint.intents:
        return outcome_of(reading)
    if HintedNodes.name in ranking.dropped:
        return "deadline"
    heard = any(part.name == HintedNodes.name for part in ranking.parts)
    return "counted" if heard else "tells-no-nodes-apart"


def _intents(scored: HintScore, ranking: Ranking, snapshot: Snapshot) -> list[IntentRecord]:
    best = ranking.best(BEST_SHOWN).tolist()
    weights = sum(p.intent.weight.ratio for p in scored.parts if p.score is not None)
    records = []
    for part in scored.parts:
        added = {}
        if part.score is not None:
            share = part.intent.weight.ratio / weights
            added = {
                snapshot.node_names[ranking.rows[at]]: round(share * float(part.score[at]), 4)
                for at in best
            }
        records.append(IntentRecord(intent_to_json(part.intent), part.reason, added))
    return records
