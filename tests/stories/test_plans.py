"""Plans on the real control plane: one pod is exchanged for another, nothing is lost on the way.

Every part runs as its own process under its own ServiceAccount, as an installation has it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from moorage_cli.control_plane import ControlPlane, gpu_nodes
from moorage_cli.control_plane.errors import RequestRefusedError
from moorage_cli.installation import OPERATOR, Installation
from moorage_cli.manifests import SYSTEM_NAMESPACE
from moorage_cli.plan.command import app
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
    LEASES,
    PLANS,
    PODS,
    POLICIES,
    POOL_LABEL,
    POOLS,
    SCHEDULER_NAME,
    SURGE_ANNOTATION,
)
from moorage_policies.invariants import Violation

pytestmark = pytest.mark.control_plane

NODES = 3
DYING_PROGRAM = Path(__file__).parent / "data" / "program_that_dies.py"


@pytest.fixture(scope="module")
def installation(kubernetes_minor: str) -> Iterator[Installation]:
    settings = {
        **SWIFT_PLANS,
        "MOORAGE_OPERATOR_PLAN_EVICT_DEADLINE_S": "40",
        "MOORAGE_OPERATOR_PLAN_BIND_DEADLINE_S": "30",
        "MOORAGE_OPERATOR_PLAN_SURGE_DEADLINE_S": "30",
    }
    with (
        ControlPlane(kubernetes_minor) as plane,
        Installation(plane, operator_settings=settings) as installed,
    ):
        installed.install()
        plane.create_nodes(gpu_nodes(NODES))
        plane.api.apply(POLICIES.path("", "default"), UNLIMITED_MOVES, "test")
        installed.start_extender()
        installed.start_operator()
        installed.start_scheduler()
        yield installed


@dataclass
class Fleet(Quarter):
    """One namespace with a pool, and the plans that move its pods."""

    plans: list[str] = field(default_factory=list)

    def pool(
        self,
        *,
        replicas: int = 2,
        gpus: int = 2,
        strategy: str = "SurgeFirst",
        start: str = "",
        stop: str = "",
        **spec: Any,
    ) -> None:
        """Apply the pool ``chat`` and wait until it is ready."""
        annotations = {
            "moorage.dev/simulated-start": start or "0s",
            "moorage.dev/simulated-stop": stop or "0s",
        }
        template = {
            "metadata": {"annotations": annotations},
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
            "spec": {"model": {"name": "m"}, "roles": [role], **spec},
        }
        self.api.apply(POOLS.path(self.namespace, "chat"), manifest, "user")
        self.eventually(lambda: self.ready() == replicas, what="chat is ready", within_s=60)

    def pods(self) -> list[Json]:
        """Return the pool's pods that nobody deletes."""
        found = self.api.get(PODS.path(self.namespace), labelSelector=f"{POOL_LABEL}=chat")
        return [pod for pod in found["items"] if "deletionTimestamp" not in pod["metadata"]]

    def ready(self) -> int:
        return sum(map(is_ready, self.pods()))

    def deployment(self) -> Json:
        [found] = self.api.get(DEPLOYMENTS.path(self.namespace))["items"]
        return dict(found)

    def move(self, pod: Json, to: str, *, strategy: str = "SurgeFirst", index: int = 0) -> Json:
        """Return a move of the pod."""
        [owner] = pod["metadata"]["ownerReferences"]
        return {
            "index": index,
            "step": index,
            "kind": "Move",
            "pod": {key: pod["metadata"][key] for key in ("namespace", "name", "uid")},
            "owner": {key: owner[key] for key in ("kind", "name", "uid")},
            "from": pod["spec"]["nodeName"],
            "to": to,
            "strategy": strategy,
            "gpus": int(pod["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"]),
        }

    def swap(self, *, staged: bool) -> tuple[list[Json], str]:
        """Swap two pods that fill their nodes, by the third node or by an eviction.

        Returns:
            The pods before, and the name of the plan.
        """
        if staged:
            self.pool(replicas=2, gpus=8, strategy="SurgeFirst")
            left, right = before = self.pods()
        else:
            left = plain_deployment(self, gpus=8)
            self.pool(replicas=1, gpus=8, strategy="SurgeFirst")
            before = [left, *self.pods()]
            right = before[1]
        here, there, third = (
            left["spec"]["nodeName"],
            right["spec"]["nodeName"],
            self.elsewhere(left, right),
        )
        if staged:
            onward = {"from": third, "to": there, "follows": 0}
            return before, self.plan(
                self.move(left, third),
                self.move(right, here, index=1),
                self.move(left, there, index=2) | onward,
            )
        filler(self, third, 8)
        return before, self.plan(
            self.move(left, there, strategy="EvictFirst"), self.move(right, here, index=1)
        )

    def plan(self, *moves: Json, mode: str = "Auto", **spec: Any) -> str:
        """Create a plan; return its name."""
        name = f"plan-{uuid.uuid4().hex[:8]}"
        self.api.create(
            PLANS.path(),
            {
                "apiVersion": PLANS.api_version,
                "kind": PLANS.kind,
                "metadata": {"name": name},
                "spec": {
                    "trigger": "Manual",
                    "mode": mode,
                    "moves": list(moves),
                    "certificate": {"status": "Feasible"},
                    **spec,
                },
            },
        )
        self.plans.append(name)
        return name

    def status(self, plan: str) -> Json:
        return dict(self.api.get(PLANS.path("", plan)).get("status", {}))

    def reason(self, plan: str) -> tuple[str, str]:
        conditions = self.status(plan).get("conditions", ())
        return next(((c["reason"], c["message"]) for c in conditions), ("", ""))

    def wait_phase(self, plan: str, phase: str, within_s: float = 90.0) -> Json:
        def look() -> Json | None:
            status = self.status(plan)
            return status if status.get("phase") == phase else None

        try:
            return dict(self.eventually(look, what=f"{plan} is {phase}", within_s=within_s))
        except AssertionError as error:
            log = self.installation.log_tail("moorage-operator")
            raise AssertionError(
                f"{error}\n{json.dumps(self.status(plan), indent=1)}\n{log}"
            ) from None

    def elsewhere(self, *pods: Json) -> str:
        """Return a node on which none of the pods sits."""
        used = {pod["spec"]["nodeName"] for pod in pods}
        nodes = [node["metadata"]["name"] for node in self.api.get("/api/v1/nodes")["items"]]
        return str(next(name for name in sorted(nodes) if name not in used))

    def broken_by(self, plan: str, before: list[Json], since: str) -> tuple[Violation, ...]:
        """Return which promises the history since then breaks."""
        return self.violations([self.api.get(PLANS.path("", plan))], before, self.history(since))

    def is_settled(self, replicas: int) -> bool:
        """Return whether nothing of a plan is left on the pool."""
        deployment = self.deployment()
        return (
            deployment["spec"]["replicas"] == replicas
            and SURGE_ANNOTATION not in deployment["metadata"]["annotations"]
            and len(self.pods()) == self.ready() == replicas
        )


