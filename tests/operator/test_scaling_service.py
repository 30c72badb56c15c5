"""Ticks over an API in memory: what is written, when nothing is, and what statuses say."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from moorage_crds.names import POOLS, ROLES
from moorage_crds.policy import PolicySpec
from moorage_operator.defragmentation.facts import Question
from moorage_operator.defragmentation.searching import Outcome
from moorage_operator.metrics import Metrics
from moorage_operator.services.scaling import ScalingService, ScalingSettings
from moorage_operator.services.scaling_acts import ScalingActs
from moorage_operator.services.scaling_moves import MoveBook
from moorage_operator.services.writing import Writer
from moorage_operator.signals.profiles import MetricProfile
from moorage_operator.signals.scrape import Endpoint
from moorage_policies.planning.facts import Facts, PlanningParams
from moorage_policies.rescheduling.defragment import propose
from moorage_policies.rescheduling.proposals import DefragmentParams, Want
from moorage_policies.scaling.replay import Record, replay
from moorage_policies.scaling.samples import PodSample
from moorage_policies.types import Owner

Json = dict[str, Any]
NS = "team"
TICK_S = 15.0


class Engines:
    """Every pod's numbers, driven by the test; stands where the scraper is."""

    advice = "look at the engines"

    def __init__(self) -> None:
        self.now_s = 0.0
        self.tokens_per_s = 0.0
        self.answers = True
        self.counters: dict[str, float] = {}
        self.say: Callable[[dict[str, float]], dict[str, float]] = dict

    async def fetch(self, endpoints: Sequence[Endpoint], _: MetricProfile) -> dict[str, PodSample]:
        decode = [e for e in endpoints if "decode" in e.uid or "server" in e.uid]
        for endpoint in decode:
            share = self.tokens_per_s * TICK_S / len(decode)
            self.counters[endpoint.uid] = self.counters.get(endpoint.uid, 0.0) + share
        if not self.answers:
            return {}
        return {
            e.uid: PodSample(
                e.uid,
                self.now_s,
                self.say(
                    {
                        "running": 1.0 if self.tokens_per_s else 0.0,
                        "waiting": 0.0,
                        "prompt_tokens": self.now_s if self.tokens_per_s else 0.0,
                        "generated_tokens": self.counters.get(e.uid, 0.0),
                    }
                ),
            )
            for e in endpoints
        }

    async def close(self) -> None:
        pass


class Cluster:
    """What a search for moves is told, and a search in this process."""

    def __init__(self) -> None:
        self.facts = Facts(0.0, 1, (), ())
        self.asked: list[Want] = []

    async def policy(self) -> PolicySpec:
        return PolicySpec()

    async def gather(
        self, policy: PolicySpec, now_s: float, wants: Sequence[Want] = ()
    ) -> Question:
        del policy
        self.asked += wants
        params = DefragmentParams(wants=tuple(wants), deadline_s=0.1)
        return Question(replace(self.facts, at_s=now_s), PlanningParams(), params)

    async def ask(self, question: Question, *, is_look: bool) -> Outcome:
        assert not is_look
        return Outcome(proposal=propose(question.facts, question.planning, question.params))


