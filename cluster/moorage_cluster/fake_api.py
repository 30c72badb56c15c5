"""An API server in memory that fails on demand, for tests of code that talks to the cluster.

It speaks real HTTP on loopback: lists in pages, watches, writes with preconditions, merge patches,
bindings and evictions. It knows no schemas, no selectors, no admission and no server-side apply.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

from aiohttp import web

from moorage_cluster.endpoint import Endpoint, FixedCredentials
from moorage_cluster.fake_store import FakeStore, Json, Place, RefusalError, parse_place
from moorage_cluster.session import ApiSession

MERGE_PATCH = "application/merge-patch+json"


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to one request instead of being served.

    ``status`` answers it with an error. ``drop`` breaks the connection without an answer and
    ``hang`` never answers; with ``commit`` the request takes effect before that. ``text`` answers
    with just this, and status 200 unless another is given. ``location`` is where a redirect points.
    """

    status: int = 0
    reason: str = ""
    message: str = "injected"
    retry_after_s: int | None = None
    text: str | None = None
    location: str = ""
    drop: bool = False
    hang: bool = False
    commit: bool = False


@dataclass(slots=True)
class _Rule:
    fault: Fault
    method: str
    path: str
    times: int


class FakeApi:
    """The server; use it as an async context manager.

    ``requests`` logs what came: method, path and query. While ``silent``, watches send nothing;
    ``repeat`` makes them send every event so many times.
    """

    def __init__(self) -> None:
        self.store = FakeStore()
        self._actions = {
            "": self.store.create,
            "binding": self.store.bind,
            "eviction": self.store.evict,
        }
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.headers: list[dict[str, str]] = []
        self.repeat = 1
        self.silent = False
        self.address = ""
        self._rules: list[_Rule] = []
        self._changed = asyncio.Condition()
        self._cuts = 0
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, shutdown_timeout=0.05)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.address = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.cut_watches()
        if self._runner:
            await self._runner.cleanup()

    def session(self, *, timeout_s: float = 10.0) -> ApiSession:
        """Return a session to this server."""
        return ApiSession(FixedCredentials(Endpoint(self.address)), timeout_s=timeout_s)

    def inject(self, fault: Fault, *, method: str = "", path: str = "", times: int = 1) -> None:
        """Let a fault happen to the next matching requests; ``path`` is a part of the path."""
        self._rules.append(_Rule(fault, method, path, times))

    def count(self, *methods: str) -> int:
        """Return how many requests of these methods came so far."""
        return sum(method in methods for method, _, _ in self.requests)

    def watches(self) -> int:
        """Return how many watches were opened so far."""
        return sum("watch" in query for _, _, query in self.requests)

    def items(self, path: str) -> list[Json]:
        """Return the objects of a collection's path."""
        return self.store.listed(parse_place(path))

    async def put(self, path: str, item: Json | None = None) -> Json:
        """Create or replace the object at a path as another client would."""
        stored = self.store.put(parse_place(path), item or {})
        await self._notify()
        return stored

    async def remove(self, path: str) -> None:
        """Delete the object at a path as another client would."""
        self.store.drop(parse_place(path))
        await self._notify()

    async def bookmark(self) -> None:
        """Send a bookmark to every open watch."""
        self.store.bookmark()
        await self._notify()

    async def send(self, path: str, kind: str, item: Json) -> None:
        """Send any event to the watches of a collection."""
        self.store.revision += 1
        self.store.record(parse_place(path), kind, item)
        await self._notify()

    async def cut_watches(self) -> None:
        """End every open watch."""
        self._cuts += 1
        await self._notify()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.method, request.path, dict(request.query)))
        self.headers.append(dict(request.headers))
        fault = self._next_fault(request)
        if fault is None:
            return await self._answer(request)
        if fault.commit:
            await self._answer(request)
        return await self._fail(request, fault)

    def _next_fault(self, request: web.Request) -> Fault | None:
        for rule in self._rules:
            if rule.times > 0 and rule.path in request.path and rule.method in request.method:
                rule.times -= 1
                return rule.fault
        return None

    async def _fail(self, request: web.Request, fault: Fault) -> web.StreamResponse:
        if fault.hang:
            await asyncio.Event().wait()
        if fault.drop:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        headers = {"Location": fault.location} if fault.location else {}
        if fault.retry_after_s is not None:
            headers["Retry-After"] = str(fault.retry_after_s)
        if fault.text is not None:
            return web.Response(text=fault.text, status=fault.status or 200, headers=headers)
        body = RefusalError(fault.status, fault.reason, fault.message).body
        return web.json_response(body, status=fault.status, headers=headers)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        try:
            place = parse_place(request.path)
            if request.query.get("watch"):
                return await self._watch(request, place)
            answer = self._handle(request, place, await _body(request))
        except RefusalError as refusal:
            return web.json_response(refusal.body, status=refusal.code)
        await self._notify()
        return web.json_response(answer)

    def _handle(self, request: web.Request, place: Place, body: Json) -> Json:
        match request.method, place.subresource:
            case "GET", "":
                return (
                    self.store.get(place) if place.name else self.store.page(place, request.query)
                )
            case "POST", action if action in self._actions:
                return self._actions[action](place, body)
            case "PUT", "":
                return self.store.replace(place, body)
            case "PATCH", "" if request.content_type == MERGE_PATCH:
                return self.store.merge(place, body)
            case "DELETE", "":
                return self.store.drop(place, body.get("preconditions"))
        raise RefusalError(405, "MethodNotAllowed", request.method)

    async def _watch(self, request: web.Request, place: Place) -> web.StreamResponse:
        since = int(request.query["resourceVersion"])
        if since < self.store.oldest:
            raise RefusalError(410, "Expired", "too old resource version")
        response = web.StreamResponse()
        await response.prepare(request)
        with suppress(ConnectionResetError):  # the client is gone
            await self._send_events(response, place, since)
        return response

    async def _send_events(self, response: web.StreamResponse, place: Place, since: int) -> None:
        events, cuts, sent = self.store.collection(place).events, self._cuts, 0
        while cuts == self._cuts:
            waiting = () if self.silent else events[sent:]
            sent += len(waiting)
            for revision, event in waiting:
                if revision > since:
                    await response.write((json.dumps(event).encode() + b"\n") * self.repeat)
            await self._wait_for_more(events, sent, cuts)

    async def _wait_for_more(self, events: Sequence[object], sent: int, cuts: int) -> None:
        async with self._changed:
            await self._changed.wait_for(
                lambda: cuts != self._cuts or (not self.silent and len(events) > sent)
            )

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()


async def _body(request: web.Request) -> Json:
    return dict(await request.json()) if request.can_read_body else {}
