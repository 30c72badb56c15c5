"""The planner on the real control plane: nobody writes a plan by hand, room is made all the same.

Extender, solver and operator run as processes of their own under their own ServiceAccounts.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import urllib3
from typer.testing import CliRunner

from moorage_cli.audit.command import app as audit_app
from moorage_cli.control_plane import ControlPlane, NodeSpec, SchedulerConfig
from moorage_cli.doctor.command import app as doctor_app
from moorage_cli.installation import EXTENDER, SOLVER, Installation
from moorage_cli.manifests import SYSTEM_NAMESPACE
from moorage_cli.plan.command import app as plan_app
from moorage_cli.snapshot.command import app as snapshot_app
from moorage_cli.testing import (
    SWIFT_PLANS,
    UNLIMITED_MOVES,
    Eventually,
    Json,
    Quarter,
    is_ready,
    was_evicted,
)
from moorage_crds.names import (
    DEPLOYMENTS,
    DISRUPTION_BUDGETS,
    EVENTS,
    PLANS,
    PODS,
    POLICIES,
    POOL_LABEL,
    POOLS,
    SCHEDULER_NAME,
)
from moorage_policies.plans.records import ENDED

pytestmark = pytest.mark.control_plane

PRIORITIES = {"plan-high": 300, "plan-middle": 200, "plan-low": 100}
DYING_PROGRAM = Path(__file__).parent / "data" / "program_that_dies.py"


@pytest.fixture(scope="module")
def installation(kubernetes_minor: str) -> Iterator[Installation]:
    settings = {
        **SWIFT_PLANS,
        "MOORAGE_OPERATOR_PLAN_EVICT_DEADLINE_S": "3",
        "MOORAGE_OPERATOR_PLAN_BIND_DEADLINE_S": "8",
        "MOORAGE_OPERATOR_PLAN_SURGE_DEADLINE_S": "8",
    }
    planning = {"MOORAGE_EXTENDER_PLAN_DEBOUNCE_S": "0.3"}
    with (
        ControlPlane(kubernetes_minor) as plane,
        Installation(plane, extender_settings=planning, operator_settings=settings) as installed,
    ):
        installed.install()
        installed.start_solver(MOORAGE_SOLVER_NICENESS="0")
        plane.start_kwok()
        plane.api.apply(POLICIES.path("", "default"), UNLIMITED_MOVES, "test")
        for name, value in PRIORITIES.items():
            plane.api.create(
                "/apis/scheduling.k8s.io/v1/priorityclasses",
                {"metadata": {"name": name}, "value": value},
            )
        installed.start_planning_extender()
        installed.start_operator()
        installed.start_scheduler()
        yield installed


@dataclass
class Harbour(Quarter):
    """One namespace and a few small nodes of its own."""

    _nodes: list[str] = field(default_factory=list)

    def nodes(self, *names: str, gpus: int = 4) -> None:
        specs = [NodeSpec(f"{name}-{self.namespace}", gpus=gpus) for name in names]
        self._nodes += [spec.name for spec in specs]
        self.installation.plane.create_nodes(specs)

    def node(self, name: str) -> str:
        return f"{name}-{self.namespace}"

    def deployment(
        self,
        name: str,
        gpus: int,
        *,
        replicas: int = 1,
        priority: str = "plan-middle",
        node: str | None = None,
        **metadata: Any,
    ) -> list[Json]:
        """Create a Deployment; with ``node`` return its pods once they are ready there."""
        labels = {"app": name}
        container = {
            "name": "c",
            "image": "none",
            "resources": {"limits": {"nvidia.com/gpu": str(gpus)}},
        }
        spec: Json = {
            "schedulerName": SCHEDULER_NAME,
            "priorityClassName": priority,
            "terminationGracePeriodSeconds": 0,
            "containers": [container],
            "tolerations": [{"operator": "Exists"}],
        }
        if node is not None:
            spec["nodeSelector"] = {"kubernetes.io/hostname": self.node(node)}
        metadata["labels"] = {**labels, **metadata.get("labels", {})}
        template = {"metadata": metadata, "spec": spec}
        body = {
            "metadata": {"name": name},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": labels},
                "template": template,
            },
        }
        self.api.create(DEPLOYMENTS.path(self.namespace), body)
        if node is None:
            return []
        return self.wait_ready(name, replicas)

    def pods(self, name: str) -> list[Json]:
        found = self.api.get(PODS.path(self.namespace), labelSelector=f"app={name}")["items"]
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def wait_ready(self, name: str, replicas: int = 1, within_s: float = 90.0) -> list[Json]:
        def look() -> list[Json] | None:
            ready = [pod for pod in self.pods(name) if is_ready(pod)]
            return ready if len(ready) == replicas else None

        try:
            found: list[Json] = self.eventually(
                look, what=f"{replicas} of {name} are ready", within_s=within_s
            )
        except AssertionError as error:
            plans = json.dumps([p["status"] for p in self.plans()], indent=1)
            log = self.installation.log_tail(EXTENDER)
            raise AssertionError(f"{error}\n{plans}\n{log}") from None
        return found

    def pool(
        self, *, replicas: int, gpus: int, strategy: str = "SurgeFirst", start: str = "0s"
    ) -> None:
        """Apply the pool ``chat`` and wait until it is ready."""
        template = {
            "metadata": {"annotations": {"moorage.dev/simulated-start": start}},
            "spec": {"containers": [{"name": "engine", "image": "none"}]},
        }
        role = {
            "name": "worker",
            "replicas": replicas,
            "accelerators": [{"class": "H100-80GB", "count": gpus}],
            "migration": {"strategy": strategy},
            "template": template,
        }
        manifest = {
            "apiVersion": POOLS.api_version,
            "kind": POOLS.kind,
            "metadata": {"name": "chat", "namespace": self.namespace},
            "spec": {
                "model": {"name": "m"},
                "priorityClassName": "plan-middle",
                "roles": [role],
            },
        }
        self.api.apply(POOLS.path(self.namespace, "chat"), manifest, "user")
        self.eventually(
            lambda: len(self.chat()) == sum(map(is_ready, self.chat())) == replicas,
            what="chat is ready",
        )

    def chat(self) -> list[Json]:
        found = self.api.get(PODS.path(self.namespace), labelSelector=f"{POOL_LABEL}=chat")
        return [pod for pod in found["items"] if "deletionTimestamp" not in pod["metadata"]]

    def on(self, node: str) -> list[Json]:
        """Return the live pods of a node."""
        query = {"fieldSelector": f"spec.nodeName={self.node(node)}"}
        found = self.api.get(PODS.path(""), **query)["items"]
        return [p for p in found if p["status"].get("phase") not in ("Succeeded", "Failed")]

    def guard(self, name: str, **spec: Any) -> None:
        """Create a disruption budget over a Deployment's pods and wait until it is in force."""
        path = DISRUPTION_BUDGETS.path(self.namespace)
        spec = {"selector": {"matchLabels": {"app": name}}, **spec}
        self.api.create(path, {"metadata": {"name": f"guard-{name}"}, "spec": spec})
        self.eventually(
            lambda: (
                self.api.get(f"{path}/guard-{name}").get("status", {}).get("observedGeneration")
            ),
            what="the budget is in force",
        )

    def wait_pending(self, name: str, count: int = 1) -> list[Json]:
        """Return the pods once there are so many and none has a node."""

        def look() -> list[Json] | None:
            found = self.pods(name)
            waiting = [pod for pod in found if not pod["spec"].get("nodeName")]
            return found if len(found) == len(waiting) == count else None

        found: list[Json] = self.eventually(look, what=f"{count} of {name} wait")
        return found

    def condition(self, pod: Json) -> Json:
        """Return what the planner wrote onto the pod."""
        path = PODS.path(self.namespace, pod["metadata"]["name"])

        def look() -> Json | None:
            conditions = self.api.get(path)["status"].get("conditions", ())
            return next((c for c in conditions if c["type"] == "moorage.dev/Placement"), None)

        found: Json = self.eventually(look, what="the pod carries the condition")
        return found

    def woken_after_s(self, gone: list[Json], name: str, since: str) -> float:
        """Return how long after the last of these pods was gone the other was bound."""
        uids = {pod["metadata"]["uid"] for pod in gone}
        freed_s = bound_s = 0.0
        for kind, pod in self.history(since):
            if kind == "DELETED" and pod["metadata"]["uid"] in uids:
                freed_s = to_seconds(pod["metadata"]["deletionTimestamp"])
            for condition in pod["status"].get("conditions", ()):
                told = (condition["type"], condition["status"])
                if pod["metadata"]["labels"].get("app") == name and told == (
                    "PodScheduled",
                    "True",
                ):
                    bound_s = to_seconds(condition["lastTransitionTime"])
        assert freed_s
        assert bound_s
        return bound_s - freed_s

    def plans(self) -> list[Json]:
        """Return the plans that touch this namespace, the oldest first."""
        found = [
            plan
            for plan in self.api.get(PLANS.path())["items"]
            if any(m["pod"]["namespace"] == self.namespace for m in plan["spec"]["moves"])
        ]
        return sorted(found, key=lambda plan: str(plan["metadata"]["creationTimestamp"]))

    def wait_plan(self, phase: str, within_s: float = 90.0) -> Json:
        found: Json = self.eventually(
            lambda: next(
                (p for p in self.plans() if p.get("status", {}).get("phase") == phase), None
            ),
            what=f"a plan is {phase}",
            within_s=within_s,
        )
        return found

    def told(self, pod: str, reason: str) -> str:
        """Return the message of the first event about a pod with this reason."""

        def look() -> str | None:
            events = self.api.get(EVENTS.path(self.namespace))["items"]
            return next(
                (
                    e["message"]
                    for e in events
                    if e["involvedObject"]["name"] == pod and e["reason"] == reason
                ),
                None,
            )

        message: str = self.eventually(look, what=f"{reason} is told of {pod}", within_s=90)
        return message

    def remove(self, *names: str) -> None:
        """Delete Deployments and wait until their pods are gone."""
        for name in names:
            self.api.delete(DEPLOYMENTS.path(self.namespace, name))
        self.eventually(
            lambda: (
                not any(
                    self.api.get(PODS.path(self.namespace), labelSelector=f"app={name}")["items"]
                    for name in names
                )
            ),
            what="the pods are gone",
        )

    def close(self) -> None:
        self.clear([plan["metadata"]["name"] for plan in self.plans()])
        self.installation.plane.delete_nodes(self._nodes)