class Site:
    """A bench with scaling: pods get addresses and are ready at once, ticks move the clock."""

    def __init__(self, bench: Any) -> None:
        self.bench = bench
        self.engines = Engines()
        self.events: list[str] = []
        self.metrics = Metrics()
        self.observe_s = 0.0
        self.priorities: dict[str, int] = {}
        self.cluster = Cluster()
        self.spreads = False
        self.restart()

    def restart(self) -> None:
        bench = self.bench
        bench.restart()

        async def tell(_: Any, reason: str, message: str) -> None:
            self.events.append(f"{reason}: {message}")

        writer = Writer(bench.api, lambda: bench.leads, lambda _verb, _kind: None)
        acts = ScalingActs(
            bench.view, writer, bench.api, lambda: bench.leads, lambda _verb, _kind: None, tell
        )
        acts._mark = self._mark  # type: ignore[method-assign]
        silent = type("Silent", (), {"report": lambda *_, **__: None})()
        self.moves = MoveBook(
            self.cluster, self.cluster, self.cluster.ask, lambda: bench.now_s, silent
        )
        self.service = ScalingService(
            bench.view,
            self.engines,  # type: ignore[arg-type]
            acts,
            self.moves,
            lambda: bench.now_s,
            ScalingSettings(TICK_S, 45.0, 0.0, observe_s=self.observe_s),
            patience_s=15.0,
            metrics=self.metrics,
            reporter=silent,
        )

    async def _mark(self, pod: Any, annotations: Json, labels: Json) -> None:
        """Mark a pod of the bench, which is no object of its API."""
        for live in self.bench.pods.values():
            if live["metadata"]["uid"] == pod.uid:
                meta = live["metadata"]  # its maps are the template's
                marks = {**meta.get("annotations", {}), **annotations}
                meta["annotations"] = {name: text for name, text in marks.items() if text}
                meta["labels"] = {**meta["labels"], **labels}

    def resting(self) -> list[str]:
        """Return the names of the pods that are out of the Service."""
        pods = self.bench.pods.items()
        return [n for n, p in pods if p["metadata"]["labels"]["moorage.dev/serving"] == "false"]

    def run_pods(self) -> None:
        import datetime as dt

        free = {node["metadata"]["name"]: 8 for node in self.bench.nodes}
        for pod in self.bench.pods.values():
            if node := pod["spec"].get("nodeName"):
                free[node] -= _gpus(pod)

        def place(pod: Json) -> str | None:
            order = sorted(free.items(), key=lambda kv: -kv[1]) if self.spreads else free.items()
            for name, gpus in order:
                if gpus >= _gpus(pod):
                    free[name] -= _gpus(pod)
                    return name
            return None

        self.bench.run_pods(place=place)
        since = dt.datetime.fromtimestamp(self.bench.now_s, dt.UTC).isoformat()
        for pod in self.bench.pods.values():
            pool = pod["metadata"]["labels"]["moorage.dev/pool"]
            if pool in self.priorities:
                pod["spec"]["priority"] = self.priorities[pool]
            pod["spec"]["containers"][0]["ports"] = [{"containerPort": 8000}]
            if pod["spec"].get("nodeName"):
                pod["status"].setdefault("podIP", "127.0.0.9")
                for condition in pod["status"].get("conditions", ()):
                    condition.setdefault("lastTransitionTime", since)

    async def tick(self, count: int = 1) -> None:
        for _ in range(count):
            self.bench.now_s += TICK_S
            self.engines.now_s = self.bench.now_s
            await self.settle()
            await self.service.tick()
            await self.settle()

    async def settle(self) -> None:
        self.bench.watch()
        for key in list(self.bench.view.pools()):
            await self.bench.settle(key[1])
        self.run_pods()
        for key in list(self.bench.view.pools()):
            await self.bench.settle(key[1])

    def count(self, role: str, pool: str = "llama") -> int:
        path = ROLES.path(NS, f"{pool}-{role}")
        return int(self.bench.api.objects[path]["spec"]["replicas"])

    def counts(self, pool: str = "llama") -> tuple[int, int]:
        return self.count("prefill", pool), self.count("decode", pool)

    def held(self, pool: str) -> int:
        """Return the accelerators that a pool's pods hold."""
        pods = (p for n, p in self.bench.pods.items() if n.startswith(f"{pool}-"))
        return sum(_gpus(pod) for pod in pods if pod["spec"].get("nodeName"))

    def pending(self) -> int:
        return sum(not pod["spec"].get("nodeName") for pod in self.bench.pods.values())


def _gpus(pod: Json) -> int:
    return int(pod["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"])


SCALING: Json = {
    "target": "100",
    "ratio": {"numerator": "prefill", "denominator": "decode", "min": "0.25", "max": "1"},
    "bounds": [
        {"role": "prefill", "minReplicas": 1, "maxReplicas": 6},
        {"role": "decode", "minReplicas": 1, "maxReplicas": 12},
    ],
}


