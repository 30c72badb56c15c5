"""Decodes answers; what does not decode counts as no answer."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from moorage_cluster.errors import ClusterUnavailableError, Failure

T = TypeVar("T")


def decode_answer(body: bytes, expected: type[T], *, method: str, path: str, what: str) -> T:
    """Return the decoded body of a successful answer.

    Raises:
        ClusterUnavailableError: the body is something else: a proxy answered, or it was cut off.
    """
    try:
        return msgspec.json.decode(body, type=expected)
    except msgspec.DecodeError as error:
        message = f"the answer is no {what} ({error})"
        raise ClusterUnavailableError(Failure(method, path, status=0, message=message)) from error
