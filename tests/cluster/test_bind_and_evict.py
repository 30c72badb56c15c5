"""Bindings and evictions whose answers are lost, refused or late."""

from __future__ import annotations

import pytest

from moorage_cluster.bind import Bound, BoundElsewhere, PodGone, bind
from moorage_cluster.errors import ClusterUnavailableError, ForbiddenError
from moorage_cluster.evict import Evicted, Gone, Misconfigured, Refused, evict
from moorage_cluster.fake_api import FakeApi, Fault
from moorage_cluster.session import ApiSession

POD = "/api/v1/namespaces/ns/pods/p"


async def create(api: FakeApi) -> str:
    pod = await api.put(POD, {"spec": {}})
    uid: str = pod["metadata"]["uid"]
    return uid


def node_of(api: FakeApi) -> str | None:
    (pod,) = api.items(POD.rpartition("/")[0])
    return pod["spec"].get("nodeName")


async def test_a_binding_whose_answer_was_lost_is_found_done(
    api: FakeApi, session: ApiSession
) -> None:
    uid = await create(api)
    api.inject(Fault(drop=True, commit=True), method="POST")
    assert await bind(session, "ns", "p", uid, "node-a") == Bound(earlier=True)
    assert api.count("POST") == 1


async def test_a_binding_that_never_arrived_is_reported_and_can_be_repeated(
    api: FakeApi, session: ApiSession
) -> None:
    uid = await create(api)
    api.inject(Fault(drop=True), method="POST")
    with pytest.raises(ClusterUnavailableError):
        await bind(session, "ns", "p", uid, "node-a")
    assert node_of(api) is None
    assert await bind(session, "ns", "p", uid, "node-a") == Bound()


async def test_a_lost_binding_is_not_taken_for_one_to_another_node(
    api: FakeApi, session: ApiSession
) -> None:
    uid = await create(api)
    await bind(session, "ns", "p", uid, "node-b")
    api.inject(Fault(status=500), method="POST")
    assert await bind(session, "ns", "p", uid, "node-a") == BoundElsewhere("node-b")


@pytest.mark.parametrize("fault", [Fault(status=500), Fault(status=409), Fault(drop=True)])
async def test_the_successor_of_a_pod_is_not_taken_for_it(
    api: FakeApi, session: ApiSession, fault: Fault
) -> None:
    uid = await create(api)
    await api.remove(POD)
    await create(api)
    api.inject(fault, method="POST")
    assert await bind(session, "ns", "p", uid, "node-a") == PodGone()
    assert node_of(api) is None


async def test_binding_obeys_its_time_limit(api: FakeApi, session: ApiSession) -> None:
    uid = await create(api)
    api.inject(Fault(hang=True), path="pods", times=2)
    with pytest.raises(ClusterUnavailableError, match="in time"):
        await bind(session, "ns", "p", uid, "node-a", timeout_s=0.05)


async def test_a_budget_without_room_refuses(api: FakeApi, session: ApiSession) -> None:
    uid = await create(api)
    api.store.budgets["p"] = 0
    outcome = await evict(session, "ns", "p", uid)
    assert isinstance(outcome, Refused)
    assert outcome.by_budget
    api.store.budgets["p"] = 1
    assert await evict(session, "ns", "p", uid) == Evicted()


async def test_a_busy_server_is_told_from_a_budget(api: FakeApi, session: ApiSession) -> None:
    uid = await create(api)
    api.inject(Fault(status=429, text="Too many requests", retry_after_s=1), method="POST")
    assert await evict(session, "ns", "p", uid) == Refused(
        1.0, "Too many requests", by_budget=False
    )


async def test_a_conflict_over_a_pod_that_is_still_there_is_tried_later(
    api: FakeApi, session: ApiSession
) -> None:
    uid = await create(api)
    api.inject(Fault(status=409, message="the budget was modified"), method="POST")
    outcome = await evict(session, "ns", "p", uid)
    assert isinstance(outcome, Refused)
    assert not outcome.by_budget


async def test_an_eviction_whose_answer_was_lost_can_be_repeated(
    api: FakeApi, session: ApiSession
) -> None:
    uid = await create(api)
    api.inject(Fault(drop=True, commit=True), method="POST")
    with pytest.raises(ClusterUnavailableError):
        await evict(session, "ns", "p", uid)
    successor = await create(api)
    assert await evict(session, "ns", "p", uid) == Gone()
    assert [p["metadata"]["uid"] for p in api.items(POD.rpartition("/")[0])] == [successor]


async def test_several_budgets_are_a_misconfiguration_and_other_faults_are_not(
    api: FakeApi, session: ApiSession
) -> None:
    uid = await create(api)
    message = "This pod has more than one PodDisruptionBudget, which is not supported."
    api.inject(Fault(status=500, message=message), method="POST")
    assert await evict(session, "ns", "p", uid) == Misconfigured(message)
    api.inject(Fault(status=500), method="POST")
    with pytest.raises(ClusterUnavailableError):
        await evict(session, "ns", "p", uid)


async def test_missing_rights_are_an_error_and_no_outcome(
    api: FakeApi, session: ApiSession
) -> None:
    uid = await create(api)
    api.inject(Fault(status=403), method="POST", times=2)
    with pytest.raises(ForbiddenError):
        await evict(session, "ns", "p", uid)
    with pytest.raises(ForbiddenError):
        await bind(session, "ns", "p", uid, "node-a")
