"""Whatever happens to the watch, the view ends equal to the truth and never goes back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moorage_cluster.fake_api import FakeApi, Fault
from moorage_cluster.fake_store import RefusalError, parse_place
from moorage_cluster.reflector import Reflector
from moorage_cluster.testing import FakeClock, eventually

PODS = "/api/v1/pods"
POD = "/api/v1/namespaces/default/pods/"


class Meta(msgspec.Struct, rename="camel"):
    name: str
    resource_version: str


class Item(msgspec.Struct):
    metadata: Meta


class View:
    """Checks at every step that no object is ever shown in an older state than before."""

    def __init__(self) -> None:
        self.items: dict[str, int] = {}
        self.newest = 0

    def on_list(self, items: list[Item]) -> None:
        found = {item.metadata.name: int(item.metadata.resource_version) for item in items}
        for name, revision in found.items():
            assert revision >= self.items.get(name, 0)
        self.items = found

    def on_change(self, item: Item) -> None:
        revision = int(item.metadata.resource_version)
        assert revision > self.newest
        self.newest = self.items[item.metadata.name] = revision

    def on_delete(self, item: Item) -> None:
        self.newest = int(item.metadata.resource_version)
        del self.items[item.metadata.name]


async def put(api: FakeApi, name: str) -> None:
    await api.put(f"{POD}{name}")


async def remove(api: FakeApi, name: str) -> None:
    if any(item["metadata"]["name"] == name for item in api.items(PODS)):
        await api.remove(f"{POD}{name}")


async def compact(api: FakeApi, _: str) -> None:
    api.store.compact()


async def toggle_silence(api: FakeApi, _: str) -> None:
    api.silent = not api.silent
    await api.bookmark()


async def toggle_staleness(api: FakeApi, _: str) -> None:
    stale = api.store.stale_revision
    api.store.stale_revision = None if stale else api.store.revision - 3


async def repeat(api: FakeApi, _: str) -> None:
    api.repeat = 3 - api.repeat


async def fail(api: FakeApi, name: str) -> None:
    faults = {"a": Fault(status=500), "b": Fault(drop=True), "c": Fault(status=429)}
    api.inject(faults[name], path="pods", times=2)


async def expire(api: FakeApi, _: str) -> None:
    """An event is lost, and an ERROR event says so."""
    events = api.store.collection(parse_place(PODS)).events
    if api.silent and events:
        api.store.compact()
    await api.send(PODS, "ERROR", RefusalError(410, "Expired", "too old").body)


async def cut(api: FakeApi, _: str) -> None:
    await api.cut_watches()


async def mark(api: FakeApi, _: str) -> None:
    await api.bookmark()


async def settle(api: FakeApi, _: str) -> None:
    """Let the reflector get on, so that what follows meets it in different states."""
    watches = api.watches()
    for _turn in range(8):
        await asyncio.sleep(0.001)
        if api.watches() > watches:
            return


Step = tuple[Callable[[FakeApi, str], Awaitable[None]], str]
ACTS = [put, put, put, remove, compact, toggle_silence, toggle_staleness, repeat, fail, expire, cut]
STEPS = st.lists(
    st.tuples(st.sampled_from([*ACTS, mark, *4 * [settle]]), st.sampled_from("abc")),
    min_size=6,
    max_size=30,
)


async def play(steps: list[Step]) -> None:
    clock, view = FakeClock(), View()
    async with FakeApi() as api, api.session() as session:
        reflector: Reflector[Any] = Reflector(
            session,
            PODS,
            Item,
            on_list=view.on_list,
            on_change=view.on_change,
            on_delete=view.on_delete,
            silence_s=0.02,
            clock=clock,
            sleep=clock.sleep,
        )
        running = asyncio.create_task(reflector.run())
        await eventually(lambda: api.watches() == 1)
        for act, name in steps:
            await act(api, name)
        api.silent, api.store.stale_revision = False, None
        await api.cut_watches()

        def agrees() -> bool:
            if running.done():
                running.result()
            truth = {
                item["metadata"]["name"]: int(item["metadata"]["resourceVersion"])
                for item in api.items(PODS)
            }
            return reflector.synced.is_set() and view.items == truth

        await eventually(agrees)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@given(STEPS)
@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None
)
def test_the_view_ends_equal_to_the_truth(steps: list[Step]) -> None:
    asyncio.run(play(steps))
