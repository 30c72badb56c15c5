"""The reflector against a server that fails in every way that a watch can."""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from moorage_cluster.fake_api import FakeApi, Fault
from moorage_cluster.fake_store import RefusalError, parse_place
from moorage_cluster.lists import ListMeta, ListPage
from moorage_cluster.reflector import Reflector
from moorage_cluster.session import ApiSession
from moorage_cluster.testing import FakeClock, Heard, eventually

PODS = "/api/v1/pods"
POD = "/api/v1/namespaces/default/pods/"


class Meta(msgspec.Struct, rename="camel"):
    name: str
    resource_version: str


class Item(msgspec.Struct):
    metadata: Meta
    spec: dict[str, str] = msgspec.field(default_factory=dict)


class Following:
    """A reflector with fake time and everything it told."""

    def __init__(self, session: ApiSession, **options: Any) -> None:
        self.clock = FakeClock()
        self.heard = Heard()
        self.view: dict[str, str] = {}
        self.told: list[tuple[str, str]] = []
        self.lists = 0
        self.reflector = Reflector(
            session,
            PODS,
            Item,
            on_list=self.on_list,
            on_change=self.on_change,
            on_delete=self.on_delete,
            clock=self.clock,
            sleep=self.clock.sleep,
            uniform=lambda: 0.5,
            reporter=self.heard,
            **options,
        )

    def on_list(self, items: list[Item]) -> None:
        self.view = {item.metadata.name: item.metadata.resource_version for item in items}
        self.lists += 1

    def on_change(self, item: Item) -> None:
        self.view[item.metadata.name] = item.metadata.resource_version
        self.told.append(("change", item.metadata.name))

    def on_delete(self, item: Item) -> None:
        del self.view[item.metadata.name]
        self.told.append(("delete", item.metadata.name))

    def failures(self) -> list[str]:
        return [str(facts["error"]) for facts in self.heard.facts("reflector.failed")]


@asynccontextmanager
async def following(session: ApiSession, **options: Any) -> AsyncIterator[Following]:
    followed = Following(session, **options)
    running = asyncio.create_task(followed.reflector.run())
    try:
        await asyncio.wait_for(followed.reflector.synced.wait(), 10)
        yield followed
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def truth(api: FakeApi) -> dict[str, str]:
    return {i["metadata"]["name"]: i["metadata"]["resourceVersion"] for i in api.items(PODS)}


async def test_changes_reach_the_sinks_in_order(api: FakeApi, session: ApiSession) -> None:
    await api.put(f"{POD}a")
    async with following(session) as followed:
        assert followed.view == truth(api)
        await api.put(f"{POD}b")
        await api.put(f"{POD}a")
        await api.remove(f"{POD}b")
        await eventually(lambda: followed.view == truth(api) and len(followed.told) == 3)
        assert followed.told == [("change", "b"), ("change", "a"), ("delete", "b")]
        assert followed.lists == 1


async def test_a_dropped_watch_goes_on_where_it_was(api: FakeApi, session: ApiSession) -> None:
    async with following(session) as followed:
        await eventually(lambda: api.watches() == 1)
        await api.put(f"{POD}a")
        await eventually(lambda: followed.told != [])
        for name in "bcd":
            await api.cut_watches()
            await api.put(f"{POD}{name}")
        await eventually(lambda: followed.view == truth(api))
        assert followed.told == [("change", name) for name in "abcd"]
        assert followed.lists == 1


async def test_repeated_events_are_told_once(api: FakeApi, session: ApiSession) -> None:
    api.repeat = 3
    async with following(session) as followed:
        await api.put(f"{POD}a")
        await api.remove(f"{POD}a")
        await api.put(f"{POD}b")
        await eventually(lambda: "b" in followed.view)
        assert followed.told == [("change", "a"), ("delete", "a"), ("change", "b")]


@pytest.mark.parametrize("as_event", [False, True], ids=["as-status", "as-event"])
async def test_gone_leads_to_a_new_list_that_shows_what_went_meanwhile(
    api: FakeApi, session: ApiSession, as_event: bool
) -> None:
    await api.put(f"{POD}a")
    await api.put(f"{POD}b")
    async with following(session) as followed:
        await eventually(lambda: api.watches() == 1)
        api.silent = True
        await api.remove(f"{POD}a")
        if as_event:
            api.store.collection(parse_place(PODS)).events.pop()  # the deletion is never sent
            api.silent = False
            await api.send(PODS, "ERROR", RefusalError(410, "Expired", "too old").body)
        else:
            api.store.compact()
            api.silent = False
            await api.cut_watches()
        await eventually(lambda: followed.lists == 2)
        assert followed.view == truth(api)
        assert ("delete", "a") not in followed.told
        await api.put(f"{POD}c")
        await eventually(lambda: followed.view == truth(api))


