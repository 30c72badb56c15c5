from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from moorage_policies.hints import (
    IntentClass,
    canonical_set,
    hint_to_json,
    intent_to_json,
    intents_from_json,
    parse_hint,
)
from moorage_policies.hints.intent import MAX_INTENTS, MAX_NOT_UNDERSTOOD, MAX_WORD_CHARS
from moorage_policies.hints.lexicon import lexicon
from moorage_policies.hints.units import RESOURCE_DIMENSIONS

KNOWN = sorted(" ".join(words) for words in lexicon().meanings)
SHAPES = ["h100", "24gb", "$2", "zone", "us-east-1a", "app=redis", "3g.20gb", ",", ".", ":", "50%"]
phrases = st.sampled_from(KNOWN) | st.sampled_from(SHAPES) | st.text(max_size=8)
salads = st.lists(phrases, max_size=25).map(" ".join)
"""Word salad of the parser's own vocabulary: reaches rules that random characters never would."""

OF_PODS = {IntentClass.CO_LOCATION, IntentClass.ANTI_AFFINITY, IntentClass.NETWORK}
WITH_TARGET = OF_PODS | {IntentClass.ACCELERATOR, IntentClass.NODE_LABEL}


@given(st.text() | st.binary() | salads)
@settings(max_examples=150, deadline=None)
def test_never_raises_and_stays_in_bounds(text: str | bytes) -> None:
    found = parse_hint(text)
    assert len(found.intents) <= MAX_INTENTS
    assert len(found.not_understood) <= MAX_NOT_UNDERSTOOD
    assert found.refusal is None or not found.intents


@given(salads)
@settings(max_examples=150, deadline=None)
def test_every_intent_is_within_the_schema(text: str) -> None:
    intents = parse_hint(text).intents
    wire = json.loads(json.dumps([intent_to_json(intent) for intent in intents]))
    assert canonical_set(intents_from_json(wire)) == canonical_set(intents)
    for intent in intents:
        assert (intent.target is not None) == (intent.kind in WITH_TARGET)
        assert intent.target is None or 0 < len(intent.target) <= MAX_WORD_CHARS
        assert intent.quantity is None or intent.quantity.resource in RESOURCE_DIMENSIONS


@given(salads)
@settings(max_examples=80, deadline=None)
def test_the_same_text_means_the_same(text: str) -> None:
    assert parse_hint(text) == parse_hint(text)
    assert hint_to_json(parse_hint(text)) == hint_to_json(parse_hint(text.encode()))


@given(salads)
@settings(max_examples=80, deadline=None)
def test_case_does_not_matter(text: str) -> None:
    lower, upper = text.lower(), text.lower().upper()
    if upper.lower() == lower:  # letters like ß have no way back
        assert parse_hint(lower) == parse_hint(upper)


@given(salads)
@settings(max_examples=80, deadline=None)
def test_a_further_sentence_changes_nothing_before_it(text: str) -> None:
    """What stands after a full stop cannot take back or turn what was said."""
    before = parse_hint(f"avoid zone b.\n{text}")
    if before.refusal is None:
        assert any(
            i.kind is IntentClass.NODE_LABEL and i.target == "zone=b" and i.sign == "Avoid"
            for i in before.intents
        )