@pytest.fixture
def site(bench: Any) -> Site:
    for number in range(4):
        bench.add_node(f"extra-{number}")
    return Site(bench)


@pytest.fixture
def new(site: Site, new_pool: Callable[..., Json], new_role: Callable[..., Json]) -> Any:
    """Apply a pool of prefill and decode, 4 GPUs each, and let it start."""

    async def make(name: str = "llama", scaling: Json | None = None, **spec: Any) -> None:
        roles = [new_role("prefill", replicas=1), new_role("decode", replicas=2)]
        made = new_pool(name, roles=roles, scaling={**SCALING, **(scaling or {})}, **spec)
        site.bench.apply_pool(made)
        await site.settle()
        await site.tick(2)

    return make


async def test_both_roles_follow_the_load_in_one_decision(site: Site, new: Any) -> None:
    await new()
    site.engines.tokens_per_s = 500.0
    await site.tick(3)
    prefill, decode = site.counts()
    assert decode >= 5
    assert 0.25 * decode <= prefill <= decode
    [first, second] = site.bench.pool()["status"]["scalingHistory"][-2:]
    assert {first["role"], second["role"]} == {"prefill", "decode"}
    assert first["time"] == second["time"]
    assert any("Scaled: role decode" in event for event in site.events)
    assert site.bench.condition("MetricsFresh")["status"] == "True"


async def test_nothing_is_written_while_nothing_changes(site: Site, new: Any) -> None:
    await new()
    site.engines.tokens_per_s = 150.0
    await site.tick(25)
    before = len(site.bench.api.writes)
    await site.tick(10)
    assert len(site.bench.api.writes) == before


@pytest.mark.parametrize("tokens_per_s", [0.0, 150.0, 600.0])
async def test_no_replica_is_lost_when_the_metrics_stop(
    site: Site, new: Any, tokens_per_s: float
) -> None:
    await new()
    site.engines.tokens_per_s = tokens_per_s
    await site.tick(4)
    before = site.counts()
    site.engines.answers = False
    await site.tick(15)
    assert all(after >= count for after, count in zip(site.counts(), before, strict=True))
    fresh = site.bench.condition("MetricsFresh")
    assert (fresh["status"], fresh["reason"]) == ("False", "Blind")
    assert "decode" in fresh["message"]


async def test_no_load_falls_to_the_least_after_the_delay(site: Site, new: Any) -> None:
    bounds = [{**bound, "minReplicas": 0} for bound in SCALING["bounds"]]
    await new(scaling={"bounds": bounds})
    site.engines.tokens_per_s = 300.0
    await site.tick(5)
    site.engines.tokens_per_s = 0.0
    await site.tick(15)
    assert min(site.counts()) >= 1
    await site.tick(10)
    assert site.counts() == (0, 0)


async def test_only_what_has_a_place_is_asked_for(site: Site, new: Any) -> None:
    await new()
    site.engines.tokens_per_s = 5000.0
    for _ in range(10):
        await site.tick()
        assert site.pending() == 0
    # six nodes of eight GPUs hold twelve replicas of four
    assert sum(site.counts()) == 12
    limited = site.bench.condition("ScalingLimited")
    assert (limited["status"], limited["reason"]) == ("True", "NoPlace")


async def rest_some(site: Site, new: Any) -> int:
    """Let the load fall until a replica of decode rests; return how many there are."""
    site.observe_s = 600.0
    site.restart()
    await new()
    site.engines.tokens_per_s = 600.0
    await site.tick(4)
    before = site.count("decode")
    site.engines.tokens_per_s = 250.0
    for _ in range(40):
        await site.tick()
        if site.resting():
            return before
    raise AssertionError("nobody rests")


async def test_a_replica_that_is_not_needed_leaves_the_service_first(site: Site, new: Any) -> None:
    before = await rest_some(site, new)
    assert site.count("decode") == before
    status = site.bench.pool()["status"]["roles"]["decode"]
    assert status["resting"] == len(site.resting())
    site.observe_s = 15.0
    site.restart()  # a new process goes on from what the pods say
    await site.tick(3)
    assert site.count("decode") < before