def to_seconds(timestamp: str) -> float:
    return datetime.fromisoformat(timestamp).timestamp()


@pytest.fixture
def harbour(installation: Installation, tag: str, eventually: Eventually) -> Iterator[Harbour]:
    harbour = Harbour.open(installation, f"plan-{tag}", eventually)
    wait_planning(installation, eventually)
    yield harbour
    harbour.close()


def wait_planning(installation: Installation, eventually: Eventually) -> None:
    """Return when the solver is warm: its first start compiles."""
    health = installation.doors[EXTENDER].health

    def look() -> bool:
        try:
            return b"moorage_planner_ready 1.0" in installation.fetch(f"{health}/metrics")
        except urllib3.exceptions.HTTPError:
            return False  # it was killed a moment ago

    eventually(look, what="the solver is warm", within_s=90)


def scatter(harbour: Harbour, *, start: str = "0s", replicas_elsewhere: int = 4) -> list[Json]:
    """Leave two GPUs free on each of two nodes, one of them beside the pool's only replica."""
    harbour.nodes("a", "b", "c")
    harbour.deployment("full", replicas_elsewhere, node="c")
    harbour.deployment("left", 4, node="a")
    harbour.pool(replicas=1, gpus=2, start=start)
    [old] = harbour.chat()
    assert old["spec"]["nodeName"] == harbour.node("b")
    harbour.api.delete(DEPLOYMENTS.path(harbour.namespace, "left"))
    harbour.eventually(
        lambda: (
            not harbour.api.get(PODS.path(harbour.namespace), labelSelector="app=left")["items"]
        ),
        what="left is gone",
    )
    harbour.deployment("half", 2, node="a")
    return harbour.chat()


