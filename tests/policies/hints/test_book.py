from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage_policies.errors import BadInputError
from moorage_policies.hints import (
    HintBook,
    HintSource,
    IntentClass,
    Origin,
    Refusal,
    parse_hint,
    read_hint,
    read_written,
    text_digest,
    write_hint,
)

TEXT = "prefer H100, away from batch jobs"


def written(**fields: Any) -> str:
    return json.dumps({"intents": [{"class": "Cost"}], **fields})


@given(st.text(max_size=200))
def test_what_is_written_down_reads_back_for_its_text_only(text: str) -> None:
    hint = parse_hint(text)
    form = json.dumps(write_hint(text, hint, "Local"))
    back = read_written(text, form)
    assert back is not None
    assert back.intents == hint.intents
    assert back.not_understood == hint.not_understood
    assert read_written(f"{text}!", form) is None


def test_intents_that_a_person_wrote_count_before_the_text() -> None:
    reading = read_hint(HintSource(TEXT, written()))
    assert [intent.kind for intent in reading.hint.intents] == [IntentClass.COST]
    assert reading.origin is Origin.WRITTEN


def test_intents_written_for_an_older_text_do_not_count() -> None:
    reading = read_hint(HintSource(TEXT, written(of=text_digest("something else"))))
    assert reading.hint == parse_hint(TEXT)
    assert reading.origin is Origin.TEXT
    assert reading.problem == ""


@pytest.mark.parametrize(
    ("text", "names"),
    [
        pytest.param("{", "intents", id="no-json"),
        pytest.param("[" * 30_000, "intents", id="deeper-than-the-stack"),
        pytest.param("[]", "intents", id="no-object"),
        pytest.param("{}", "intents", id="no-intents"),
        pytest.param(written(priority=1000), "priority", id="unknown-key"),
        pytest.param(written(version=2), "version", id="another-version"),
        pytest.param(written(notUnderstood="words"), "notUnderstood", id="no-list"),
        pytest.param('{"intents": [{"class": "Evict"}]}', "intents[0].class", id="unknown-class"),
        pytest.param('{"intents": [{"class": "Cost", "nodeName": "a"}]}', "nodeName", id="extra"),
        pytest.param(written(parser="x" * 40_000), "intents", id="too-long"),
    ],
)
def test_unusable_written_intents_are_told_and_the_text_counts(text: str, names: str) -> None:
    with pytest.raises(BadInputError, match=r"must|write|remove|is not|known:") as caught:
        read_written(TEXT, text)
    assert names in str(caught.value)
    reading = read_hint(HintSource(TEXT, text))
    assert reading.hint == parse_hint(TEXT)
    assert names in reading.problem


def test_the_book_forgets_what_was_unused_for_longest() -> None:
    book = HintBook(kept=2)
    sources = [HintSource(f"near pod-{number}") for number in range(3)]
    for source in sources[:2]:
        book.put(source, read_hint(source))
    assert book.find(sources[0]) == read_hint(sources[0])
    book.put(sources[2], read_hint(sources[2]))
    assert [book.find(source) is not None for source in sources] == [True, False, True]
    assert len(book) == 2


def test_texts_that_are_too_long_are_known_and_never_kept() -> None:
    book = HintBook()
    source = HintSource("prefer spot " * 100_000)
    book.put(source, read_hint(source))
    found = book.find(source)
    assert found is not None
    assert found.hint.refusal is Refusal.TOO_LONG
    assert len(book) == 0