async def test_a_dead_line_is_noticed_and_what_was_missed_is_told(
    api: FakeApi, session: ApiSession
) -> None:
    async with following(session, silence_s=0.05) as followed:
        await eventually(lambda: api.watches() == 1)
        api.silent = True
        await api.put(f"{POD}a")
        await eventually(lambda: followed.heard.facts("reflector.silent") != [])
        assert followed.heard.facts("reflector.silent")[0]["missed_events"] is True
        api.silent = False
        await api.cut_watches()
        await eventually(lambda: followed.view == truth(api))
        assert followed.told == [("change", "a")]
        assert followed.lists == 1


async def test_age_counts_from_the_last_proof_and_an_open_line_is_none(
    api: FakeApi, session: ApiSession
) -> None:
    async with api.session() as other:
        idle = Following(other)
        assert idle.reflector.age_s() == math.inf
    async with following(session) as followed:
        await eventually(lambda: api.watches() == 1)
        followed.clock.now_s += 40.0
        assert followed.reflector.age_s() == 40.0
        await api.put(f"{POD}a")
        await eventually(lambda: followed.reflector.age_s() == 0.0)
        followed.clock.now_s += 30.0
        await api.bookmark()
        await eventually(lambda: followed.reflector.age_s() == 0.0)
        followed.clock.now_s += 20.0
        await api.send(PODS, "MODIFIED", {"metadata": {"name": "a", "resourceVersion": "1"}})
        await api.cut_watches()
        await eventually(lambda: api.watches() == 2)
        assert followed.reflector.age_s() >= 20.0


async def test_silence_without_changes_is_proven_fresh_by_a_list(
    api: FakeApi, session: ApiSession
) -> None:
    await api.put(f"{POD}a")
    async with following(session, silence_s=0.05) as followed:
        followed.clock.now_s += 500.0
        await eventually(lambda: followed.heard.facts("reflector.silent") != [])
        assert followed.heard.facts("reflector.silent")[0]["missed_events"] is False
        assert followed.reflector.age_s() < 500.0
        assert followed.lists == 1


async def test_an_older_list_is_refused_until_a_newer_one_comes(
    api: FakeApi, session: ApiSession
) -> None:
    """A list of an API server that lags behind must not bring back what is gone."""
    await api.put(f"{POD}a")
    async with following(session) as followed:
        seen = dict(followed.view)
        api.store.stale_revision = api.store.revision - 1
        api.store.compact()
        await api.cut_watches()
        await eventually(lambda: sum("older" in text for text in followed.failures()) >= 3)
        assert followed.view == seen
        assert followed.lists == 1
        api.store.stale_revision = None
        await eventually(lambda: followed.lists == 2)
        assert followed.view == truth(api)


async def test_pauses_grow_while_the_server_fails_and_obey_retry_after(
    api: FakeApi, session: ApiSession
) -> None:
    api.inject(Fault(status=500), path="pods", times=4)
    api.inject(Fault(status=429, retry_after_s=60), path="pods")
    async with following(session) as followed:
        # half of the ceilings 0.5, 1, 2, 4 and 8 s; 60 s on top of the last
        assert followed.clock.slept[:5] == [0.25, 0.5, 1.0, 2.0, 64.0]
        assert followed.lists == 1


async def test_a_view_that_cannot_be_listed_says_why(api: FakeApi, session: ApiSession) -> None:
    api.inject(Fault(status=403), path="pods", times=10_000)
    followed = Following(session)
    running = asyncio.create_task(followed.reflector.run())
    try:
        await eventually(lambda: "403" in followed.reflector.why_stale())
        assert followed.reflector.why_stale().startswith("are not listed yet: ")
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_watch_that_ends_at_once_is_not_opened_in_a_tight_loop(
    api: FakeApi, session: ApiSession
) -> None:
    async with following(session) as followed:
        for _ in range(6):
            watches = api.watches()
            await eventually(lambda: api.watches() > watches)  # noqa: B023
            await api.cut_watches()
        await eventually(lambda: len(followed.clock.slept) >= 6)
        assert followed.clock.slept[:6] == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0]


async def test_a_watch_that_lived_is_reopened_without_a_pause(
    api: FakeApi, session: ApiSession
) -> None:
    async with following(session) as followed:
        for count in range(1, 4):
            await eventually(lambda: api.watches() == count)  # noqa: B023
            followed.clock.now_s += 300.0
            await api.cut_watches()
        await eventually(lambda: api.watches() == 4)
        assert followed.clock.slept == []


async def test_a_list_compacted_away_between_pages_is_read_in_one_piece(
    api: FakeApi, session: ApiSession
) -> None:
    for i in range(150):
        await api.put(f"{POD}p{i}")
    served = 0

    class Compacting:
        """Compacts after every first page."""

        def list_pages(self, path: str, **options: Any) -> AsyncIterator[Any]:
            return self._pages(path, **options)

        async def _pages(self, path: str, **options: Any) -> AsyncIterator[Any]:
            nonlocal served
            async for page in session.list_pages(path, **options):
                served += 1
                api.store.compact()
                yield page

        stream = session.stream

    async with following(Compacting()) as followed:  # type: ignore[arg-type]
        assert len(followed.view) == 150
        assert followed.lists == 1
        assert served == 2


