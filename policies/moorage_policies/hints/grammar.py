"""Plain words in, intents out: never raises, says what it did not understand, always the same."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

from moorage_policies.hints import amounts, neighbours, places, qualities
from moorage_policies.hints.amounts import SAME_RESOURCE
from moorage_policies.hints.canonical import canonical_intent, turned
from moorage_policies.hints.clauses import Clause, clauses_of
from moorage_policies.hints.intent import (
    MAX_INTENTS,
    MAX_NOT_UNDERSTOOD,
    MAX_TEXT_CHARS,
    SELF,
    Intent,
    IntentClass,
    ParsedHint,
    Refusal,
    Sign,
    Weight,
)
from moorage_policies.hints.language import is_english
from moorage_policies.hints.names import targets_of
from moorage_policies.hints.neighbours import SAME_AS_BEFORE
from moorage_policies.hints.patterns import Rule, letters, to_found
from moorage_policies.hints.tokens import Token, tokenise

RULES: tuple[Rule, ...] = (
    *places.RULES,
    *neighbours.RULES,
    *amounts.BOUNDED_QUALITIES,
    *qualities.RULES,
    *amounts.RULES,
    *places.KIND_RULES,
    *neighbours.LAST_RULES,
)
"""Tried in this order at every token; the first that means something wins."""

_HALF_A_CHARACTER = re.compile("[\ud800-\udfff]")
_OF_PODS = {IntentClass.CO_LOCATION, IntentClass.ANTI_AFFINITY, IntentClass.NETWORK}
_OF_NODES = {"FEATURE", "ACCEL", "VENDOR", "ZONE", "REGION", "INSTANCE", "DOMAIN"}
_NEGATORS = {"NOT", "NEVER", "AVOID"}
_LACKING = {"without", "lack", "lacks", "lacking", "free of"}
"""Negations that take back one before them ("no nodes without NVMe")."""
_CLOSING = {"LOW", "HIGH", "FILL", "COMMA", "FALLBACK", "PREFER", "STOP", "IS", "DET"}
_REPORTED = {"NAME", "NUM", "NUMPLUS", "SELECTOR", "UNIT"}
_WEIGHTS = tuple(Weight)


def parse_hint(text: str | bytes) -> ParsedHint:
    """Return what a hint means.

    Args:
        text: what the user wrote; bytes are read as UTF-8.
    """
    if isinstance(text, bytes):
        if len(text) > 4 * MAX_TEXT_CHARS:
            return ParsedHint(refusal=Refusal.TOO_LONG)
        try:
            text = text.decode()
        except UnicodeDecodeError:
            return ParsedHint(refusal=Refusal.NOT_TEXT)
    if len(text) > MAX_TEXT_CHARS:
        return ParsedHint(refusal=Refusal.TOO_LONG)
    if _HALF_A_CHARACTER.search(text):
        return ParsedHint(refusal=Refusal.NOT_TEXT)
    if not is_english(text):
        return ParsedHint(refusal=Refusal.NOT_ENGLISH)
    return _parse(tokenise(text))


def _parse(tokens: Sequence[Token]) -> ParsedHint:
    intents: list[Intent] = []
    unknown: list[str] = []
    for clause in clauses_of(tokens):
        said, missed = _Reading(clause).read()
        if not said and intents and clause.continues:
            said, missed = _further(clause, intents[-1]) or (said, missed)
        intents.extend(_resolve(said, intents))
        unknown.extend(missed)
    kept = _strongest(intents)
    if not kept and not unknown and not _is_indifferent(tokens):
        unknown.append(" ".join(token.text for token in tokens))
    unknown.extend(f"{intent.kind} {intent.target or ''}".strip() for intent in kept[MAX_INTENTS:])
    return ParsedHint(tuple(kept[:MAX_INTENTS]), tuple(unknown[:MAX_NOT_UNDERSTOOD]))


def _is_indifferent(tokens: Sequence[Token]) -> bool:
    """Return whether the text has no words, or says that nothing matters."""
    tags = {token.tag for token in tokens}
    return not tags - {"STOP", "COMMA"} or bool(tags & {"IGNOREAFTER", "IGNOREBEFORE"})


def _resolve(said: Iterable[Intent], before: Sequence[Intent]) -> list[Intent]:
    """Return intents with "the same node" taken as the node of what was named before."""
    named = next((i.target for i in reversed(before) if i.target and i.kind in _OF_PODS), SELF)
    resolved: list[Intent] = []
    for intent in said:
        if intent.quantity is not None and intent.quantity.resource == SAME_RESOURCE:
            resolved.extend(_bounded_like(intent, (*before, *resolved)))
            continue
        if intent.target == SAME_AS_BEFORE:
            resolved.append(_named(intent, named))
            continue
        resolved.append(intent)
        named = intent.target if intent.kind in _OF_PODS and intent.target else named
    return resolved


def _further(clause: Clause, before: Intent) -> tuple[list[Intent], list[str]] | None:
    """Return "and ideally also to the queue" as more of what was wished before, if it is that."""
    linked = any(token.tag in _LINKS for token in clause.tokens[:4])
    if before.kind not in _OF_PODS or not (linked or "LOW" in clause.hedges):
        return None
    start = next((i for i, t in enumerate(clause.tokens) if t.tag not in _BEFORE_NAMES), 0)
    named = clause.tokens[start:]
    while named and named[-1].tag in _BEFORE_NAMES:
        named = named[:-1]
    if not named or any(token.tag not in _NAMING for token in named):
        return None
    wish = replace(before, quantity=None, weight=clause.weight)
    return [replace(wish, target=target) for target in targets_of(named)], []


_LINKS = {"TO", "OF", "WITH"}
_BEFORE_NAMES = {*_LINKS, "LOW", "HIGH", "FILL", "DET", "AND", "COMMA", "PREFER"}
_NAMING = {"NAME", "PODS", "DET", "AND", "COMMA", "NS", "NAMED", "SELECTOR"}


def _bounded_like(intent: Intent, before: Sequence[Intent]) -> list[Intent]:
    """Return the bound on what was measured before, none if nothing was."""
    bound, last = intent.quantity, before[-1] if before else None
    if bound is None or last is None or last.quantity is None or last.quantity.value is None:
        return []
    quantity = replace(last.quantity, op=bound.op, value=bound.value)
    return [replace(intent, kind=last.kind, target=last.target, quantity=quantity)]


def _named(intent: Intent, target: str) -> Intent:
    if intent.kind is IntentClass.ANTI_AFFINITY:
        return neighbours.apart([target], intent.topology_key)[0]
    return replace(intent, target=target)


def _strongest(intents: Iterable[Intent]) -> list[Intent]:
    """Return the intents in order, the same wish once at its higher weight."""
    wishes: dict[object, Intent] = {}
    for intent in intents:
        wish = canonical_intent(intent)[:-1]
        known = wishes.get(wish)
        if known is None or _WEIGHTS.index(intent.weight) > _WEIGHTS.index(known.weight):
            wishes[wish] = intent if known is None else replace(known, weight=intent.weight)
    partition = any((intent.target or "").startswith("mig-") for intent in wishes.values())
    return [i for i in wishes.values() if not (partition and i.target == "mig")]


@cache
def _rules_from(letter: str) -> tuple[Rule, ...]:
    """Return the rules that can match from a token of this letter on, in their order."""
    return tuple(candidate for candidate in RULES if letter in candidate.starts)


@dataclass(slots=True)
class _Reading:
    """One pass over a clause, from left to right."""

    clause: Clause
    intents: list[Intent] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    negative: bool = False
    negator: str = ""
    negator_tag: str = ""
    negated_at: int = -1
    list_from: int = 0
    cancelled: bool = False
    said_since: bool = True
    ignoring: bool = False
    ignored_at: int = -1

    def read(self) -> tuple[list[Intent], list[str]]:
        """Return the intents of the clause and the words that meant nothing."""
        tokens = self.clause.tokens
        text = letters(tokens)
        turned_at = self._find_passive()
        at = 0
        while at < len(tokens):
            if at == turned_at:
                break
            at = self._rule_at(text, at) or self._word_at(at)
        self._turn_by_passive()
        dropped = " ".join(token.text for token in self.clause.dropped)
        weight = self.clause.weight
        intents = [replace(intent, weight=weight) for intent in self.intents]
        return intents, [*_joined(self.unknown), *([dropped] if dropped else [])]

    def _rule_at(self, text: str, at: int) -> int | None:
        """Return where a rule that starts here ends, ``None`` when none means anything."""
        tokens = self.clause.tokens
        for candidate in _rules_from(text[at]):
            match = candidate.pattern.match(text, at)
            if match is None or match.end() == at:
                continue
            negative = self.negative and (candidate.carries or self.negated_at >= self.list_from)
            negator = self.negator if negative else ""
            found = to_found(match, tokens, negator=negator, cancelled=self.cancelled)
            intents = candidate.build(found)
            if intents is None:
                continue
            if not intents:
                self.unknown.append(f"{at}:{' '.join(token.text for token in found.whole)}")
            elif not self.ignoring:
                self.intents.extend(intents)
            self.said_since, self.cancelled = True, False
            self._carry_away(found.whole, match.end())
            return match.end()
        return None

    def _carry_away(self, whole: Sequence[Token], end: int) -> None:
        """Let "away from etcd and the control plane" cover the kind of node, too."""
        rest = self.clause.tokens[end:]
        if not rest or rest[0].tag not in {"AND", "COMMA"} or self.negative:
            return
        thing = next((t.tag for t in rest[1:] if t.tag not in {"OF", "DET", "AND"}), "")
        away = next((token for token in whole if token.tag == "AWAY"), None)
        if away is not None and thing in _OF_NODES:
            self._negate(away, end - 1)
            self.said_since = True

    def _word_at(self, at: int) -> int:
        token = self.clause.tokens[at]
        if token.tag in _NEGATORS or token.tag == "AWAY":
            self._negate(token, at)
        elif token.tag in {"COMMA", "AND"}:
            self.list_from = at + 1
            if self.said_since and self.negator_tag == "NOT" and self._list_ends(at):
                self.negative = False
        elif token.tag == "IGNOREAFTER":
            self.ignoring, self.ignored_at = True, at
        elif token.tag == "IGNOREBEFORE":
            self.intents.clear()
        elif token.tag in {"PREFER", "PLACE"} and at != self.ignored_at + 1:
            self.ignoring = self.ignoring and not self.said_since
        elif token.tag in _REPORTED:
            self.unknown.append(f"{at}:{token.text}")
        return at + 1

    def _list_ends(self, at: int) -> bool:
        """Return whether a comma ends what "no" covers: no "or" or "and" closes the list later."""
        later = {token.tag for token in self.clause.tokens[at:]}
        return self.clause.tokens[at].tag == "COMMA" and "AND" not in later

    def _negate(self, token: Token, at: int) -> None:
        again = self.negative and not self.said_since and self.negated_at >= self.list_from
        lacking = token.text in _LACKING or self._is_with_no(at)
        self.cancelled = again and (token.tag == "AVOID" or lacking)
        self.negative = not self.cancelled
        self.negator, self.negated_at, self.said_since = token.text, at, False
        self.negator_tag = token.tag

    def _is_with_no(self, at: int) -> bool:
        words = self.clause.tokens
        return words[at].text == "no" and at > 0 and words[at - 1].tag in {"WITH", "RUNS"}

    def _find_passive(self) -> int:
        """Take note of a closing "should be avoided", which covers all before; return its place."""
        tags = [token.tag for token in self.clause.tokens]
        at = len(tags) - 1
        while at > 0 and tags[at] in _CLOSING:
            at -= 1
        if at < 1 or tags[at] not in _NEGATORS or any(tag in _NEGATORS for tag in tags[:at]):
            return len(tags)
        self._negate(self.clause.tokens[at], 0)
        return at

    def _turn_by_passive(self) -> None:
        """Turn what stands before a closing "is not wanted"."""
        if self.said_since or not self.negative or not self.intents:
            return
        after = {token.tag for token in self.clause.tokens[self.negated_at :]}
        if self.negator_tag == "AVOID" or after & {"FINE", "PREFER", "PLACE"}:
            self.intents = [_opposite(intent) for intent in self.intents]


def _opposite(intent: Intent) -> Intent:
    if intent.quantity is not None:
        return replace(intent, quantity=turned(intent.quantity))
    if intent.kind is IntentClass.CO_LOCATION:
        return neighbours.apart([intent.target or ""], intent.topology_key)[0]
    if intent.kind in {IntentClass.ACCELERATOR, IntentClass.NODE_LABEL, IntentClass.STABILITY}:
        sign = Sign.PREFER if intent.sign is Sign.AVOID else Sign.AVOID
        return replace(intent, sign=sign)
    return intent


def _joined(unknown: Sequence[str]) -> list[str]:
    """Return words that stood side by side as one phrase."""
    phrases: list[str] = []
    last = -2
    for entry in unknown:
        at, _, word = entry.partition(":")
        if int(at) == last + 1:
            phrases[-1] = f"{phrases[-1]} {word}"
        else:
            phrases.append(word)
        last = int(at)
    return phrases
