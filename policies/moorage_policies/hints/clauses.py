"""A hint cut into clauses: how far a verb, a hedge and a negation reach."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from moorage_policies.hints.intent import Weight
from moorage_policies.hints.tokens import Token

_SEPARATORS = {"COMMA", "AND", "BUT", "REASON", "CONDITION", "CONTRAST", "FALLBACK", "COLON"}
_DROPPED = {"REASON", "CONDITION", "CONTRAST", "SUBJECT"}
"""What starts with these says nothing about where to run."""
_VERBS = {"AVOID", "PREFER", "PLACE", "SPREAD", "COLOC", "SHARE", "SURVIVE", "PACK", "NEVER"}
_VERBS |= {"IGNOREAFTER", "IGNOREBEFORE"}
_LOW = {"LOW", "FALLBACK"}
_HIGH = {"HIGH", "NEVER"}
_WISHING = {"PREFER", "AVOID", "NEVER", "NOT", "HIGH"}
_HOLLOW = _SEPARATORS | _LOW | _HIGH | _VERBS | {
    "DET", "FILL", "IS", "NOT", "TO", "OF", "IN", "FOR", "THAN", "FINE", "SUBJECT", "ONE",
    "RUNS", "SAME", "WITH", "EQ",
}  # fmt: skip
_TRAILING = ("as ", "second", "fallback", "plan b", "last resort", "backup", "runner up")
"""Beginnings of fallbacks that may stand behind the thing they speak of."""
_TURNING = {"NOT", "AVOID", "NEVER"}
_LONGEST = 48
_SUBJECTS = {"we", "it", "they", "i"}
_TAKES = {"use", "uses", "take", "takes"}
_EMPTY_VERBS = _VERBS - {"SPREAD", "COLOC", "SHARE", "SURVIVE", "PACK"}
"""Verbs that need an object; the others wish for something by themselves."""
_TAKE_TO = {"IS", "PREFER", "HIGH", "LOW", "AVOID", "NEAR", "IGNOREAFTER"}
"""Words whose "to" belongs to them ("want to avoid")."""
_WEAK = {"PODS", "REPLICA", "NODES", "SERVER", "OTHER", "NAME"}
"""Things that are no wish by themselves."""
_HOLLOW_OR_WEAK = _HOLLOW | _WEAK
_MAY_HOLD_VERBS = {"AWAY", "WITHREL", "NEAR", "TOGETHER"}
_POSITIONING = ("stay", "keep", "sit ", "live ", "run ", "place ", "stick ", "co locate ", "join")
_COMPARING = ("prefer", "favo", "better", "rather")
_COMPARED = {"ACCEL", "FEATURE", "ZONE", "REGION", "VENDOR", "NODES", "SERVER", "GPU"}
_QUALITIES = {"CHEAP", "STABLE", "BUSY", "IDLE", "NEW", "OLD", "QUIET", "ENERGY"}
_PURPOSES_TO = {"CHEAP", "ENERGY", "AVOID", "SURVIVE", "LEAST", "MOST", "PLACE", "NOISE", "BALANCE"}
_PURPOSES_FOR = {"CHEAP", "ENERGY", "LATENCY", "STABLE", "QUIET", "SPREAD", "SURVIVE", "BALANCE"}


@dataclass(slots=True)
class Clause:
    """Words under one verb and one hedge.

    Args:
        tokens: what it says.
        hedges: tags of its hedges.
        dropped: words that change nothing: reasons, conditions, contrasts.
        default: the weight without a hedge of its own.
        continues: whether its sentence said something before.
    """

    tokens: list[Token]
    hedges: set[str] = field(default_factory=set)
    dropped: list[Token] = field(default_factory=list)
    default: Weight = Weight.MEDIUM
    continues: bool = False

    @property
    def weight(self) -> Weight:
        """Return the clause's weight; a low hedge takes back a high one."""
        if self.hedges & _LOW:
            return Weight.LOW
        return Weight.HIGH if self.hedges & _HIGH else self.default


def clauses_of(tokens: Sequence[Token]) -> list[Clause]:
    """Return the clauses of a text, in order."""
    said = [clause for sentence in _sentences(tokens) for clause in _clauses(sentence)]
    return [piece for clause in said for piece in _pieces(clause)]


def _pieces(clause: Clause) -> list[Clause]:
    """Return the clause cut to a length that nobody writes, which bounds the work on any text."""
    if len(clause.tokens) <= _LONGEST:
        return [clause]
    starts = range(0, len(clause.tokens), _LONGEST)
    return [replace(clause, tokens=clause.tokens[at : at + _LONGEST]) for at in starts]


def _sentences(tokens: Iterable[Token]) -> list[list[Token]]:
    sentences: list[list[Token]] = [[]]
    for token in tokens:
        if token.tag == "STOP":
            sentences.append([])
        else:
            sentences[-1].append(token)
    return [sentence for sentence in sentences if sentence]


