"""What all verbs have in common: read, decide in time, answer, and tell afterwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Generic, Protocol, TypeVar

import structlog
from msgspec import json
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from moorage_extender.context import Context
from moorage_extender.decisions import Record
from moorage_policies.errors import BadInputError

Args = TypeVar("Args")

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


class TooLargeError(BadInputError):
    """The request is larger than the admin allows."""


@dataclass(slots=True)
class Reply:
    """What a verb answers, and what to tell people once the answer is out.

    Args:
        body: the answer.
        outcome: label of the request's metric.
        record: makes the decision's record; ``None`` when nothing was decided.
    """

    body: bytes
    outcome: str = "ok"
    record: Callable[[], Record] | None = None


class Verb(Protocol[Args]):
    """One verb: from bytes to a reply, and what it says when it cannot decide."""

    name: str

    def decode(self, body: bytes) -> Args:
        """Return the request; raises ``BadInputError``."""
        ...

    async def decide(self, args: Args, deadline_s: float) -> Reply:
        """Return the answer; no further scoring once the clock shows ``deadline_s``."""
        ...

    def neutral(self, args: Args) -> bytes:
        """Return the answer that harms nobody."""
        ...


class Endpoint(Generic[Args]):
    """A verb over HTTP, as an ASGI application of one path: 200, or 4xx for what nobody sends.

    It stands before FastAPI's routing, middleware and response classes, which take longer than a
    decision and would do so inside the scheduler's one serial cycle.
    """

    def __init__(self, verb: Verb[Args], ctx: Context) -> None:
        self._verb = verb
        self._ctx = ctx

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        verb, ctx = self._verb, self._ctx
        started_s = ctx.clock()
        try:
            body = await read_body(scope, receive, ctx.settings.body_limit)
            args = verb.decode(body)
        except (BadInputError, ClientDisconnect) as error:
            status, answer = _reject(verb.name, error, ctx)
            await send_json(send, status, answer)
            return
        await send_json(send, HTTPStatus.OK, await self._answer(args, started_s))

    async def _answer(self, args: Args, started_s: float) -> bytes:
        verb, ctx = self._verb, self._ctx
        try:
            reply = await verb.decide(args, started_s + ctx.settings.verb_deadline_s)
        except Exception:  # our own bug must not keep pods from being scheduled
            log.exception("verb failed", verb=verb.name)
            ctx.degraded(verb.name, "internal")
            ctx.metrics.observe(verb.name, "neutral", ctx.clock() - started_s)
            return verb.neutral(args)
        took_s = ctx.clock() - started_s
        ctx.metrics.observe(verb.name, reply.outcome, took_s)
        if reply.record is not None:
            ctx.decisions.add(partial(_finish, verb.name, reply, took_s, ctx.wall_clock()))
        return reply.body


async def read_body(scope: Scope, receive: Receive, limit: int) -> bytes:
    """Return the request's body.

    Raises:
        TooLargeError: it has more than ``limit`` bytes; no more than that is kept in memory.
        ClientDisconnect: the caller went away before the end.
    """
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit() and int(value) > limit:
            raise TooLargeError(f"{int(value)} bytes are more than {limit}; raise body_limit_mib")
    chunks: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        more = message.get("more_body", False)
        if size > limit:
            raise TooLargeError(f"more than {limit} bytes; raise body_limit_mib")
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


async def send_json(send: Send, status: int, body: bytes, *more: tuple[bytes, bytes]) -> None:
    """Send an answer, with ``more`` headers besides its length and type."""
    headers = [
        (b"content-length", b"%d" % len(body)),
        (b"content-type", b"application/json"),
        *more,
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _reject(verb: str, error: Exception, ctx: Context) -> tuple[int, bytes]:
    too_large = isinstance(error, TooLargeError)
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE if too_large else HTTPStatus.BAD_REQUEST
    ctx.metrics.rejected.labels(verb, str(int(status))).inc()
    field = error.field if isinstance(error, BadInputError) else ""
    log.warning("request rejected", verb=verb, status=int(status), field=field, error=str(error))
    return status, json.encode({"error": str(error) or type(error).__name__, "field": field})


def _finish(verb: str, reply: Reply, took_s: float, at_s: float) -> Record:
    assert reply.record is not None
    record = reply.record()
    record.verb, record.outcome, record.at_s = verb, reply.outcome, at_s
    record.took_ms = round(took_s * 1e3, 3)
    return record
