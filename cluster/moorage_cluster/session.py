"""A session to the API server: the verbs, each with a time limit."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import msgspec

from moorage_cluster.credentials import find_credentials
from moorage_cluster.decoding import decode_answer
from moorage_cluster.endpoint import Credentials
from moorage_cluster.kinds import Kinds
from moorage_cluster.lists import ListPage, read_pages
from moorage_cluster.pace import RateLimit, Sleep
from moorage_cluster.transport import Call, Transport, read_lines, translated

Json = dict[str, Any]
Params = Mapping[str, str]
PatchKind = Literal["merge", "json", "strategic", "apply"]

_CONTENT_TYPES: dict[PatchKind, str] = {
    "merge": "application/merge-patch+json",
    "json": "application/json-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "apply": "application/apply-patch+yaml",
}


class ApiSession:
    """A session to one API server; use it as an async context manager.

    Every call raises the ``moorage_cluster.errors`` subclass of its status, and
    ``ClusterUnavailableError`` when no answer came. A POST or PATCH is sent once; a GET, PUT or
    DELETE whose connection broke is repeated once by HTTP's rules, so give PUT and DELETE their
    preconditions.

    ``kinds`` finds the resource that serves a kind.

    Args:
        credentials: where the server is and who we are.
        user_agent: what the server's audit log calls us.
        connections: TCP connections at most; each open watch takes one.
        calls_per_s: rate limit, ``None`` for none (the server has its own fairness).
        timeout_s: time limit of a call that names none, reading its answer included.
        clock: monotonic seconds, for the rate limit.
        sleep: waits for a number of seconds, for the rate limit.
    """

    def __init__(
        self,
        credentials: Credentials,
        *,
        user_agent: str = "moorage",
        connections: int = 64,
        calls_per_s: float | None = None,
        timeout_s: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._timeout_s = timeout_s
        self._transport = Transport(
            credentials,
            RateLimit(calls_per_s, clock=clock, sleep=sleep),
            user_agent=user_agent,
            connections=connections,
        )
        self.kinds = Kinds(self.request)

    @classmethod
    async def connect(
        cls,
        kubeconfig: Path | None = None,
        *,
        context: str | None = None,
        user_agent: str = "moorage",
        connections: int = 64,
        calls_per_s: float | None = None,
        timeout_s: float = 10.0,
    ) -> Self:
        """Return a session whose credentials could be read; no call is made yet.

        Without ``kubeconfig`` the order is ``KUBECONFIG``, the pod's service account, the home
        directory.

        Raises:
            BadInputError: there are no usable credentials.
        """
        credentials = find_credentials(kubeconfig, context)
        await credentials.endpoint()
        return cls(
            credentials,
            user_agent=user_agent,
            connections=connections,
            calls_per_s=calls_per_s,
            timeout_s=timeout_s,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every connection."""
        await self._transport.close()

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        body: object = None,
        content_type: str = "application/json",
        timeout_s: float | None = None,
    ) -> bytes:
        """Return the body of a successful answer; ``body`` is sent as JSON unless it is bytes."""
        call = Call(
            method,
            path,
            params,
            body if body is None or isinstance(body, bytes) else msgspec.json.encode(body),
            content_type,
            total_s=self._timeout_s if timeout_s is None else timeout_s,
        )
        async with self._transport.answer(call) as answer:
            with translated(call):
                return await answer.read()

    async def request_json(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        body: object = None,
        content_type: str = "application/json",
        timeout_s: float | None = None,
    ) -> Json:
        """Return the object in a successful answer as a dictionary."""
        answer = await self.request(
            method,
            path,
            params=params,
            body=body,
            content_type=content_type,
            timeout_s=timeout_s,
        )
        return decode_answer(answer, Json, method=method, path=path, what="JSON object")

    @asynccontextmanager
    async def stream(
        self, path: str, *, params: Params, silence_s: float
    ) -> AsyncIterator[AsyncIterator[list[bytes]]]:
        """Open a watch and yield its lines, as many at a time as have arrived.

        The lines end when the server ends the stream.

        Raises:
            SilentStreamError: no byte for ``silence_s`` seconds.
            ClusterUnavailableError: the connection broke.
        """
        call = Call("GET", path, params, silence_s=silence_s)
        async with self._transport.answer(call) as answer:
            yield read_lines(call, answer.content)

    def list_pages(
        self, path: str, *, params: Params | None = None, in_one_piece: bool = False
    ) -> AsyncIterator[ListPage]:
        """Return a consistent list page by page; see ``lists.read_pages``."""
        return read_pages(self.request, path, params, in_one_piece=in_one_piece)

    async def get_json(self, path: str, *, params: Params | None = None) -> Json:
        """Return one object (or a short list) as a dictionary."""
        return await self.request_json("GET", path, params=params)

    async def create(self, path: str, item: Json) -> Json:
        """Return the object that was created in the collection ``path``."""
        return await self.request_json("POST", path, body=item)

    async def replace(self, path: str, item: Json) -> Json:
        """Return the object after replacing it; the resourceVersion in it is the precondition."""
        return await self.request_json("PUT", path, body=item)

    async def patch(
        self, path: str, change: object, *, kind: PatchKind = "merge", params: Params | None = None
    ) -> Json:
        """Return the object after a patch of the given kind."""
        return await self.request_json(
            "PATCH", path, params=params, body=change, content_type=_CONTENT_TYPES[kind]
        )

    async def delete(
        self,
        path: str,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
        propagation: Literal["Background", "Foreground", "Orphan"] = "Background",
        grace_period_s: int | None = None,
    ) -> None:
        """Delete one object, only if it still has this uid and resourceVersion where given."""
        wanted = {"uid": uid, "resourceVersion": resource_version}
        options: Json = {"propagationPolicy": propagation}
        if preconditions := {key: value for key, value in wanted.items() if value is not None}:
            options["preconditions"] = preconditions
        if grace_period_s is not None:
            options["gracePeriodSeconds"] = grace_period_s
        await self.request("DELETE", path, body=options)