def _clauses(sentence: Sequence[Token]) -> list[Clause]:
    clauses: list[Clause] = []
    waiting: list[Token] = []  # a part without content, for the clause that follows
    default = Weight.MEDIUM
    dropping = False
    for part in _parts(sentence):
        lead = part[0].tag
        dropping = _drops(part, clauses, dropping=dropping)
        if lead == "COLON":
            default, clauses = _announced(clauses, waiting, default)
            waiting = [token for token in waiting if token.tag in _TURNING]
        if dropping:
            _drop(part, clauses)
        elif not _has_content(part):
            waiting = _join_hollow(part, clauses, waiting)
        else:
            _add(part, clauses, waiting, default)
            waiting = []
    if waiting and clauses:
        clauses[-1].hedges |= _hedges(waiting)
    return clauses


def _announced(
    clauses: list[Clause], waiting: Sequence[Token], default: Weight
) -> tuple[Weight, list[Clause]]:
    """Return the weight that "ideal node:" gives to the rest of the sentence, and what was said."""
    if not clauses:
        return Clause([], _hedges(waiting), default=default).weight, clauses
    head = clauses[-1]
    if len(clauses) == 1 and head.hedges and all(t.tag in _HOLLOW | _WEAK for t in head.tokens):
        return head.weight, []
    return default, clauses


def _parts(sentence: Sequence[Token]) -> list[list[Token]]:
    """Return the sentence cut before each separator; every part but the first starts with one."""
    parts: list[list[Token]] = [[]]
    for i, token in enumerate(sentence):
        listed = token.tag == "AND" and [t.tag for t in parts[-1]] == ["COMMA"]  # ", and"
        if _separates(token, sentence, i) and not listed:
            parts.append([])
        parts[-1].append(token)
    return [part for part in parts if part]


def _separates(token: Token, sentence: Sequence[Token], at: int) -> bool:
    """Return whether a separator cuts here; a trailing "as a fallback" is only a hedge."""
    if token.tag == "FALLBACK":
        return any(t.tag not in _HOLLOW for t in sentence[at + 1 : at + 4])
    return token.tag in _SEPARATORS or _starts_purpose(sentence, at)


def _starts_purpose(sentence: Sequence[Token], at: int) -> bool:
    """Return whether "to save money" or "for lower latency" follows something said."""
    token, following = sentence[at], sentence[at + 1 : at + 2]
    if token.tag in {"PREFER", "AVOID"}:
        return _in_contrast(sentence[:at])
    if token.tag not in {"TO", "OF", "ACROSS", "THAN", "FOR"} or not following:
        return False
    if all(t.tag in _HOLLOW_OR_WEAK for t in sentence[:at]):
        return False
    if token.text in {"to", "over", "than"} and _is_comparison(sentence, at):
        return True
    if token.tag == "TO":
        return sentence[at - 1].tag not in _TAKE_TO and following[0].tag in _PURPOSES_TO
    return token.text == "for" and any(t.tag in _PURPOSES_FOR for t in sentence[at + 1 : at + 3])


def _in_contrast(before: Sequence[Token]) -> bool:
    """Return whether the words before still tell what is not wished ("instead of spot use …")."""
    lead = next((t for t in reversed(before) if t.tag in _SEPARATORS), None)
    return lead is not None and lead.tag == "CONTRAST"


def _is_comparison(sentence: Sequence[Token], at: int) -> bool:
    """Return whether this is the "to" of "prefer on-demand to spot", or "over"."""
    after = sentence[at + 1 : at + 3]
    prefers = any(t.text.startswith(_COMPARING) for t in sentence[:at])
    prefers = prefers or (sentence[at].text == "over" and _are_alike(sentence[:at], after))
    if [t.tag for t in sentence[max(at - 2, 0) : at]][:1] == ["DOMAIN"]:
        return any(t.tag == "DOMAIN" for t in after)
    last = sentence[at - 1]
    things = _COMPARED if sentence[at].tag == "TO" else _COMPARED | _QUALITIES
    if last.tag in {"NODES", "SERVER", "GPU"} and at > 1:
        last = sentence[at - 2]
    compared = last.tag in things | {"NODES", "SERVER", "GPU"} or last.text.startswith("prefer")
    return prefers and compared and any(t.tag in things for t in after)


def _are_alike(before: Sequence[Token], after: Sequence[Token]) -> bool:
    """Return whether things of one sort stand on both sides ("H100 over A100", "old over new")."""
    left = {t.tag for t in before[-2:]}
    right = {t.tag for t in after}
    return any(left & sort and right & sort for sort in ({"ACCEL"}, {"FEATURE"}, _QUALITIES))


def _drops(part: Sequence[Token], clauses: Sequence[Clause], *, dropping: bool) -> bool:
    """Return whether a part says nothing, given whether the part before it did not."""
    lead = part[0]
    if lead.tag == "REASON" and lead.text.startswith("so ") and lead.text != "so that":
        return not any(token.tag in _WISHING for token in part)
    if any(token.tag == "SUBJECT" for token in part[:2]) or _is_usage(part):
        return True
    if lead.tag in _DROPPED:
        return True
    if dropping and lead.tag == "AND":
        return not any(token.tag in _VERBS for token in part)
    return bool(clauses) and _is_purpose(part)


