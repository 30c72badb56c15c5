"""Who plans: the extender beside the scheduler that leads, or the holder of the planner's Lease."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from moorage_cluster.errors import Failure, NotFoundError
from moorage_cluster.fake_api import FakeApi
from moorage_extender.config import Settings
from moorage_extender.planner import leadership
from moorage_extender.planner.leadership import Leadership

LEASE = "moorage-system/moorage-scheduler"


class Told:
    def report(self, event: str, /, **facts: object) -> None:
        """Take no note."""


class Leases:
    """A session that knows one Lease."""

    def __init__(self) -> None:
        self.holder: str | None = None

    async def get_json(self, path: str) -> dict[str, Any]:
        assert path.endswith("/namespaces/moorage-system/leases/moorage-scheduler")
        if self.holder is None:
            raise NotFoundError(Failure("GET", path, 404, "no such Lease"))
        return {"metadata": {"resourceVersion": "1"}, "spec": {"holderIdentity": self.holder}}


@contextlib.asynccontextmanager
async def following(leases: Leases, mode: str) -> AsyncIterator[Leadership]:
    settings = Settings(planner=mode, planner_lease=LEASE)  # type: ignore[arg-type]
    followed = Leadership(leases, settings, Told())  # type: ignore[arg-type]
    task = asyncio.create_task(followed.run())
    yield followed
    task.cancel()


async def becomes(followed: Leadership, leads: bool) -> None:
    async with asyncio.timeout(5):
        while followed.leads is not leads:  # noqa: ASYNC110 - it looks by itself
            await asyncio.sleep(0.001)


async def test_the_extender_beside_the_leading_scheduler_plans(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(leadership, "LOOK_EVERY_S", 0.001)
    leases = Leases()
    async with following(leases, "WithScheduler") as followed:
        assert not followed.leads
        leases.holder = f"{socket.gethostname()}_0a1b"
        await becomes(followed, leads=True)
        leases.holder = f"{socket.gethostname()}-other_0a1b"
        await becomes(followed, leads=False)
        leases.holder = f"{socket.gethostname()}_2c3d"
        await becomes(followed, leads=True)
        leases.holder = None
        await becomes(followed, leads=False)


async def test_of_two_extenders_behind_a_service_one_plans() -> None:
    settings = Settings(planner="OwnLease", planner_lease="moorage-system/moorage-planner")
    async with FakeApi() as api, api.session() as session:
        both = [Leadership(session, settings, Told()) for _ in range(2)]
        tasks = [asyncio.create_task(one.run()) for one in both]
        async with asyncio.timeout(10):
            while not any(one.leads for one in both):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert [one.leads for one in both].count(True) == 1
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert not any(one.leads for one in both)


async def test_always_needs_no_lease() -> None:
    async with following(Leases(), "Always") as followed:
        assert followed.leads


def test_following_without_a_lease_is_refused() -> None:
    with pytest.raises(ValueError, match="planner_lease"):
        Settings(planner="WithScheduler")
