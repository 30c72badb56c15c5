"""The cycle: order, ties, nomination, budgets, the extender's place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from moorage_policies.preemption import Victims
from moorage_policies.scoring import Ranker, RankingParams
from moorage_policies.simulation import (
    RankingExtender,
    Result,
    SchedulerParams,
    simulate,
)
from moorage_policies.simulation.scheduler import nodes_to_find
from moorage_policies.state import Snapshot
from moorage_policies.testing import make_node, make_pod
from moorage_policies.types import (
    Affinity,
    DisruptionBudget,
    IntArray,
    LabelSelector,
    Node,
    Pod,
    PodAffinityTerm,
    Requirement,
)

BY_NAME = SchedulerParams(ties="name")


def run(nodes: Sequence[Node], pods: Sequence[Pod], *, seed: int = 0, **options: Any) -> Result:
    params = options.pop("params", BY_NAME)
    return simulate(nodes, pods, params, np.random.default_rng(seed), **options).value


def nodes_named(*names: str, **fields: Any) -> list[Node]:
    return [make_node(name, **fields) for name in names]


def test_the_more_important_go_first_then_the_older() -> None:
    pods = [
        make_pod("late", gpus=8, priority=5, created_s=2.0),
        make_pod("early", gpus=8, priority=5, created_s=1.0),
        make_pod("low", gpus=8, priority=1, created_s=0.0),
    ]
    result = run(nodes_named("a"), pods)
    assert [attempt.pod.name for attempt in result.attempts] == ["early", "late", "low"]
    assert result.placements == {"pod-default-early": "a"}
    assert result.pending == ("pod-default-late", "pod-default-low")


def test_the_emptier_node_wins() -> None:
    busy = make_pod("busy", node="a", cpu_m=32_000)
    result = run(nodes_named("a", "b"), [busy, make_pod("new")])
    assert result.placements["pod-default-new"] == "b"


def test_ties_by_name_and_at_random() -> None:
    nodes = nodes_named("c", "a", "b")
    assert run(nodes, [make_pod("new")]).placements == {"pod-default-new": "a"}
    random = SchedulerParams(ties="random")
    chosen = [
        run(nodes, [make_pod("new")], seed=seed, params=random).placements["pod-default-new"]
        for seed in range(60)
    ]
    assert {chosen.count(name) > 5 for name in "abc"} == {True}
    assert (
        chosen[7]
        == run(nodes, [make_pod("new")], seed=7, params=random).placements["pod-default-new"]
    )


def test_every_pod_that_was_tried_has_a_reason() -> None:
    result = run(nodes_named("a"), [make_pod("fits"), make_pod("huge", gpus=9)])
    assert result.reasons["pod-default-huge"] == "0 of 1 nodes: 1 is short of nvidia.com/gpu"
    assert result.reasons["pod-default-fits"] == "the only node left"


def test_gated_pods_are_left_alone() -> None:
    result = run(nodes_named("a"), [make_pod("gated", gates=("wait",))])
    assert result.attempts == ()
    assert result.pending == ("pod-default-gated",)


class TestPreemption:
    low = make_pod("low", gpus=8, node="a", priority=0, phase="Running", started_s=0.0)
    high = make_pod("high", gpus=4, priority=10)

    def test_evicts_nominates_then_binds(self) -> None:
        result = run(nodes_named("a"), [self.low, self.high])
        outcomes = [(a.pod.name, a.outcome) for a in result.attempts]
        assert outcomes == [("high", "nominated"), ("high", "bound"), ("low", "unschedulable")]
        assert result.placements == {self.high.uid: "a"}
        assert result.evictions == 1
        assert result.pending == (self.low.uid,)

    def test_a_victim_may_find_another_place(self) -> None:
        small = replace(self.low, requests={**self.low.requests, "nvidia.com/gpu": 5})
        result = run(nodes_named("a"), [small, make_pod("high", gpus=8, priority=10)])
        assert result.pending == (small.uid,)
        two = [*nodes_named("a"), make_node("b", gpus=5)]
        moved = run(two, [small, make_pod("high", gpus=8, priority=10)])
        assert moved.placements == {"pod-default-high": "a", small.uid: "b"}

    def test_victims_that_do_not_return_are_gone(self) -> None:
        params = SchedulerParams(ties="name", victims_return=False)
        result = run(nodes_named("a"), [self.low, self.high], params=params)
        assert result.pending == ()
        assert result.placements == {self.high.uid: "a"}

    @pytest.mark.parametrize(
        ("pod", "params"),
        [
            pytest.param(high, SchedulerParams(preemption=False), id="switched-off"),
            pytest.param(replace(high, preemption="Never"), BY_NAME, id="policy-never"),
            pytest.param(replace(high, priority=0), BY_NAME, id="equal-priority"),
        ],
    )
    def test_does_not_happen(self, pod: Pod, params: SchedulerParams) -> None:
        result = run(nodes_named("a"), [self.low, pod], params=params)
        assert result.evictions == 0
        assert result.placements == {self.low.uid: "a"}

    def test_budgets_are_used_up(self) -> None:
        selector = LabelSelector((Requirement("app", "In", ("x",)),))
        guarded = [
            make_pod(f"g{n}", gpus=8, node=n, labels={"app": "x"}, started_s=0.0) for n in "ab"
        ]
        free = make_pod("free", gpus=8, node="c", priority=5, started_s=0.0)
        budget = DisruptionBudget("default", "pdb", selector, 1)
        pods = [*guarded, free, *(make_pod(f"h{i}", gpus=8, priority=10) for i in range(2))]
        params = SchedulerParams(ties="name", victims_return=False)
        result = run(nodes_named("a", "b", "c"), pods, budgets=[budget], params=params)
        # the first takes a guarded pod of priority 0, the second must not and takes the free one
        victims = [victim.name for attempt in result.attempts for victim in attempt.victims]
        assert victims in (["ga", "free"], ["gb", "free"])

    def test_a_more_important_comer_takes_a_nominated_room(self) -> None:
        waiting = make_pod("waiting", gpus=8, priority=5, nominated_node="a", gates=("hold",))
        equal = run(nodes_named("a"), [waiting, make_pod("equal", gpus=8, priority=5)])
        assert equal.placements == {}
        higher = run(nodes_named("a"), [waiting, make_pod("higher", gpus=8, priority=6)])
        assert higher.placements == {"pod-default-higher": "a"}


def test_one_who_needs_company_tries_again_when_it_came() -> None:
    term = PodAffinityTerm(
        "kubernetes.io/hostname", LabelSelector((Requirement("app", "In", ("db",)),))
    )
    shy = make_pod("shy", priority=9, affinity=Affinity(required_pod_affinity=(term,)))
    db = make_pod("db", priority=0, labels={"app": "db"})
    result = run(nodes_named("a", "b"), [shy, db])
    assert result.placements[shy.uid] == result.placements[db.uid]


def test_waves_are_placed_one_after_the_other() -> None:
    waves = [[make_pod("small", gpus=4, priority=1)], [make_pod("big", gpus=8, priority=9)]]
    result = run(nodes_named("a"), [], waves=waves)
    assert result.placements == {"pod-default-big": "a"}
    assert result.evictions == 1
    together = run(nodes_named("a"), [pod for wave in waves for pod in wave])
    assert together.evictions == 0


@pytest.mark.parametrize(
    ("nodes", "percent", "found"),
    [
        pytest.param(99, 0, 99, id="few-nodes-are-all-looked-at"),
        pytest.param(100, 0, 100, id="never-fewer-than-a-hundred"),
        pytest.param(1000, 0, 420, id="forty-two-percent-at-a-thousand"),
        pytest.param(5000, 0, 500, id="a-tenth-at-five-thousand"),
        pytest.param(15000, 0, 750, id="never-below-five-percent"),
        pytest.param(5000, 100, 5000, id="all-when-told"),
    ],
)
def test_nodes_to_find(nodes: int, percent: int, found: int) -> None:
    assert nodes_to_find(nodes, percent) == found


def test_a_partial_search_moves_on_over_the_nodes() -> None:
    nodes = nodes_named(*(f"n{i:03}" for i in range(250)))
    params = SchedulerParams(ties="name", nodes_to_score_percent=40)
    pods = [make_pod(f"p{i}", created_s=float(i)) for i in range(3)]
    result = run(nodes, pods, params=params)
    # 100 nodes a search: it starts at 0, 100 and 200
    # and the third, n200 to n249 and n000 to n049, finds n000 taken
    assert [result.placements[pod.uid] for pod in pods] == ["n000", "n100", "n001"]


@dataclass
class Scripted:
    """An extender that answers what it was told and remembers what it was asked."""

    allowed: frozenset[str] | None = None
    favourite: str | None = None
    veto: bool = False
    weight: int = 100
    asked: list[tuple[str, str]] = field(default_factory=list)

    def is_interested(self, pod: Pod) -> bool:
        return "nvidia.com/gpu" in pod.requests

    def filter(self, pod: Pod, snapshot: Snapshot, rows: IntArray) -> IntArray:
        self.asked.append(("filter", pod.name))
        names = snapshot.node_names
        keep = [r for r in rows if self.allowed is None or names[r] in self.allowed]
        return np.array(keep, dtype=np.int64)

    def prioritize(self, pod: Pod, snapshot: Snapshot, rows: IntArray) -> IntArray:
        self.asked.append(("prioritize", pod.name))
        return np.array([10 * (snapshot.node_names[r] == self.favourite) for r in rows])

    def preempt(
        self,
        pod: Pod,
        candidates: Mapping[str, tuple[str, ...]],
        snapshot: Snapshot,
        budgets: Sequence[DisruptionBudget],
        now_s: float,
    ) -> Mapping[str, Victims]:
        del snapshot, budgets, now_s
        self.asked.append(("preempt", pod.name))
        if self.veto:
            return {}
        return {name: Victims(uids, 0) for name, uids in candidates.items()}


class TestExtender:
    nodes = nodes_named("a", "b", "c")

    def test_filters_what_passed_and_scores_what_is_left(self) -> None:
        extender = Scripted(allowed=frozenset("bc"), favourite="c")
        assert run(self.nodes, [make_pod("p")], extender=extender).placements == {
            "pod-default-p": "c"
        }
        assert extender.asked == [("filter", "p"), ("prioritize", "p")]

    def test_one_node_left_is_not_scored(self) -> None:
        extender = Scripted(allowed=frozenset("b"))
        run(self.nodes, [make_pod("p")], extender=extender)
        assert extender.asked == [("filter", "p")]

    def test_is_not_asked_when_no_node_passes_nor_about_other_pods(self) -> None:
        extender = Scripted()
        run(self.nodes, [make_pod("huge", gpus=9), make_pod("plain", gpus=0)], extender=extender)
        assert extender.asked == []

    def test_a_refusal_is_not_a_reason_to_evict(self) -> None:
        low = make_pod("low", gpus=1, node="a", priority=0, started_s=0.0)
        extender = Scripted(allowed=frozenset())
        result = run(nodes_named("a"), [low, make_pod("p", priority=9)], extender=extender)
        assert result.evictions == 0

    def test_a_veto_ends_the_attempt(self) -> None:
        low = make_pod("low", gpus=8, node="a", priority=0, started_s=0.0)
        pods = [low, make_pod("p", gpus=8, priority=9)]
        vetoed = run(nodes_named("a"), pods, extender=Scripted(veto=True))
        assert vetoed.evictions == 0
        granted = run(nodes_named("a"), pods, extender=Scripted())
        assert granted.evictions == 1

    def test_one_that_always_refuses_the_freed_node_ends(self) -> None:
        low = make_pod("low", gpus=8, node="a", priority=0, started_s=0.0)
        pods = [low, make_pod("p", gpus=8, priority=9)]
        result = run(nodes_named("a"), pods, extender=Scripted(allowed=frozenset()))
        assert "pod-default-p" in result.pending


@pytest.mark.parametrize("deciding_filter", [False, True])
def test_our_ranking_packs_where_the_stock_profile_spreads(deciding_filter: bool) -> None:
    nodes = nodes_named("a", "b", "c", "d")
    # five pods of every shape are known, so that leaving whole nodes free is worth something
    pods = [make_pod(f"p{i}", gpus=2, created_s=float(i)) for i in range(4)]
    waves = [pods, [make_pod(f"whole{i}", gpus=8) for i in range(3)]]
    stock = run(nodes, [], waves=waves)
    assert len(stock.pending) == 3
    ranker = Ranker(RankingParams(), lambda: 0.0)
    extender = RankingExtender(ranker, deciding_filter=deciding_filter)
    packed = run(nodes, [], waves=waves, extender=extender)
    assert packed.pending == ()
    assert packed.evictions == 0
