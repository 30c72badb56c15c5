"""The part of the completions protocol that is served."""

from __future__ import annotations

from typing import Any

import msgspec

from moorage_policies.errors import BadInputError

CHARACTERS_PER_TOKEN = 4
MAX_NEW_TOKENS = 1_000_000

Json = dict[str, Any]


class CompletionRequest(msgspec.Struct):
    """A request for a completion; other fields of the protocol are taken and not used."""

    prompt: str | list[int]
    model: str = ""
    max_tokens: int = 16
    stream: bool = False
    n: int = 1


def decode_request(body: bytes, model: str) -> CompletionRequest:
    """Return a request that can be served.

    Raises:
        BadInputError: it cannot; the message names the field.
    """
    try:
        request = msgspec.json.decode(body, type=CompletionRequest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadInputError(str(error), field="body") from None
    if request.model not in ("", model):
        raise BadInputError(f"{request.model!r} is not served, only {model!r}", field="model")
    if not 1 <= request.max_tokens <= MAX_NEW_TOKENS:
        raise BadInputError(
            f"{request.max_tokens} is not from 1 to {MAX_NEW_TOKENS}", field="max_tokens"
        )
    if request.n != 1:
        raise BadInputError("one completion per request; leave it out", field="n")
    return request


def count_prompt(prompt: str | list[int]) -> int:
    """Return a prompt's tokens: given, or one per four characters."""
    tokens = len(prompt) if isinstance(prompt, list) else -(-len(prompt) // CHARACTERS_PER_TOKEN)
    return max(tokens, 1)


def completion(identity: str, model: str, created: int, text: str, finish: str | None) -> Json:
    """Return a completion, or one event of a stream."""
    choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": finish}
    return {
        "id": identity,
        "object": "text_completion",
        "created": created,
        "model": model,
        "choices": [choice],
    }


def usage(prompt_tokens: int, new_tokens: int) -> Json:
    """Return what a request used."""
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": new_tokens,
        "total_tokens": prompt_tokens + new_tokens,
    }


def event(payload: Json | None) -> bytes:
    """Return one server-sent event; ``None`` is the last."""
    return b"data: %s\n\n" % (b"[DONE]" if payload is None else msgspec.json.encode(payload))


def failure(message: str, kind: str) -> Json:
    """Return an error in the protocol's form."""
    return {"error": {"message": message, "type": kind}}