@pytest.fixture
def fleet(installation: Installation, tag: str, eventually: Eventually) -> Iterator[Fleet]:
    fleet = Fleet.open(installation, f"plans-{tag}", eventually)
    yield fleet
    fleet.clear(fleet.plans)


def test_surge_first_exchanges_exactly_one_pod_and_never_falls_below_the_wish(
    fleet: Fleet,
) -> None:
    fleet.pool(replicas=3, gpus=2)
    before, since = fleet.pods(), fleet.revision()
    old = before[0]
    target = fleet.elsewhere(*before)

    plan = fleet.plan(fleet.move(old, target))
    status = fleet.wait_phase(plan, "Completed")

    [move] = status["moves"]
    after = {pod["metadata"]["uid"]: pod for pod in fleet.pods()}
    assert old["metadata"]["uid"] not in after
    stayed = {pod["metadata"]["uid"] for pod in before[1:]}
    assert stayed < after.keys()  # exactly the old one went
    [new] = after.keys() - stayed
    assert move["replacementUid"] == new
    assert after[new]["spec"]["nodeName"] == target
    fleet.eventually(lambda: fleet.is_settled(3), what="nothing of the plan is left")
    assert fleet.fewest_ready(before, since) == 3
    assert fleet.broken_by(plan, before, since) == ()
    assert status["progress"] == "1/1"


