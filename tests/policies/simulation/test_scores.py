"""The default plugins' formulas, worked out by hand beside each case."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from moorage_policies.simulation.books import Books
from moorage_policies.simulation.scores import (
    Balance,
    StockScores,
    balanced_allocation,
    least_allocated,
)
from moorage_policies.state import Snapshot, snapshot_of
from moorage_policies.testing import make_node, make_pod
from moorage_policies.types import (
    Affinity,
    NodeSelectorTerm,
    Owner,
    Pod,
    PreferredNodeTerm,
    Requirement,
    Taint,
)

MIB = 1024**2
NODE = {"cpu_m": 4000, "memory": 10_000 * MIB, "gpus": 0}


def cluster(*pods: Pod, **node: Any) -> Snapshot:
    return snapshot_of([make_node("n", **{**NODE, **node})], pods)


def pod(cpu_m: int, memory_mib: int, name: str = "new", **fields: Any) -> Pod:
    return make_pod(name, gpus=0, cpu_m=cpu_m, memory=memory_mib * MIB, **fields)


@pytest.mark.parametrize(
    ("asked", "placed", "score"),
    [
        # (4000-3000)*100/4000 = 25, (10000-5000)*100/10000 = 50, mean 37
        pytest.param((3000, 5000), [], 37, id="empty-node"),
        # cpu (4000-1000-2000)*100/4000 = 25, memory (10000-1000-1000)*100/10000 = 80, mean 52
        pytest.param((1000, 1000), [(2000, 1000)], 52, id="what-is-placed-counts"),
        # cpu over: 0, memory (10000-1000)*100/10000 = 90, mean 45
        pytest.param((5000, 1000), [], 45, id="more-than-there-is-gives-none"),
        # a pod without requests counts as 100 m and 200 MiB: 97 and 98, mean 97
        pytest.param((0, 0), [], 97, id="best-effort-pod"),
        # the placed one counts 100 m and 200 MiB: cpu 3900-1000 -> 72, memory 9800-1000 -> 88
        pytest.param((1000, 1000), [(0, 0)], 80, id="best-effort-neighbour"),
    ],
)
def test_least_allocated(asked: tuple[int, int], placed: list[tuple[int, int]], score: int) -> None:
    there = [pod(*amounts, name=f"p{i}", node="n") for i, amounts in enumerate(placed)]
    snapshot = cluster(*there)
    result = least_allocated(pod(*asked), snapshot, np.array([0]), Books(snapshot))
    assert result.tolist() == [score]


def test_least_allocated_leaves_out_what_a_node_does_not_offer() -> None:
    snapshot = cluster(cpu_m=0)
    result = least_allocated(pod(0, 5000), snapshot, np.array([0]), Books(snapshot))
    assert result.tolist() == [50]


@pytest.mark.parametrize(
    ("asked", "placed", "balance", "score"),
    [
        # shares .75 and .5, deviation .125
        pytest.param((3000, 5000), [], "level", 87, id="level-after-the-pod"),
        pytest.param((2000, 5000), [], "level", 100, id="level-even"),
        # before 100, after 87: 50 + (50 + 87 - 100) // 2
        pytest.param((3000, 5000), [], "change", 68, id="change-for-the-worse"),
        # before .5/0 -> 75, after .5/.5 -> 100: 50 + (50 + 100 - 75) // 2
        pytest.param((0, 5000), [(2000, 0)], "change", 87, id="change-for-the-better"),
        pytest.param((0, 0), [(2000, 0)], "change", 0, id="best-effort-pod-is-not-judged"),
        # share of cpu is capped at 1: deviation (1 - .1) / 2 = .45
        pytest.param((8000, 1000), [], "level", 55, id="over-full-counts-as-full"),
    ],
)
def test_balanced_allocation(
    asked: tuple[int, int], placed: list[tuple[int, int]], balance: Balance, score: int
) -> None:
    there = [pod(*amounts, name=f"p{i}", node="n") for i, amounts in enumerate(placed)]
    result = balanced_allocation(pod(*asked), cluster(*there), np.array([0]), balance)
    assert result.tolist() == [score]


def totals(new: Pod, snapshot: Snapshot, **options: Any) -> dict[str, int]:
    scores = StockScores(**{"balance": "change", "default_spread": True, **options})
    rows = np.arange(len(snapshot.nodes))
    values = scores.total(new, snapshot, rows, Books(snapshot)).tolist()
    return dict(zip(snapshot.node_names, values, strict=True))


def test_weights_of_the_default_profile() -> None:
    soft_taint = (Taint("slow", effect="PreferNoSchedule"),)
    nodes = [
        make_node("plain", **NODE),
        make_node("tainted", taints=soft_taint, **NODE),
        make_node("liked", labels={"disk": "ssd"}, **NODE),
    ]
    ssd = NodeSelectorTerm((Requirement("disk", "Exists"),))
    likes = Affinity(preferred_node_terms=(PreferredNodeTerm(7, ssd),))
    result = totals(pod(1000, 1000, affinity=likes), snapshot_of(nodes))
    assert result["plain"] - result["tainted"] == 3 * 100
    assert result["liked"] - result["plain"] == 2 * 100


def test_pods_of_a_workload_spread_by_default() -> None:
    nodes = [make_node(name, **NODE) for name in ("a", "b")]
    owner = Owner("ReplicaSet", "web", "uid")
    sibling = pod(0, 0, "sibling", node="a", owner=owner, labels={"app": "web"})
    new = pod(1000, 1000, owner=owner, labels={"app": "web"})
    snapshot = snapshot_of(nodes, [sibling])
    # one sibling on a, none on b: with the most at 1 * log(2 + 2) + 2 -> 3 points and the least
    # at 2, a gets 100 * (3 + 2 - 3) / 3 = 66 and b 100; what is requested moves the rest
    spread = totals(new, snapshot)
    plain = totals(new, snapshot, default_spread=False)
    assert {name: spread[name] - plain[name] for name in spread} == {"a": 2 * 66, "b": 2 * 100}


def test_default_spread_does_not_touch_pods_without_a_workload() -> None:
    snapshot = snapshot_of([make_node("a", **NODE)], [])
    new = pod(1000, 1000, labels={"app": "web"})
    assert totals(new, snapshot) == totals(new, snapshot, default_spread=False)
