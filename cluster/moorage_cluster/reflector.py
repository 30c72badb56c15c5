"""Follows one kind of object: a list, then a watch, for as long as the process lives."""

from __future__ import annotations

import asyncio
import inspect
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Generic, Protocol

from moorage_cluster.backoff import Backoff
from moorage_cluster.errors import ApiError, ClusterUnavailableError, Failure, GoneError
from moorage_cluster.lists import ListPage
from moorage_cluster.pace import Breather, Sleep
from moorage_cluster.progress import EventType, Progress
from moorage_cluster.reporting import Silent
from moorage_cluster.transport import SilentStreamError
from moorage_cluster.watch_events import (
    Frame,
    ItemDecoder,
    T,
    decode_frame,
    revision_of,
    to_revision,
)
from moorage_policies.ports import Clock, Reporter

# The server sends a bookmark about every 60 s, but none while nothing has happened in a kind since
# the watch began: 70 s without a byte are a dead line or peace. A list tells which.
SILENCE_S = 70.0
# A watch that ended sooner is a failure, however politely it ended: else we would spin.
HEALTHY_WATCH_S = 5.0
_SHORTEST_WATCH_S = 300


class Source(Protocol):
    """The two calls that a reflector makes; ``ApiSession`` has them."""

    def list_pages(
        self, path: str, *, params: Mapping[str, str] | None = None, in_one_piece: bool = False
    ) -> AsyncIterator[ListPage]:
        """Return a consistent list page by page."""
        ...

    def stream(
        self, path: str, *, params: Mapping[str, str], silence_s: float
    ) -> AbstractAsyncContextManager[AsyncIterator[list[bytes]]]:
        """Open a watch and yield its lines."""
        ...


