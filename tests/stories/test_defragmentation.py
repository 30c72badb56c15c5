"""Defragmentation on the real control plane: twenty nodes, plans made and carried out by itself.

Every part runs as its own process under its own ServiceAccount, as an installation has it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from typer.testing import CliRunner

from moorage_cli.control_plane import ControlPlane, gpu_nodes
from moorage_cli.control_plane.errors import RequestRefusedError
from moorage_cli.installation import OPERATOR, Installation
from moorage_cli.manifests import SYSTEM_NAMESPACE
from moorage_cli.plan.command import app as plan_app
from moorage_cli.testing import SWIFT_PLANS, Eventually, Film, Json, Quarter, is_ready, unfold
from moorage_crds.names import (
    DEPLOYMENTS,
    DISRUPTION_BUDGETS,
    LEASES,
    NODES,
    PLANS,
    PODS,
    POLICIES,
    POOL_LABEL,
    POOLS,
    SCHEDULER_NAME,
)
from moorage_policies.plans.checks import MOVABLE_ANNOTATION
from moorage_policies.plans.records import ENDED

pytestmark = [pytest.mark.control_plane, pytest.mark.timeout(600)]

NODE_GPUS = 8
SPECS = gpu_nodes(20, gpus=NODE_GPUS)
NODE_NAMES = [spec.name for spec in SPECS]
MIN_GAIN_GPUS = 2
PATIENCE_S = 240.0
"""A search has all of a slow machine's time to compile and load the solver."""


@pytest.fixture(scope="module")
def installation(kubernetes_minor: str) -> Iterator[Installation]:
    settings = {**SWIFT_PLANS, "MOORAGE_OPERATOR_DEFRAGMENTATION_INTERVAL_S": "3"}
    with (
        ControlPlane(kubernetes_minor) as plane,
        Installation(plane, operator_settings=settings) as installed,
    ):
        installed.install()
        plane.create_nodes(SPECS)
        installed.start_extender()
        installed.start_operator()
        installed.start_scheduler()
        yield installed


@dataclass
class Films:
    """What happened to pods and Deployments since a moment at which these pods were there."""

    before: list[Json]
    pods: Film
    deployments: Film

    def fewest_ready(self) -> Counter[str]:
        """Return the least number of ready pods per pool over every revision."""
        events = [
            (kind if POOL_LABEL in pod["metadata"]["labels"] else "DELETED", pod)
            for kind, pod in self.pods.events()
        ]
        lows = ready_by_pool(self.before)
        for pods in unfold(self.before, events):
            now = ready_by_pool(pods.values())
            lows = Counter({name: min(lows[name], now[name]) for name in lows})
        return lows

    def fewest_reported(self) -> Counter[str]:
        """Return the least ready count per pool that any revision of a Deployment reports."""
        lows: Counter[str] = Counter()
        for _, deployment in self.deployments.events():
            pool = deployment["metadata"]["labels"][POOL_LABEL]
            ready = deployment["status"].get("readyReplicas", 0)
            lows[pool] = min(lows.get(pool, ready), ready)
        return lows


def ready_by_pool(pods: Iterable[Json]) -> Counter[str]:
    return Counter(pod["metadata"]["labels"][POOL_LABEL] for pod in pods if is_ready(pod))


def uids(pods: Iterable[Json]) -> set[str]:
    return {pod["metadata"]["uid"] for pod in pods}