def test_evict_first_uses_the_eviction_api_and_lands_on_the_target(fleet: Fleet) -> None:
    fleet.pool(replicas=2, gpus=2, strategy="EvictFirst")
    before, since = fleet.pods(), fleet.revision()
    target = fleet.elsewhere(*before)
    plan = fleet.plan(fleet.move(before[0], target, strategy="EvictFirst"))
    fleet.wait_phase(plan, "Completed")
    [gone] = {p["metadata"]["uid"] for _, p in fleet.history(since) if was_evicted(p)}
    assert gone == before[0]["metadata"]["uid"]
    assert fleet.broken_by(plan, before, since) == ()
    after = {pod["metadata"]["uid"]: pod for pod in fleet.pods()}
    assert before[0]["metadata"]["uid"] not in after
    assert before[1]["metadata"]["uid"] in after
    [new] = after.keys() - {before[1]["metadata"]["uid"]}
    assert after[new]["spec"]["nodeName"] == target


def test_a_swap_goes_by_a_staging_node_while_nobody_is_missed(fleet: Fleet) -> None:
    before, plan = fleet.swap(staged=True)
    since = max((pod["metadata"]["resourceVersion"] for pod in before), key=int)
    status = fleet.wait_phase(plan, "Completed")
    assert [move["phase"] for move in status["moves"]] == ["Done"] * 3
    names = {pod["metadata"]["name"]: pod["spec"]["nodeName"] for pod in fleet.pods()}
    left, right = (pod["spec"]["nodeName"] for pod in before)
    assert names == {
        status["moves"][1]["replacementName"]: left,
        status["moves"][2]["replacementName"]: right,
    }
    fleet.eventually(lambda: fleet.is_settled(2), what="nothing of the plan is left")
    assert fleet.fewest_ready(before, since) == 2
    assert fleet.broken_by(plan, before, since) == ()


def test_a_swap_with_no_room_anywhere_evicts_one_of_the_two(fleet: Fleet) -> None:
    before, plan = fleet.swap(staged=False)
    fleet.wait_phase(plan, "Completed")
    [pool_pod] = fleet.pods()
    found = fleet.api.get(PODS.path(fleet.namespace), labelSelector="app=plain")["items"]
    [plain] = [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]
    left, right = (pod["spec"]["nodeName"] for pod in before)
    assert (plain["spec"]["nodeName"], pool_pod["spec"]["nodeName"]) == (right, left)


def plain_deployment(fleet: Fleet, *, gpus: int = 2) -> Json:
    """Create a Deployment of one replica that no pool owns; return its pod once it is ready."""
    container = {
        "name": "c",
        "image": "none",
        "resources": {"limits": {"nvidia.com/gpu": str(gpus)}},
    }
    labels = {"app": "plain"}
    template = {
        "metadata": {"labels": labels},
        "spec": {
            "schedulerName": SCHEDULER_NAME,
            "containers": [container],
            "tolerations": [{"operator": "Exists"}],
        },
    }
    fleet.api.create(
        DEPLOYMENTS.path(fleet.namespace),
        {
            "metadata": {"name": "plain"},
            "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template},
        },
    )

    def look() -> Json | None:
        found = fleet.api.get(PODS.path(fleet.namespace), labelSelector="app=plain")["items"]
        return next(filter(is_ready, found), None)

    return dict(fleet.eventually(look, what="the plain pod is ready"))


