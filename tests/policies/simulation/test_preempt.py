"""The in-memory DefaultPreemption: reprieve, budgets, and which node is taken."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from moorage_policies.feasibility import Trials, feasible_nodes
from moorage_policies.simulation.books import Books
from moorage_policies.simulation.preempt import (
    Candidate,
    find_candidates,
    pick_node,
    select_victims,
)
from moorage_policies.state import snapshot_of
from moorage_policies.testing import make_node, make_pod
from moorage_policies.types import DisruptionBudget, LabelSelector, Pod, Requirement


def on_n(name: str, gpus: int, priority: int = 0, **fields: Any) -> Pod:
    return make_pod(name, **{"node": "n", "gpus": gpus, "priority": priority, **fields})


def guard(app: str, allowed: int) -> DisruptionBudget:
    selector = LabelSelector((Requirement("app", "In", (app,)),))
    return DisruptionBudget("default", f"guard-{app}", selector, allowed)


@pytest.mark.parametrize(
    ("placed", "budgets", "names", "violations"),
    [
        # needs 4 of 8: p2 (highest) and p1 come back, then p0 no longer fits beside them
        pytest.param(
            [on_n("p0", 4, 0), on_n("p1", 2, 1), on_n("p2", 2, 2)],
            [],
            ["p0"],
            0,
            id="the-important-come-back-first",
        ),
        pytest.param(
            [on_n("old", 4, started_s=1.0), on_n("young", 4, started_s=9.0)],
            [],
            ["young"],
            0,
            id="the-longer-run-counts-as-more-important",
        ),
        pytest.param(
            [on_n("a", 4, 5), on_n("b", 4, 0, labels={"app": "x"})],
            [guard("x", 0)],
            ["a"],
            0,
            id="a-guarded-pod-comes-back-before-a-more-important-one",
        ),
        pytest.param(
            [on_n("a", 8, 0, labels={"app": "x"})],
            [guard("x", 0)],
            ["a"],
            1,
            id="best-effort-on-budgets",
        ),
        pytest.param(
            [on_n("a", 8, 0, labels={"app": "x"})],
            [guard("x", 1)],
            ["a"],
            0,
            id="a-budget-with-room",
        ),
        pytest.param([on_n("a", 6, 10), on_n("b", 2, 0)], [], None, 0, id="equals-do-not-go"),
        pytest.param([], [], None, 0, id="nobody-to-evict"),
        pytest.param(
            [on_n("a", 4, 1), on_n("b", 4, 3)], [], ["a"], 0, id="victims-are-the-least-important"
        ),
    ],
)
def test_select_victims(
    placed: list[Pod],
    budgets: list[DisruptionBudget],
    names: list[str] | None,
    violations: int,
) -> None:
    new = make_pod("new", gpus=4, priority=10)
    candidate = select_victims(Trials(new, snapshot_of([make_node("n")], placed)), 0, budgets)
    if names is None:
        assert candidate is None
    else:
        assert candidate is not None
        assert [pod.name for pod in candidate.victims] == names
        assert candidate.pdb_violations == violations


def loss(*priorities: int, violations: int = 0, started_s: float = 0.0) -> Candidate:
    pods = tuple(
        make_pod(f"p{i}", priority=priority, started_s=started_s)
        for i, priority in enumerate(priorities)
    )
    return Candidate(pods, violations)


@pytest.mark.parametrize(
    ("worse", "better"),
    [
        pytest.param(loss(0, violations=1), loss(9, 9), id="budget-violations-first"),
        pytest.param(loss(5), loss(4, 4, 4), id="then-the-highest-priority"),
        pytest.param(loss(4, 4), loss(4, 3), id="then-the-sum"),
        pytest.param(loss(4, -1), loss(4), id="negative-priorities-do-not-make-more-pods-cheaper"),
        pytest.param(loss(4, started_s=1.0), loss(4, started_s=2.0), id="then-the-later-start"),
    ],
)
def test_pick_node(worse: Candidate, better: Candidate) -> None:
    assert pick_node({"a": worse, "b": better}) == "b"
    assert pick_node({"a": better, "b": worse}) == "a"


def test_the_search_stops_at_a_tenth_of_the_nodes_but_not_below_a_hundred() -> None:
    nodes = [make_node(f"n{i:04}") for i in range(150)]
    placed = [make_pod(f"p{i}", gpus=8, node=node.name) for i, node in enumerate(nodes)]
    snapshot = snapshot_of(nodes, placed)
    new = make_pod("new", gpus=8, priority=1)
    resolvable = feasible_nodes(new, snapshot).resolvable
    assert resolvable.all()
    rng = np.random.default_rng(0)
    found = find_candidates(new, snapshot, resolvable, Books(snapshot), [], rng)
    assert len(found) == 100
    again = find_candidates(new, snapshot, resolvable, Books(snapshot), [], rng)
    assert set(again) != set(found)


def test_nodes_where_evictions_cannot_help_are_not_tried() -> None:
    nodes = [
        make_node("full"),
        make_node("cordoned", unschedulable=True),
        make_node("small", gpus=2),
    ]
    placed = [make_pod(f"on-{node.name}", gpus=2, node=node.name) for node in nodes]
    placed.append(make_pod("rest", gpus=6, node="full"))
    snapshot = snapshot_of(nodes, placed)
    new = make_pod("new", gpus=4, priority=1)
    resolvable = feasible_nodes(new, snapshot).resolvable
    found = find_candidates(
        new, snapshot, resolvable, Books(snapshot), [], np.random.default_rng(0)
    )
    assert set(found) == {"full"}