@dataclass
class Yard(Quarter):
    """One namespace with pools whose pods lie scattered over the nodes."""

    gpus: dict[str, int] = field(default_factory=dict)
    wanted: Counter[str] = field(default_factory=Counter)
    films: list[Film] = field(default_factory=list)

    def policy(self, **asked: Any) -> None:
        """Apply a policy; without arguments one that moves nothing."""
        spec: Json = {
            "disruption": {
                "maxMoves": 1000,
                "maxMovesPerOwner": 1000,
                "maxParallelMoves": 2,
                "ownerCoolDownSeconds": 0,
                "podCoolDownSeconds": 3600,
            }
        }
        if asked:
            spec["defragmentation"] = {
                "trigger": "Threshold",
                "thresholdPercent": 1,
                "holes": [{"gpus": NODE_GPUS}],
                "minGainGpus": MIN_GAIN_GPUS,
                "coolDownSeconds": 1,
                "searchSeconds": 1,
                **asked,
            }
        manifest = {
            "apiVersion": POLICIES.api_version,
            "kind": POLICIES.kind,
            "metadata": {"name": "default"},
            "spec": spec,
        }
        self.api.apply(POLICIES.path("", "default"), manifest, "test")

    def scatter(self, pools: Mapping[str, tuple[int, int]], *, start: str = "0s") -> Films:
        """Create pools of (replicas, GPUs), each replica on a node of its own; begin to film.

        Each node is filled but for the room of one replica while they are placed.
        """
        sizes = [gpus for replicas, gpus in pools.values() for _ in range(replicas)]
        self.fill({name: NODE_GPUS - gpus for name, gpus in zip(NODE_NAMES, sizes, strict=False)})
        for name, (replicas, gpus) in sorted(pools.items(), key=lambda item: -item[1][1]):
            self.gpus[name] = gpus
            self.pool(name, replicas, start=start)
        self.eventually(self.is_calm, what="every replica is ready", within_s=PATIENCE_S)
        self.unfill()
        self.eventually(self.is_reported, what="every Deployment reports its ready replicas")
        paths = PODS.path(self.namespace), DEPLOYMENTS.path(self.namespace)
        return Films(self.pods(), *map(self.film, paths))

    def fill(self, taken: Mapping[str, int]) -> None:
        """Take so many GPUs of nodes; all of those that are not named."""
        for node in NODE_NAMES:
            if gpus := taken.get(node, NODE_GPUS):
                spec = {
                    "nodeName": node,
                    "terminationGracePeriodSeconds": 0,
                    "containers": [container(gpus)],
                }
                metadata = {"name": f"filler-{node}", "labels": {"app": "filler"}}
                self.api.create(PODS.path(self.namespace), {"metadata": metadata, "spec": spec})

    def unfill(self) -> None:
        path, label = PODS.path(self.namespace), "app=filler"
        self.api.delete(path, labelSelector=label, gracePeriodSeconds="0")
        self.eventually(
            lambda: not self.api.get(path, labelSelector=label)["items"],
            what="the fillers are gone",
        )

    def pool(self, name: str, replicas: int, *, start: str = "0s") -> None:
        """Apply a pool whose replicas take so long to start."""
        self.wanted[name] = replicas
        annotations = {"moorage.dev/simulated-start": start, "moorage.dev/simulated-stop": "0s"}
        role = {
            "name": "worker",
            "replicas": replicas,
            "accelerators": [{"class": "H100-80GB", "count": self.gpus[name]}],
            "template": {
                "metadata": {"annotations": annotations},
                "spec": {"containers": [{"name": "engine", "image": "none"}]},
            },
        }
        manifest = {
            "apiVersion": POOLS.api_version,
            "kind": POOLS.kind,
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": {"model": {"name": "m"}, "roles": [role]},
        }
        self.api.apply(POOLS.path(self.namespace, name), manifest, "user")

    def pods(self, label: str = POOL_LABEL) -> list[Json]:
        """Return the pods with the label that nobody deletes."""
        found = self.api.get(PODS.path(self.namespace), labelSelector=label)["items"]
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def plans(self) -> list[Json]:
        """Return every plan against fragmentation, the oldest first."""
        found = self.api.get(PLANS.path())["items"]
        mine = [plan for plan in found if plan["spec"]["trigger"] == "Defragment"]
        return sorted(mine, key=lambda plan: plan["metadata"]["creationTimestamp"])

    def wait_plan(self, number: int, *phases: str) -> Json:
        """Return the plan of this number once it is in one of the phases; by default ended."""

        def look() -> Json | None:
            plans = self.plans()
            found = plans[number] if len(plans) > number else {}
            phase = found.get("status", {}).get("phase")
            return found if phase in (phases or ENDED) else None

        try:
            return dict(self.eventually(look, what=f"plan {number}", within_s=PATIENCE_S))
        except AssertionError as error:
            log = self.installation.log_tail(OPERATOR)
            raise AssertionError(f"{error}\n{json.dumps(self.plans(), indent=1)}\n{log}") from None

    def wait_move(self, told: str) -> Json:
        """Return plan and progress of the first plan's first move with this phase or reason."""

        def look() -> Json | None:
            for plan in self.plans()[:1]:
                planned = {move["index"]: move for move in plan["spec"]["moves"]}
                for state in plan.get("status", {}).get("moves", ()):
                    if told in (state["phase"], state.get("reason")):
                        return dict(planned[state["index"]] | state)
            return None

        return dict(self.eventually(look, what=f"a move is {told}", within_s=PATIENCE_S))

    def film(self, path: str) -> Film:
        """Begin to record; it ends with the yard."""
        self.films.append(Film(self.api, path))
        return self.films[-1]

    def is_calm(self) -> bool:
        """Return whether every pool has exactly its ready replicas and nothing of a plan."""
        pods = self.pods()
        return ready_by_pool(pods) == self.wanted and len(pods) == self.wanted.total()

    def is_reported(self) -> bool:
        """Return whether the Deployments' statuses say what the pods are."""
        found = self.api.get(DEPLOYMENTS.path(self.namespace))["items"]
        told = {
            d["metadata"]["labels"][POOL_LABEL]: d["status"].get("readyReplicas") for d in found
        }
        return told == self.wanted

    def occupied(self) -> set[str]:
        return {pod["spec"]["nodeName"] for pod in self.pods()}

    def close(self) -> None:
        """Switch defragmentation off, end plans, clear everything, bring lost nodes back."""
        for film in self.films:
            film.events()
        self.policy()
        for plan in self.plans():
            if plan.get("status", {}).get("phase") not in ENDED:
                path = PLANS.path("", plan["metadata"]["name"])
                self.api.patch(path, {"spec": {"mode": "Off"}})
        self.eventually(
            lambda: all(p.get("status", {}).get("phase") in ENDED for p in self.plans()),
            what="every plan has ended",
        )
        self.clear([plan["metadata"]["name"] for plan in self.plans()])
        left = {node["metadata"]["name"] for node in self.api.get(NODES.path())["items"]}
        self.installation.plane.create_nodes([spec for spec in SPECS if spec.name not in left])

    def moorage(self, *arguments: str) -> str:
        """Run ``moorage plan`` against the control plane; return what it prints."""
        kubeconfig = str(self.installation.plane.kubeconfig)
        runner = CliRunner(env={"COLUMNS": "240"})
        result = runner.invoke(plan_app, [*arguments, "--kubeconfig", kubeconfig])
        assert result.exit_code == 0, result.output
        return result.output


