"""What hints mean: by our own parser at once, by a language model later where one is set."""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from moorage_crds.conditions import HINT_UNDERSTOOD
from moorage_crds.names import HINT_INTENTS_ANNOTATION
from moorage_operator.manifests.templates import Json
from moorage_operator.services.conditions import Finding
from moorage_policies.errors import BadInputError, UnavailableError
from moorage_policies.hints import (
    HintBook,
    HintSource,
    Origin,
    ParsedHint,
    Reading,
    Refusal,
    read_hint,
    read_written,
    write_hint,
)
from moorage_policies.ports import Clock, Reporter

LOCAL, MODEL, HAND = "Local", "LanguageModel", "Hand"
BY_HAND = "ByHand"
"""Outcome of intents that somebody wrote instead of a hint's reading."""
MAX_WAITING = 1000
"""Texts that wait for the model at most, and who waits for each; one more is left to our parser."""
HELD_S = 30.0
"""Pause after a model did not answer."""

_REFUSED = {
    Refusal.TOO_LONG: "has more than 2,000 characters; shorten it",
    Refusal.NOT_TEXT: "is no valid text; write it again",
    Refusal.NOT_ENGLISH: "is mostly not English; write it in English",
}
_NOT_WORTH_ASKING = ("Understood", Refusal.TOO_LONG.value, Refusal.NOT_TEXT.value)


class HintModel(Protocol):
    """A language model that reads hints."""

    async def read(self, text: str) -> ParsedHint:
        """Return what a text means.

        Raises:
            UnavailableError: no answer.
            BadInputError: an answer outside the schema.
        """
        ...

    async def close(self) -> None:
        """Give connections back."""
        ...


class Limit(Protocol):
    """Says how often the model may be asked."""

    def allow(self, namespace: str) -> bool:
        """Return whether it may be asked once more for a namespace, and count it if so."""
        ...


@dataclass(frozen=True, slots=True)
class ReadHint:
    """A hint and what it was understood as.

    Args:
        text: the hint.
        hint: what it means.
        parser: who read it.
        problem: why intents written by hand do not count, empty when nothing is wrong with them.
    """

    text: str
    hint: ParsedHint
    parser: str = LOCAL
    problem: str = ""

    @property
    def outcome(self) -> str:
        """Return how well it was understood, as one word for programs."""
        if self.problem:
            return "IntentsUnusable"
        if self.parser == HAND:
            return BY_HAND
        if self.hint.refusal is not None:
            return self.hint.refusal.value
        if not self.hint.intents:
            return "NothingUnderstood"
        return "PartlyUnderstood" if self.hint.not_understood else "Understood"

    def to_status(self) -> Json:
        """Return the written form, for statuses and annotations."""
        return write_hint(self.text, self.hint, self.parser)

    def to_annotation(self) -> str:
        """Return the written form as text."""
        return json.dumps(self.to_status(), separators=(",", ":"), ensure_ascii=False)

    def to_finding(self) -> Finding:
        """Return the condition that tells people."""
        holds = self.outcome in {"Understood", BY_HAND}
        return Finding(HINT_UNDERSTOOD, holds=holds, reason=self.outcome, message=self.describe())

    def describe(self) -> str:
        """Return how well it was understood, for people."""
        if self.problem:
            return f"{HINT_INTENTS_ANNOTATION}: {self.problem}; the hint's text counts instead"
        return self._describe_hint()

    def _describe_hint(self) -> str:
        if self.hint.refusal is not None:
            return f"the hint {_REFUSED[self.hint.refusal]}; it changes nothing"
        count = len(self.hint.intents)
        if self.parser == HAND:
            return f"{count} intent{'' if count == 1 else 's'}, written by hand"
        told = f"{count} intent{'' if count == 1 else 's'}" if count else "no intent was found"
        if not self.hint.not_understood:
            return told if count else f"{told}; `moorage hints parse` shows what is understood"
        return f"{told}; not understood: {'; '.join(self.hint.not_understood)}"


def read_by_hand(text: str, written: str) -> ReadHint | None:
    """Return what intents that stand beside a text mean, ``None`` where they are not about it."""
    reading = read_hint(HintSource(text, written))
    if reading.problem or reading.origin is Origin.WRITTEN:
        return ReadHint(text, reading.hint, LOCAL if reading.problem else HAND, reading.problem)
    return None


