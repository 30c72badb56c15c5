"""A hint's text as tagged tokens: numbers, identifiers, known phrases, punctuation, names."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from moorage_policies.hints.lexicon import correct, lexicon
from moorage_policies.hints.numerals import in_digits
from moorage_policies.hints.shapes import GPU_FAMILIES, UNIT_NAMES, Shape, shape_of
from moorage_policies.hints.wordlists import words

NAME = "NAME"
"""Tag of words that no phrase knows: names of pods, pools, kinds of node, or plain noise."""


@dataclass(frozen=True, slots=True)
class Token:
    """A word or phrase with one meaning.

    Args:
        text: as written, in lower case; phrases that are known with their slips mended.
        tag: what it is (see ``vocabulary`` and ``shapes``).
        value: what the tag says more about it: a unit, a kind of node, a place.
        number: of a ``NUM``, else ``None``.
    """

    text: str
    tag: str
    value: str = ""
    number: float | None = None


_PUNCTUATION = {",": "COMMA", ";": "STOP", ".": "STOP", "!": "STOP", "?": "STOP", "\n": "STOP"}
_PUNCTUATION |= {":": "COLON", "(": "COMMA", ")": "COMMA", "—": "COMMA", "/": "AND"}
_WORD = re.compile(
    r"""
      [$€£]?\d[\w.,/%]*(?:[-+][\w.]+)*[%+]?    # 24gb, $2.50/h, 3g.20gb, 1,000
    | [^\W_][\w./+-]*(?:!?={1,2}[\w./+-]+)?    # words, names, key=value
    | \n | >= | <= | [≥≤<>=~+&%$] | [,;.!?:()/—]
    """,
    re.VERBOSE,
)
_OPENERS = words(
    "high low non same large big small cross multi single least most anti co under over highly "
    "lightly heavily energy cost power noise memory same-zone fast slow more less not well less "
    "no sub fully nearly half extra very too much long short"
)
_CLOSERS = words(
    "only level wide aware rich efficient free based backed enabled capable hungry heavy intensive "
    "optimised equipped friendly sensitive saving constrained poor connected attached powered "
    "close near local diverse spreading spread usage"
)
_TAKE_NAMES = {"NEAR", "WITHREL", "AWAY"}
_NO_NAMES = {
    "NOISE",
    "QUIET",
    "REPLICA",
    "PODS",
    "OTHER",
    "DOMAIN",
    "NODES",
    "FEATURE",
    "DET",
    "NS",
}
_PLACES = {"zone", "rack", "region", "switch", "az"}
_CENTS = re.compile(r"(?<![\w.])(\d{1,3}) ?(?:cents?\b|¢)")
_ADA = re.compile(r"\b((?:rtx[ -]?)?[a-z]?\d{4}) ada\b")
_SPACED_MODEL = re.compile(
    r"\b(mig|rtx|gtx|tpu|gaudi|radeon|instinct) +(?=(?:\d+g\.|[a-z]?\d{3,4}\b|v\d|[23]\b|pro\b))()"
)
_TITLE = re.compile(
    r"\b(zones?|regions?|racks?|nodes?|hosts?|(?:node ?)?pool|gpus?|vram|cpus?|ram|memory|disk"
    r"|(?:ephemeral )?storage|bandwidth|disk space"
    r"|(?:anti[ -]?)?affinity|want|avoid|near) ?: ?(?=\w)"
)
_OWNED_PLACE = re.compile(r"(?<![\w-])(\w[\w-]*)(?:'s|(?<=s)') (zone|rack|region|switch|az)\b")
_TIMES = re.compile(r"(?<![\w.-])(\d+) ?[x\u00d7] ?(?=[a-z]{1,2}\d|gpus?\b|gh\d|rtx)")
_RANGE = re.compile(r"(?<![\w.-])(\d+(?:\.\d+)?) ?- ?(\d+(?:\.\d+)?(?:[a-z]+)?)(?![\w-])")
_CONTRACTIONS = (
    (re.compile(r"\b(?:can't|cant|cannot)\b"), "can not"),
    (re.compile(r"\b(?:won't|wont)\b"), "will not"),
    (re.compile(r"\bdon't\b|\bdont\b"), "do not"),
    (
        re.compile(r"\b(does|is|are|was|should|would|could|must|did|has|have|need)n['o]?t\b"),
        r"\1 not",
    ),
    (re.compile(r"\b(i|we|you|they|it|he|she)'d\b"), r"\1 would"),
    (re.compile(r"\bit's got\b"), "it has"),
    (re.compile(r"\bit(?:'s| is) (?=an? (?!must|plus|bonus|requirement|big))"), "this is "),
    (
        re.compile(
            r"\bwe(?:'re| are) "
            r"(?=(?:doing|running|training|serving|testing|hosting|building|using|benchmarking)\b)"
        ),
        "this is ",
    ),
    (
        re.compile(
            r"\b(?:scale|resize|restart|reboot|upgrade) (?:(?:me|us|it|this|the \w+) )?"
            r"(?=(?:to|up|down|every|by)\b)"
        ),
        "this is ",
    ),
    (re.compile(r"'(?:s|m|re|ve|ll)\b"), ""),
    (re.compile(r"\bw/o\b"), "without"),
    (re.compile(r"(?<![\w/])w/ ?(?=\w)"), "with "),
)


def tokenise(text: str) -> list[Token]:
    """Return the tokens of a text, in order."""
    return _reread(_phrases(_words(level(text))))


def _reread(tokens: list[Token]) -> list[Token]:
    """Return the tokens with words told by what stands around them ("any zone but b" avoids)."""
    tags = [token.tag for token in tokens]
    for i, token in enumerate(tokens):
        if token.text == "nor" and _said_before(tags, i, _TURNING):
            tokens[i] = Token(token.text, "AND")
        if token.text == "so" and (tags[i - 1 : i] == ["COMMA"] or _said_before(tags, i, _TELLING)):
            tokens[i] = Token(token.text, "BUT")
        if token.text == "runs" and tags[i - 1 : i] == [NAME] and _leads(tags, i) in _TAKE_RUNS:
            tokens[i] = Token(token.text, NAME)
        if token.text == "matching" and tags[i + 1 : i + 2] == [NAME]:
            tokens[i] = Token(token.text, NAME)
        if token.text in _WHATEVER and _means_quality(tags, i + 1):
            tokens[i] = Token(token.text, "FILL")
        if token.text == "but" and "OTHER" in tags[max(i - 2, 0) : i]:
            tokens[i] = Token(token.text, "AVOID")
        if token.text in _VERDICTS and i > 0 and _closes(tags, i):
            tokens[i] = Token(token.text, _VERDICTS[token.text])
        if token.text == "alone" and i > 1 and _leaving(tokens[:i]) is not None:
            tokens[i] = Token(token.text, "FILL")
            tokens[_leaving(tokens[:i]) or 0] = Token("leave alone", "AVOID")
    return tokens


def _said_before(tags: list[str], at: int, which: set[str]) -> bool:
    """Return whether one of these tags stands before in the same sentence."""
    start = next((i + 1 for i in range(at - 1, -1, -1) if tags[i] == "STOP"), 0)
    return bool(which.intersection(tags[start:at]))


def _leads(tags: list[str], at: int) -> str:
    """Return the tag before the words of a name that ends here."""
    return next((tag for tag in reversed(tags[:at]) if tag not in {NAME, "DET"}), "")


def _means_quality(tags: list[str], at: int) -> bool:
    following = next((tag for tag in tags[at : at + 2] if tag not in {"DET", "IS"}), "")
    return following in _QUALITIES


_TAKE_RUNS = {"AWAY", "NEAR"}
_TURNING = {"NOT", "AVOID", "NEVER"}
_TELLING = {"SUBJECT"}
_WHATEVER = {"anything", "everything", "any", "all"}
_QUALITIES = {"LE", "GE", "NOISE", "DEAR", "CHEAP", "BUSY", "UNSTABLE", "NEW", "OLD", "ENERGY"}
_QUALITIES |= {"IDLE", "STABLE", "QUIET"}
_VERDICTS = {"no": "AVOID", "yes": "PREFER"}


def _closes(tags: list[str], at: int) -> bool:
    """Return whether this is the last word on what stands before it ("spot no, H100 yes")."""
    ends = {"COMMA", "STOP"}
    follows = tags[at - 1] not in {*ends, "COLON", "AND", "BUT"}
    return follows and (at + 1 == len(tags) or tags[at + 1] in ends)


def _leaving(before: list[Token]) -> int | None:
    """Return where "leave" stands in the same breath, ``None`` if nowhere."""
    for at in range(len(before) - 1, -1, -1):
        if before[at].tag in _PUNCTUATION.values():
            return None
        if before[at].text in {"leave", "leaving"}:
            return at
    return None


def level(text: str) -> str:
    """Return the text in lower case, compatibility forms folded, contractions written out."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    plain = plain.replace("’", "'").replace("‘", "'").replace("–", "—")  # noqa: RUF001
    plain = re.sub(r"(?m)^\s*[-*•]+\s+", "", plain)  # bullets
    plain = re.sub(r"[^\S\n]-+[^\S\n]", " — ", plain)
    plain = re.sub(r"\bfor \w+ reasons\b,?", " ", plain)
    plain = re.sub(r"\? (no|yes)\b(?: thanks| thank you)?", r" \1", plain)
    plain = _TITLE.sub(r"\1 ", plain)
    plain = re.sub(r"\bgive ([^.,;\n]+?) an? (?:wide|broad) berth", r"avoid \1", plain)
    plain = re.sub(r"\b(az|zone|rack|dc)(\d+)\b", r"\1 \2", plain)
    plain = re.sub(
        r"(?<!half )(?<!quarter )(?<!third )(?<!of )\ban? (?=(?:tera|giga|peta)bytes?\b|[tg]i?b\b)",
        "1 ",
        plain,
    )
    plain = re.sub(r"(?<=[a-z])/(?=\d)", " / ", plain)
    plain = re.sub(r"\b(?:usd|us\$|eur) ?(?=\d)", "$", plain)
    plain = re.sub(r"\b(?:a|one) (?:dollar|buck)\b", "$1", plain)
    plain = re.sub(r"\btwo[ -]thirds\b(?! of an?\b)", "66.67%", plain)
    plain = _CENTS.sub(lambda found: f"${int(found[1]) / 100:g}", plain)
    plain = _RANGE.sub(r"\1 to \2", plain)
    plain = _TIMES.sub(r"\1 ", plain)
    plain = _ADA.sub(r"\1-ada", plain)
    plain = _SPACED_MODEL.sub(r"\1-\2", plain)
    plain = _OWNED_PLACE.sub(r"\2 of \1", plain)
    for pattern, written_out in _CONTRACTIONS:
        plain = pattern.sub(written_out, plain)
    return in_digits(plain)