def container(gpus: int) -> Json:
    resources = {"limits": {"nvidia.com/gpu": str(gpus)}}
    return {"name": "c", "image": "none", "resources": resources}


@pytest.fixture
def yard(installation: Installation, tag: str, eventually: Eventually) -> Iterator[Yard]:
    yard = Yard.open(installation, f"yard-{tag}", eventually)
    yard.policy()
    yield yard
    yard.close()


SIX_POOLS = {"a": (3, 4), "b": (3, 4), "c": (4, 2), "d": (4, 2), "e": (3, 1), "f": (3, 1)}
"""Twenty replicas of 46 GPUs on twenty nodes; six nodes could hold them."""


def test_twenty_nodes_come_together_and_no_pool_notices(yard: Yard) -> None:
    films = yard.scatter(SIX_POOLS)
    assert len(yard.occupied()) == len(NODE_NAMES)
    yard.policy(maxMoves=8, actuation="Auto")

    plans = [yard.wait_plan(0), yard.wait_plan(1)]
    assert [plan["status"]["phase"] for plan in plans] == ["Completed", "Completed"]
    yard.policy()  # no further plan begins
    yard.eventually(yard.is_calm, what="nothing of the plans is left")

    assert len(yard.occupied()) == 6
    assert films.fewest_ready() == yard.wanted
    assert films.fewest_reported() >= yard.wanted
    assert yard.violations(yard.plans(), films.before, films.pods.events()) == ()
    moves = [move for plan in yard.plans() for move in plan["spec"]["moves"]]
    assert all(len(plan["spec"]["moves"]) <= 8 for plan in plans)
    assert all(float(move["gain"]) >= MIN_GAIN_GPUS for move in moves)
    moved = [move["pod"]["uid"] for move in moves]
    replacements = [m["replacementUid"] for plan in plans for m in plan["status"]["moves"]]
    assert len(set(moved)) == len(moved)
    assert not set(moved) & set(replacements)  # none is moved again while it cools down
    rates = [plan["spec"]["outlook"] for plan in plans]
    assert float(rates[0]["fragmentRateBefore"]) == 1.0
    assert float(rates[1]["fragmentRateAfter"]) < 0.05


