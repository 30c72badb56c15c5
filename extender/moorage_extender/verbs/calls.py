"""What all verbs have in common: read, decide in time, answer, and tell afterwards."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar

import structlog
from fastapi import Request, Response
from msgspec import json
from starlette.requests import ClientDisconnect

from moorage_extender.context import Context
from moorage_extender.decisions import Record
from moorage_policies.errors import BadInputError

Args = TypeVar("Args")

JSON = "application/json"

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


def endpoint(verb: Verb[Args], ctx: Context) -> Callable[[Request], Awaitable[Response]]:
    """Return the HTTP endpoint of a verb: 200 with an answer, or 4xx for a request nobody sends."""

    async def answer(request: Request) -> Response:
        started_s = ctx.clock()
        try:
            args = verb.decode(await read_body(request, ctx.settings.body_limit))
        except (BadInputError, ClientDisconnect) as error:
            return _reject(verb.name, error, ctx)
        try:
            reply = await verb.decide(args, started_s + ctx.settings.verb_deadline_s)
        except Exception:  # our own bug must not keep pods from being scheduled
            log.exception("verb failed", verb=verb.name)
            ctx.degraded(verb.name, "internal")
            ctx.metrics.observe(verb.name, "neutral", ctx.clock() - started_s)
            return Response(verb.neutral(args), media_type=JSON)
        took_s = ctx.clock() - started_s
        ctx.metrics.observe(verb.name, reply.outcome, took_s)
        if reply.record is not None:
            ctx.decisions.add(partial(_finish, verb.name, reply, took_s, ctx.wall_clock()))
        return Response(reply.body, media_type=JSON)

    return answer


async def read_body(request: Request, limit: int) -> bytes:
    """Return the request's body.

    Raises:
        TooLargeError: it has more than ``limit`` bytes; no more than that is kept in memory.
    """
    announced = request.headers.get("content-length", "0")
    if announced.isdecimal() and int(announced) > limit:
        raise TooLargeError(f"{announced} bytes are more than {limit}; raise body_limit_mib")
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise TooLargeError(f"more than {limit} bytes; raise body_limit_mib")
        chunks.append(chunk)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _reject(verb: str, error: Exception, ctx: Context) -> Response:
    status = 413 if isinstance(error, TooLargeError) else 400
    ctx.metrics.rejected.labels(verb, str(status)).inc()
    field = error.field if isinstance(error, BadInputError) else ""
    log.warning("request rejected", verb=verb, status=status, field=field, error=str(error))
    body = json.encode({"error": str(error) or type(error).__name__, "field": field})
    return Response(body, status, media_type=JSON)


def _finish(verb: str, reply: Reply, took_s: float, at_s: float) -> Record:
    assert reply.record is not None
    record = reply.record()
    record.verb, record.outcome, record.at_s = verb, reply.outcome, at_s
    record.took_ms = round(took_s * 1e3, 3)
    return record