def _words(plain: str) -> list[Token]:
    tokens: list[Token] = []
    last = ""
    for raw in _WORD.findall(plain):
        if raw == last:
            continue  # "really really": nothing new, and endless repeats would cost time
        last = raw
        if raw in _PUNCTUATION:
            tokens.append(Token(raw, _PUNCTUATION[raw]))
            continue
        word = raw.rstrip("./-,") or raw
        bare_number = bool(tokens) and tokens[-1].tag == "NUM" and not tokens[-1].value
        if bare_number and word in UNIT_NAMES:
            tokens.append(Token(word, "UNIT", UNIT_NAMES[word]))
        else:
            tokens.extend(_split(word))
        if len(raw) > len(word) and raw[len(word)] in ".,":
            tokens.append(Token(raw[len(word)], _PUNCTUATION[raw[len(word)]]))
    return tokens


def _split(word: str) -> list[Token]:
    """Return the word as one token, or its hyphenated parts if the vocabulary knows them all."""
    key, unequal, value = word.partition("!=")
    if unequal and key and value:
        return [Token("not", "NOT"), *_split(f"{key}={value}")]
    shape = shape_of(word)
    return [_shaped(word, shape)] if shape is not None else _parts(word)


def _parts(word: str) -> list[Token]:
    parts = re.split(r"[-/_]", word)
    if len(parts) == 2 and parts[0] in _PLACES:  # noqa: PLR2004 rack-12
        return [Token(part, NAME) for part in parts]
    slips = tuple(correct(part) for part in parts)
    if len(parts) > 1 and slips != tuple(parts) and slips in lexicon().meanings:
        return [Token(part, NAME) for part in slips]
    if len(parts) > 1 and (_comes_apart(parts) or _are_alternatives(word, parts)):
        if "/" in word and "-" not in word and tuple(parts) not in lexicon().meanings:
            return [t for part in parts for t in (Token("/", "AND"), *_split(part))][1:]
        return [token for part in parts for token in _split(part)]
    return [Token(word, NAME)]