async def test_one_odd_object_does_not_blind_to_the_others(
    api: FakeApi, session: ApiSession
) -> None:
    await api.put(f"{POD}odd", {"spec": {"number": 1}})
    await api.put(f"{POD}a")
    async with following(session) as followed:
        assert set(followed.view) == {"a"}
        await api.put(f"{POD}odd", {"spec": {"number": 2}})
        await api.put(f"{POD}b")
        await eventually(lambda: set(followed.view) == {"a", "b"})
        assert followed.reflector.undecodable == 2
        assert followed.lists == 1


async def test_an_object_that_turned_odd_and_went_is_not_kept(
    api: FakeApi, session: ApiSession
) -> None:
    await api.put(f"{POD}a")
    async with following(session) as followed:
        await api.put(f"{POD}a", {"spec": {"number": 1}})
        await api.remove(f"{POD}a")
        await eventually(lambda: followed.view == {})


@pytest.mark.parametrize(
    "line",
    [
        "garbage",
        '{"type":"ADDED"}',
        '{"type":"NOVEL","object":{}}',
        '{"type":"BOOKMARK","object":{}}',
    ],
)
async def test_a_garbled_watch_is_opened_anew(api: FakeApi, session: ApiSession, line: str) -> None:
    async with following(session) as followed:
        await eventually(lambda: api.watches() == 1)
        api.inject(Fault(text=line + "\n"), path="pods")
        await api.cut_watches()
        await eventually(lambda: api.watches() >= 3)
        await api.put(f"{POD}a")
        await eventually(lambda: followed.view == truth(api))
        assert followed.lists == 1


async def test_an_error_event_other_than_gone_keeps_the_view(
    api: FakeApi, session: ApiSession
) -> None:
    async with following(session) as followed:
        await eventually(lambda: api.watches() == 1)
        await api.send(PODS, "ERROR", RefusalError(500, "InternalError", "etcd is away").body)
        await eventually(lambda: any("etcd is away" in text for text in followed.failures()))
        assert followed.lists == 1


async def test_a_list_taken_in_pieces_holds_events_back(api: FakeApi, session: ApiSession) -> None:
    await api.put(f"{POD}a")
    order: list[str] = []
    go_on = asyncio.Event()

    async def take_slowly(items: list[Item]) -> None:
        order.append("list begins")
        await go_on.wait()
        order.append("list ends")

    followed = Following(session)
    followed.reflector._on_list = take_slowly
    followed.reflector._on_change = lambda item: order.append(item.metadata.name)
    running = asyncio.create_task(followed.reflector.run())
    await eventually(lambda: order == ["list begins"])
    assert not followed.reflector.synced.is_set()
    await api.put(f"{POD}b")
    go_on.set()
    await eventually(lambda: order == ["list begins", "list ends", "b"])
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_sink_that_raises_ends_the_run(api: FakeApi, session: ApiSession) -> None:
    followed = Following(session)

    def break_(_: Item) -> None:
        raise RuntimeError("a bug")

    followed.reflector._on_change = break_
    running = asyncio.create_task(followed.reflector.run())
    await followed.reflector.synced.wait()
    await api.put(f"{POD}a")
    with pytest.raises(RuntimeError, match="a bug"):
        await asyncio.wait_for(running, 10)


async def test_a_relist_does_not_hold_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """One page, no network: whenever a millisecond has passed, others have their turn."""
    ticks_s = itertools.count(0.0, 0.0006)  # each look at the clock is 0.6 ms later
    monkeypatch.setattr("moorage_cluster.pace.time.perf_counter", lambda: next(ticks_s))
    items = [
        msgspec.Raw(b'{"metadata":{"name":"p%d","resourceVersion":"1"}}' % i) for i in range(90)
    ]
    turns = 0

    class OnePage:
        async def list_pages(self, *_: Any, **__: Any) -> AsyncIterator[ListPage]:
            yield ListPage(ListMeta("5"), items)

        @asynccontextmanager
        async def stream(self, *_: Any, **__: Any) -> AsyncIterator[Any]:
            await asyncio.Event().wait()
            yield

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    running = asyncio.create_task(others())
    async with following(OnePage()) as followed:  # type: ignore[arg-type]
        assert len(followed.view) == 90
        # every second or third look pauses
        assert turns >= 30
    running.cancel()


async def test_pauses_start_anew_after_a_watch_that_lived(
    api: FakeApi, session: ApiSession
) -> None:
    api.inject(Fault(status=500), path="pods", times=6)
    async with following(session) as followed:
        assert followed.clock.slept[-1] == 8.0
        await eventually(lambda: api.watches() == 1)
        followed.clock.now_s += 300.0
        api.inject(Fault(status=500), path="pods")
        await api.cut_watches()
        await eventually(lambda: len(followed.clock.slept) == 7)
        assert followed.clock.slept[-1] == 0.25