def guard(fleet: Fleet, labels: Json, **spec: Any) -> None:
    """Create a disruption budget and wait until it is in force."""
    path = DISRUPTION_BUDGETS.path(fleet.namespace)
    spec = {"selector": {"matchLabels": labels}, **spec}
    fleet.api.create(path, {"metadata": {"name": "guard"}, "spec": spec})
    fleet.eventually(
        lambda: fleet.api.get(f"{path}/guard").get("status", {}).get("observedGeneration"),
        what="the budget is in force",
    )


def test_a_closed_budget_is_waited_for_and_then_ends_the_plan(fleet: Fleet) -> None:
    pod = plain_deployment(fleet)
    guard(fleet, {"app": "plain"}, maxUnavailable=0)
    since = fleet.revision()
    plan = fleet.plan(fleet.move(pod, fleet.elsewhere(pod), strategy="EvictFirst"))
    fleet.eventually(
        lambda: [m.get("reason") for m in fleet.status(plan).get("moves", ())] == ["BudgetClosed"],
        what="the plan says what it waits for",
    )
    fleet.wait_phase(plan, "Aborted")
    reason, message = fleet.reason(plan)
    assert reason == "BudgetClosed"
    assert "guard" in message
    assert all(kind == "MODIFIED" and is_ready(seen) for kind, seen in fleet.history(since))


def test_a_budget_that_opens_lets_the_plan_go_on(fleet: Fleet) -> None:
    pod = plain_deployment(fleet)
    guard(fleet, {"app": "plain"}, maxUnavailable=0)
    target = fleet.elsewhere(pod)
    plan = fleet.plan(fleet.move(pod, target, strategy="EvictFirst"))
    fleet.eventually(
        lambda: [m.get("reason") for m in fleet.status(plan).get("moves", ())] == ["BudgetClosed"],
        what="the plan waits",
    )
    path = DISRUPTION_BUDGETS.path(fleet.namespace, "guard")
    fleet.api.patch(path, {"spec": {"maxUnavailable": 1}})
    status = fleet.wait_phase(plan, "Completed")
    new = fleet.api.get(PODS.path(fleet.namespace, status["moves"][0]["replacementName"]))
    assert new["spec"]["nodeName"] == target


def test_two_budgets_over_one_pod_are_told_and_nothing_is_touched(fleet: Fleet) -> None:
    fleet.pool(replicas=2)
    guard(fleet, {POOL_LABEL: "chat"}, maxUnavailable=1)
    before = fleet.pods()
    plan = fleet.plan(fleet.move(before[0], fleet.elsewhere(*before)))
    fleet.wait_phase(plan, "Superseded")
    reason, message = fleet.reason(plan)
    assert reason == "SeveralBudgets"
    assert "guard" in message
    assert uids(fleet.pods()) == uids(before)


def test_surging_a_deployment_that_no_pool_owns_is_refused(fleet: Fleet) -> None:
    pod = plain_deployment(fleet)
    plan = fleet.plan(fleet.move(pod, fleet.elsewhere(pod)))
    fleet.wait_phase(plan, "Superseded")
    assert fleet.reason(plan)[0] == "Unsupported"


def test_a_recommended_plan_runs_only_after_approval(fleet: Fleet) -> None:
    fleet.pool(replicas=2)
    before = fleet.pods()
    target = fleet.elsewhere(*before)
    plan = fleet.plan(fleet.move(before[0], target), mode="Recommend")
    fleet.eventually(lambda: fleet.reason(plan)[0] == "AwaitingApproval", what="it waits")
    assert uids(fleet.pods()) == uids(before)
    listed = moorage(fleet, "list", "--json")
    assert plan in [item["metadata"]["name"] for item in json.loads(listed)]
    assert "AwaitingApproval" in moorage(fleet, "show", plan)

    moorage(fleet, "approve", plan)
    fleet.wait_phase(plan, "Completed")
    assert target in {pod["spec"]["nodeName"] for pod in fleet.pods()}


