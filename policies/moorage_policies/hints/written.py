"""Intents that stand written beside a hint: by the operator, a language model or a person."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from moorage_policies.errors import BadInputError
from moorage_policies.hints.codec import hint_to_json, intents_from_json
from moorage_policies.hints.intent import MAX_NOT_UNDERSTOOD, SCHEMA_VERSION, ParsedHint, Refusal

MAX_WRITTEN_CHARS = 32_768
"""Longest written form that is read."""
MAX_PHRASE_CHARS = 2000
_DIGEST_CHARS = 16
_FIELDS = ("version", "of", "parser", "intents", "notUnderstood", "refusal")


def text_digest(text: str) -> str:
    """Return what ties written intents to the text that they were read from."""
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:_DIGEST_CHARS]


def write_hint(text: str, hint: ParsedHint, parser: str) -> dict[str, object]:
    """Return the written form of what was read from a text, as JSON values."""
    return {"of": text_digest(text), "parser": parser, **hint_to_json(hint)}


def read_written(text: str, written: str) -> ParsedHint | None:
    """Return the hint that was written down for this text.

    Args:
        text: the hint's text, empty when there is none.
        written: JSON of :func:`write_hint`'s form; only ``intents`` must be there. Without ``of``
            it holds for every text.

    Returns:
        ``None`` when it was written for another text.

    Raises:
        BadInputError: it is outside the schema; names the field.
    """
    if len(written) > MAX_WRITTEN_CHARS:
        raise BadInputError(
            f"has {len(written)} characters; write at most {MAX_WRITTEN_CHARS}", field="intents"
        )
    try:
        data = json.loads(written)
    except (ValueError, RecursionError) as error:
        raise BadInputError(f"is not JSON: {error}", field="intents") from error
    if not isinstance(data, Mapping):
        raise BadInputError('is no object; write {"intents": [...]}', field="intents")
    return _read_object(text, data)


def _read_object(text: str, data: Mapping[str, object]) -> ParsedHint | None:
    unknown = sorted(str(key) for key in data if key not in _FIELDS)
    if unknown:
        raise BadInputError(
            f"is unknown; remove it, or use one of {', '.join(_FIELDS)}", field=unknown[0][:63]
        )
    if data.get("version", SCHEMA_VERSION) != SCHEMA_VERSION:
        raise BadInputError(f"must be {SCHEMA_VERSION}", field="version")
    if "of" in data and data["of"] != text_digest(text):
        return None
    phrases = data.get("notUnderstood", [])
    if not isinstance(phrases, list) or not all(isinstance(phrase, str) for phrase in phrases):
        raise BadInputError("must be a list of texts", field="notUnderstood")
    shown = tuple(phrase[:MAX_PHRASE_CHARS] for phrase in phrases[:MAX_NOT_UNDERSTOOD])
    intents = intents_from_json(data.get("intents"))
    return ParsedHint(intents, shown, None if intents else _refusal(data.get("refusal")))


def _refusal(value: object) -> Refusal | None:
    if value is None:
        return None
    try:
        return Refusal(str(value))
    except ValueError:
        raise BadInputError(f"must be one of {', '.join(Refusal)}", field="refusal") from None