def test_four_free_gpus_on_two_nodes_become_four_on_one_while_nobody_is_missed(
    harbour: Harbour, tmp_path: Path
) -> None:
    """(a) the planner writes the plan by itself, the pool's replica moves, the pod runs."""
    before = scatter(harbour)
    since = harbour.revision()
    harbour.deployment("wants-four", 4)
    [pod] = harbour.wait_ready("wants-four")

    plan = harbour.wait_plan("Completed")
    assert [move["kind"] for move in plan["spec"]["moves"]] == ["Move", "Place"]
    assert plan["spec"]["certificate"]["status"] == "Optimal"
    assert len(harbour.plans()) == 1
    assert pod["spec"]["nodeName"] == harbour.node("b")
    assert harbour.fewest_ready(before, since, POOL_LABEL) == 1
    assert harbour.woken_after_s(before, "wants-four", since) <= 2
    message = harbour.told(pod["metadata"]["name"], "PlacementPlanned")
    assert plan["metadata"]["name"] in message
    assert "moves 1 pod" in message
    assert again(harbour, tmp_path) == plan["spec"]["moves"]
    kubeconfig = str(harbour.installation.plane.kubeconfig)
    audited = run(audit_app, "--kubeconfig", kubeconfig, "--looks", "2", "--every-s", "0.1")
    assert "yes" in audited


