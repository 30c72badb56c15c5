"""The vocabulary made searchable: phrases with inflections, and a forgiving spelling check."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import product

from rapidfuzz import process
from rapidfuzz.distance import OSA

from moorage_policies.hints.ordinary_words import ORDINARY_WORDS
from moorage_policies.hints.shapes import GPU_FAMILIES
from moorage_policies.hints.vocabulary import PHRASES

Phrase = tuple[str, ...]
Meaning = tuple[str, str]
"""Tag and value; the value is empty for most tags."""

_MIN_CHARS = 4
_TWO_ERRORS_CHARS = 8
"""From this length on two slips are forgiven; below, one."""
_REMEMBERED = 4096


def _build() -> dict[Phrase, Meaning]:
    phrases: dict[Phrase, Meaning] = {}
    for key, text in PHRASES.items():
        tag, _, value = key.partition(":")
        for phrase in text.split(","):
            for written in _alternatives(" ".join(phrase.split())):
                for words in _inflections(tuple(written.split())):
                    phrases.setdefault(words, (tag, value))
    return phrases


def _alternatives(phrase: str) -> list[str]:
    """Return what a phrase with ``{this|that}`` stands for."""
    pieces = [piece.split("|") for piece in re.split(r"[{}]", phrase)]
    return ["".join(choice) for choice in product(*pieces)]


def _inflections(words: Phrase) -> list[Phrase]:
    if words == ("~",):
        return [words]
    for i, word in enumerate(words):
        if word.endswith("~"):
            stem = word[:-1]
            return [(*words[:i], form, *words[i + 1 :]) for form in _verb_forms(stem)]
    return [words] if words else []


def _verb_forms(stem: str) -> list[str]:
    if stem.endswith("e"):
        return [stem, f"{stem}s", f"{stem}d", f"{stem[:-1]}ing"]
    if stem.endswith("y") and stem[-2] not in "aeou":
        return [stem, f"{stem[:-1]}ies", f"{stem[:-1]}ied", f"{stem}ing"]
    if stem.endswith(("ch", "sh", "ss")):
        return [stem, f"{stem}es", f"{stem}ed", f"{stem}ing"]
    last = stem[-1]
    return [stem, f"{stem}s", f"{stem}ed", f"{stem}ing", f"{stem}{last}ed", f"{stem}{last}ing"]


@dataclass(frozen=True, slots=True)
class Lexicon:
    """The vocabulary as it is searched.

    Args:
        meanings: meaning of every phrase, by its words in lower case.
        longest: words of the longest phrase that begins with a word, by that word.
        words: every word that some phrase contains.
        correctable: words that misspellings are held against, by first letter.
        doers: those of them for words that end as who does something (a balancer is no balance).
    """

    meanings: Mapping[Phrase, Meaning]
    longest: Mapping[str, int]
    words: frozenset[str]
    correctable: Mapping[str, list[str]]
    doers: Mapping[str, list[str]]


@cache
def lexicon() -> Lexicon:
    """Return the vocabulary, built for the first hint: it takes 14 MiB, which many never need."""
    meanings = _build()
    worth_guessing = _correctable(meanings)
    doers = {*GPU_FAMILIES, *(word for word in worth_guessing if word.endswith(_DOERS))}
    longest: dict[str, int] = {}
    for words in meanings:
        longest[words[0]] = max(len(words), longest.get(words[0], 0))
    return Lexicon(
        meanings=meanings,
        longest=longest,
        words=frozenset(word for words in meanings for word in words),
        correctable=_by_letter(worth_guessing),
        doers=_by_letter(doers),
    )


_ENDINGS = ("s", "es", "d", "ed", "ing", "ly")
_QUIET_TAGS = {"FILL", "DET"}
_DOERS = ("er", "or", "ers", "ors")


def _correctable(meanings: Mapping[Phrase, Meaning]) -> list[str]:
    """Return the words worth guessing: of short ones only those that mean something alone."""
    telling = {words for words, (tag, _) in meanings.items() if tag not in _QUIET_TAGS}
    found = {word for words in telling for word in words if len(word) > _MIN_CHARS}
    found |= {words[0] for words in telling if len(words) == 1 and len(words[0]) == _MIN_CHARS}
    return sorted({word for word in found if word.isalpha()}.union(GPU_FAMILIES))


def _by_letter(words: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for word in sorted(words):
        found.setdefault(word[0], []).append(word)
    return found


def knows(word: str) -> bool:
    """Return whether the word is part of some phrase or plain English."""
    return word in lexicon().words or _is_ordinary(word)


def _is_ordinary(word: str) -> bool:
    if word in ORDINARY_WORDS:
        return True
    return any(word.endswith(end) and word[: -len(end)] in ORDINARY_WORDS for end in _ENDINGS)


@lru_cache(maxsize=_REMEMBERED)
def correct(word: str) -> str:
    """Return the vocabulary's word that this one misspells, or the word itself.

    Only letters count, the first letter must be right unless it was swapped with the second, and
    ordinary English words are never taken for misspellings, nor is who does something (balancer).
    """
    if len(word) < _MIN_CHARS or not word.isalpha() or knows(word) or word in GPU_FAMILIES:
        return _SHORT_SLIPS.get(word, word)
    doer = len(word) > _MIN_CHARS + 1 and word.endswith(_DOERS)
    by_letter = lexicon().doers if doer else lexicon().correctable
    candidates = [text for letter in {word[0], word[1]} for text in by_letter.get(letter, ())]
    allowed = 2 if len(word) >= _TWO_ERRORS_CHARS else 1
    found = process.extract(
        word, candidates, scorer=OSA.distance, score_cutoff=allowed, limit=8, processor=None
    )
    near = [
        (distance, sorted(text) != sorted(word), text)  # swapped letters are the likelier slip
        for text, distance, _ in found
        if _starts_alike(word, text)
    ]
    return min(near)[-1] if near else word


_SHORT_SLIPS = {"teh": "the", "adn": "and", "nad": "and", "wth": "with", "fo": "of", "ot": "to"}


def _starts_alike(word: str, text: str) -> bool:
    return word[0] == text[0] or (word[1] == text[0] and word[0] == text[1])
