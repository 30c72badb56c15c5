"""Pods that kubelets refused: counted once, told of on the pool, removed by UID."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from moorage_cluster.events import Subject
from moorage_cluster.fake_api import FakeApi, Fault
from moorage_cluster.testing import Heard
from moorage_crds.names import POOL_LABEL
from moorage_crds.objects import PodObject
from moorage_operator.services.refused_pods import PAUSE_S, RefusedPods

Json = dict[str, Any]
REFUSED = "UnexpectedAdmissionError"


def path(name: str) -> str:
    return f"/api/v1/namespaces/team/pods/{name}"


class Ward:
    """The service over an API server in memory; events, writes and pauses are noted."""

    def __init__(self, api: FakeApi) -> None:
        self.api = api
        self.session = api.session()
        self.told: list[tuple[str, str, str]] = []
        self.refused = 0
        self.writes: list[tuple[str, str]] = []
        self.pauses: list[float] = []
        self.leads = True
        self.heard = Heard()
        self.rounds = 1
        self.service = RefusedPods(
            self.session,
            self._tell,
            {("team", "chat"): "pool-uid"}.get,
            leads=lambda: self.leads,
            count_refused=self._count,
            count_write=lambda *write: self.writes.append(write),
            reporter=self.heard,
            sleep=self._sleep,
        )

    async def make(self, name: str, **status: str) -> PodObject:
        told = {"phase": "Failed", "reason": REFUSED, "message": "Allocate failed", **status}
        body = {"metadata": {"labels": {POOL_LABEL: "chat"}}, "spec": {"nodeName": "n1"}}
        stored = await self.api.put(path(name), {**body, "status": told})
        return msgspec.convert(stored, PodObject, strict=False)

    def names(self) -> list[str]:
        return [item["metadata"]["name"] for item in self.api.items("/api/v1/pods")]

    async def run(self, rounds: int = 1) -> None:
        """Let the service run so many rounds."""
        self.rounds = rounds
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(self.service.run(), 10)

    def _count(self) -> None:
        self.refused += 1

    async def _tell(self, subject: Subject, reason: str, message: str) -> None:
        assert (subject.kind, subject.name, subject.uid) == ("GPUInferencePool", "chat", "pool-uid")
        self.told.append((subject.namespace, reason, message))

    async def _sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        if len(self.pauses) == self.rounds:
            raise asyncio.CancelledError


@pytest.fixture
async def ward() -> AsyncIterator[Ward]:
    async with FakeApi() as api:
        made = Ward(api)
        async with made.session:
            yield made


async def test_refused_pods_are_counted_told_of_and_removed(ward: Ward) -> None:
    ward.service.list_pods([await ward.make("a"), await ward.make("b")])
    await ward.run()
    assert ward.refused == 2
    assert ward.told == [
        ("team", "PodRefused", "the kubelet of n1 refused a, b, removed: Allocate failed")
    ]
    assert ward.names() == []
    assert ward.writes == [("evict", "Pod")] * 2
    assert ward.pauses == [PAUSE_S]


@pytest.mark.parametrize(
    "status",
    [
        pytest.param({"reason": "Evicted"}, id="the-node-was-full"),
        pytest.param({"reason": ""}, id="the-program-failed"),
        pytest.param({"phase": "Running"}, id="runs"),
    ],
)
async def test_other_pods_stay(ward: Ward, status: Json) -> None:
    ward.service.put_pod(await ward.make("a", **status))
    await ward.service.clear()
    assert (ward.names(), ward.refused) == (["a"], 0)


async def test_a_pod_for_which_the_node_had_no_room_goes_too(ward: Ward) -> None:
    ward.service.put_pod(await ward.make("a", reason="OutOfnvidia.com/gpu"))
    await ward.service.clear()
    assert (ward.names(), ward.refused) == ([], 1)


async def test_a_pod_is_counted_and_told_of_once_however_often_it_is_seen(ward: Ward) -> None:
    pod = await ward.make("a")
    ward.service.put_pod(pod)
    await ward.service.clear()
    ward.service.put_pod(pod)  # a late word of what is removed already
    ward.service.list_pods([pod])
    await ward.service.clear()
    assert (ward.refused, len(ward.told), len(ward.writes)) == (1, 1, 1)


async def test_another_pod_of_the_same_name_is_left_alone(ward: Ward) -> None:
    ward.service.put_pod(await ward.make("a"))
    await ward.api.remove(path("a"))
    await ward.make("a", phase="Running")
    await ward.run()
    assert ward.names() == ["a"]
    assert ward.pauses == [PAUSE_S]  # and not tried again


async def test_what_fails_is_tried_again_and_told_of_once(ward: Ward) -> None:
    ward.api.inject(Fault(500, "InternalError"), path="/eviction", times=1)
    ward.service.put_pod(await ward.make("a"))
    await ward.run(rounds=2)
    assert ward.names() == []
    assert len(ward.told) == 1
    assert len(ward.heard.facts("refused-pods.failed")) == 1


async def test_who_does_not_lead_removes_nothing(ward: Ward) -> None:
    ward.leads = False
    ward.service.put_pod(await ward.make("a"))
    await ward.service.clear()
    assert (ward.names(), ward.writes) == (["a"], [])


async def test_pods_that_others_removed_are_forgotten(ward: Ward) -> None:
    first, second = await ward.make("a"), await ward.make("b")
    ward.service.list_pods([first, second])
    ward.service.drop_pod(first)
    ward.service.list_pods([])
    await ward.service.clear()
    assert (ward.told, ward.writes) == ([], [])


async def test_many_at_once_are_told_of_in_one_event(ward: Ward) -> None:
    ward.service.list_pods([await ward.make(f"p{n}") for n in range(9)])
    await ward.service.clear()
    ((_, _, message),) = ward.told
    assert "p0, p1, p2, p3, p4 and 4 more" in message
