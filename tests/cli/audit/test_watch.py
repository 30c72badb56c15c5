"""Looks at a cluster become a history that the invariants judge."""

from __future__ import annotations

from dataclasses import replace

from moorage_cli.audit.watch import to_history
from moorage_cli.snapshot.read import Seen
from moorage_crds.policy import PolicySpec
from moorage_policies.invariants import audit
from moorage_policies.plans import Move, Plan, PlanProgress, PlanRecord
from moorage_policies.testing import make_node, make_pod
from moorage_policies.types import DisruptionBudget, LabelSelector, Owner, Pod

OURS = "moorage-scheduler"
NODES = (make_node("a", gpus=4),)


def ours(name: str, *, gpus: int = 4, node: str | None = "a", **fields: object) -> Pod:
    owner = Owner("ReplicaSet", name, name)
    return make_pod(name, gpus=gpus, node=node, scheduler=OURS, owner=owner, **fields)


EVICTION = PlanRecord(
    Plan(
        "p",
        "p",
        (
            Move(0, 0, "Evict", "pod-default-low", "default", "low", source="a"),
            Move(1, 1, "Place", "pod-default-w", "default", "w", target="a", priority=9),
        ),
    ),
    PlanProgress("Executing"),
)


def look(at_s: float, *pods: Pod, allowed: int = 1, plans: tuple[PlanRecord, ...] = ()) -> Seen:
    budget = DisruptionBudget("default", "guard", LabelSelector(), allowed)
    return Seen(at_s, NODES, pods, (budget,), plans, PolicySpec())


def broken(*looks: Seen) -> list[int]:
    return [violation.invariant for violation in audit(to_history(looks))]


def test_a_quiet_cluster_keeps_every_promise() -> None:
    assert broken(look(0.0, ours("low")), look(2.0, ours("low"))) == []


def test_one_look_finds_an_over_committed_node() -> None:
    assert broken(look(0.0, ours("low"), ours("more", gpus=1))) == [1]


def test_an_eviction_by_a_plan_is_judged_by_budget_and_priority() -> None:
    low, gone = ours("low"), ours("low", terminating=True)
    assert broken(look(0.0, low, plans=(EVICTION,)), look(2.0, gone, plans=(EVICTION,))) == []
    shut = [look(0.0, low, plans=(EVICTION,), allowed=0), look(2.0, gone, allowed=0)]
    assert broken(*shut) == [4]
    opened = [shut[0], look(2.0, gone, allowed=1)]
    assert broken(*opened) == []
    high = replace(low, priority=9), replace(gone, priority=9)
    assert 4 in broken(look(0.0, high[0], plans=(EVICTION,)), look(2.0, high[1]))


def test_somebody_elses_drain_is_not_judged() -> None:
    assert broken(look(0.0, ours("low"), allowed=0), look(2.0, allowed=0)) == []


def test_a_gang_that_stays_partly_bound_is_named() -> None:
    mark = {"labels": {"moorage.dev/gang": "g"}, "annotations": {"moorage.dev/gang-size": "2"}}
    half = (ours("one", gpus=1, **mark), ours("two", gpus=1, node=None, **mark))
    looks = [look(at_s, *half) for at_s in (0.0, 50.0, 100.0)]
    assert broken(*looks) == [3]
