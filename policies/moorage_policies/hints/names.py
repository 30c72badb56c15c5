"""Naming pods: which words after "near", "with" or "away from" are the target."""

from __future__ import annotations

import re
from collections.abc import Sequence

from moorage_policies.hints.intent import ANY, MAX_WORD_CHARS, SELF
from moorage_policies.hints.tokens import Token

_ODD = (
    "(?:"
    "RES|GPU|USED|FREE|MOST|LEAST|FEATURE|ENERGY|BALANCE|LATENCY|NEW|OLD|STABLE|UNSTABLE|"
    "CHEAP|COST|PLACE|PREFER|FILL|SPREAD|PACK|COLOC|ACCEL|HIGH|LOW|VENDOR|IDLE|BUSY|"
    "STRAND|LOSS|DEAR|QUIET|SHARE|TOGETHER|SURVIVE|AGO|NODES|POOL|DOMAIN|LABELLED"
    ")"
)
"""Known words that may be part of a name ("storage", "stable diffusion", "spot manager")."""
_LEADING = re.sub(r"(?:PLACE|PREFER|FILL|COLOC|SPREAD|PACK|SHARE|SURVIVE)\|", "", _ODD)
"""Of these, the ones that a name may start with: no verbs."""
_PLAIN_ODD = _ODD.replace("MOST|LEAST|", "")
_ANY_WORD = "(?:NAME|SHARE|FEATURE|PREFER|PLACE|FILL|RES|LOW|NEW|COST)"
_NAMESPACE = f"(?:(?:IN|OF)?DET*NS(?:NAMED)?{_ANY_WORD}|(?:IN|OF)DET*NAME NS)"
_SELECTED = "(?:LABELLED|WITH|NAMED|RUNS|DET)*SELECTOR"
END = "(?=$|COMMA|AND|LOW|HIGH|FILL|IN|FALLBACK)"
"""Where a wish may end without saying more."""
_BEFORE = "(?:DET|OTHER|DIFFERENT|TO|OF|WITH)*"
_SINGULAR = f"""(?:
    DET*NAME(?:(?:COMMA|AND)+DET*NAME){{0,3}}NS(?!NAMED|NAME)
  | {_BEFORE}(?:PODS|REPLICA)*{_SELECTED}
  | {_BEFORE}(?:PODS|REPLICA)+(?:NAMED|LABELLED|DET)*NAME{{1,3}}(?:PODS)*
  | {_BEFORE}(?:PODS|REPLICA)+OF(?:DET)*(?:PODS)+NAME
  | {_BEFORE}{_LEADING}{{0,2}}NAME{{1,4}}(?:{_ODD}?(?=PODS))(?:PODS|REPLICA|SERVER)*
  | {_BEFORE}NAME{{1,4}}RES(?:{END}|(?=PODS))(?:PODS|REPLICA|SERVER)*
  | {_BEFORE}NAME{{1,4}}(?:PODS|REPLICA|SERVER)*
  | {_BEFORE}(?:RES|GPU|USED|FREE|COST|BALANCE|MOST|OLD|NEW|STABLE){{0,2}}
    NAME{{1,4}}(?:PODS|REPLICA|SERVER)*
  | {_BEFORE}{_PLAIN_ODD}{{1,3}}(?:PODS)+
  | {_BEFORE}(?:PODS|REPLICA)+
  | {_BEFORE}RES(?!NAME)
  | DET*NS(?:NAMED)?{_ANY_WORD}
  | DET*OTHER
)(?:(?:OF|IN)?{_NAMESPACE})?"""
TARGET = f"(?:{_SINGULAR})"
"""One thing that runs as pods."""
_NEXT = f"""(?:{_BEFORE}(?:NAME{{1,4}}(?:PODS|REPLICA)*|(?:PODS)?{_SELECTED}|PODS NAME|REPLICA)
    (?!NODES|POOL|NS|DOMAIN|GPU|TOGETHER|APART|WITHREL|PREFER|PLACE))"""
_THEN = "(?:COMMA|AND)+(?:FILL(?=WITH|TO|OF))?(?:WITH|TO|OF)?"
TARGETS = f"(?:{TARGET}(?!NODES|POOL)(?:{_THEN}{_NEXT}){{0,15}})"
"""One or more such things, listed."""

_LEVELLED = {"PODS", "REPLICA", "DET", "OTHER", "OF", "TO", "WITH", "IN", "NS", "NAMED", "LABELLED"}
_LEVELLED |= {"RUNS", "NODES", "SERVER", "COMMA", "AND", "NOT", "DIFFERENT"}


def targets_of(tokens: Sequence[Token]) -> list[str]:
    """Return the target of each thing in a list."""
    things: list[list[Token]] = [[]]
    for token in tokens:
        if token.tag in {"COMMA", "AND", "NOT", "DIFFERENT"}:
            things.append([])
        elif things[-1] or token.tag != "FILL":
            things[-1].append(token)
    if tokens and tokens[-1].text == "namespaces":
        return [
            f"namespace={target_of(thing).removeprefix('namespace=')}" for thing in things if thing
        ]
    return [target_of(thing) for thing in things if thing]


def target_of(tokens: Sequence[Token]) -> str:
    """Return the target that the words of one thing name."""
    namespace, rest = _split_namespace(tokens)
    for token in rest:
        if token.tag == "SELECTOR":
            return token.value
    words = [t.text.replace(" ", "-") for t in rest if t.tag not in _LEVELLED]
    name = "-".join(words)[:MAX_WORD_CHARS]
    if namespace:
        return f"{namespace}/{name}" if name else f"namespace={namespace}"
    return name or _unnamed(rest)


def _unnamed(tokens: Sequence[Token]) -> str:
    tags = [token.tag for token in tokens]
    if "REPLICA" in tags:
        return SELF
    return ANY if "OTHER" in tags else SELF


def _split_namespace(tokens: Sequence[Token]) -> tuple[str, Sequence[Token]]:
    at = next((i for i, token in enumerate(tokens) if token.tag == "NS"), None)
    if at is None:
        return "", tokens
    after = [token for token in tokens[at + 1 :] if token.tag != "NAMED"]
    if after:
        return after[0].text, tokens[:at]
    return tokens[at - 1].text, tokens[: at - 1]
