"""What hints mean, remembered by their text, so that a decision only looks it up."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from enum import StrEnum

from moorage_policies.errors import BadInputError
from moorage_policies.hints.grammar import parse_hint
from moorage_policies.hints.intent import MAX_TEXT_CHARS, ParsedHint, Refusal
from moorage_policies.hints.written import MAX_WRITTEN_CHARS, read_written

KNOWN_HINTS = 4096


class Origin(StrEnum):
    """Where intents come from."""

    TEXT = "Text"
    WRITTEN = "Written"


@dataclass(frozen=True, slots=True)
class HintSource:
    """A hint as it stands on a pod: its text, and intents written down beside it."""

    text: str
    written: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a hint means.

    Args:
        hint: the intents and what was not understood.
        origin: whether the text was read or written intents were taken.
        problem: why written intents do not count, empty when nothing is wrong with them.
    """

    hint: ParsedHint
    origin: Origin = Origin.TEXT
    problem: str = ""


_TOO_LONG = Reading(ParsedHint(refusal=Refusal.TOO_LONG))


def read_hint(source: HintSource) -> Reading:
    """Return what a hint means: written intents before the text, unless they are no good."""
    problem = ""
    if source.written:
        try:
            written = read_written(source.text, source.written)
        except BadInputError as error:
            problem = str(error)
        else:
            if written is not None:
                return Reading(written, Origin.WRITTEN)
    return Reading(parse_hint(source.text), problem=problem)


class HintBook:
    """Readings by their source; the one unused for longest goes when there are too many.

    Args:
        kept: how many.
    """

    __slots__ = ("_kept", "_readings")

    def __init__(self, kept: int = KNOWN_HINTS) -> None:
        self._kept = kept
        self._readings: OrderedDict[HintSource, Reading] = OrderedDict()

    def __len__(self) -> int:
        return len(self._readings)

    def find(self, source: HintSource) -> Reading | None:
        """Return what is known of a hint without reading it, ``None`` if nothing is."""
        if _is_too_long(source):  # never kept: memory stays bounded
            return _TOO_LONG
        reading = self._readings.get(source)
        if reading is not None:
            self._readings.move_to_end(source)
        return reading

    def put(self, source: HintSource, reading: Reading) -> None:
        """Remember a reading."""
        if _is_too_long(source):
            return
        self._readings[source] = reading
        self._readings.move_to_end(source)
        if len(self._readings) > self._kept:
            self._readings.popitem(last=False)


def _is_too_long(source: HintSource) -> bool:
    return len(source.text) > MAX_TEXT_CHARS or len(source.written) > MAX_WRITTEN_CHARS