def test_lower_priorities_on_two_nodes_make_room_that_no_single_node_could(
    harbour: Harbour,
) -> None:
    """(b) one node would have to lose an equal; instead the equal moves and two lower ones go."""
    harbour.nodes("a", "b")
    harbour.deployment("low-a", 2, node="a", priority="plan-low")
    harbour.deployment("low-b", 2, node="b", priority="plan-low")
    harbour.pool(replicas=2, gpus=2)
    before, since = harbour.chat(), harbour.revision()
    harbour.deployment("wants-four", 4)
    harbour.wait_ready("wants-four")

    plan = harbour.wait_plan("Completed")
    kinds = sorted(move["kind"] for move in plan["spec"]["moves"])
    assert kinds == ["Evict", "Evict", "Move", "Place"]
    assert harbour.fewest_ready(before, since, POOL_LABEL) == 2
    evicted = {pod["metadata"]["uid"] for _, pod in harbour.history(since) if was_evicted(pod)}
    assert len(evicted) == 2  # both by the Eviction API, nobody by kube-scheduler


def test_what_cannot_be_is_proven_and_the_node_that_was_named_places_it(harbour: Harbour) -> None:
    """(c) and (e): the relaxations are named; a budget that opens is one of them."""
    harbour.nodes("a")
    harbour.deployment("full", 4, node="a", priority="plan-low")
    harbour.guard("full", maxUnavailable=0)
    harbour.deployment("wants-four", 4)
    [pod] = harbour.wait_pending("wants-four")
    message = harbour.told(pod["metadata"]["name"], "PlacementInfeasible")
    assert message.startswith("no rearrangement can place this pod (proven")
    assert "budget" in message
    assert "add one node of class NVIDIA-H100-80GB-HBM3" in message
    condition = harbour.condition(pod)
    assert (condition["status"], condition["message"]) == ("False", message)
    assert harbour.plans() == []
    harbour.nodes("b")
    [placed] = harbour.wait_ready("wants-four")
    assert placed["metadata"]["uid"] == pod["metadata"]["uid"]
    assert placed["spec"]["nodeName"] == harbour.node("b")


def test_a_gang_of_four_gets_all_its_places_or_none(harbour: Harbour) -> None:
    """(d) three would fit at first, and none of them is bound until all four are."""
    harbour.nodes("a", "b")
    harbour.deployment("some", 2, node="b")
    since = harbour.revision()
    harbour.deployment(
        "gang", 2, replicas=4, labels={"moorage.dev/gang": "g"},
        annotations={"moorage.dev/gang-size": "4"},
    )  # fmt: skip
    pods = harbour.wait_pending("gang", 4)
    harbour.told(pods[0]["metadata"]["name"], "PlacementInfeasible")
    bound = [p for _, p in harbour.history(since) if p["spec"].get("nodeName")]
    assert [p for p in bound if p["metadata"]["labels"].get("app") == "gang"] == []
    harbour.api.delete(DEPLOYMENTS.path(harbour.namespace, "some"))
    harbour.wait_ready("gang", 4)
    plan = harbour.wait_plan("Completed")
    assert [move["kind"] for move in plan["spec"]["moves"]] == ["Place"] * 4