async def test_one_that_is_missed_serves_again_at_once(site: Site, new: Any) -> None:
    before = await rest_some(site, new)
    site.engines.tokens_per_s = 100.0 * before
    await site.tick(3)
    assert site.resting() == []
    assert site.count("decode") >= before
    assert "resting" not in site.bench.pool()["status"]["roles"]["decode"]


async def test_nobody_stays_out_of_the_service_of_a_pool_that_is_not_scaled(
    site: Site, new: Any
) -> None:
    await rest_some(site, new)
    path = POOLS.path(NS, "llama")
    site.bench.api.edit(path, lambda pool: pool["spec"].update(actuation="Off"))
    await site.tick(2)
    assert site.resting() == []


async def test_room_after_moves_is_asked_for_and_told(
    site: Site, new: Any, new_pool: Callable[..., Json], new_role: Callable[..., Json]
) -> None:
    """Half of each of six nodes is free, and one more replica needs a whole one."""
    site.spreads = True
    await new(scaling={"bounds": [{**b, "minReplicas": 3} for b in SCALING["bounds"]]})
    await site.tick(2)
    assert site.held("llama") == 24
    site.bench.add_node("whole")
    role = new_role("decode", accelerators=[{"class": "H100-80GB", "count": 8}], replicas=1)
    bounds = [{"role": "decode", "minReplicas": 1, "maxReplicas": 2}]
    scaling = {"target": "100", "bounds": bounds}
    site.bench.apply_pool(new_pool("large", roles=[role], scaling=scaling))
    await site.tick(2)
    site.cluster.facts = movable(site)
    site.engines.tokens_per_s = 300.0
    await site.tick(2)
    await site.moves.settled()
    await site.tick()
    assert [want.gpus for want in site.cluster.asked] == [8]
    assert site.count("decode", "large") == 1, "only what has a place is asked for"
    limited = site.bench.condition("ScalingLimited", "large")
    assert limited["reason"] == "NoPlace"
    assert "would fit after moves (1 of running replicas)" in limited["message"]
    await site.tick(2)
    assert len(site.cluster.asked) == 1, "not asked again at every tick"


def movable(site: Site) -> Facts:
    """Return what the operator knows, as the search reads it, with pods that may move."""
    snapshot = site.bench.view.facts((NS, "llama"), now_s=0.0, patience_s=0.0).snapshot
    owner = Owner("ReplicaSet", "rs", "rs")
    pods = tuple(
        replace(pod, owner=owner, scheduler="moorage-scheduler")
        for row in range(len(snapshot.nodes))
        for pod in snapshot.pods_on(row)
    )
    return Facts(0.0, 1, snapshot.nodes, pods, migrations={p.uid: "SurgeFirst" for p in pods})


async def test_pending_lets_a_node_autoscaler_see_the_demand(site: Site, new: Any) -> None:
    await new(scaling={"onUnplaceable": "Pending"})
    site.engines.tokens_per_s = 5000.0
    await site.tick(5)
    assert site.counts()[1] == 12
    assert site.pending() > 0


async def test_the_budget_is_kept_by_what_is_asked_for(site: Site, new: Any) -> None:
    await new(maxGpus=24)
    site.engines.tokens_per_s = 5000.0
    for _ in range(10):
        await site.tick()
        assert sum(site.counts()) * 4 <= 24


async def test_recommend_writes_the_status_only(site: Site, new: Any) -> None:
    await new()
    path = POOLS.path(NS, "llama")
    site.bench.api.edit(path, lambda pool: pool["spec"].update(actuation="Recommend"))
    before = site.counts()
    site.engines.tokens_per_s = 700.0
    await site.tick(5)
    assert site.counts() == before
    assert site.bench.pool()["status"]["roles"]["decode"]["recommended"] >= 7