class Reflector(Generic[T]):
    """Keeps three sinks told of every object of one kind.

    What it promises: sinks see every object's latest state, in the server's order, each revision
    at most once, and never an older view than one already seen (a list older than that is refused
    and asked for again). What went between two views shows as absence from the next ``on_list``.

    Args:
        source: the session.
        path: the collection, such as ``/api/v1/pods``.
        item_type: msgspec struct with ``metadata.resource_version`` and the fields that are read.
        on_list: takes everything there is, replacing what was told before. If it returns an
            awaitable, events wait for it: a big list can be taken in pieces between which the
            event loop breathes.
        on_change: takes an object that is new or changed.
        on_delete: takes the last state of an object that is gone or left the selector.
        label_selector: as in the API, empty for all.
        field_selector: as in the API, empty for all.
        silence_s: seconds without a byte after which a watch counts as dead.
        clock: monotonic seconds.
        sleep: waits for a number of seconds.
        uniform: random numbers in [0, 1), for the jitter.
        reporter: hears ``reflector.listed``, ``reflector.failed``, ``reflector.silent`` and
            ``reflector.undecodable``.
    """

    def __init__(
        self,
        source: Source,
        path: str,
        item_type: type[T],
        *,
        on_list: Callable[[list[T]], Awaitable[None] | None],
        on_change: Callable[[T], None],
        on_delete: Callable[[T], None],
        label_selector: str = "",
        field_selector: str = "",
        silence_s: float = SILENCE_S,
        clock: Clock = time.monotonic,
        sleep: Sleep = asyncio.sleep,
        uniform: Callable[[], float] = random.random,
        reporter: Reporter | None = None,
    ) -> None:
        self._source = source
        self._path = path
        self._decoder = ItemDecoder(item_type)
        self._on_list = on_list
        self._on_change = on_change
        self._on_delete = on_delete
        selectors = {"labelSelector": label_selector, "fieldSelector": field_selector}
        self._selectors = {key: text for key, text in selectors.items() if text}
        self._silence_s = silence_s
        self._clock = clock
        self._sleep = sleep
        self._uniform = uniform
        self._backoff = Backoff(uniform)
        self._reporter = reporter or Silent()
        self._breather = Breather()
        self._progress = Progress()
        self._must_list = True
        self._in_one_piece = False
        self._must_prove = False
        self.synced = asyncio.Event()
        self._failed_with = ""

    def why_stale(self) -> str:
        """Return what is wrong with the view in words: never listed, or no news, and why."""
        state = "have no news" if self.synced.is_set() else "are not listed yet"
        return f"{state}: {self._failed_with}" if self._failed_with else state

    def age_s(self) -> float:
        """Return the seconds since the view was last proven fresh, ``inf`` before the first list.

        A list, an event and a bookmark are proofs; an open connection is none.
        """
        return self._clock() - self._progress.fresh_s

    @property
    def revision(self) -> int:
        """Return the newest revision that the sinks have seen; a write with it is in the view."""
        return self._progress.revision

    @property
    def undecodable(self) -> int:
        """Return how many objects did not fit the item type and were left out."""
        return self._decoder.failures

    async def run(self) -> None:
        """Follow until cancelled; failures are retried for ever, with growing pauses.

        Whatever a sink raises is a bug and ends the run.
        """
        while True:
            failure = await self._follow()
            if failure is None:
                continue
            self._failed_with = str(failure)
            self._reporter.report("reflector.failed", path=self._path, error=str(failure))
            await self._sleep(self._backoff.next_s(failure.failure.retry_after_s))

    async def _follow(self) -> ApiError | None:
        """List if needed, watch until the watch ends; return why it failed, if it did."""
        opened_s = self._clock()
        failure: ApiError | None = None
        try:
            if self._must_list:
                await self._list()
            elif self._must_prove:
                await self._prove()
            opened_s = self._clock()
            await self._watch()
        except ApiError as error:
            failure = error
            self._must_list = self._must_list or isinstance(error, GoneError)
            self._must_prove = self._must_prove or isinstance(error, SilentStreamError)
        if self._clock() - opened_s >= HEALTHY_WATCH_S:
            self._backoff.reset()
            return failure
        return failure or self._failure("the watch ended as soon as it was opened")

    async def _list(self) -> None:
        asked_s = self._clock()
        items: list[T] = []
        revision = count = 0
        try:
            async for page in self._pages(in_one_piece=self._in_one_piece):
                revision = self._newer_or_same(page)
                count += len(page.items or ())
                await self._decode(page, items)
        except GoneError:
            self._in_one_piece = True
            raise
        told = self._on_list(items)
        if inspect.isawaitable(told):
            await told
        self._progress.listed(revision, count, asked_s)
        self._must_list = self._in_one_piece = self._must_prove = False
        self.synced.set()
        self._failed_with = ""
        self._reporter.report("reflector.listed", path=self._path, items=count, revision=revision)

    async def _prove(self) -> None:
        """After silence: list again, and see whether the view is still all there is.

        If it is not, the line was dead, and the next watch brings what was missed.
        """
        asked_s = self._clock()
        revisions: list[int] = []
        async for page in self._pages():
            self._newer_or_same(page)
            for raw in page.items or ():
                revisions.append(revision_of(self._path, raw))
                await self._breather.breathe()
        fresh = self._progress.proven(revisions, asked_s)
        self._must_prove = False
        self._reporter.report("reflector.silent", path=self._path, missed_events=not fresh)

    def _pages(self, *, in_one_piece: bool = False) -> AsyncIterator[ListPage]:
        return self._source.list_pages(
            self._path, params=self._selectors, in_one_piece=in_one_piece
        )

    def _newer_or_same(self, page: ListPage) -> int:
        revision = to_revision(self._path, page.metadata.resource_version)
        seen = self._progress.revision
        if revision < seen:
            raise self._failure(f"revision {revision} is older than {seen}, seen before")
        return revision

    async def _decode(self, page: ListPage, items: list[T]) -> None:
        for raw in page.items or ():
            item = self._decoder.decode(raw)
            if item is None:
                self._report_undecodable()
            else:
                items.append(item)
            await self._breather.breathe()

    async def _watch(self) -> None:
        timeout_s = int(_SHORTEST_WATCH_S * (1 + self._uniform()))
        params = {
            **self._selectors,
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": str(self._progress.revision),
            "timeoutSeconds": str(timeout_s),
        }
        stream = self._source.stream(self._path, params=params, silence_s=self._silence_s)
        async with stream as batches:
            async for lines in batches:
                for line in lines:
                    self._take(decode_frame(self._path, line))
                    await self._breather.breathe()

    def _take(self, frame: Frame) -> None:
        if frame.type == "BOOKMARK":
            self._accepts("BOOKMARK", revision_of(self._path, frame.object))
            return
        item = self._decoder.decode(frame.object)
        if item is None:
            self._skip(frame)
            return
        revision = to_revision(self._path, item.metadata.resource_version)
        if self._accepts(frame.type, revision):
            (self._on_delete if frame.type == "DELETED" else self._on_change)(item)

    def _skip(self, frame: Frame) -> None:
        self._report_undecodable()
        self._accepts(frame.type, revision_of(self._path, frame.object))
        if frame.type == "DELETED":  # the sinks cannot be told of what went: let a list tell them
            self._must_list = True
            raise self._failure("an object that cannot be decoded was deleted")

    def _accepts(self, event: EventType, revision: int) -> bool:
        return self._progress.accepts(event, revision, self._clock())

    def _report_undecodable(self) -> None:
        self._reporter.report(
            "reflector.undecodable", path=self._path, error=self._decoder.last_failure
        )

    def _failure(self, message: str) -> ClusterUnavailableError:
        return ClusterUnavailableError(Failure("WATCH", self._path, status=0, message=message))