def test_a_stopped_plan_gives_its_surge_back(fleet: Fleet) -> None:
    fleet.pool(replicas=2, start="4s")
    before = fleet.pods()
    plan = fleet.plan(fleet.move(before[0], fleet.elsewhere(*before)))
    fleet.eventually(lambda: len(fleet.pods()) == 3, what="the owner was raised by one")
    moorage(fleet, "abort", plan)
    fleet.wait_phase(plan, "Aborted")
    assert fleet.reason(plan)[0] == "SwitchedOff"
    fleet.eventually(lambda: fleet.is_settled(2), what="nothing of the plan is left")
    assert uids(fleet.pods()) == uids(before)


def test_a_target_that_vanishes_ends_the_plan_and_leaves_the_old_pod(fleet: Fleet) -> None:
    plane = fleet.installation.plane
    fleet.pool(replicas=2, start="4s")
    before, since = fleet.pods(), fleet.revision()
    [spec] = gpu_nodes(1)
    target = f"fleeting-{fleet.namespace}"
    plane.create_nodes([replace(spec, name=target)])
    plan = fleet.plan(fleet.move(before[0], target))
    fleet.eventually(
        lambda: [pod for pod in fleet.pods() if pod["spec"].get("nodeName") == target],
        what="the replacement sits on the target",
    )
    plane.delete_nodes([target])
    fleet.wait_phase(plan, "Aborted")
    assert fleet.reason(plan)[0] == "TargetGone"
    fleet.eventually(lambda: fleet.is_settled(2), what="nothing of the plan is left")
    assert uids(fleet.pods()) == uids(before)
    assert fleet.fewest_ready(before, since) == 2


def test_a_quota_that_forbids_one_more_pod_ends_the_plan(fleet: Fleet) -> None:
    fleet.pool(replicas=2)
    before = fleet.pods()
    path = f"/api/v1/namespaces/{fleet.namespace}/resourcequotas"
    fleet.api.create(path, {"metadata": {"name": "two"}, "spec": {"hard": {"pods": "2"}}})
    fleet.eventually(
        lambda: fleet.api.get(f"{path}/two").get("status", {}).get("used"), what="it is in force"
    )
    plan = fleet.plan(fleet.move(before[0], fleet.elsewhere(*before)))
    fleet.wait_phase(plan, "Aborted")
    reason, message = fleet.reason(plan)
    assert reason == "QuotaExceeded"
    assert "two" in message
    fleet.eventually(lambda: fleet.is_settled(2), what="nothing of the plan is left")
    assert uids(fleet.pods()) == uids(before)


def uids(pods: list[Json]) -> set[str]:
    return {pod["metadata"]["uid"] for pod in pods}


def moorage(fleet: Fleet, *arguments: str) -> str:
    """Run ``moorage plan`` against the control plane; return what it prints."""
    kubeconfig = str(fleet.installation.plane.kubeconfig)
    result = CliRunner().invoke(app, [*arguments, "--kubeconfig", kubeconfig])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.timeout(600)
@pytest.mark.parametrize("strategy", ["SurgeFirst", "EvictFirst"])
def test_an_operator_killed_at_any_write_of_a_plan_is_taken_over_without_a_trace(
    fleet: Fleet, strategy: str
) -> None:
    installation = fleet.installation
    fleet.pool(replicas=2, strategy=strategy)
    retire_operator(installation)
    try:
        for number in range(1, 30):
            before, since = fleet.pods(), fleet.revision()
            target = fleet.elsewhere(*before)
            plan = fleet.plan(fleet.move(before[0], target, strategy=strategy))
            was_killed = run_until_killed(fleet, plan, number)
            installation.start_operator()
            status = fleet.wait_phase(plan, "Completed")
            retire_operator(installation)

            assert [move["phase"] for move in status["moves"]] == ["Done"]
            after = fleet.pods()
            assert len(uids(after) - uids(before)) == 1, number
            assert uids(before) - uids(after) == {before[0]["metadata"]["uid"]}, number
            assert fleet.is_settled(2), number
            if strategy == "SurgeFirst":
                assert fleet.fewest_ready(before, since) == 2, number
            assert fleet.broken_by(plan, before, since) == (), number
            if not was_killed:
                break
        assert number > 4  # proposed, approved, executing, and at least two of the move itself
    finally:
        installation.start_operator()


