"""An API server in memory that fails on demand, for tests of code that talks to the cluster.

It speaks real HTTP on loopback: lists in pages, watches, writes with preconditions, bindings and
evictions. It knows no schemas, no admission and no server-side apply.
"""

from __future__ import annotations

import asyncio
import copy
import inspect
import json
import re
import uuid
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web

from moorage_cluster.endpoint import Endpoint, FixedCredentials
from moorage_cluster.session import ApiSession

Json = dict[str, Any]

_PATH = re.compile(
    r"^(?P<root>/api/v1|/apis/[^/]+/[^/]+)(?:/namespaces/(?P<namespace>[^/]+))?"
    r"/(?P<plural>[^/]+)(?:/(?P<name>[^/]+))?(?:/(?P<subresource>[^/]+))?$"
)


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to one request instead of, or after, being served.

    ``status`` answers it with an error. ``drop`` breaks the connection without an answer and
    ``hang`` never answers; with ``commit`` the request takes effect before that.
    """

    status: int = 0
    reason: str = ""
    message: str = "injected"
    retry_after_s: int | None = None
    drop: bool = False
    hang: bool = False
    commit: bool = False


@dataclass(slots=True)
class _Rule:
    fault: Fault
    method: str
    path: str
    times: int


@dataclass(slots=True)
class _Collection:
    items: dict[tuple[str, str], Json] = field(default_factory=dict)
    events: list[tuple[int, Json]] = field(default_factory=list)


class Refusal(Exception):  # noqa: N818 - an answer, not an error of ours
    """An answer other than success."""

    def __init__(self, code: int, reason: str, message: str, **details: object) -> None:
        super().__init__(message)
        self.code = code
        self.body = {
            "kind": "Status",
            "apiVersion": "v1",
            "status": "Failure",
            "code": code,
            "reason": reason,
            "message": message,
            "details": details,
        }


class FakeApi:
    """The server; use it as an async context manager.

    ``requests`` logs what came: method, path and query. ``budgets`` holds, per pod name, how many
    evictions are still allowed. ``repeat`` sends every event so many times.
    """

    def __init__(self) -> None:
        self.revision = 100
        self.oldest = 0
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.budgets: dict[str, int] = {}
        self.repeat = 1
        self.silent = False
        self.stale_revision: int | None = None
        self._collections: dict[str, _Collection] = {}
        self._rules: list[_Rule] = []
        self._changed = asyncio.Condition()
        self._cut = 0
        self._runner: web.AppRunner | None = None
        self._lists: dict[str, tuple[int, list[Json]]] = {}
        self.address = ""

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
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

    def items(self, path: str) -> list[Json]:
        """Return the objects of a collection's path."""
        match = _parse(path)
        return list(self._select(self._of(match), match["namespace"]))

    async def put(self, path: str, item: Json) -> Json:
        """Create or replace an object of a collection as another client would."""
        match = _parse(path)
        return await self._store(match, copy.deepcopy(item))

    async def remove(self, path: str) -> None:
        """Delete an object as another client would."""
        match = _parse(path)
        await self._drop(match)

    async def compact(self) -> None:
        """Forget the history: older watches and continue tokens are answered with 410."""
        self.oldest = self.revision + 1
        self.revision += 1
        for collection in self._collections.values():
            collection.events.clear()
        self._lists.clear()
        await self._notify()

    async def cut_watches(self) -> None:
        """End every open watch."""
        self._cut += 1
        await self._notify()

    async def bookmark(self) -> None:
        """Send a bookmark to every open watch."""
        for collection in self._collections.values():
            meta = {"resourceVersion": str(self.revision)}
            event = {"type": "BOOKMARK", "object": {"metadata": meta}}
            collection.events.append((self.revision, event))
        await self._notify()

    async def error_event(self, path: str, code: int, reason: str) -> None:
        """Send an ERROR event to the watches of a collection."""
        status = Refusal(code, reason, "injected").body
        self.revision += 1
        event = {"type": "ERROR", "object": status}
        self._of(_parse(path)).events.append((self.revision, event))
        await self._notify()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.method, request.path, dict(request.query)))
        fault = self._next_fault(request)
        if fault is None or fault.commit:
            answer = await self._answer(request)
            if fault is None:
                return answer
        return await self._fail(request, fault)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        try:
            match = _parse(request.path)
            if request.method == "GET" and request.query.get("watch"):
                return await self._watch(request, match)
            return web.json_response(await self._handle(request, match))
        except Refusal as refusal:
            return web.json_response(refusal.body, status=refusal.code)

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
        refusal = Refusal(fault.status, fault.reason, fault.message)
        headers = {} if fault.retry_after_s is None else {"Retry-After": str(fault.retry_after_s)}
        return web.json_response(refusal.body, status=fault.status, headers=headers)

    async def _handle(self, request: web.Request, match: dict[str, str]) -> Json:
        body = await request.json() if request.can_read_body else {}
        name = match["name"]
        if request.method == "GET":
            return self._get(match) if name else self._list(request)
        if match["subresource"] == "binding":
            return await self._bind(match, body)
        if match["subresource"] == "eviction":
            return await self._evict(match, body)
        if request.method == "POST":
            return await self._create(match, body)
        if request.method == "PUT":
            self._check_version(match, body)
            return await self._store(match, body)
        if request.method == "DELETE":
            self._check_preconditions(self._get(match), body.get("preconditions") or {})
            return await self._drop(match)
        raise Refusal(405, "MethodNotAllowed", request.method)

    def _list(self, request: web.Request) -> Json:
        token = request.query.get("continue", "")
        limit = int(request.query.get("limit", "0"))
        if token:
            key, _, start = token.partition(":")
            if key not in self._lists:
                raise Refusal(410, "Expired", "the continue token is too old")
            revision, items = self._lists[key]
            offset = int(start)
        else:
            revision = self.stale_revision or self.revision
            key, items, offset = uuid.uuid4().hex, self.items(request.path), 0
            self._lists[key] = (revision, items)
        end = offset + limit if limit else len(items)
        meta = {"resourceVersion": str(revision)}
        if end < len(items):
            meta["continue"] = f"{key}:{end}"
        return {"kind": "List", "metadata": meta, "items": items[offset:end]}

    async def _watch(self, request: web.Request, match: dict[str, str]) -> web.StreamResponse:
        since = int(request.query["resourceVersion"])
        if since < self.oldest:
            raise Refusal(410, "Expired", "too old resource version")
        response = web.StreamResponse()
        await response.prepare(request)
        collection, cut = self._of(match), self._cut
        sent = next((i for i, (r, _) in enumerate(collection.events) if r > since), None)
        position = len(collection.events) if sent is None else sent
        while cut == self._cut:
            if not self.silent:
                while position < len(collection.events):
                    line = json.dumps(collection.events[position][1]).encode() + b"\n"
                    await response.write(line * self.repeat)
                    position += 1
                position = len(collection.events)
            async with self._changed:
                await self._changed.wait()
        return response

    async def _bind(self, match: dict[str, str], body: Json) -> Json:
        pod = self._get(match)
        self._check_preconditions(pod, {"uid": body["metadata"].get("uid")})
        if node := pod["spec"].get("nodeName"):
            raise Refusal(409, "Conflict", f"pod is already assigned to node {node}")
        pod["spec"]["nodeName"] = body["target"]["name"]
        return await self._store(match, pod)

    async def _evict(self, match: dict[str, str], body: Json) -> Json:
        pod = self._get(match)
        self._check_preconditions(pod, body["deleteOptions"]["preconditions"])
        allowed = self.budgets.get(match["name"])
        if allowed == 0:
            causes = [{"reason": "DisruptionBudget", "message": "needs 1 healthy pod"}]
            message = "Cannot evict pod as it would violate the pod's disruption budget."
            raise Refusal(429, "TooManyRequests", message, causes=causes, retryAfterSeconds=10)
        if allowed is not None:
            self.budgets[match["name"]] = allowed - 1
        return await self._drop(match)

    async def _create(self, match: dict[str, str], body: Json) -> Json:
        name = body["metadata"]["name"]
        if (match["namespace"], name) in self._of(match).items:
            raise Refusal(409, "AlreadyExists", f"{name} already exists")
        return await self._store(match, body)

    def _get(self, match: dict[str, str]) -> Json:
        try:
            return copy.deepcopy(self._of(match).items[match["namespace"], match["name"]])
        except KeyError:
            raise Refusal(404, "NotFound", f"{match['name']} not found") from None

    def _check_version(self, match: dict[str, str], body: Json) -> None:
        live = self._get(match)["metadata"]["resourceVersion"]
        if body["metadata"].get("resourceVersion") not in (None, live):
            raise Refusal(409, "Conflict", "the object has been modified")

    def _check_preconditions(self, live: Json, preconditions: Json) -> None:
        for key, value in preconditions.items():
            if value is not None and live["metadata"][key] != value:
                raise Refusal(409, "Conflict", f"Precondition failed: {key}")

    async def _store(self, match: dict[str, str], item: Json) -> Json:
        collection = self._of(match)
        metadata = item.setdefault("metadata", {})
        key = (match["namespace"], match["name"] or metadata["name"])
        metadata.setdefault("uid", str(uuid.uuid4()))
        if match["namespace"]:
            metadata.setdefault("namespace", match["namespace"])
        self.revision += 1
        metadata["resourceVersion"] = str(self.revision)
        kind = "MODIFIED" if key in collection.items else "ADDED"
        collection.items[key] = item
        event = {"type": kind, "object": copy.deepcopy(item)}
        collection.events.append((self.revision, event))
        await self._notify()
        return copy.deepcopy(item)

    async def _drop(self, match: dict[str, str]) -> Json:
        item = self._get(match)
        collection = self._of(match)
        del collection.items[match["namespace"], match["name"]]
        self.revision += 1
        item["metadata"]["resourceVersion"] = str(self.revision)
        collection.events.append((self.revision, {"type": "DELETED", "object": item}))
        await self._notify()
        return {"kind": "Status", "status": "Success"}

    def _of(self, match: dict[str, str]) -> _Collection:
        return self._collections.setdefault(f"{match['root']}/{match['plural']}", _Collection())

    @staticmethod
    def _select(collection: _Collection, namespace: str) -> Iterator[Json]:
        for (item_namespace, _), item in collection.items.items():
            if not namespace or item_namespace == namespace:
                yield copy.deepcopy(item)

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()