class HintReader:
    """Reads hints; every text once.

    Args:
        clock: monotonic seconds.
        count_call: told what became of each question to the model.
        reporter: hears why the model failed.
        model: the language model, ``None`` for our own parser alone.
        limit: how often the model may be asked.
    """

    def __init__(
        self,
        clock: Clock,
        count_call: Callable[[str], None],
        reporter: Reporter,
        model: HintModel | None = None,
        limit: Limit | None = None,
    ) -> None:
        self._clock = clock
        self._count_call = count_call
        self._reporter = reporter
        self._model = model
        self._limit = limit
        self._ours = HintBook()
        self._by_model = HintBook()
        self._waiting: OrderedDict[str, tuple[str, list[Callable[[], None]]]] = OrderedDict()
        self._came = asyncio.Event()
        self._held_until_s = float("-inf")

    def read(self, namespace: str, text: str, told: Callable[[], None] = lambda: None) -> ReadHint:
        """Return what a hint means as far as it is known now.

        Args:
            namespace: who asks, for the model's limits; it is not told to the model.
            text: the hint.
            told: called once if a language model says something else later.
        """
        by_model = self._by_model.find(HintSource(text))
        if by_model is not None and by_model.hint.refusal is None:
            return ReadHint(text, by_model.hint, MODEL)
        ours = self.read_locally(text)
        if by_model is None and self._is_worth_asking(ours):
            self._ask(namespace, text, told)
        return ours

    def read_locally(self, text: str) -> ReadHint:
        """Return what our own parser understands."""
        source = HintSource(text)
        reading = self._ours.find(source)
        if reading is None:
            reading = read_hint(source)
            self._ours.put(source, reading)
        return ReadHint(text, reading.hint)

    def adopt(self, text: str, status: Mapping[str, object] | None) -> None:
        """Take over what a model said of this text before this process began."""
        if status is None or status.get("parser") != MODEL:
            return
        try:
            hint = read_written(text, json.dumps(status))
        except BadInputError:
            return
        if hint is not None:
            self._by_model.put(HintSource(text), Reading(hint))

    async def run(self) -> None:
        """Ask the model about what waits, one text at a time, until cancelled."""
        if self._model is None:
            return
        try:
            while True:
                await self._came.wait()
                self._came.clear()
                while self._waiting:
                    text, (namespace, told) = self._waiting.popitem(last=False)
                    await self._ask_model(self._model, namespace, text, told)
        finally:
            await self._model.close()

    def _is_worth_asking(self, ours: ReadHint) -> bool:
        if self._model is None or ours.outcome in _NOT_WORTH_ASKING:
            return False
        return self._clock() >= self._held_until_s

    def _ask(self, namespace: str, text: str, told: Callable[[], None]) -> None:
        if text in self._waiting:
            _, waiting = self._waiting[text]
            if len(waiting) < MAX_WAITING:
                waiting.append(told)
        elif len(self._waiting) < MAX_WAITING:
            self._waiting[text] = (namespace, [told])
            self._came.set()

    async def _ask_model(
        self, model: HintModel, namespace: str, text: str, told: list[Callable[[], None]]
    ) -> None:
        if self._limit is not None and not self._limit.allow(namespace):
            self._count_call("rate-limited")
            return
        try:
            hint = await model.read(text)
        except UnavailableError as error:
            self._count_call("unavailable")
            self._held_until_s = self._clock() + (error.retry_after_s or HELD_S)
            self._waiting.clear()  # they are asked again when somebody looks again
            self._reporter.report("hint-model.unavailable", error=str(error))
            return
        except BadInputError as error:
            self._count_call("invalid")
            self._by_model.put(HintSource(text), _NOTHING)
            self._reporter.report("hint-model.invalid", error=str(error))
            return
        self._count_call("ok")
        self._by_model.put(HintSource(text), Reading(hint))
        for tell in told:
            tell()


_NOTHING = Reading(ParsedHint(refusal=Refusal.NOT_TEXT))
"""In the model's book: it was asked, and its answer was no good."""