def retire_operator(installation: Installation) -> None:
    installation.stop(OPERATOR, signal.SIGTERM)
    release_lease(installation)


def release_lease(installation: Installation) -> None:
    """Do as if the dead operator's Lease had run out."""
    with suppress(RequestRefusedError):
        installation.plane.api.delete(LEASES.path(SYSTEM_NAMESPACE, OPERATOR))


def run_until_killed(fleet: Fleet, plan: str, number: int) -> bool:
    """Run an operator that dies at a write; return whether it did before the plan was done."""
    plane = fleet.installation.plane
    environment = {
        **os.environ,
        **fleet.installation.operator_settings,
        "MOORAGE_OPERATOR_KUBECONFIG": str(
            plane.kubeconfig_for_service_account(SYSTEM_NAMESPACE, OPERATOR)
        ),
        "MOORAGE_OPERATOR_LEASE_NAMESPACE": SYSTEM_NAMESPACE,
        "MOORAGE_OPERATOR_LISTEN_HOST": "127.0.0.1",
        "MOORAGE_OPERATOR_LISTEN_PORT": "0",
    }
    command = [sys.executable, str(DYING_PROGRAM), "operator", str(number)]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    try:
        fleet.eventually(
            lambda: process.poll() is not None or fleet.status(plan).get("phase") == "Completed",
            what="the operator died or the plan is done",
            within_s=60,
        )
        return process.poll() == -signal.SIGKILL
    finally:
        process.kill()
        process.wait()
        release_lease(fleet.installation)


def test_a_pod_that_fits_nowhere_is_placed_after_a_move_makes_room(fleet: Fleet) -> None:
    """Four GPUs are free, two on each of two nodes; the waiting pod needs four on one."""
    first, second, third = (node.name for node in gpu_nodes(NODES))
    filler(fleet, first, 4)
    filler(fleet, second, 6)
    gap = filler(fleet, second, 2)
    filler(fleet, third, 8)
    fleet.pool(replicas=1, gpus=2)
    [old] = fleet.pods()
    assert old["spec"]["nodeName"] == first
    fleet.api.delete(PODS.path(fleet.namespace, gap), gracePeriodSeconds="0")
    waiting = create_pod(fleet, "waiting", 4, schedulerName=SCHEDULER_NAME)
    since, before = fleet.revision(), fleet.pods()

    place = {
        "index": 1,
        "step": 1,
        "kind": "Place",
        "pod": {key: waiting["metadata"][key] for key in ("namespace", "name", "uid")},
        "to": first,
        "gpus": 4,
    }
    plan = fleet.plan(fleet.move(old, second), place)
    fleet.wait_phase(plan, "Completed")
    bound = fleet.api.get(PODS.path(fleet.namespace, "waiting"))
    assert bound["spec"]["nodeName"] == first
    assert [pod["spec"]["nodeName"] for pod in fleet.pods()] == [second]
    pool_only = [(k, p) for k, p in fleet.history(since) if POOL_LABEL in p["metadata"]["labels"]]
    assert pool_only
    assert fleet.fewest_ready(before, since) >= 1


def create_pod(fleet: Fleet, name: str, gpus: int, **spec: Any) -> Json:
    resources = {"limits": {"nvidia.com/gpu": str(gpus)}}
    manifest = {
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "containers": [{"name": "c", "image": "none", "resources": resources}],
            "tolerations": [{"operator": "Exists"}],
            **spec,
        },
    }
    return dict(fleet.api.create(PODS.path(fleet.namespace), manifest))


def filler(fleet: Fleet, node: str, gpus: int) -> str:
    """Fill a part of a node; return the pod's name once it runs."""
    name = f"filler-{uuid.uuid4().hex[:6]}"
    create_pod(fleet, name, gpus, nodeName=node)
    path = PODS.path(fleet.namespace, name)
    fleet.eventually(lambda: is_ready(fleet.api.get(path)), what=f"{name} runs")
    return name