@pytest.mark.one_minor
def test_a_recommendation_touches_nothing_and_an_approved_one_waits_for_budgets(
    yard: Yard,
) -> None:
    """Two pods of a plain Deployment, under a budget that closes between plan and approval."""
    guard = guarded_deployment(yard, gpus=2)
    before, film = yard.pods("app=plain"), yard.film(PODS.path(yard.namespace))
    yard.policy(actuation="Recommend")
    plan = yard.wait_plan(0, "Proposed")
    name = plan["metadata"]["name"]
    yard.eventually(
        lambda: "AwaitingApproval" in yard.moorage("show", name), what="it says what it waits for"
    )
    told, outlook = yard.moorage("show", name), plan["spec"]["outlook"]
    assert f"gain {outlook['gain']} GPUs" in told
    assert f"cost about {outlook['costSeconds']} s" in told
    [emptied] = [n for n in outlook["nodes"] if n["freeAfter"] == NODE_GPUS]
    [line] = [row for row in told.splitlines() if f" {emptied['name']} " in row and "->" in row]
    assert " ##...... " in line  # before
    assert " ........ " in line  # after
    assert film.events() == []

    yard.policy()  # no further plan begins
    yard.api.patch(guard, {"spec": {"maxUnavailable": 0}})
    yard.eventually(
        lambda: yard.api.get(guard)["status"]["disruptionsAllowed"] == 0, what="the budget closes"
    )
    yard.moorage("approve", name)
    closed = yard.wait_move("BudgetClosed")
    assert "guard" in closed["message"]
    assert uids(yard.pods("app=plain")) == uids(before)

    yard.api.patch(guard, {"spec": {"maxUnavailable": 1}})
    ended = yard.wait_plan(0)
    assert ended["status"]["phase"] == "Completed"
    assert {pod["spec"]["nodeName"] for pod in yard.pods("app=plain")} < set(NODE_NAMES[:2])


def guarded_deployment(yard: Yard, *, gpus: int) -> str:
    """Create two pods on two nodes, alone there, under a budget; return the budget's path."""
    labels = {"app": "plain"}
    here, there = NODE_NAMES[:2]
    yard.fill({here: NODE_GPUS - gpus, there: NODE_GPUS - gpus})
    template = {
        "metadata": {"labels": labels, "annotations": {MOVABLE_ANNOTATION: "true"}},
        "spec": {"schedulerName": SCHEDULER_NAME, "containers": [container(gpus)]},
    }
    spec = {"replicas": 2, "selector": {"matchLabels": labels}, "template": template}
    yard.api.create(DEPLOYMENTS.path(yard.namespace), {"metadata": {"name": "plain"}, "spec": spec})
    guard = {"selector": {"matchLabels": labels}, "maxUnavailable": 1}
    path = DISRUPTION_BUDGETS.path(yard.namespace)
    yard.api.create(path, {"metadata": {"name": "guard"}, "spec": guard})
    yard.eventually(lambda: sum(map(is_ready, yard.pods("app=plain"))) == 2, what="both are ready")
    yard.unfill()
    path = f"{path}/guard"
    yard.eventually(
        lambda: yard.api.get(path).get("status", {}).get("disruptionsAllowed") == 1,
        what="the budget allows one",
    )
    return path


