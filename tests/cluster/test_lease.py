"""The Lease loop against a server that loses answers, conflicts and hangs; time is fake."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from moorage_cluster.fake_api import FakeApi, Fault
from moorage_cluster.fake_store import parse_place
from moorage_cluster.lease import FenceToken, LeaderLease, own_identity
from moorage_cluster.session import ApiSession
from moorage_cluster.testing import FakeClock, Heard, eventually

LEASES = "/apis/coordination.k8s.io/v1/namespaces/ns/leases"
LEASE = f"{LEASES}/leader"


def candidate(session: ApiSession, name: str, clock: FakeClock, **options: Any) -> LeaderLease:
    return LeaderLease(
        session,
        "ns",
        "leader",
        identity=name,
        clock=clock,
        sleep=options.pop("sleep", clock.sleep),
        uniform=lambda: 0.0,
        wall=lambda: datetime(2027, 1, 2, 3, 4, 5, 678, tzinfo=UTC),
        **options,
    )


def spec(api: FakeApi) -> dict[str, Any]:
    found: dict[str, Any] = api.store.get(parse_place(LEASE))["spec"]
    return found


async def test_the_first_candidate_creates_the_lease(api: FakeApi, session: ApiSession) -> None:
    first = candidate(session, "first", FakeClock())
    assert await first.acquire() == FenceToken(0, "first")
    assert spec(api) == {
        "holderIdentity": "first",
        "leaseDurationSeconds": 15,
        "leaseTransitions": 0,
        "acquireTime": "2027-01-02T03:04:05.000678Z",
        "renewTime": "2027-01-02T03:04:05.000678Z",
    }


async def test_leadership_ends_by_the_clock_alone(session: ApiSession) -> None:
    clock = FakeClock()
    first = candidate(session, "first", clock)
    await first.acquire()
    clock.now_s += 9.9
    assert first.held
    clock.now_s += 0.1
    assert not first.held
    assert first.fence_token is None


async def test_a_follower_waits_for_the_whole_duration_and_no_longer(
    api: FakeApi, session: ApiSession
) -> None:
    clock = FakeClock()
    await candidate(session, "first", clock).acquire()
    seen_s = clock.now_s
    second = candidate(session, "second", clock)
    assert await second.acquire() == FenceToken(1, "second")
    # looks every 2 s, takes over at the first look after 15 s
    assert clock.now_s - seen_s == 16.0
    assert spec(api)["acquireTime"]


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Fault(drop=True, commit=True), id="committed-but-answer-lost"),
        pytest.param(Fault(drop=True), id="lost-before"),
        pytest.param(Fault(status=409, reason="Conflict"), id="conflict"),
        pytest.param(Fault(status=500), id="server-error"),
        pytest.param(Fault(status=403), id="not-yet-allowed"),
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT", "GET"])
async def test_acquiring_gets_over_any_single_fault(
    api: FakeApi, session: ApiSession, method: str, fault: Fault
) -> None:
    if method == "PUT":
        await api.put(LEASE, {"spec": {"holderIdentity": "", "leaseTransitions": 7}})
    api.inject(fault, method=method)
    clock = FakeClock()
    first = candidate(session, "first", clock)
    token = await first.acquire()
    assert spec(api)["holderIdentity"] == "first"
    assert token.transitions == spec(api)["leaseTransitions"] == (8 if method == "PUT" else 0)
    # at once if the fault hit a call that HTTP lets a client repeat by itself
    assert clock.slept in ([], [2.0])


async def test_renewing_gets_over_lost_answers(api: FakeApi, session: ApiSession) -> None:
    clock = FakeClock()
    lost: list[str] = []
    first = candidate(session, "first", clock)
    token = await first.acquire()
    api.inject(Fault(drop=True, commit=True), method="PUT", times=2)
    keeping = asyncio.create_task(first.keep(lambda: lost.append("first")))
    await eventually(lambda: api.count("PUT") >= 8)
    assert first.fence_token == token
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    assert not lost


async def test_a_leader_that_cannot_renew_stops_at_the_deadline(
    api: FakeApi, session: ApiSession
) -> None:
    clock = FakeClock()
    lost: list[float] = []
    first = candidate(session, "first", clock)
    await first.acquire()
    started_s = clock.now_s
    api.inject(Fault(status=503), path="leases", times=1000)
    await first.keep(lambda: lost.append(clock.now_s))
    assert lost == [started_s + 10.0]
    assert not first.held


async def test_a_leader_stops_at_once_when_the_lease_has_another_holder(
    api: FakeApi, session: ApiSession
) -> None:
    clock = FakeClock()
    lost: list[float] = []
    first = candidate(session, "first", clock)
    await first.acquire()
    taken = api.store.get(parse_place(LEASE))
    taken["spec"]["holderIdentity"] = "second"
    await api.put(LEASE, taken)
    started_s = clock.now_s
    await first.keep(lambda: lost.append(clock.now_s))
    # one renewal fails after 2 s, the read that follows 2 s later shows the other
    assert lost == [started_s + 4.0]
    assert spec(api)["holderIdentity"] == "second"


async def test_what_others_wrote_into_the_lease_is_kept(api: FakeApi, session: ApiSession) -> None:
    await api.put(
        LEASE,
        {
            "metadata": {"labels": {"team": "blue"}},
            "spec": {"holderIdentity": "", "strategy": "OldestEmulationVersion"},
        },
    )
    await candidate(session, "first", FakeClock()).acquire()
    stored = api.store.get(parse_place(LEASE))
    assert stored["metadata"]["labels"] == {"team": "blue"}
    assert stored["spec"]["strategy"] == "OldestEmulationVersion"


@pytest.mark.parametrize("lost_renewal", [False, True])
async def test_a_block_that_ends_releases_the_lease(
    api: FakeApi, session: ApiSession, lost_renewal: bool
) -> None:
    first = candidate(session, "first", FakeClock(), sleep=forever)
    heard = Heard()
    async with first.leading(lambda: None) as token:
        assert first.held
        assert token == first.fence_token
        if lost_renewal:  # committed without an answer: our version is behind
            await api.put(LEASE, api.store.get(parse_place(LEASE)))
    assert not first.held
    assert spec(api)["holderIdentity"] == ""
    clock = FakeClock()
    second = candidate(session, "second", clock, reporter=heard)
    await second.acquire()
    assert clock.slept == []
    assert heard.facts("lease.acquired") == [{"lease": "leader", "token": "1/second"}]


async def test_a_failed_release_leaves_the_lease_to_run_out(
    api: FakeApi, session: ApiSession
) -> None:
    first = candidate(session, "first", FakeClock())
    await first.acquire()
    api.inject(Fault(status=500), method="PUT")
    await first.release()
    assert not first.held
    assert spec(api)["holderIdentity"] == "first"


async def test_a_candidate_that_does_not_lead_releases_nothing(
    api: FakeApi, session: ApiSession
) -> None:
    clock = FakeClock()
    await candidate(session, "first", clock).acquire()
    calls = len(api.requests)
    await candidate(session, "second", clock).release()
    assert len(api.requests) == calls


async def forever(_: float) -> None:
    await asyncio.Event().wait()


def test_identities_never_repeat() -> None:
    assert own_identity() != own_identity()
