from __future__ import annotations

import re

import pytest

from moorage_policies.hints import canonical_set, intents_from_json, parse_hint
from moorage_policies.hints.lexicon import correct, lexicon
from moorage_policies.hints.ordinary_words import ORDINARY_WORDS
from moorage_policies.hints.patterns import TAGS, compile_pattern
from moorage_policies.hints.vocabulary import PHRASES


def test_no_phrase_stands_under_two_tags() -> None:
    """A phrase means the first tag that lists it; a second listing would be dead."""
    owner: dict[str, str] = {}
    twice = []
    for key, text in PHRASES.items():
        for phrase in {" ".join(p.split()) for p in text.split(",")} - {""}:
            if phrase in owner:
                twice.append((phrase, owner[phrase], key))
            owner[phrase] = key
    assert not twice


def test_phrases_are_in_the_form_that_texts_are_brought_to() -> None:
    for words in lexicon().meanings:
        for word in words:
            assert word == word.casefold()
            assert not re.search(r"[a-z]-[a-z]", word), word  # hyphens count as spaces


def test_ordinary_words_are_never_corrected() -> None:
    assert [word for word in sorted(ORDINARY_WORDS) if correct(word) != word] == []


def test_a_pattern_may_only_name_tags() -> None:
    with pytest.raises(KeyError):
        compile_pattern("NEAR NOWHERE")
    assert len(set(TAGS)) == len(TAGS)


HEDGES = {
    "Low": ["if possible", "ideally", "nice to have", "optionally", "if available"],
    "High": ["must", "definitely", "at all costs", "absolutely", "strictly"],
}


@pytest.mark.parametrize(
    ("weight", "hedge"), [(weight, hedge) for weight, hedges in HEDGES.items() for hedge in hedges]
)
def test_a_hedge_may_stand_before_or_after(weight: str, hedge: str) -> None:
    wish = {"class": "Accelerator", "target": "h100", "weight": weight}
    expected = canonical_set(intents_from_json([wish]))
    for text in (f"{hedge} on H100", f"on H100, {hedge}", f"{hedge}: H100"):
        assert canonical_set(parse_hint(text).intents) == expected, text