def test_a_budget_that_closes_after_the_plan_ends_it_with_the_reason(harbour: Harbour) -> None:
    """(e) recommended, then approved when the budget is closed: it waits, and is aborted."""
    api = harbour.api
    api.patch(POLICIES.path("", "default"), {"spec": {"actuation": "Recommend"}})
    try:
        harbour.nodes("a")
        [low] = harbour.deployment("full", 4, node="a", priority="plan-low")
        harbour.deployment("wants-four", 4)
        plan = harbour.eventually(lambda: next(iter(harbour.plans()), None), what="a proposal")
        assert plan["spec"]["mode"] == "Recommend"
        harbour.guard("full", maxUnavailable=0)
        name = plan["metadata"]["name"]
        api.patch(PLANS.path("", name), {"spec": {"mode": "Auto"}})
        ended = harbour.wait_plan("Aborted")
        [condition] = ended["status"]["conditions"]
        assert condition["reason"] == "BudgetClosed"
        [still] = harbour.pods("full")
        assert still["metadata"]["uid"] == low["metadata"]["uid"]
    finally:
        api.patch(POLICIES.path("", "default"), {"spec": {"actuation": "Auto"}})


def test_planner_and_solver_killed_in_the_middle_change_nothing(harbour: Harbour) -> None:
    """(f) killed while the replacement starts: the plan goes on, its room stays kept."""
    before = scatter(harbour, start="3s")
    since = harbour.revision()
    harbour.deployment("wants-four", 4)
    harbour.eventually(lambda: len(harbour.chat()) == 2, what="the replica is raised by one")
    harbour.installation.crash_and_restart(EXTENDER)
    harbour.installation.crash_and_restart(SOLVER)
    harbour.wait_ready("wants-four")
    harbour.wait_plan("Completed")
    assert len(harbour.plans()) == 1
    assert harbour.fewest_ready(before, since, POOL_LABEL) == 1


@pytest.mark.one_minor
@pytest.mark.timeout(600)
def test_a_planner_killed_at_any_of_its_writes_is_taken_over_without_a_trace(
    harbour: Harbour,
) -> None:
    """(f) plan, condition, event, bell: whichever was last, one plan is made and carried out."""
    harbour.nodes("a", "b")
    harbour.pool(replicas=1, gpus=2)
    for number in range(1, 30):
        plans = len(harbour.plans())
        [old] = harbour.chat()
        other = next(n for n in "ab" if harbour.node(n) != old["spec"]["nodeName"])
        harbour.deployment(f"half-{number}", 2, node=other)
        before, since = harbour.chat(), harbour.revision()
        was_killed = plan_until_killed(harbour, number)
        harbour.wait_ready(f"wants-four-{number}")
        harbour.eventually(
            lambda: harbour.plans()[-1]["status"]["phase"] == "Completed", what="the plan is done"
        )
        assert len(harbour.plans()) == plans + 1, number
        assert harbour.fewest_ready(before, since, POOL_LABEL) == 1, number
        assert [pod for _, pod in harbour.history(since) if was_evicted(pod)] == [], number
        harbour.eventually(lambda: bells(harbour) == [], what="no bell is left")
        if not was_killed:
            break
        harbour.remove(f"half-{number}", f"wants-four-{number}")
    assert number > 3  # the plan, the condition and the event at least


def plan_until_killed(harbour: Harbour, number: int) -> bool:
    """Let a planner plan that dies at a write; return whether it did before all was done."""
    installation, name = harbour.installation, f"wants-four-{number}"
    dying = (sys.executable, str(DYING_PROGRAM), "extender", str(number))
    usual = installation.crash_and_restart(EXTENDER, dying)
    wait_planning(installation, harbour.eventually)
    harbour.deployment(name, 4)
    harbour.eventually(
        lambda: not installation.runs(EXTENDER) or any(map(is_ready, harbour.pods(name))),
        what="the planner died or the pod runs",
        within_s=60,
    )
    was_killed = not installation.runs(EXTENDER)
    installation.crash_and_restart(EXTENDER, usual)
    return was_killed