def scale_by_hand(site: Site, role: str, replicas: int, manager: str = "kubectl") -> None:
    import datetime as dt

    path = ROLES.path(NS, f"llama-{role}")
    site.bench.api.edit(path, lambda live: live["spec"].update(replicas=replicas))
    site.bench.api.objects[path]["metadata"]["managedFields"].append(
        {
            "manager": manager,
            "operation": "Update",
            "subresource": "scale",
            "time": dt.datetime.fromtimestamp(site.bench.now_s, dt.UTC).isoformat(),
            "fieldsV1": {"f:spec": {"f:replicas": {}}},
        }
    )


async def test_a_manual_scale_is_a_floor_for_its_time(site: Site, new: Any) -> None:
    await new(scaling={"manualFloorSeconds": 150})
    site.engines.tokens_per_s = 100.0
    scale_by_hand(site, "decode", 8)
    await site.tick(8)
    assert site.count("decode") == 8
    floor = site.bench.api.objects[ROLES.path(NS, "llama-decode")]["status"]["manualFloor"]
    assert floor["replicas"] == 8
    await site.tick(15)
    assert site.count("decode") < 8
    assert "manualFloor" not in site.bench.api.objects[ROLES.path(NS, "llama-decode")]["status"]


async def test_a_second_autoscaler_is_told_and_left_alone(site: Site, new: Any) -> None:
    await new()
    scale_by_hand(site, "decode", 5, manager="kube-controller-manager")
    site.engines.tokens_per_s = 900.0
    await site.tick(5)
    assert site.count("decode") == 5
    limited = site.bench.condition("ScalingLimited")
    assert (limited["status"], limited["reason"]) == ("True", "SecondWriter")
    assert "kube-controller-manager" in limited["message"]


async def test_external_leaves_the_counts_alone(site: Site, new: Any) -> None:
    external = {"mode": "External", "bounds": SCALING["bounds"]}
    await new()
    path = POOLS.path(NS, "llama")
    site.bench.api.edit(path, lambda pool: pool["spec"].update(scaling=external))
    before = site.counts()
    site.engines.tokens_per_s = 900.0
    await site.tick(10)
    assert site.counts() == before


async def test_external_with_a_target_shows_what_it_would_ask_for(site: Site, new: Any) -> None:
    await new()
    path = POOLS.path(NS, "llama")
    site.bench.api.edit(path, lambda pool: pool["spec"]["scaling"].update(mode="External"))
    before = site.counts()
    site.engines.tokens_per_s = 700.0
    await site.tick(6)
    assert site.counts() == before
    assert site.bench.pool()["status"]["roles"]["decode"]["recommended"] >= 7
    shown = site.metrics.wanted.labels(NS, "llama", "decode")._value.get()
    assert shown >= 7


async def test_under_external_two_who_write_the_same_count_are_told(site: Site, new: Any) -> None:
    await new()
    path = POOLS.path(NS, "llama")
    site.bench.api.edit(path, lambda pool: pool["spec"]["scaling"].update(mode="External"))
    scale_by_hand(site, "decode", 4, manager="kube-controller-manager")
    await site.tick(2)
    assert site.bench.condition("ScalingLimited")["status"] == "False"
    live = site.bench.api.objects[ROLES.path(NS, "llama-decode")]
    live["metadata"]["managedFields"].pop()  # the next one takes the field over
    scale_by_hand(site, "decode", 6, manager="keda-operator")
    await site.tick(2)
    limited = site.bench.condition("ScalingLimited")
    assert (limited["status"], limited["reason"]) == ("True", "SecondWriter")
    assert "keda-operator and kube-controller-manager both write" in limited["message"]
    assert site.count("decode") == 6
    await site.tick(45)  # ten minutes and more
    assert site.bench.condition("ScalingLimited")["status"] == "False"


