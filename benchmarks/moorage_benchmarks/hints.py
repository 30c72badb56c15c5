"""Protocol ``hints``: hint sentences to intents, against labels written by the labelling guide.

A hint counts as right only if its whole set of intents is right (subset accuracy). The corpus
that comes along is split by a hash of the text: two thirds (``dev``) were looked at while rules
were written, one third (``frozen``) never was. ``frozen2`` is by another hand, written from the
labelling guide without sight of the parser; rules were never fitted to it either.
``second-writer`` was written in the same way (89.0 % were right at first sight), and was then used
to write rules, as ``paraphrases`` were: checks against regressions, no measure of what users will
see. ``limit`` are texts of the greatest length that is read: how long the longest take. A file
given with ``--corpus`` is one case, ``given``. Times are CPU times of first readings.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from moorage_benchmarks.hints_baseline import keyword_intents
from moorage_benchmarks.report import OURS, JsonFile, Row, finish
from moorage_policies.errors import BadInputError
from moorage_policies.hints import (
    MAX_TEXT_CHARS,
    HintBook,
    HintSource,
    Intent,
    IntentClass,
    canonical_set,
    intents_from_json,
    parse_hint,
    read_hint,
)

PROTOCOL = "hints"
SEED = 1
CORPUS = Path(__file__).with_name("corpora") / "hints.jsonl"
FROZEN_TOO = CORPUS.with_name("frozen2.jsonl")
SECOND_WRITER = CORPUS.with_name("second-writer.jsonl")
PARAPHRASES = CORPUS.with_name("paraphrases.jsonl")
KEYWORDS = "keywords"
_FROZEN_SHARE = 3
"""One hint in this many is frozen."""
_LONGEST_TEXTS = 200
_SLIPS_RATIO = 0.02
"""Share of characters that are wrong in the longest texts."""
_QUICK_HINTS = 60
_PODS = 5000
_ZIPF = 1.3

Parser = Callable[[str], Sequence[Intent]]
Parsed = TypeVar("Parsed")


@dataclass(frozen=True, slots=True)
class Labelled:
    """A hint and what it means to the person who labelled it."""

    text: str
    intents: tuple[Intent, ...]

    @property
    def frozen(self) -> bool:
        """Return whether the hint belongs to the part that rules were never fitted to."""
        return hashlib.sha256(self.text.encode()).digest()[0] % _FROZEN_SHARE == 0


def read_corpus(path: Path) -> list[Labelled]:
    """Return the hints of a JSON Lines file.

    Raises:
        BadInputError: naming the line, if one cannot be read.
    """
    try:
        lines = path.read_bytes().decode().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(f"cannot be read as UTF-8 text: {error}", field=str(path)) from error
    hints = [_labelled(line, f"{path}:{i}") for i, line in enumerate(lines, 1) if line.strip()]
    if not hints:
        raise BadInputError("holds no hint; write one JSON object a line", field=str(path))
    return hints


def _labelled(line: str, where: str) -> Labelled:
    try:
        data = json.loads(line)
    except ValueError as error:
        raise BadInputError(f"is not JSON: {error}", field=where) from error
    if not isinstance(data, dict) or not isinstance(data.get("text"), str):
        raise BadInputError('needs "text" and "intents"', field=where)
    return Labelled(data["text"], intents_from_json(data.get("intents"), f"{where}.intents"))


def run(*, quick: bool = False, seed: int = SEED, corpus: Path | None = None) -> list[Row]:
    """Return the rows of both arms.

    Args:
        quick: the first 60 hints only.
        seed: of the order in which pods come.
        corpus: labelled hints; the ones that come along when left out.
    """
    hints = read_corpus(corpus or CORPUS)
    hints = hints[:_QUICK_HINTS] if quick else hints
    cases = {"given": hints} if corpus else _split(hints)
    if corpus is None and not quick:
        cases |= {name: read_corpus(path) for name, path in _FURTHER.items()}
    arms: dict[str, Parser] = {
        OURS: lambda text: parse_hint(text).intents,
        KEYWORDS: keyword_intents,
    }
    rows: list[Row] = []
    for case, part in cases.items():
        for arm, parser in arms.items():
            rows += [Row(PROTOCOL, case, arm, *n, seed) for n in _measure(part, parser)]
        rows += [Row(PROTOCOL, case, OURS, *number, seed) for number in _look_up(part, seed)]
    times_ms = [_time_ms(parse_hint, text)[0] for text in _longest_texts(hints, seed)]
    rows += [Row(PROTOCOL, "limit", OURS, *number, seed) for number in _latencies(times_ms)]
    return rows


_FURTHER = {"frozen2": FROZEN_TOO, "second-writer": SECOND_WRITER, "paraphrases": PARAPHRASES}


def _split(hints: Iterable[Labelled]) -> dict[str, list[Labelled]]:
    parts: dict[str, list[Labelled]] = {"dev": [], "frozen": []}
    for hint in hints:
        parts["frozen" if hint.frozen else "dev"].append(hint)
    return parts


def _longest_texts(hints: Sequence[Labelled], seed: int) -> list[str]:
    """Return texts as long as any that is read: hints run together, some letters wrong."""
    random = np.random.default_rng(seed)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    texts = []
    for _ in range(_LONGEST_TEXTS):
        order = random.permutation(len(hints)).tolist()
        said = np.array(list(", ".join(hints[i].text for i in order)[:MAX_TEXT_CHARS]))
        wrong = random.random(len(said)) < _SLIPS_RATIO
        said[wrong] = random.choice(letters, int(wrong.sum()))
        texts.append("".join(said.tolist()))
    return texts


def _time_ms(parser: Callable[[str], Parsed], text: str) -> tuple[float, Parsed]:
    started_s = time.thread_time()
    found = parser(text)
    return (time.thread_time() - started_s) * 1000, found


def _latencies(times_ms: Sequence[float]) -> list[tuple[str, float, str]]:
    return [
        ("parse_p50_ms", _quantile(times_ms, 50), "ms"),
        ("parse_p99_ms", _quantile(times_ms, 99), "ms"),
    ]


def _measure(hints: Sequence[Labelled], parser: Parser) -> list[tuple[str, float, str]]:
    times_ms, right = [], 0
    hits = misses = spurious = 0
    for hint in hints:
        time_ms, found = _time_ms(parser, hint.text)
        times_ms.append(time_ms)
        have, want = canonical_set(found), canonical_set(hint.intents)
        right += have == want
        hits += len(have & want)
        misses += len(want - have)
        spurious += len(have - want)
    return [
        ("hints", len(hints), "1"),
        ("subset_accuracy_ratio", right / max(len(hints), 1), "1"),
        ("intent_f1_ratio", 2 * hits / max(2 * hits + misses + spurious, 1), "1"),
        *_latencies(times_ms),
    ]


def _look_up(hints: Sequence[Labelled], seed: int) -> list[tuple[str, float, str]]:
    """Return how often the book knows the hint of a pod that comes, and how fast it tells.

    Pods come in an order of chance; few hints have many pods, many have few, as workloads do.
    """
    book, hits = HintBook(), 0
    random = np.random.default_rng(seed)
    ranks = np.minimum(random.zipf(_ZIPF, _PODS), len(hints)) - 1
    times_us = []
    for rank in ranks.tolist():
        source = HintSource(hints[rank].text)
        started = time.perf_counter()
        reading = book.find(source)
        times_us.append((time.perf_counter() - started) * 1e6)
        hits += reading is not None
        if reading is None:
            book.put(source, read_hint(source))
    return [
        ("book_hit_ratio", hits / len(ranks), "1"),
        ("lookup_p99_us", _quantile(times_us, 99), "us"),
    ]


def _quantile(times_ms: Sequence[float], percent: float) -> float:
    return float(np.percentile(times_ms, percent)) if times_ms else 0.0


def confusion(hints: Iterable[Labelled]) -> Counter[tuple[str, str]]:
    """Return how often an intent of one class was read as another; an empty name is none.

    Intents that are right are on the diagonal; of the rest of a hint, wanted and found classes are
    paired in order.
    """
    pairs: Counter[tuple[str, str]] = Counter()
    for hint in hints:
        have, want = canonical_set(parse_hint(hint.text).intents), canonical_set(hint.intents)
        pairs.update((intent[0], intent[0]) for intent in have & want)
        wanted = sorted(intent[0] for intent in want - have)
        found = sorted(intent[0] for intent in have - want)
        for name in sorted(set(wanted) & set(found)):
            wanted.remove(name)
            found.remove(name)
            pairs[(name, f"{name}, wrong field")] += 1
        longest = max(len(wanted), len(found))
        wanted += [""] * (longest - len(wanted))
        found += [""] * (longest - len(found))
        pairs.update(zip(wanted, found, strict=True))
    return pairs


def show_classes(hints: Sequence[Labelled], console: Console) -> None:
    """Print, per class, how many intents were right and what the others were taken for."""
    pairs = confusion(hints)
    table = Table("class", "labelled", "right", "taken for", title="classes", title_justify="left")
    for kind in (*IntentClass, ""):
        labelled = sum(number for (want, _), number in pairs.items() if want == kind)
        wrong = {h: n for (w, h), n in pairs.items() if w == kind and h != kind}
        taken = ", ".join(f"{have or 'nothing'} {n}" for have, n in sorted(wrong.items()))
        right = pairs[(kind, kind)] if kind else 0
        table.add_row(str(kind) or "(not labelled)", str(labelled), str(right), taken)
    console.print(table)


app = typer.Typer()


@app.callback(invoke_without_command=True)
def hints(
    corpus: Annotated[
        Path | None, typer.Option(help="Labelled hints, JSON Lines; see docs/hint-labels.md.")
    ] = None,
    quick: Annotated[bool, typer.Option(help="The first 60 hints.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of the order in which pods come.")] = SEED,
    json_file: JsonFile = None,
) -> None:
    """Measure how many hints are understood whole, and how fast."""
    finish(run(quick=quick, seed=seed, corpus=corpus), json_file)
    shown = [corpus] if corpus else [CORPUS, FROZEN_TOO, SECOND_WRITER]
    show_classes([hint for path in shown for hint in read_corpus(path)], Console())
