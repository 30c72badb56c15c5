"""The health service between what nodes say and what is written, in fake time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from aiohttp import web

from moorage_cluster.fake_api import FakeApi
from moorage_cluster.testing import Heard
from moorage_crds.names import POOL_LABEL, QUARANTINE
from moorage_crds.objects import Condition, NodeObject, PodObject
from moorage_crds.policy import PlacementPolicy, PolicySpec
from moorage_operator.services.health import HealthService
from moorage_operator.services.health_book import HealthBook
from moorage_operator.services.health_moves import HealthMoves
from moorage_operator.services.health_writing import HealthWriter, Standing
from moorage_operator.signals.driver_errors import DriverErrors
from moorage_policies.errors import BadInputError
from moorage_policies.health import DriverError
from moorage_policies.plans import Move, Plan, PlanProgress, PlanRecord

GPU = "nvidia.com/gpu"
Json = dict[str, Any]


def policy(actuation: str = "Auto", **health: Any) -> PolicySpec:
    fields = {"actuation": actuation, "graceSeconds": 30, "quarantineSeconds": 300, **health}
    return PlacementPolicy.read(
        {"metadata": {"name": "default"}, "spec": {"gpuHealth": fields}}
    ).spec


def node(name: str, allocatable: int = 8, capacity: int = 8, *conditions: Json) -> NodeObject:
    status = {
        "capacity": {GPU: str(capacity)},
        "allocatable": {GPU: str(allocatable), "cpu": "64", "memory": "1Ti", "pods": "110"},
        "conditions": list(conditions),
    }
    return msgspec.convert({"metadata": {"name": name}, "status": status}, NodeObject)


class Clinic:
    """A service whose writes come back as watch events, and whose moves are noted."""

    def __init__(self, names: Iterable[str]) -> None:
        self.now_s = 10_000.0
        self.policy = policy()
        self.book = HealthBook()
        self.heard = Heard()
        self.told: list[tuple[str, Standing]] = []
        self.cleared: list[str] = []
        self.errors: dict[str, tuple[DriverError, ...]] = {}
        self.usable = dict.fromkeys(names, 8)
        self.conditions: dict[str, Json] = {}
        self.restart()
        self._show()

    def restart(self) -> None:
        """Let another process take over: only conditions outlive."""
        facts: Any = SimpleNamespace(policy=self._policy)
        moves: Any = SimpleNamespace(clear=self._clear)
        writer: Any = SimpleNamespace(tell=self._tell)
        errors: Any = SimpleNamespace(read=self._errors)
        self.service = HealthService(
            self.book, errors, facts, moves, writer, lambda: self.now_s, self.heard
        )

    async def look(self, after_s: float = 0.0, **usable: int) -> None:
        self.now_s += after_s
        self.usable |= usable
        self._show()
        await self.service.tick()
        self._show()

    def out(self) -> set[str]:
        return {name for name, c in self.conditions.items() if c["status"] == "True"}

    def reason(self, name: str) -> str:
        return str(self.conditions.get(name, {}).get("reason", ""))

    async def _errors(self) -> dict[str, tuple[DriverError, ...]]:
        return self.errors

    async def _policy(self) -> PolicySpec:
        return self.policy

    async def _tell(self, name: str, standing: Standing, _before: Condition | None) -> None:
        self.told.append((name, standing))
        self.conditions[name] = {
            "type": QUARANTINE,
            "status": standing.status,
            "reason": standing.reason,
            "message": standing.message,
            "lastHeartbeatTime": stamp(standing.last_sign_s),
            "lastTransitionTime": stamp(self.now_s),
        }

    async def _clear(self, name: str, *_: object) -> None:
        self.cleared.append(name)

    def _show(self) -> None:
        for name, usable in self.usable.items():
            mine = [self.conditions[name]] if name in self.conditions else []
            self.book.put_node(node(name, usable, 8, *mine))


def stamp(moment_s: float) -> str:
    return datetime.fromtimestamp(moment_s, UTC).isoformat()


@pytest.fixture
def clinic() -> Clinic:
    return Clinic(["n1", "n2", "n3", "n4", "n5", "n6", "n7", "n8"])


async def test_healthy_nodes_are_not_written_to(clinic: Clinic) -> None:
    for _ in range(5):
        await clinic.look(after_s=100)
    assert not clinic.told
    assert not clinic.cleared


async def test_from_the_first_sign_to_the_last(clinic: Clinic) -> None:
    await clinic.look(n1=7)
    assert not clinic.told  # within the grace
    await clinic.look(after_s=30)
    assert (clinic.out(), clinic.reason("n1")) == ({"n1"}, "DevicesUnhealthy")
    await clinic.look(after_s=1000)
    assert len(clinic.told) == 1  # nothing changed, nothing is written
    await clinic.look(n1=8)
    assert (clinic.out(), clinic.reason("n1")) == ({"n1"}, "Recovering")
    await clinic.look(after_s=298)
    assert clinic.out() == {"n1"}
    await clinic.look(after_s=1002)
    assert (clinic.out(), clinic.reason("n1")) == (set(), "Released")
    assert clinic.conditions["n1"]["status"] == "Unknown"
    await clinic.look()
    assert (clinic.conditions["n1"]["status"], clinic.reason("n1")) == ("False", "Healthy")
    written = len(clinic.told)
    await clinic.look(after_s=1000)
    assert len(clinic.told) == written


async def test_pods_are_moved_at_each_look_while_the_node_is_out(clinic: Clinic) -> None:
    await clinic.look(n1=7)
    await clinic.look(after_s=30)
    await clinic.look(after_s=30)
    assert clinic.cleared == ["n1", "n1"]
    clinic.policy = policy(movePods=False)
    await clinic.look(after_s=30)
    assert clinic.cleared == ["n1", "n1"]


async def test_recommending_puts_nobody_out(clinic: Clinic) -> None:
    clinic.policy = policy("Recommend")
    await clinic.look(n1=7)
    await clinic.look(after_s=30)
    assert (clinic.out(), clinic.reason("n1")) == (set(), "Recommended")
    assert not clinic.cleared
    assert clinic.service.count(quarantined=False) == 1


async def test_too_many_at_once_are_held_and_follow_when_others_recover(clinic: Clinic) -> None:
    await clinic.look(n1=7)
    await clinic.look(after_s=10, n2=7)
    await clinic.look(after_s=10, n3=7)
    await clinic.look(after_s=100)
    await clinic.look()
    assert clinic.reason("n3") in ("TooManyNodes", "DevicesUnhealthy")
    assert len(clinic.out()) == 2  # a quarter of eight
    first = min(clinic.out())
    await clinic.look(**{first: 8})
    await clinic.look(after_s=301)
    assert len(clinic.out()) == 2
    assert first not in clinic.out()


async def test_switching_it_off_lets_everybody_back(clinic: Clinic) -> None:
    await clinic.look(n1=7)
    await clinic.look(after_s=30)
    clinic.policy = policy("Off")
    await clinic.look()
    assert clinic.out() == set()


@pytest.mark.parametrize(
    ("mended_before", "recovered_after_s"),
    [
        pytest.param(True, 300, id="the-recovery-goes-on-where-it-was"),
        pytest.param(False, 301, id="nobody-saw-when-it-was-mended-so-it-begins-now"),
    ],
)
async def test_a_new_leader_goes_on(
    clinic: Clinic, mended_before: bool, recovered_after_s: float
) -> None:
    await clinic.look(n1=7)
    await clinic.look(after_s=30)  # the last sign
    if mended_before:
        await clinic.look(n1=8)
    clinic.restart()
    await clinic.look(after_s=1, n1=8)
    await clinic.look(after_s=recovered_after_s - 2)
    assert clinic.out() == {"n1"}
    await clinic.look(after_s=1)
    assert clinic.out() == set()


async def test_driver_errors_count_unless_a_program_made_them(clinic: Clinic) -> None:
    clinic.errors = {"n1": (DriverError("GPU-a", 79),), "n2": (DriverError("GPU-b", 31),)}
    await clinic.look()
    await clinic.look(after_s=30)
    assert (clinic.out(), clinic.reason("n1")) == ({"n1"}, "DriverErrors")
    assert clinic.conditions["n1"]["message"] == "the driver reports XID 79 on GPU-a"


async def test_prometheus_is_asked_and_its_last_word_stands_while_it_is_silent() -> None:
    asked: list[str] = []
    answers = [(200, VECTOR), (503, {}), (200, {"data": {"result": []}})]

    async def query(request: web.Request) -> web.Response:
        asked.append(request.query["query"])
        status, body = answers.pop(0)
        return web.json_response(body, status=status)

    app = web.Application()
    app.router.add_get("/api/v1/query", query)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    heard = Heard()
    errors = DriverErrors(f"http://127.0.0.1:{runner.addresses[0][1]}/", "XID > 0", heard)
    known = {"n1": (DriverError("GPU-a", 79),)}
    try:
        assert await errors.read() == known
        assert await errors.read() == known
        assert len(heard.facts("health.blind")) == 1
        assert await errors.read() == {}
    finally:
        await runner.cleanup()
    assert asked == ["XID > 0"] * 3


async def test_without_an_address_nobody_is_asked() -> None:
    heard = Heard()
    assert await DriverErrors("", "XID > 0", heard).read() == {}
    assert not heard.events


VECTOR = {
    "status": "success",
    "data": {
        "resultType": "vector",
        "result": [
            {"metric": {"Hostname": "n1", "UUID": "GPU-a", "gpu": "0"}, "value": [1.5, "79"]},
            {"metric": {"Hostname": "n1", "UUID": "GPU-c", "gpu": "1"}, "value": [1.5, "0"]},
        ],
    },
}


async def test_what_cannot_be_read_does_not_end_the_operator(clinic: Clinic) -> None:
    answers = [BadInputError("is no policy", field="spec"), None]
    pauses: list[float] = []

    async def read() -> PolicySpec:
        if (error := answers.pop(0)) is not None:
            raise error
        return policy()

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if not answers:
            raise asyncio.CancelledError

    facts: Any = SimpleNamespace(policy=read)
    nobody: Any = SimpleNamespace()
    errors: Any = SimpleNamespace(read=clinic._errors)
    service = HealthService(
        clinic.book, errors, facts, nobody, nobody, lambda: 0.0, clinic.heard, sleep=sleep
    )
    with pytest.raises(asyncio.CancelledError):
        await service.run(7.0)
    assert pauses == [7.0, 7.0]
    assert clinic.heard.facts("health.failed") == [{"error": "spec: is no policy"}]


def refused(name: str, at_s: float) -> PodObject:
    pod = {
        "metadata": {"name": name, "namespace": "team", "uid": name},
        "spec": {"nodeName": "n1"},
        "status": {
            "phase": "Failed",
            "reason": "UnexpectedAdmissionError",
            "startTime": stamp(at_s),
        },
    }
    return msgspec.convert(pod, PodObject, strict=False)


async def test_pods_that_the_kubelet_refused_count_even_when_they_are_gone(clinic: Clinic) -> None:
    clinic.book.list_pods([refused("a", clinic.now_s), refused("b", clinic.now_s)])
    await clinic.look()
    assert not clinic.out()
    clinic.book.put_pod(refused("c", clinic.now_s))
    clinic.book.list_pods([])
    await clinic.look()
    assert (clinic.out(), clinic.reason("n1")) == ({"n1"}, "PodsRefused")
    await clinic.look(after_s=599)
    assert clinic.reason("n1") == "PodsRefused"
    await clinic.look(after_s=2)
    assert clinic.reason("n1") == "Recovering"


# moves


def pod(name: str, on: str, **fields: Any) -> Json:
    owner = {"kind": "ReplicaSet", "name": "chat-1", "uid": "rs", "controller": True}
    container = {"name": "c", "resources": {"requests": {GPU: "2"}}}
    return {
        "metadata": {
            "labels": {POOL_LABEL: "chat"},
            "ownerReferences": [owner],
            "annotations": fields.get("annotations", {}),
        },
        "spec": {
            "nodeName": on,
            "schedulerName": fields.get("scheduler", "moorage-scheduler"),
            "containers": [container],
        },
        "status": {"phase": "Running"},
    }


class Bed:
    """Moves over an API server in memory, in fake time."""

    def __init__(self, api: FakeApi) -> None:
        self.api = api
        self.now_s = 1000.0
        self.records: list[PlanRecord] = []
        self.strategies: dict[str, str] = {}
        session = api.session()
        plans: Any = SimpleNamespace(records=lambda: self.records, put=lambda _stored: None)
        facts: Any = SimpleNamespace(strategy_of=self._strategy, params=self._params)
        writer = HealthWriter(session, lambda: True, lambda *_: None, lambda: self.now_s)
        self.session = session
        self.moves = HealthMoves(session, facts, plans, writer, lambda: self.now_s, 60.0, Heard())

    def _strategy(self, found: Any) -> str:
        return self.strategies.get(found.name, "SurgeFirst")

    def _params(self, _policy: PolicySpec) -> Any:
        from moorage_policies.plans import PlanParams

        return PlanParams()

    async def clear(self, **spec: Any) -> list[Json]:
        """Return the moves of all plans after a look."""
        asked = PlacementPolicy.read({"metadata": {"name": "default"}, "spec": spec}).spec
        await self.moves.clear("sick", {"sick"}, "broken", asked)
        plans = self.api.items("/apis/moorage.dev/v1alpha1/placementplans")
        return [plan["spec"] for plan in plans]


@pytest.fixture
async def bed() -> Any:
    async with FakeApi() as api:
        for name in ("sick", "well"):
            item = msgspec.to_builtins(node(name))
            await api.put(f"/api/v1/nodes/{name}", {"status": item["status"]})
        made = Bed(api)
        async with made.session:
            yield made


def path(name: str) -> str:
    return f"/api/v1/namespaces/team/pods/{name}"


async def test_a_plan_moves_what_may_be_moved(bed: Bed) -> None:
    bed.strategies = {"kept": "Never", "shrunk": "EvictFirst"}
    await bed.api.put(path("free"), pod("free", "sick"))
    await bed.api.put(path("shrunk"), pod("shrunk", "sick"))
    await bed.api.put(path("kept"), pod("kept", "sick"))
    await bed.api.put(path("foreign"), pod("foreign", "sick", scheduler="default-scheduler"))
    opted = {"moorage.dev/movable": "false"}
    await bed.api.put(path("opted"), pod("opted", "sick", annotations=opted))
    await bed.api.put(path("there"), pod("there", "well"))
    (plan,) = await bed.clear()
    assert (plan["trigger"], plan["mode"]) == ("Health", "Auto")
    moved = {move["pod"]["name"]: (move["to"], move["strategy"]) for move in plan["moves"]}
    assert moved == {"free": ("well", "SurgeFirst"), "shrunk": ("well", "EvictFirst")}


async def test_who_has_no_room_stays_and_is_tried_again_later(bed: Bed) -> None:
    for place in range(5):  # four of two devices fit on the other node
        await bed.api.put(path(f"p{place}"), pod(f"p{place}", "sick"))
    (plan,) = await bed.clear()
    assert len(plan["moves"]) == 4
    assert len(await bed.clear()) == 1
    bed.now_s += 61
    assert len(await bed.clear()) == 2


async def test_nothing_is_proposed_while_a_plan_for_the_node_runs(bed: Bed) -> None:
    await bed.api.put(path("p"), pod("p", "sick"))
    move = Move(0, 0, "Move", "u", "team", "p", source="sick", target="well")
    running = PlanRecord(Plan("health-sick-1", moves=(move,)), PlanProgress(phase="Executing"))
    bed.records = [running]
    assert await bed.clear() == []
    ended = PlanProgress(phase="Aborted", finished_s=bed.now_s)
    bed.records = [PlanRecord(running.plan, ended)]
    assert await bed.clear() == []
    bed.now_s += 60
    assert len(await bed.clear()) == 1


async def test_the_policys_actuation_holds_for_these_plans_too(bed: Bed) -> None:
    await bed.api.put(path("p"), pod("p", "sick"))
    assert await bed.clear(actuation="Off") == []
    (plan,) = await bed.clear(actuation="Recommend")
    assert plan["mode"] == "Recommend"


async def test_plans_have_the_shape_that_the_server_takes(bed: Bed) -> None:
    from moorage_crds.plan import PlacementPlan

    await bed.api.put(path("p"), pod("p", "sick"))
    await bed.clear()
    (stored,) = bed.api.items("/apis/moorage.dev/v1alpha1/placementplans")
    plan = PlacementPlan.read(stored)
    assert plan.spec.moves[0].from_ == "sick"
    assert stored["metadata"]["name"].startswith("health-sick-")
