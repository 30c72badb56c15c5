"""Reads a refusal: the ``Status`` object in the body, or plain text when there is none."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from moorage_cluster.errors import Cause, Failure

_TEXT_LIMIT = 500


class StatusCause(msgspec.Struct, gc=False):
    """One entry of ``details.causes``."""

    field: str = ""
    message: str = ""
    reason: str = ""


class StatusDetails(msgspec.Struct, rename="camel"):
    """The ``details`` of a ``Status``."""

    causes: list[StatusCause] | None = None
    retry_after_seconds: int = 0


class Status(msgspec.Struct):
    """The meta/v1 ``Status`` that the server answers instead of an object."""

    message: str = ""
    reason: str = ""
    code: int = 0
    details: StatusDetails | None = None


def to_failure(
    method: str, path: str, http_status: int, headers: Mapping[str, str], body: bytes
) -> Failure:
    """Return the facts of a refused call."""
    status = _decode(body)
    return failure_of(method, path, status, http_status, header_s=_header_s(headers))


def failure_of(
    method: str, path: str, status: Status, code: int, *, header_s: float | None = None
) -> Failure:
    """Return the facts of a ``Status``; the header's Retry-After wins over the body's."""
    details = status.details or StatusDetails()
    causes = tuple(Cause(c.field, c.message, c.reason) for c in details.causes or ())
    return Failure(
        method=method,
        path=path,
        status=code,
        message=status.message or "the server gave no reason",
        reason=status.reason,
        causes=causes,
        retry_after_s=header_s if header_s is not None else details.retry_after_seconds or None,
    )


def _decode(body: bytes) -> Status:
    try:
        return msgspec.json.decode(body, type=Status)
    except msgspec.DecodeError:
        return Status(message=body[:_TEXT_LIMIT].decode(errors="replace").strip())


def _header_s(headers: Mapping[str, str]) -> float | None:
    text = headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdigit() else None
