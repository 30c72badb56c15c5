"""What must hold at the end of every simulated story, checked from the outside."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from moorage_policies.errors import BadInputError
from moorage_policies.feasibility import feasible_nodes
from moorage_policies.preemption import PreemptionParams
from moorage_policies.scoring import Ranker, RankingParams
from moorage_policies.simulation import (
    Arrival,
    RankingExtender,
    Result,
    SchedulerParams,
    gpu_mix,
    gpu_nodes,
    play,
    priority_matters,
    replicas,
    simulate,
)
from moorage_policies.state import snapshot_of
from moorage_policies.testing import make_node, make_pod
from moorage_policies.types import (
    Affinity,
    LabelSelector,
    Node,
    Pod,
    PodAffinityTerm,
    Requirement,
    TopologySpread,
)

HOSTNAME = "kubernetes.io/hostname"
APP_A = LabelSelector((Requirement("app", "In", ("a",)),))
ALONE = Affinity(required_pod_anti_affinity=(PodAffinityTerm(HOSTNAME, APP_A),))
LEVEL = (TopologySpread(HOSTNAME, 1, hard=True, selector=APP_A),)

pods = st.builds(
    dict,
    gpus=st.integers(0, 8),
    priority=st.integers(0, 3),
    labels=st.sampled_from([{"app": "a"}, {"app": "b"}]),
    affinity=st.sampled_from([Affinity(), Affinity(), ALONE]),
    spread=st.sampled_from([(), (), LEVEL]),
)
stories = st.fixed_dictionaries(
    {
        "nodes": st.lists(st.integers(1, 8), min_size=1, max_size=4),
        "pods": st.lists(pods, max_size=12),
        "params": st.builds(
            SchedulerParams,
            ties=st.sampled_from(["random", "name"]),
            preemption=st.booleans(),
            victims_return=st.booleans(),
        ),
        "ours": st.booleans(),
        "seed": st.integers(0, 3),
    }
)


def tell(story: dict[str, Any]) -> tuple[list[Node], list[Pod], Result]:
    nodes = [make_node(f"n{i}", gpus=gpus) for i, gpus in enumerate(story["nodes"])]
    drawn = [make_pod(f"p{i}", **fields) for i, fields in enumerate(story["pods"])]
    ours = RankingExtender(Ranker(RankingParams(), lambda: 0.0), PreemptionParams())
    rng = np.random.default_rng(story["seed"])
    extender = ours if story["ours"] else None
    result = simulate(nodes, drawn, story["params"], rng, extender=extender).value
    return nodes, drawn, result


@settings(max_examples=150, deadline=None)
@given(story=stories)
def test_nobody_is_lost_and_no_node_is_over_full(story: dict[str, Any]) -> None:
    nodes, drawn, result = tell(story)
    known = Counter([*result.placements, *result.pending])
    victims = {victim.uid for attempt in result.attempts for victim in attempt.victims}
    for pod in drawn:
        gone = pod.uid in victims and not story["params"].victims_return
        assert known[pod.uid] == 1 or (gone and known[pod.uid] == 0)
    for node in nodes:
        placed = [pod for pod in drawn if result.placements.get(pod.uid) == node.name]
        for resource, amount in node.allocatable.items():
            assert sum(pod.requests.get(resource, 0) for pod in placed) <= amount
        for one, other in combinations(placed, 2):
            for pod, neighbour in ((one, other), (other, one)):
                assert pod.affinity is not ALONE or neighbour.labels != {"app": "a"}


@settings(max_examples=150, deadline=None)
@given(story=stories)
def test_nobody_waits_who_fits(story: dict[str, Any]) -> None:
    _, _, result = tell(story)
    for pod in result.snapshot.pending.values():
        assert not feasible_nodes(pod, result.snapshot).mask.any()


@settings(max_examples=150, deadline=None)
@given(story=stories)
def test_victims_are_less_important_and_nobody_important_waits_for_a_lesser(
    story: dict[str, Any],
) -> None:
    nodes, _, result = tell(story)
    for attempt in result.attempts:
        assert all(victim.priority < attempt.pod.priority for victim in attempt.victims)
    if not story["params"].preemption or story["ours"]:
        return
    placed = {pod.uid: pod for row in result.snapshot.node_pods for pod in row}
    for pod in result.snapshot.pending.values():
        for node in nodes:
            rest = [
                other
                for other in placed.values()
                if other.node != node.name or other.priority >= pod.priority
            ]
            if len(rest) < len(placed):
                after = snapshot_of(nodes, rest)
                assert not feasible_nodes(pod, after).mask[after.node_index[node.name]]


@settings(max_examples=40, deadline=None)
@given(story=stories)
def test_the_same_seed_tells_the_same_story(story: dict[str, Any]) -> None:
    first, second = tell(story)[2], tell(story)[2]
    assert first.placements == second.placements
    assert first.attempts == second.attempts


@pytest.mark.parametrize("usage_percent", [90, 95, 100, 105])
@pytest.mark.parametrize("pods_per_node", [4, 8])
def test_priority_matters_instances(usage_percent: int, pods_per_node: int) -> None:
    for seed in range(5):
        workload = priority_matters(
            seed, nodes=8, pods_per_node=pods_per_node, priorities=4, usage_percent=usage_percent
        )
        assert len(workload.nodes) == 8
        assert len(workload.pods) == 8 * pods_per_node
        assert len({pod.uid for pod in workload.pods}) == len(workload.pods)
        assert all(1 <= len(wave) <= 4 for wave in workload.waves)
        for wave in workload.waves:
            assert len({(p.priority, *p.requests.values()) for p in wave}) == 1
        for pod in workload.pods:
            assert 1 <= pod.priority <= 4
            assert 100 <= pod.requests["cpu"] <= 1000
            assert 10**8 <= pod.requests["memory"] <= 10**9
        for resource in ("cpu", "memory"):
            (capacity,) = {node.allocatable[resource] for node in workload.nodes}
            asked = sum(pod.requests[resource] for pod in workload.pods)
            largest = max(pod.requests[resource] for pod in workload.pods)
            assert capacity >= largest
            if capacity > largest:
                # the smallest capacity whose usage is at most what was asked for
                assert asked * 100 <= capacity * 8 * usage_percent
                assert asked * 100 > (capacity - 2) * 8 * usage_percent


def test_instances_differ_by_seed_and_repeat_by_seed() -> None:
    shape = {"nodes": 4, "pods_per_node": 4, "priorities": 2, "usage_percent": 95}
    assert priority_matters(1, **shape) == priority_matters(1, **shape)
    assert priority_matters(1, **shape) != priority_matters(2, **shape)


def test_more_than_everything_is_never_placed_whole() -> None:
    for seed in range(5):
        workload = priority_matters(seed, nodes=8, pods_per_node=4, priorities=2, usage_percent=105)
        rng = np.random.default_rng(seed)
        result = simulate(workload.nodes, (), SchedulerParams(), rng, waves=workload.waves).value
        assert result.pending


def test_gpu_mix_asks_for_what_was_ordered() -> None:
    waves = gpu_mix(np.random.default_rng(3), 400, priorities=(1, 5))
    asked = Counter(pod.requests["nvidia.com/gpu"] for wave in waves for pod in wave)
    total = sum(shape * count for shape, count in asked.items())
    assert 400 <= total < 408
    assert set(asked) == {1, 2, 4, 8}
    assert {pod.priority for wave in waves for pod in wave} == {1, 5}
    only = gpu_mix(np.random.default_rng(3), 16, shares={8: 1.0})
    assert {pod.requests["nvidia.com/gpu"] for wave in only for pod in wave} == {8}


@pytest.mark.parametrize("shares", [{}, {0: 1.0}, {1: 0.0}])
def test_gpu_mix_without_a_shape_is_refused(shares: dict[int, float]) -> None:
    with pytest.raises(BadInputError, match="shares"):
        gpu_mix(np.random.default_rng(0), 8, shares=shares)


class TestClusterOverTime:
    node = gpu_nodes(1)

    def pod(self, name: str, gpus: int = 8, priority: int = 0) -> Pod:
        (pod,) = replicas(name, 1, {"nvidia.com/gpu": gpus}, priority)
        return pod

    def play(self, *arrivals: Arrival, **options: Any) -> Any:
        rng = np.random.default_rng(0)
        return play(self.node, arrivals, SchedulerParams(ties="name"), rng, **options)

    def test_who_finds_no_room_waits_until_somebody_leaves(self) -> None:
        history = self.play(Arrival(0.0, self.pod("a"), 10.0), Arrival(4.0, self.pod("b"), 5.0))
        assert history.waits_s == {"a-0": 0.0, "b-0": 6.0}
        assert [tuple(sample) for sample in history.samples] == [
            (0.0, 8, 0), (4.0, 8, 1), (10.0, 8, 0), (15.0, 0, 0)
        ]  # fmt: skip
        assert history.unfinished == frozenset()
        assert history.mean_requested() == 8.0

    def test_an_evicted_pod_starts_anew(self) -> None:
        history = self.play(
            Arrival(0.0, self.pod("a"), 10.0), Arrival(4.0, self.pod("b", priority=1), 5.0)
        )
        # b from 4 to 9, a again from 9 to 19; its first end at 10 no longer counts
        assert history.evictions == 1
        assert history.waits_s == {"a-0": 0.0, "b-0": 0.0}
        assert [sample.at_s for sample in history.samples] == [0.0, 4.0, 9.0, 10.0, 19.0]
        assert [sample.requested for sample in history.samples] == [8, 8, 8, 8, 0]

    def test_time_ends_when_told(self) -> None:
        history = self.play(Arrival(0.0, self.pod("a"), 10.0), until_s=9.0)
        assert history.unfinished == {"a-0"}

    def test_who_never_fits_never_ends(self) -> None:
        history = self.play(Arrival(0.0, self.pod("a", gpus=9), 1.0))
        assert history.unfinished == {"a-0"}
        assert history.waits_s == {}

    def test_the_same_uid_twice_is_refused(self) -> None:
        arrival = Arrival(0.0, self.pod("a"), 1.0)
        with pytest.raises(BadInputError, match="uid"):
            self.play(arrival, arrival)
