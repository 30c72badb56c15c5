from __future__ import annotations

import json
from pathlib import Path

import pytest

from moorage_benchmarks import hints
from moorage_policies.errors import BadInputError
from moorage_policies.hints import IntentClass


def value(rows: list[hints.Row], case: str, arm: str, metric: str) -> float:
    (row,) = [r for r in rows if (r.case, r.arm, r.metric) == (case, arm, metric)]
    return row.value


def test_the_corpus_is_what_the_protocol_asks_for() -> None:
    corpus = hints.read_corpus(hints.CORPUS)
    assert len(corpus) >= 300
    assert len({hint.text for hint in corpus}) == len(corpus)
    assert {i.kind for hint in corpus for i in hint.intents} == set(IntentClass)
    assert len(hints.read_corpus(hints.FROZEN_TOO)) >= 100
    frozen = sum(hint.frozen for hint in corpus)
    assert 0.25 < frozen / len(corpus) < 0.4


def test_the_parser_reads_the_corpus_and_beats_keywords() -> None:
    rows = hints.run()
    assert value(rows, "dev", hints.OURS, "subset_accuracy_ratio") >= 0.98
    assert value(rows, "frozen", hints.OURS, "subset_accuracy_ratio") >= 0.9
    assert value(rows, "frozen2", hints.OURS, "subset_accuracy_ratio") >= 0.95
    assert value(rows, "second-writer", hints.OURS, "subset_accuracy_ratio") >= 0.98
    assert value(rows, "paraphrases", hints.OURS, "subset_accuracy_ratio") >= 0.99
    for case in ("dev", "frozen", "frozen2"):
        ours = value(rows, case, hints.OURS, "subset_accuracy_ratio")
        assert ours > 2 * value(rows, case, hints.KEYWORDS, "subset_accuracy_ratio")


def test_a_given_corpus_is_measured_whole(tmp_path: Path) -> None:
    file = tmp_path / "mine.jsonl"
    right = {"text": "prefer H100", "intents": [{"class": "Accelerator", "target": "H100"}]}
    wrong = {"text": "avoid spot", "intents": [{"class": "Cost"}]}
    file.write_text(f"{json.dumps(right)}\n\n{json.dumps(wrong)}\n", encoding="utf-8")
    rows = hints.run(corpus=file)
    assert value(rows, "given", hints.OURS, "hints") == 2
    assert value(rows, "given", hints.OURS, "subset_accuracy_ratio") == 0.5
    pairs = hints.confusion(hints.read_corpus(file))
    assert pairs == {("Accelerator", "Accelerator"): 1, ("Cost", "NodeLabel"): 1}


@pytest.mark.parametrize(
    ("content", "where"),
    [
        pytest.param(b"", "", id="empty"),
        pytest.param(b"\xff", "", id="not-utf-8"),
        pytest.param(b"{", ":1", id="not-json"),
        pytest.param(b'{"text": "x", "intents": []}\n{"text": 7}', ":2", id="no-text"),
        pytest.param(b'{"text": "x", "intents": [{"class": "X"}]}', ":1.intents[0]", id="class"),
    ],
)
def test_a_bad_corpus_is_refused_with_its_place(tmp_path: Path, content: bytes, where: str) -> None:
    file = tmp_path / "bad.jsonl"
    file.write_bytes(content)
    with pytest.raises(BadInputError) as caught:
        hints.read_corpus(file)
    assert caught.value.field.startswith(f"{file}{where}")
