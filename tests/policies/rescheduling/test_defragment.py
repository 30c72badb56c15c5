"""From a cluster to plans: who moves, what it wins, when it is time, what is left of it later."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from moorage_policies.planning.facts import Facts, PlanningParams
from moorage_policies.plans.observation import PlanParams
from moorage_policies.plans.records import (
    Move,
    MoveProgress,
    Plan,
    PlanProgress,
    PlanRecord,
)
from moorage_policies.rescheduling.defragment import look, propose
from moorage_policies.rescheduling.proposals import DefragmentParams, Picture, Proposal, Want
from moorage_policies.rescheduling.staleness import drop_stale
from moorage_policies.rescheduling.triggers import Moment, TriggerParams, decide_start
from moorage_policies.testing import make_node, make_pod
from moorage_policies.types import (
    NVIDIA_GPU,
    DisruptionBudget,
    LabelSelector,
    Node,
    Owner,
    Pod,
    Requirement,
)

EIGHT = Want("big/worker", {NVIDIA_GPU: 8})
PLANNING = PlanningParams(limits=PlanParams())
WANTED = DefragmentParams(wants=(EIGHT,), deadline_s=0.2)


def replica(name: str, node: str, gpus: int, pool: str = "chat", **fields: Any) -> Pod:
    owner = Owner("ReplicaSet", f"{pool}-rs", f"rs-{pool}")
    labels = {"pool": pool, **fields.pop("labels", {})}
    return make_pod(
        name,
        gpus=gpus,
        node=node,
        owner=owner,
        labels=labels,
        scheduler="moorage-scheduler",
        phase="Running",
        ready=True,
        **fields,
    )


def facts_of(nodes: list[Node], pods: list[Pod], **fields: Any) -> Facts:
    migrations = {pod.uid: "SurgeFirst" for pod in pods}
    return Facts(
        at_s=1000.0,
        generation=1,
        nodes=tuple(nodes),
        pods=tuple(pods),
        migrations=fields.pop("migrations", migrations),
        **fields,
    )


def two_half_full(**fields: Any) -> tuple[list[Node], list[Pod]]:
    """Return two nodes with four of eight GPUs taken each: one move of four frees a node."""
    nodes = [make_node("a", gpus=8), make_node("b", gpus=8)]
    return nodes, [replica("p", "a", 4, **fields), replica("q", "b", 4, **fields)]


def proposed(facts: Facts, params: DefragmentParams = WANTED, **limits: Any) -> Proposal:
    planning = replace(PLANNING, limits=replace(PLANNING.limits, **limits))
    return propose(facts, planning, params)


def test_one_move_that_frees_a_whole_node_is_found_priced_and_proven() -> None:
    proposal = proposed(facts_of(*two_half_full()))
    assert len(proposal.moves) == 1
    assert proposal.gain == 8.0
    assert proposal.gains[0].gpus == 8.0
    assert (proposal.rate_before, proposal.rate_after) == (1.0, 0.0)
    assert proposal.proven
    assert {(n.before, n.after) for n in proposal.nodes} == {(4, 8), (4, 0)}


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"annotations": {"moorage.dev/movable": "false"}}, id="opted-out"),
        pytest.param({"namespace": "kube-system"}, id="protected-namespace"),
        pytest.param({"priority": 2_000_000_000}, id="protected-priority"),
        pytest.param({"unsupported": ("HostPort",)}, id="not-modelled"),
        pytest.param({"labels": {"moorage.dev/gang": "g"}}, id="member-of-a-gang"),
        pytest.param({"terminating": True}, id="shutting-down"),
    ],
)
def test_whoever_may_not_be_moved_stays(change: dict[str, Any]) -> None:
    assert proposed(facts_of(*two_half_full(**change))).moves == ()


def test_pods_that_are_not_ready_or_whose_pool_says_never_stay() -> None:
    nodes, pods = two_half_full()
    unready = [replace(pod, ready=False) for pod in pods]
    assert proposed(facts_of(nodes, unready)).moves == ()
    never = {pod.uid: "Never" for pod in pods}
    assert proposed(facts_of(nodes, pods, migrations=never)).moves == ()


def test_exempt_namespaces_closed_budgets_and_used_up_limits_hold() -> None:
    nodes, pods = two_half_full()
    facts = facts_of(nodes, pods)
    exempt = replace(WANTED, exempt_namespaces=frozenset({"default"}))
    assert proposed(facts, exempt).moves == ()
    selector = LabelSelector((Requirement("pool", "In", ("chat",)),))
    closed = DisruptionBudget("default", "pdb", selector, 0)
    assert proposed(replace(facts, budgets=(closed,))).moves == ()
    assert len(proposed(replace(facts, budgets=(replace(closed, disruptions_allowed=1),))).moves)
    assert proposed(facts, max_moves=0).moves == ()
    assert proposed(facts, max_moves_per_owner=0).moves == ()


def test_no_move_wins_less_than_it_costs() -> None:
    facts = facts_of(*two_half_full())
    assert proposed(facts, replace(WANTED, min_gain_gpus=8)).moves
    assert proposed(facts, replace(WANTED, min_gain_gpus=9)).moves == ()
    slow = {pod.uid: 600.0 for pod in facts.pods[:1]} | {pod.uid: 60.0 for pod in facts.pods[1:]}
    moved = proposed(facts, replace(WANTED, min_gain_gpus=5, restart_s=slow)).moves
    assert [move.name for move in moved] == ["q"], "the one that starts sooner goes"


def test_a_pod_that_was_moved_is_left_alone_until_it_has_cooled_down() -> None:
    nodes, pods = two_half_full()
    move = Move(0, 0, "Move", "old", "default", "old", pods[0].owner, "b", "a", gpus=4)
    done = MoveProgress(0, "Done", "p", pods[0].uid, started_s=900.0, finished_s=950.0)
    past = PlanRecord(
        Plan("plan", "plan", (move,)), PlanProgress("Completed", moves=(done,), started_s=900.0)
    )
    facts = facts_of(nodes, pods, plans=(past,))
    assert {m.name for m in proposed(facts).moves} == {"q"}
    both = replace(past.progress, moves=(done, replace(done, index=1, replacement_uid=pods[1].uid)))
    second = replace(move, index=1, uid="old2")
    record = PlanRecord(Plan("plan", "plan", (move, second)), both)
    assert proposed(replace(facts, plans=(record,))).moves == ()
    assert proposed(replace(facts, plans=(record,), at_s=9000.0)).moves


def test_whole_nodes_and_domains_are_goals_of_their_own() -> None:
    zones = {"a": "x", "b": "x", "c": "y"}
    nodes = [make_node(n, gpus=4, labels={"rack": z}) for n, z in zones.items()]
    pods = [replica("p", "a", 1), replica("q", "b", 1), replica("r", "c", 1)]
    facts = facts_of(nodes, pods)
    whole = proposed(facts, DefragmentParams(goal="WholeNodes", deadline_s=0.2))
    assert whole.gain == 8.0
    assert len(whole.moves) == 2
    domains = DefragmentParams(goal="TopologyDomains", topology_key="rack", deadline_s=0.2)
    freed = proposed(facts, domains)
    assert {move.target for move in freed.moves} == {"c"}, "the rack of two nodes is freed"


def test_the_picture_tells_who_finds_no_hole() -> None:
    facts = facts_of(*two_half_full())
    picture = look(facts, PLANNING, WANTED)
    assert picture == Picture(1.0, 8, ("big/worker",))
    fits = look(facts, PLANNING, replace(WANTED, wants=(Want("small", {NVIDIA_GPU: 4}),)))
    assert fits.without_room == ()
    assert fits.fragment_rate == 0.0
    none = look(facts, PLANNING, replace(WANTED, wants=(Want("huge", {NVIDIA_GPU: 9}),)))
    assert none.without_room == (), "nine are not free at all"


SCATTERED = Picture(0.4, 12, ("big/worker",))


@pytest.mark.parametrize(
    ("params", "moment", "starts"),
    [
        pytest.param(TriggerParams("Threshold", 40), {}, True, id="threshold-is-reached"),
        pytest.param(TriggerParams("Threshold", 41), {}, False, id="threshold-is-not"),
        pytest.param(TriggerParams("NoHole"), {}, True, id="no-hole"),
        pytest.param(
            TriggerParams("NoHole"), {"picture": Picture(0.4, 12, ())}, False, id="a-hole"
        ),
        pytest.param(TriggerParams("Pending"), {}, False, id="nobody-waits"),
        pytest.param(TriggerParams("Pending"), {"waiting": 1}, True, id="somebody-waits"),
        pytest.param(TriggerParams("Schedule"), {}, True, id="window-open"),
        pytest.param(TriggerParams("Schedule"), {"is_open": False}, False, id="window-shut"),
        pytest.param(TriggerParams("NoHole"), {"is_open": False}, False, id="outside-of-windows"),
        pytest.param(TriggerParams("NoHole"), {"unfinished": "p"}, False, id="one-at-a-time"),
        pytest.param(TriggerParams("NoHole"), {"last_end_s": 500.0}, False, id="cools-down"),
        pytest.param(TriggerParams("NoHole"), {"last_end_s": 399.0}, True, id="has-cooled-down"),
        pytest.param(TriggerParams("NoHole"), {"picture": None}, False, id="not-looked-yet"),
    ],
)
def test_when_it_is_time(params: TriggerParams, moment: dict[str, Any], starts: bool) -> None:
    told = decide_start(params, Moment(**{"now_s": 1000.0, "picture": SCATTERED, **moment}))
    assert told.value is starts
    assert told.reason


def churned(seed: int, nodes: int = 60) -> tuple[list[Node], list[Pod], np.random.Generator]:
    """Return nodes with small pods all over them."""
    noise = np.random.default_rng(seed)
    listed = [make_node(f"n{i:02d}", gpus=8) for i in range(nodes)]
    pods, free = [], dict.fromkeys((n.name for n in listed), 8)
    for index in range(nodes * 4):
        gpus = int(noise.choice([1, 1, 2, 2, 4]))
        spots = [name for name, room in free.items() if room >= gpus]
        if spots and sum(free.values()) > nodes * 8 * 0.35:
            name = str(noise.choice(spots))
            free[name] -= gpus
            pods.append(replica(f"p{index}", name, gpus, pool=f"pool{index % 12}"))
    return listed, pods, noise


def test_a_plan_stays_useful_while_fifteen_changes_a_minute_pass() -> None:
    """Replay ten minutes: a minute per move, 15 changes before each; what is left still wins."""
    nodes, pods, noise = churned(3)
    loose = {"max_moves": 100, "max_moves_per_owner": 100}
    wanted = replace(WANTED, max_moves=10, deadline_s=0.5)
    proposal = proposed(facts_of(nodes, pods), wanted, **loose)
    assert len(proposal.moves) == 10
    alive = {pod.uid: pod for pod in pods}
    waiting, carried, dropped = list(proposal.moves), [], 0
    while waiting:
        for number in range(15):
            _change_something(alive, nodes, noise, f"{len(waiting)}-{number}")
        fresh = drop_stale(waiting, nodes, list(alive.values()))
        dropped += len(fresh.dropped)
        if not fresh.kept:
            break
        first, *waiting = fresh.kept
        alive[first.uid] = replace(alive[first.uid], node=first.target)
        carried.append(first)
        for node in nodes:
            held = [p for p in alive.values() if p.node == node.name]
            assert sum(p.requests[NVIDIA_GPU] for p in held) <= 8
    assert carried
    assert len(carried) + dropped == 10
    with_plan = look(facts_of(nodes, list(alive.values())), PLANNING, WANTED).fragment_rate
    back = {move.uid: move.source for move in carried}
    undone = [replace(p, node=back.get(p.uid, p.node)) for p in alive.values()]
    without = look(facts_of(nodes, undone), PLANNING, WANTED).fragment_rate
    assert with_plan < without


def _change_something(
    alive: dict[str, Pod], nodes: list[Node], noise: np.random.Generator, name: str
) -> None:
    """Let a pod go, or another come to the fullest node that has room."""
    if noise.random() < 0.5:
        alive.pop(str(noise.choice(sorted(alive))))
        return
    gpus = int(noise.choice([1, 2]))
    used = dict.fromkeys((node.name for node in nodes), 0)
    for pod in alive.values():
        used[pod.node or ""] += pod.requests[NVIDIA_GPU]
    spots = [node for node, taken in used.items() if taken + gpus <= 8]
    if spots:
        fullest = max(spots, key=lambda node: used[node])
        pod = replica(f"new-{name}", fullest, gpus, pool="newcomers")
        alive[pod.uid] = pod


@pytest.mark.parametrize(
    ("change", "why"),
    [
        pytest.param({"node": "b"}, "elsewhere", id="moved-by-others"),
        pytest.param({"terminating": True}, "gone", id="going"),
        pytest.param({"phase": "Succeeded"}, "gone", id="done"),
    ],
)
def test_stale_moves_say_why(change: dict[str, Any], why: str) -> None:
    nodes, pods = two_half_full()
    [move] = proposed(facts_of(nodes, pods)).moves
    moved = next(pod for pod in pods if pod.uid == move.uid)
    stays = next(pod for pod in pods if pod.uid != move.uid)
    fresh = drop_stale([move], nodes, [stays, replace(moved, **change)])
    if change.get("node") == move.source:
        fresh = drop_stale([move], nodes, [stays, replace(moved, node="a")])
    assert why in fresh.dropped[0]
    cordoned = [replace(node, unschedulable=True) for node in nodes]
    assert "cordoned" in drop_stale([move], cordoned, pods).dropped[0]
    guest = replica("guest", move.target, 2)
    assert NVIDIA_GPU in drop_stale([move], nodes, [*pods, guest]).dropped[0]
