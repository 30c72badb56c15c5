"""Leader election against the real API server."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from moorage_cluster.election import LeaseParams
from moorage_cluster.lease import LeaderLease
from moorage_cluster.session import ApiSession
from moorage_cluster.testing import eventually
from moorage_crds.names import LEASES

pytestmark = pytest.mark.control_plane

QUICK = LeaseParams(duration_s=3, renew_deadline_s=2.0, retry_period_s=0.2, call_timeout_s=1.0)
SLOW = LeaseParams(duration_s=60, renew_deadline_s=40.0, retry_period_s=0.2, call_timeout_s=1.0)
MICRO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def candidate(
    session: ApiSession, namespace: str, name: str, params: LeaseParams = QUICK
) -> LeaderLease:
    return LeaderLease(session, namespace, "leader", identity=name, params=params)


async def spec(session: ApiSession, namespace: str) -> dict[str, Any]:
    lease = await session.get_json(LEASES.path(namespace, "leader"))
    found: dict[str, Any] = lease["spec"]
    return found


async def test_a_vanished_leader_is_followed_by_the_other_candidate(
    session: ApiSession, namespace: str
) -> None:
    first, second = candidate(session, namespace, "first"), candidate(session, namespace, "second")
    token = await first.acquire()
    waiting = asyncio.create_task(second.acquire())
    both = []

    def second_leads() -> bool:
        both.append(first.held and second.held)
        return second.held

    await eventually(second_leads, deadline_s=30)
    later = await waiting
    assert not any(both)
    assert not first.held
    assert first.fence_token is None
    assert later.transitions > token.transitions
    written = await spec(session, namespace)
    assert written["holderIdentity"] == "second"
    assert MICRO_TIME.fullmatch(written["renewTime"])


async def test_a_renewed_lease_stays_and_a_released_one_is_taken_at_once(
    session: ApiSession, namespace: str
) -> None:
    """With a lease of a minute, only the release lets the second lead within the deadline."""
    first = candidate(session, namespace, "first", SLOW)
    second = candidate(session, namespace, "second", SLOW)
    lost: list[str] = []
    async with first.leading(lambda: lost.append("first")):
        waiting = asyncio.create_task(second.acquire())
        renewed = (await spec(session, namespace))["renewTime"]

        async def has_renewed() -> bool:
            return bool((await spec(session, namespace))["renewTime"] != renewed)

        await eventually(has_renewed)
        assert first.held
        assert not second.held
    assert not first.held
    await asyncio.wait_for(waiting, 20)
    assert second.held
    assert not lost
    await second.release()
    assert (await spec(session, namespace))["holderIdentity"] == ""


async def test_a_late_leader_cannot_write_over_its_successor(
    session: ApiSession, namespace: str
) -> None:
    """The first is stopped like a paused process, and wakes after the second took over."""
    lost = asyncio.Event()
    wake = asyncio.Event()

    async def frozen(_: float) -> None:
        await wake.wait()

    first = LeaderLease(session, namespace, "leader", identity="first", params=QUICK, sleep=frozen)
    second = candidate(session, namespace, "second")
    await first.acquire()
    keeping = asyncio.create_task(first.keep(lost.set))
    await asyncio.wait_for(second.acquire(), 30)
    assert not first.held
    wake.set()
    await asyncio.wait_for(lost.wait(), 10)
    await keeping
    assert (await spec(session, namespace))["holderIdentity"] == "second"
    await first.release()
    assert (await spec(session, namespace))["holderIdentity"] == "second"