def _is_usage(part: Sequence[Token]) -> bool:
    """Return whether this tells what the workload takes ("we use 3 GB")."""
    return any(
        subject.text in _SUBJECTS and verb.text in _TAKES and amount.tag == "NUM"
        for subject, verb, amount in zip(part, part[1:], part[2:], strict=False)
    )


def _is_purpose(part: Sequence[Token]) -> bool:
    return part[0].tag == "TO" or part[0].text in {"for", "over", "than"}


def _last(clauses: list[Clause]) -> Clause:
    if not clauses:
        clauses.append(Clause([]))
    return clauses[-1]


def _drop(part: list[Token], clauses: list[Clause]) -> None:
    """Keep only the hedge of "H100 rather than A100 if possible" and "this is critical"."""
    hollow = all(token.tag in _HOLLOW for token in part)
    if clauses and (
        hollow or part[0].tag in {"CONTRAST", "TO"} or part[0].text in {"over", "than"}
    ):
        clauses[-1].hedges |= _hedges(part)
    _last(clauses).dropped.extend(() if hollow else part)


def _has_content(part: Sequence[Token]) -> bool:
    return any(token.tag not in _HOLLOW for token in part) or any(
        token.tag in _VERBS - _EMPTY_VERBS for token in part
    )


def _hedges(tokens: Iterable[Token]) -> set[str]:
    return {token.tag for token in tokens} & (_LOW | _HIGH)


def _join_hollow(part: list[Token], clauses: list[Clause], waiting: list[Token]) -> list[Token]:
    """Give a part of mere hedges and verbs to the clause before it, else keep it waiting."""
    said = next((clause for clause in reversed(clauses) if clause.tokens), None)
    if said is not None and part[0].tag == "COLON" and any(t.tag in _TURNING for t in part):
        said.tokens.extend(part[1:])
        return waiting
    if waiting or said is None or part[0].tag == "COLON" or _announces(part) or _introduces(part):
        return waiting + part
    said.hedges |= _hedges(part)
    said.tokens.extend(part)
    return waiting


def _announces(part: Sequence[Token]) -> bool:
    """Return whether a fallback speaks of what follows ("failing that, …")."""
    return any(token.tag == "FALLBACK" and not token.text.startswith(_TRAILING) for token in part)


def _introduces(part: Sequence[Token]) -> bool:
    """Return whether this is the "and, if possible," of what follows."""
    return part[-1].tag == "AND" or (len(part) > 1 and part[0].tag == "AND" and part[1].tag in _LOW)


def _closes_list(part: Sequence[Token], before: Clause) -> bool:
    """Return whether the hedge of "and on H100 if possible" is that of the whole list."""
    tail = part[2:] if len(part) > 2 else []  # noqa: PLR2004 "and" and a first word
    return (
        part[0].tag == "AND" and not before.hedges and bool(_hedges(tail)) and not _hedges(part[:2])
    )


def _is_compound_subject(before: Clause, part: Sequence[Token]) -> bool:
    """Return whether "and decode should …" goes on with the subject of "prefill"."""
    names = {"NAME", "PODS", "REPLICA", "SELECTOR", *_COMPARED, "DOMAIN", "NUM", "INSTANCE"}
    return (
        part[0].tag == "AND"
        and any(token.tag in names for token in before.tokens)
        and all(token.tag in names | {"DET", "COMMA", "AND"} for token in before.tokens)
        and len(part) > 1
        and (part[1].tag in names | {"DET"} or part[1].text.startswith(("this ", "it ", "we ")))
    )


def _is_verb(token: Token) -> bool:
    """Return whether a clause of its own hangs on this ("stay away from" holds a verb, too)."""
    if token.tag in _VERBS or token.text == "should be":
        return True
    return token.tag in _MAY_HOLD_VERBS and token.text.startswith(_POSITIONING)


def _add(part: list[Token], clauses: list[Clause], waiting: list[Token], default: Weight) -> None:
    said = bool(clauses) and bool(clauses[-1].tokens)
    own = any(_is_verb(token) for token in part) or (
        bool(_hedges(part)) and not (said and _closes_list(part, clauses[-1]))
    )
    if own and said and _is_compound_subject(clauses[-1], part):
        own = False
    cut = part[0].tag in {"BUT", "COLON", "FALLBACK", "REASON", "CONDITION"}
    if own or waiting or cut or not said:
        body = [*waiting, *(part[1:] if part[0].tag in _SEPARATORS - {"FALLBACK"} else part)]
        clauses.append(Clause(body, _hedges(body), default=default, continues=said))
    else:
        clauses[-1].tokens.extend(part)
        clauses[-1].hedges |= _hedges(part)