async def test_an_unknown_time_zone_is_told_and_the_counts_stay(site: Site, new: Any) -> None:
    await new()
    window = {
        "name": "day",
        "role": "decode",
        "minReplicas": 4,
        "timezone": "Mars/Olympus",
        "startTime": "00:00",
        "endTime": "23:59",
    }
    path = POOLS.path(NS, "llama")
    site.bench.api.edit(path, lambda pool: pool["spec"]["scaling"].update(schedules=[window]))
    site.engines.tokens_per_s = 900.0
    before = site.counts()
    await site.tick(5)
    assert site.counts() == before
    limited = site.bench.condition("ScalingLimited")
    assert limited["reason"] == "InvalidScaling"
    assert "Mars/Olympus" in limited["message"]


async def test_a_floor_of_the_day_raises_the_count(site: Site, new: Any) -> None:
    window = {
        "name": "always",
        "role": "decode",
        "minReplicas": 5,
        "timezone": "Etc/UTC",
        "startTime": "00:00",
        "endTime": "23:59",
    }
    await new(scaling={"schedules": [window]})
    await site.tick(2)
    assert site.count("decode") == 5


async def test_a_restarted_operator_takes_nothing_away_and_keeps_the_history(
    site: Site, new: Any
) -> None:
    await new()
    site.engines.tokens_per_s = 600.0
    await site.tick(4)
    before, history = site.counts(), site.bench.pool()["status"]["scalingHistory"]
    site.restart()
    await site.tick(3)
    assert all(after >= count for after, count in zip(site.counts(), before, strict=True))
    assert site.bench.pool()["status"]["scalingHistory"][-len(history) :] == history


async def test_a_start_up_is_learnt_from_pods(site: Site, new: Any) -> None:
    await new()
    pod = next(iter(site.bench.pods.values()))
    made_s = msgspec.convert(pod["metadata"]["creationTimestamp"], __import__("datetime").datetime)
    assert made_s is not None
    known = site.service.starts.known()
    assert list(known) == [("m", "H100-80GB")]
    assert 0.0 <= site.service.starts.expect_s("m", "H100-80GB") <= TICK_S


async def test_a_live_decision_is_made_again_byte_for_byte(site: Site, new: Any) -> None:
    await new()
    site.engines.tokens_per_s = 5000.0
    for _ in range(5):
        await site.tick()
        written = site.service.find_record(NS, "llama")
        assert written is not None
        read = msgspec.json.decode(written, type=Record)
        assert msgspec.json.encode(replay(read)) == written


@pytest.fixture
def crowd(
    site: Site, new: Any, new_pool: Callable[..., Json], new_role: Callable[..., Json]
) -> Any:
    """Let a pool of low priority take what is left, then apply one that needs four replicas."""

    async def make(**batch: Any) -> None:
        site.bench.priority_classes = ["high", "higher"]
        site.priorities.update(critical=1000, offline=2000)
        await new("batch", scaling=batch)
        site.engines.tokens_per_s = 5000.0
        await site.tick(8)
        assert site.held("batch") + site.held("offline") == 48
        bounds = [
            {"role": "prefill", "minReplicas": 1, "maxReplicas": 2},
            {"role": "decode", "minReplicas": 3, "maxReplicas": 3},
        ]
        roles = [new_role("prefill", replicas=1), new_role("decode", replicas=3)]
        scaling = {**SCALING, "bounds": bounds, "sla": {"itlMs": 50}}
        pool = new_pool("critical", roles=roles, scaling=scaling, priorityClassName="high")
        site.bench.apply_pool(pool)
        await site.settle()

    return make


async def test_the_critical_pool_gets_its_floor_in_one_drain(site: Site, crowd: Any) -> None:
    await crowd()
    before = sum(site.counts("batch"))
    await site.tick()
    assert sum(site.counts("batch")) == before - 4, "one decision gives all that the floor lacks"
    await site.tick()
    assert site.held("critical") == 16
    assert sum(site.counts("batch")) == before - 4, "and no more"


async def test_who_is_of_higher_priority_yields_to_nobody_and_keeps_nobody_from_it(
    site: Site, new: Any, crowd: Any
) -> None:
    bounds = [{**b, "maxReplicas": n} for b, n in zip(SCALING["bounds"], (1, 4), strict=True)]
    site.priorities["offline"] = 2000
    await new("offline", scaling={"bounds": bounds}, priorityClassName="higher")
    await crowd(sla={"itlMs": 50})
    assert site.counts("offline") == (1, 4)
    await site.tick(3)
    assert site.counts("offline") == (1, 4)
    assert site.held("critical") == 16