TWO_POOLS = {"a": (3, 4), "b": (4, 2)}
"""Seven replicas of 20 GPUs on seven nodes; three nodes could hold them."""


@pytest.mark.one_minor
def test_a_node_lost_in_mid_plan_costs_only_what_sat_there(yard: Yard) -> None:
    films = yard.scatter(TWO_POOLS, start="3s")
    yard.policy(maxMoves=8, actuation="Auto")
    target = yard.wait_move("Surging")["to"]
    lost = Counter(
        pod["metadata"]["labels"][POOL_LABEL]
        for pod in films.before
        if pod["spec"]["nodeName"] == target
    )
    yard.installation.plane.delete_nodes([target])
    plan = yard.wait_plan(0)
    states = {state["index"]: state for state in plan["status"]["moves"]}
    for move in plan["spec"]["moves"]:
        state = states[move["index"]]
        if target in (move["from"], move["to"]):
            assert state["phase"] in ("Failed", "Skipped")
        else:
            assert state["phase"] == "Done" or state["reason"] == "PartnerFailed"
    assert "TargetGone" in {state.get("reason") for state in states.values()}
    assert "Done" in {state["phase"] for state in states.values()}
    assert films.fewest_ready() >= yard.wanted - lost


@pytest.mark.one_minor
def test_a_pool_scaled_in_mid_plan_leaves_the_rest_alone(yard: Yard) -> None:
    films = yard.scatter(TWO_POOLS, start="3s")
    yard.policy(maxMoves=8, actuation="Auto")
    pool = yard.wait_move("Surging")["owner"]["name"].partition("-")[0]
    yard.pool(pool, 1, start="3s")
    yard.wait_plan(0)
    yard.eventually(yard.is_calm, what="every pool has what it wants", within_s=PATIENCE_S)
    assert films.fewest_ready() >= yard.wanted
    assert yard.violations(yard.plans(), films.before, films.pods.events()) == ()


@pytest.mark.one_minor
def test_a_killed_operator_is_taken_over_and_nothing_is_done_twice(yard: Yard) -> None:
    films = yard.scatter(TWO_POOLS, start="1s")
    yard.policy(maxMoves=8, actuation="Auto")
    for phase in ("Surging", "Evicting", "Surging"):
        yard.wait_move(phase)
        yard.installation.crash_and_restart(OPERATOR)
        with suppress(RequestRefusedError):  # as if the dead operator's Lease had run out
            yard.api.delete(LEASES.path(SYSTEM_NAMESPACE, OPERATOR))
    plan = yard.wait_plan(0)
    yard.policy()
    assert {move["phase"] for move in plan["status"]["moves"]} == {"Done"}
    yard.eventually(yard.is_calm, what="nothing of the plan is left")
    assert len(yard.plans()) == 1
    made = uids(pod for kind, pod in films.pods.events() if kind == "ADDED")
    done = [move for move in plan["status"]["moves"] if move["phase"] == "Done"]
    assert made == {move["replacementUid"] for move in done}  # one new pod for each move, no more
    gone = uids(films.before) - uids(yard.pods())
    assert gone == {move["pod"]["uid"] for move in plan["spec"]["moves"]}
    assert films.fewest_ready() == yard.wanted
    assert yard.violations(yard.plans(), films.before, films.pods.events()) == ()
