"""Plain words about where to run, as bounded soft preferences."""

from moorage_policies.hints.book import HintBook, HintSource, Origin, Reading, read_hint
from moorage_policies.hints.canonical import canonical_intent, canonical_set
from moorage_policies.hints.codec import hint_to_json, intent_to_json, intents_from_json
from moorage_policies.hints.grammar import parse_hint
from moorage_policies.hints.intent import (
    MAX_TEXT_CHARS,
    SCHEMA_VERSION,
    Intent,
    IntentClass,
    Op,
    ParsedHint,
    Quantity,
    Refusal,
    Sign,
    Weight,
)
from moorage_policies.hints.memory import HintMemory
from moorage_policies.hints.score import HintScore, IntentScore, score_hint, score_nodes
from moorage_policies.hints.scorers import POWER_LABEL, PRICE_LABEL
from moorage_policies.hints.signals import NO_SIGNALS, Opinion, Signals
from moorage_policies.hints.written import read_written, text_digest, write_hint

__all__ = [
    "MAX_TEXT_CHARS",
    "NO_SIGNALS",
    "POWER_LABEL",
    "PRICE_LABEL",
    "SCHEMA_VERSION",
    "HintBook",
    "HintMemory",
    "HintScore",
    "HintSource",
    "Intent",
    "IntentClass",
    "IntentScore",
    "Op",
    "Opinion",
    "Origin",
    "ParsedHint",
    "Quantity",
    "Reading",
    "Refusal",
    "Sign",
    "Signals",
    "Weight",
    "canonical_intent",
    "canonical_set",
    "hint_to_json",
    "intent_to_json",
    "intents_from_json",
    "parse_hint",
    "read_hint",
    "read_written",
    "score_hint",
    "score_nodes",
    "text_digest",
    "write_hint",
]