async def test_a_pool_at_its_least_yields_nothing(site: Site, crowd: Any) -> None:
    await crowd()
    path = POOLS.path(NS, "batch")
    before = site.counts("batch")
    least = [{**b, "minReplicas": n} for b, n in zip(SCALING["bounds"], before, strict=True)]
    site.bench.api.edit(path, lambda pool: pool["spec"]["scaling"].update(bounds=least))
    await site.tick(4)
    assert site.counts("batch") == before
    assert site.held("critical") == 0


async def test_applying_the_pool_again_changes_no_count(
    site: Site, new: Any, new_pool: Callable[..., Json], new_role: Callable[..., Json]
) -> None:
    await new()
    site.engines.tokens_per_s = 550.0
    await site.tick(20)
    before = site.counts()
    assert before[1] >= 6
    for _ in range(3):
        roles = [new_role("prefill", replicas=1), new_role("decode", replicas=2)]
        site.bench.apply_pool(new_pool("llama", roles=roles, scaling=SCALING))
        await site.tick()
        assert site.counts() == before
    roles = [new_role("prefill", replicas=1), new_role("decode", replicas=9)]
    site.bench.apply_pool(new_pool("llama", roles=roles, scaling=SCALING))
    await site.settle()
    assert site.count("decode") == 9, "a changed count is written once"
    await site.tick(20)
    assert site.count("decode") < 9, "and scaling goes on from there"


async def test_a_paused_pool_keeps_its_counts_and_goes_on_when_it_may(site: Site, new: Any) -> None:
    await new()
    path = POOLS.path(NS, "llama")
    site.bench.api.edit(path, lambda pool: pool["spec"].update(actuation="Off"))
    await site.tick()
    before = site.counts()
    for tokens_per_s in (900.0, 0.0):
        site.engines.tokens_per_s = tokens_per_s
        await site.tick(8)
        assert site.counts() == before
    site.engines.tokens_per_s = 500.0
    site.bench.api.edit(path, lambda pool: pool["spec"].update(actuation="Auto"))
    await site.tick(4)
    assert site.count("decode") >= 5


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(lambda values: {**values, "generated_tokens": math.nan}, id="nan"),
        pytest.param(lambda values: {**values, "generated_tokens": -5.0}, id="negative"),
        pytest.param(lambda values: {**values, "running": math.inf}, id="infinite"),
        pytest.param(lambda _: {"running": 1.0, "generated_tokens": 7.0}, id="frozen"),
        pytest.param(lambda _: {"running": 1.0, "tokens_made": 7.0}, id="renamed"),
    ],
)
async def test_numbers_that_cannot_be_believed_hold_the_counts(
    site: Site, new: Any, wrong: Callable[[dict[str, float]], dict[str, float]]
) -> None:
    await new()
    site.engines.tokens_per_s = 500.0
    await site.tick(4)
    before = site.counts()
    site.engines.say = wrong
    await site.tick(15)
    assert all(after >= count for after, count in zip(site.counts(), before, strict=True))
    assert site.bench.condition("MetricsFresh")["reason"] == "Blind"
    site.engines.say = dict
    await site.tick(3)
    assert site.bench.condition("MetricsFresh")["reason"] == "Measured"


async def test_counters_that_begin_anew_count_from_zero(site: Site, new: Any) -> None:
    await new()
    site.engines.tokens_per_s = 500.0
    await site.tick(4)
    before = site.counts()
    site.engines.counters.clear()
    await site.tick()
    assert site.counts() == before
    assert site.bench.condition("MetricsFresh")["reason"] == "Measured"


def test_records_tell_the_same_when_written_twice() -> None:
    from moorage_policies.scaling import begin

    state = begin(2)
    assert msgspec.json.encode(state) == msgspec.json.encode(replace(state))