def _are_alternatives(word: str, parts: list[str]) -> bool:
    """Return whether a slash stands for "or" ("spot/preemptible") and not for a name's part."""
    return "-" not in word and all(
        lexicon().meanings.get((part,), ("",))[0] == "FEATURE" for part in parts
    )


def _comes_apart(parts: list[str]) -> bool:
    """Return whether hyphens stand for spaces here (low-latency) and not for a name (gpu-large)."""
    if tuple(parts) in lexicon().meanings:
        return True
    if not all(_familiar(part) for part in parts):
        return False
    return (
        parts[0][0].isdigit() or parts[0] in _OPENERS or parts[-1] in _CLOSERS or _is_mixed(parts)
    )


def _is_mixed(parts: list[str]) -> bool:
    return any(shape_of(part) is not None for part in parts) and not parts[-1].isdigit()


def _familiar(part: str) -> bool:
    return part in lexicon().words or shape_of(part) is not None


def _shaped(word: str, shape: Shape) -> Token:
    return Token(word, shape.tag, shape.value, shape.number)


def _phrases(said: list[Token]) -> list[Token]:
    """Return the words with known phrases joined, the longest first; misspellings forgiven."""
    spelled = [correct(t.text) if t.tag == NAME else t.text for t in said]
    tokens: list[Token] = []
    at = 0
    while at < len(said):
        if _is_named(said, spelled[at], at, tokens):
            spelled[at] = said[at].text
        token, length = _longest(said, spelled, at)
        tokens.append(token)
        at += length
    return tokens


def _is_named(said: list[Token], spelled: str, at: int, before: list[Token]) -> bool:
    """Return whether this is the name in "next to the raid pods", so that no slip is seen."""
    if spelled == said[at].text:
        return False
    lead = next((token.tag for token in reversed(before) if token.tag != "DET"), "")
    return lead in _TAKE_NAMES and lexicon().meanings.get((spelled,), ("", ""))[0] not in _NO_NAMES


def _longest(said: list[Token], spelled: list[str], at: int) -> tuple[Token, int]:
    known = lexicon()
    most = known.longest.get(spelled[at], 0)
    for length in range(min(most, len(said) - at), 0, -1):
        meaning = known.meanings.get(tuple(spelled[at : at + length]))
        if meaning is not None and (length > 1 or said[at].tag == NAME):
            return Token(" ".join(spelled[at : at + length]), *meaning), length
    if spelled[at] in GPU_FAMILIES and (spelled[at],) not in known.meanings:
        return Token(said[at].text, "ACCEL", spelled[at]), 1
    return said[at], 1
