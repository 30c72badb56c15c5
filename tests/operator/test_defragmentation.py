"""Windows and schedules, and what one look writes: nothing, a recommendation, or a plan."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from moorage_crds.disruption import Defragmentation
from moorage_crds.policy import PlacementPolicy
from moorage_operator.defragmentation.facts import Question
from moorage_operator.defragmentation.opening import is_open_now, refuse_what_never_opens
from moorage_operator.defragmentation.searching import Outcome, Search
from moorage_operator.defragmentation.service import DefragmentationService
from moorage_operator.errors import NotLeadingError
from moorage_operator.services.view import ClusterView
from moorage_policies.errors import BadInputError
from moorage_policies.planning.facts import Facts, PlanningParams
from moorage_policies.rescheduling.defragment import look, propose
from moorage_policies.rescheduling.proposals import DefragmentParams, Want
from moorage_policies.testing import make_node, make_pod
from moorage_policies.types import NVIDIA_GPU, Owner, Pod

NIGHT = {"cron": "30 2 * * 6", "timezone": "Europe/Berlin", "durationSeconds": 3600}


def asked(**fields: Any) -> Defragmentation:
    return Defragmentation.read({"trigger": "Schedule", **fields})


def berlin(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Europe/Berlin")).timestamp()


@pytest.mark.parametrize(
    ("moment", "is_open"),
    [
        pytest.param("2026-07-04T02:29", False, id="a-minute-early"),
        pytest.param("2026-07-04T02:31", True, id="in-summer-time"),
        pytest.param("2026-12-05T03:29", True, id="in-winter-time"),
        pytest.param("2026-07-04T03:31", False, id="an-hour-later"),
        pytest.param("2026-07-05T02:31", False, id="on-sunday"),
    ],
)
def test_a_schedule_opens_by_the_clock_of_its_zone(moment: str, is_open: bool) -> None:
    assert is_open_now(asked(schedules=[NIGHT]), berlin(moment)) is is_open


def test_windows_and_schedules_open_together_and_nothing_means_always() -> None:
    window = {"timezone": "Europe/Berlin", "startTime": "10:00", "endTime": "11:00"}
    both = asked(windows=[window], schedules=[NIGHT])
    assert is_open_now(both, berlin("2026-07-04T02:45"))
    assert is_open_now(both, berlin("2026-07-01T10:30"))
    assert not is_open_now(both, berlin("2026-07-01T11:30"))
    assert is_open_now(Defragmentation(), 0.0)


@pytest.mark.parametrize(
    ("schedule", "field"),
    [
        pytest.param({"cron": "0 2 30 2 *"}, "cron", id="february-30"),
        pytest.param({"cron": "61 2 * * *"}, "cron", id="minute-61"),
        pytest.param({"cron": "a b c d e"}, "cron", id="letters"),
        pytest.param({"cron": "0 2 * * *", "timezone": "Mars/Base"}, "timezone", id="zone"),
    ],
)
def test_what_never_opens_is_refused_by_name(schedule: Mapping[str, Any], field: str) -> None:
    with pytest.raises(BadInputError) as refused:
        refuse_what_never_opens(asked(schedules=[schedule]), berlin("2026-07-01T10:30"))
    assert field in str(refused.value)


@dataclass
class FakeCluster:
    """A server that stores what is written, facts that a test sets, and a search in process."""

    policy_body: dict[str, Any]
    facts: Facts
    plans: list[dict[str, Any]] = field(default_factory=list)
    conditions: list[dict[str, Any]] = field(default_factory=list)
    later: Facts | None = None
    asked: int = 0

    async def policy(self) -> Any:
        return PlacementPolicy.read(self.policy_body).spec

    async def gather(self, _policy: Any, now_s: float) -> Question:
        self.asked += 1
        seen = self.later if self.later is not None and self.asked > 1 else self.facts
        wants = (Want("ns/big", {NVIDIA_GPU: 8}),)
        params = DefragmentParams(wants=wants, deadline_s=0.1)
        return Question(replace(seen, at_s=now_s), PlanningParams(), params)

    async def search(self, question: Question, *, is_look: bool) -> Outcome:
        if is_look:
            return Outcome(picture=look(question.facts, question.planning, question.params))
        found = propose(question.facts, question.planning, question.params)
        return Outcome(proposal=found)

    async def request(self, method: str, _path: str, *, body: Any = None, **_: Any) -> bytes:
        if method == "POST":
            self.plans.append(body)
            meta = {"uid": f"uid-{len(self.plans)}", "resourceVersion": "1"}
            return json.dumps({**body, "metadata": {**body["metadata"], **meta}}).encode()
        self.conditions.append(json.loads(body)["status"]["conditions"][0])
        return b"{}"


class Silent:
    def report(self, event: str, /, **facts: object) -> None:
        """Hear nothing."""


def replica(name: str, node: str) -> Pod:
    return make_pod(
        name,
        gpus=4,
        node=node,
        owner=Owner("ReplicaSet", "rs", "rs"),
        scheduler="moorage-scheduler",
        phase="Running",
        ready=True,
    )


def scattered() -> Facts:
    pods = (replica("p", "a"), replica("q", "b"))
    nodes = (make_node("a"), make_node("b"))
    return Facts(0.0, 1, nodes, pods, migrations={pod.uid: "SurgeFirst" for pod in pods})


def service_on(cluster: FakeCluster, *, leads: bool = True, now_s: float = 1000.0) -> Any:
    view = ClusterView(lambda *_, **__: None, Silent())
    return DefragmentationService(
        cluster,  # type: ignore[arg-type]
        view,
        cluster,  # type: ignore[arg-type]
        cluster,  # type: ignore[arg-type]
        cluster.search,
        lambda: leads,
        lambda _verb, _kind: None,
        lambda: now_s,
        Silent(),
    )


def policy_of(**fields: Any) -> dict[str, Any]:
    wanted = {"trigger": "NoHole", "actuation": "Auto", **fields}
    return {"metadata": {"name": "default"}, "spec": {"defragmentation": wanted}}


@pytest.mark.parametrize("actuation", ["Auto", "Recommend"])
async def test_one_plan_is_written_with_gain_cost_and_both_pictures(actuation: str) -> None:
    cluster = FakeCluster(policy_of(actuation=actuation), scattered())
    service = service_on(cluster)
    await service.tick()
    await service.tick()
    [plan] = cluster.plans
    spec = plan["spec"]
    assert (spec["trigger"], spec["mode"]) == ("Defragment", actuation)
    assert spec["outlook"]["gain"] == "8"
    assert spec["outlook"]["nodes"][0]["freeBefore"] == 4
    [move] = spec["moves"]
    assert (move["gain"], move["kind"]) == ("8", "Move")
    assert float(move["costSeconds"]) > 0


@pytest.mark.parametrize(
    "policy",
    [
        pytest.param({"metadata": {}, "spec": {}}, id="no-wish"),
        pytest.param(policy_of(actuation="Off"), id="off"),
        pytest.param(policy_of(trigger="Pending"), id="nobody-waits"),
        pytest.param(policy_of(schedules=[{"cron": "0 2 1 1 *"}]), id="not-now"),
    ],
)
async def test_nothing_is_written_when_it_is_not_wanted(policy: dict[str, Any]) -> None:
    cluster = FakeCluster(policy, scattered())
    await service_on(cluster, now_s=berlin("2026-07-01T10:30")).tick()
    assert cluster.plans == []


async def test_a_schedule_that_never_opens_is_told_in_a_condition() -> None:
    cluster = FakeCluster(policy_of(schedules=[{"cron": "0 2 30 2 *"}]), scattered())
    service = service_on(cluster)
    await service.tick()
    await service.tick()
    [condition] = cluster.conditions
    assert (condition["status"], condition["reason"]) == ("False", "BadInput")
    assert "schedules[0].cron" in condition["message"]
    assert cluster.plans == []


async def test_a_plan_that_went_stale_while_it_was_searched_is_not_written() -> None:
    facts = scattered()
    gone = replace(facts, pods=())
    cluster = FakeCluster(policy_of(), facts, later=gone)
    await service_on(cluster).tick()
    assert cluster.plans == []


async def test_who_does_not_lead_writes_nothing() -> None:
    cluster = FakeCluster(policy_of(), scattered())
    service = service_on(cluster, leads=False)
    with pytest.raises(NotLeadingError):
        await service.tick()
    assert cluster.plans == []
    assert cluster.conditions == []


async def test_one_warm_process_answers_question_after_question() -> None:
    wants = (Want("ns/big", {NVIDIA_GPU: 8}),)
    params = DefragmentParams(wants=wants, deadline_s=0.2)
    question = Question(scattered(), PlanningParams(), params)
    search = Search()
    seen = await search.ask(question, is_look=True)
    assert seen.picture is not None
    assert seen.picture.without_room == ("ns/big",)
    first = search.pid
    assert first is not None
    found = (await search.ask(question, is_look=False)).proposal
    assert found is not None
    assert [move.kind for move in found.moves] == ["Move"]
    assert search.pid == first
    await search.close()
    assert search.pid is None


async def test_a_process_that_nobody_asks_ends_and_the_next_question_starts_another() -> None:
    wants = (Want("ns/big", {NVIDIA_GPU: 8}),)
    question = Question(scattered(), PlanningParams(), DefragmentParams(wants=wants))
    search = Search(warm_s=0.0)
    for _ in range(2):
        assert (await search.ask(question, is_look=True)).picture is not None
        await asyncio.sleep(0.01)
        assert search.pid is None
    await search.close()