class FakeClock:
    """A clock that only moves when told, and a sleep that moves it.

    ``slept`` holds every wait that was asked for, in seconds.
    """

    def __init__(self, now_s: float = 1000.0) -> None:
        self.now_s = now_s
        self.slept: list[float] = []

    def __call__(self) -> float:
        """Return the fake seconds."""
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        """Let ``seconds`` pass at once, and others run."""
        self.slept.append(seconds)
        self.now_s += seconds
        await asyncio.sleep(0)


class Heard:
    """A reporter that keeps what it hears."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, object]]] = []

    def report(self, event: str, /, **facts: object) -> None:
        """Keep one event."""
        self.events.append((event, facts))

    def facts(self, event: str) -> list[dict[str, object]]:
        """Return the facts of every event of this name, in order."""
        return [facts for name, facts in self.events if name == event]


async def eventually(
    condition: Callable[[], bool | Awaitable[bool]], *, deadline_s: float = 10.0
) -> None:
    """Return when a condition, plain or awaitable, holds.

    Raises:
        TimeoutError: it did not within ``deadline_s``.
    """
    async with asyncio.timeout(deadline_s):
        while True:
            holds = condition()
            if await holds if inspect.isawaitable(holds) else holds:
                return
            await asyncio.sleep(0.005)


def _parse(path: str) -> dict[str, str]:
    match = _PATH.match(path)
    if match is None:
        raise Refusal(404, "NotFound", "the server could not find the requested resource")
    parts = {key: value or "" for key, value in match.groupdict().items()}
    if parts["plural"] == "namespaces":  # cluster-scoped: the pattern cannot tell
        parts["name"] = parts["name"] or parts["namespace"]
    return parts
