"""Numbers written in several words, as digits: "two hundred", "one and a half", "half a", "3/4"."""

from __future__ import annotations

import re

from moorage_policies.hints.shapes import UNIT_NAMES

_SMALL = {
    "zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7,
    "eight": 8, "nine": 9, "ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14,
    "fifteen": 15, "sixteen": 16, "seventeen": 17, "eighteen": 18, "nineteen": 19,
}  # fmt: skip
_TENS = {
    "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70,
    "eighty": 80, "ninety": 90,
}  # fmt: skip
_SCALES = {"dozen": 12, "hundred": 100, "thousand": 1000}
_PARTS = {"half": 0.5, "quarter": 0.25, "third": 1 / 3}
_PERCENT = 100
_LARGEST_BELOW = 16

_UNIT = "|".join(sorted((re.escape(name) for name in UNIT_NAMES if name.isalpha()), key=len))
_COUNT = "|".join((*_SMALL, *_TENS, "a", r"\d+"))
_TENS_AND_ONES = re.compile(rf"\b({'|'.join(_TENS)})[ -]({'|'.join(list(_SMALL)[1:10])})\b")
_SCALED = re.compile(
    rf"\b({_COUNT}|half a) ({'|'.join(_SCALES)})\b(?: (?:and )?({'|'.join((*_SMALL, *_TENS))})\b)?"
)
_AND_A_HALF = re.compile(rf"\b({_COUNT}) and (?:a|one) (half|quarter)\b")
_PART_OF_A = re.compile(
    rf"\b(?:(a|one|two|three) )?(half|quarter|third)s? (?:of )?(?:a|an|one) (?=(?:{_UNIT})\b)"
)
_FRACTION = re.compile(rf"(?<![\w./-])(\d)/(\d{{1,2}})(?![\w./-])(?= ({_UNIT})\b)?")


def in_digits(text: str) -> str:
    """Return a text in lower case with such numbers in digits; single words stay as they are."""
    text = _TENS_AND_ONES.sub(lambda m: str(_TENS[m[1]] + _SMALL[m[2]]), text)
    text = _SCALED.sub(_scaled, text)
    text = _AND_A_HALF.sub(lambda m: f"{_count(m[1]) + _PARTS[m[2]]:g}", text)
    text = _PART_OF_A.sub(lambda m: f"{(_SMALL.get(m[1], 1)) * _PARTS[m[2]]:.4g} ", text)
    return _FRACTION.sub(_fraction, text)


def _count(word: str) -> float:
    if word.isdigit():
        return float(word)
    if word == "half a":
        return 0.5
    return _TENS.get(word) or _SMALL.get(word, 1)


def _scaled(found: re.Match[str]) -> str:
    more = _count(found[3]) if found[3] else 0
    return f"{_count(found[1]) * _SCALES[found[2]] + more:g}"


def _fraction(found: re.Match[str]) -> str:
    part, whole = int(found[1]), int(found[2])
    if not 0 < part < whole <= _LARGEST_BELOW:
        return found[0]
    share = part / whole
    return f"{share:.4g}" if found[3] else f"{_PERCENT * share:.4g}%"