def bells(harbour: Harbour) -> list[str]:
    labels = "app.kubernetes.io/component=bell"
    found = harbour.api.get(PODS.path(SYSTEM_NAMESPACE), labelSelector=labels)["items"]
    return [pod["metadata"]["name"] for pod in found]


def test_a_higher_priority_that_comes_during_a_plan_is_placed_and_nobody_is_lost(
    harbour: Harbour,
) -> None:
    """(g) the plan's nodes are left alone; the newcomer takes a lower one's place elsewhere."""
    before = scatter(harbour, start="2s")
    since = harbour.revision()
    harbour.deployment("wants-four", 4)
    harbour.eventually(lambda: len(harbour.chat()) == 2, what="the replica is raised by one")
    harbour.deployment("urgent", 4, priority="plan-high")
    harbour.wait_ready("urgent")
    harbour.eventually(
        lambda: all(plan["status"].get("phase") in ENDED for plan in harbour.plans()),
        what="every plan has ended",
    )
    assert harbour.fewest_ready(before, since, POOL_LABEL) == 1
    assert len(harbour.chat()) == 1
    for node in ("a", "b", "c"):
        held = sum(map(gpus_of, harbour.on(node)))
        assert held <= 4, node


def test_without_a_solver_the_stock_scheduler_carries_on(harbour: Harbour) -> None:
    """(h) preemption is not held back by a planner that cannot plan; doctor sees a stranger."""
    installation = harbour.installation
    harbour.nodes("a")
    harbour.deployment("low", 4, node="a", priority="plan-low")
    installation.stop(SOLVER)
    try:
        harbour.deployment("high", 4, priority="plan-high")
        harbour.wait_ready("high")
        assert harbour.plans() == []
        stock = SchedulerConfig(("default-scheduler",))
        installation.plane.start_scheduler(stock, name="default-scheduler")
        try:
            stranger(harbour)
            assert "through another scheduler" in doctor(harbour)
        finally:
            installation.plane.stop_scheduler("default-scheduler")
    finally:
        installation.start_solver(MOORAGE_SOLVER_NICENESS="0")


def stranger(harbour: Harbour) -> None:
    """Let the stock scheduler place a pod on a node of ours."""
    harbour.nodes("b")
    container = {
        "name": "c",
        "image": "none",
        "resources": {"limits": {"nvidia.com/gpu": "1"}},
    }
    body = {
        "metadata": {"name": "stranger"},
        "spec": {"containers": [container], "tolerations": [{"operator": "Exists"}]},
    }
    harbour.api.create(PODS.path(harbour.namespace), body)
    path = PODS.path(harbour.namespace, "stranger")
    harbour.eventually(
        lambda: harbour.api.get(path)["spec"].get("nodeName"), what="the stranger is bound"
    )


def again(harbour: Harbour, directory: Path) -> list[Json]:
    """Return the moves that come out of the snapshot that the planner solved last."""
    installation, file = harbour.installation, directory / "snapshot.json"
    run(snapshot_app, str(file), "--extender", installation.doors[EXTENDER].health)
    [plan] = json.loads(run(plan_app, "--file", str(file), "--json"))["plans"]
    moves: list[Json] = plan["spec"]["moves"]
    return moves


def run(app: Any, *arguments: str) -> str:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    return result.output


def doctor(harbour: Harbour) -> str:
    """Return what `moorage doctor` prints about the cluster."""
    kubeconfig = str(harbour.installation.plane.kubeconfig)
    return CliRunner().invoke(doctor_app, ["--kubeconfig", kubeconfig, "--json"]).output


def gpus_of(pod: Json) -> int:
    limits = pod["spec"]["containers"][0].get("resources", {}).get("limits", {})
    return int(limits.get("nvidia.com/gpu", 0))
