"""Patterns over tags: regular expressions whose letters are whole tokens.

A pattern is written with tag names, groups as ``<name: ...>``, and the usual operators:
``NEAR DET* <target: NAME+>``. A clause becomes a string of one character a token, so matching is
the standard library's, and its cost is bounded by the length of the clause.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from moorage_policies.hints.intent import Intent
from moorage_policies.hints.tokens import Token
from moorage_policies.hints.vocabulary import PHRASES

_SHAPES = ("NAME", "NUM", "NUMPLUS", "UNIT", "SELECTOR", "ACCEL", "ZONE", "REGION", "INSTANCE")
_PUNCTUATION = ("COMMA", "STOP", "COLON")
TAGS = tuple(dict.fromkeys((*_SHAPES, *_PUNCTUATION, *(key.partition(":")[0] for key in PHRASES))))
_LETTERS = {tag: chr(0xE000 + i) for i, tag in enumerate(TAGS)}  # private use: in no other role
_TAG = re.compile(r"[A-Z]{2,}")


@dataclass(frozen=True, slots=True)
class Found:
    """Where a pattern matched.

    Args:
        groups: the tokens of each group that took part.
        whole: all tokens of the match.
        negative: whether a negation covers it.
        negator: the word or phrase of that negation, empty without one.
        cancelled: whether two negations before it cancel each other.
    """

    groups: Mapping[str, Sequence[Token]]
    whole: Sequence[Token]
    negative: bool
    negator: str
    cancelled: bool = False

    def __getitem__(self, group: str) -> Sequence[Token]:
        return self.groups.get(group, ())


Build = Callable[[Found], Sequence[Intent] | None]
"""Makes intents of a match: none at all when the words make no sense (three GB of CPU), ``None``
when the rule turns out not to apply and others may."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A pattern and what it means.

    Args:
        pattern: over tags.
        build: makes intents of what it found.
        carries: whether a negation before an earlier member of a list covers this one too.
        starts: letters that a match can begin with, so that others need no look.
    """

    pattern: re.Pattern[str]
    build: Build
    carries: bool
    starts: frozenset[str]


def rule(pattern: str, build: Build, *, carries: bool = True) -> Rule:
    """Return the rule of a pattern written with tag names."""
    compiled = compile_pattern(pattern)
    return Rule(compiled, build, carries, first_letters(compiled.pattern))


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Return the regular expression of a pattern written with tag names."""
    grouped = re.sub(r"<(\w+):", r"(?P«\1»", pattern).replace(">", ")")
    grouped = grouped.replace("«", "<").replace("»", ">")
    grouped = re.sub(r"\bNODES\b", "(?:NODES|SERVER)", grouped)
    return re.compile("".join(_TAG.sub(lambda tag: _LETTERS[tag[0]], grouped).split()))


def first_letters(pattern: str) -> frozenset[str]:
    """Return the letters that a match which is not empty can begin with.

    Knows what patterns over tags are made of: letters, groups, alternatives, repetition,
    and looks ahead or back, which only narrow a match and are passed over.
    """
    found, _, end = _read_choice(pattern, 0)
    assert end == len(pattern)
    return found


_Read = tuple[frozenset[str], bool, int]
"""First letters, whether it may be empty, and where it ends."""


def _read_choice(pattern: str, at: int) -> _Read:
    found, may_be_empty = frozenset[str](), False
    while True:
        letters_, empty, at = _read_sequence(pattern, at)
        found, may_be_empty = found | letters_, may_be_empty or empty
        if pattern[at : at + 1] != "|":
            return found, may_be_empty, at
        at += 1


def _read_sequence(pattern: str, at: int) -> _Read:
    found, may_be_empty = frozenset[str](), True
    while at < len(pattern) and pattern[at] not in "|)":
        letters_, empty, at = _read_item(pattern, at)
        if may_be_empty:
            found, may_be_empty = found | letters_, empty
    return found, may_be_empty, at


def _read_item(pattern: str, at: int) -> _Read:
    opening = _OPENING.match(pattern, at)
    if opening is None:
        found, empty, at = frozenset(pattern[at]), False, at + 1
        if found == {"$"}:
            return frozenset(), True, at
    else:
        found, empty, at = _read_choice(pattern, opening.end())
        at += 1  # the closing parenthesis
        if opening["looks"]:
            return frozenset(), True, at
    repeated = _REPEATED.match(pattern, at)
    if repeated is not None:
        return (
            found,
            empty or repeated[0][0] in "*?" or repeated[0].startswith("{0"),
            repeated.end(),
        )
    return found, empty, at


_OPENING = re.compile(r"\((?:\?(?:(?P<looks><?[=!])|:|P<\w+>))?")
_REPEATED = re.compile(r"(?:[*+?]|\{\d*,?\d*\})[?+]?")


def letters(tokens: Iterable[Token]) -> str:
    """Return one character a token."""
    return "".join(_LETTERS[token.tag] for token in tokens)


def to_found(
    match: re.Match[str], tokens: Sequence[Token], *, negator: str, cancelled: bool
) -> Found:
    """Return a match of a rule's pattern as the tokens that took part."""
    groups = {
        name: tokens[match.start(name) : match.end(name)]
        for name, value in match.groupdict().items()
        if value is not None
    }
    whole = tokens[match.start() : match.end()]
    return Found(groups, whole, bool(negator), negator, cancelled)
