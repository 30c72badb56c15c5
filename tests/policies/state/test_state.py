from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from moorage_policies.state import (
    MAX_QUANTITY,
    ClusterState,
    NodeChanged,
    NodeDeleted,
    NodesListed,
    PodChanged,
    PodDeleted,
    PodsListed,
    snapshot_of,
)
from moorage_policies.testing import make_node, make_pod
from moorage_policies.types import NVIDIA_GPU


def state_with(*names: str) -> ClusterState:
    state = ClusterState()
    state.apply(NodesListed(tuple(make_node(name) for name in names)))
    return state


def test_a_snapshot_never_changes_under_its_reader() -> None:
    state = state_with("a")
    before = state.snapshot()
    for array in (before.allocatable, before.requested, before.free):
        with pytest.raises(ValueError, match="read-only"):
            array[0, 0] = 1
    free = before.free_of(NVIDIA_GPU).copy()
    state.apply(PodChanged(make_pod("p", gpus=4, node="a")))
    assert before.free_of(NVIDIA_GPU).tolist() == free.tolist() == [8]
    assert before.pods_on(0) == ()
    assert state.snapshot().free_of(NVIDIA_GPU).tolist() == [4]


def test_a_pending_mapping_is_frozen_too() -> None:
    state = state_with("a")
    pods = [make_pod(f"p{i}") for i in range(600)]
    for pod in pods[:300]:
        state.apply(PodChanged(pod))
    before = state.snapshot()
    for pod in pods[300:]:
        state.apply(PodChanged(pod))
    state.apply(PodDeleted(pods[0].uid))
    assert set(before.pending) == {pod.uid for pod in pods[:300]}
    assert len(before.pending) == 300
    assert set(state.snapshot().pending) == {pod.uid for pod in pods[1:]}


def test_an_event_that_says_nothing_new_keeps_the_generation() -> None:
    state = state_with("a")
    state.apply(PodChanged(make_pod("p", node="a")))
    before = state.snapshot()
    state.apply(PodChanged(make_pod("p", node="a")))
    state.apply(NodeChanged(make_node("a")))
    state.apply(PodDeleted("nobody"))
    state.apply(NodeDeleted("nowhere"))
    assert state.snapshot() is before


def test_a_pod_event_leaves_node_arrays_shared() -> None:
    state = state_with("a", "b")
    before = state.snapshot()
    state.apply(PodChanged(make_pod("p", node="a")))
    after = state.snapshot()
    assert after.table is before.table
    assert after.allocatable is before.allocatable


def test_nodes_keep_their_rows_while_they_live_and_rows_close_up() -> None:
    state = state_with("a", "b", "c")
    state.apply(PodChanged(make_pod("p", gpus=3, node="c")))
    rows = dict(state.snapshot().node_index)
    state.apply(NodeChanged(make_node("b", gpus=4)))
    assert dict(state.snapshot().node_index) == rows
    state.apply(NodeDeleted("a"))
    snapshot = state.snapshot()
    assert sorted(snapshot.node_index.values()) == [0, 1]
    assert snapshot.requested.shape[0] == snapshot.allocatable.shape[0] == 2
    free = dict(zip(snapshot.node_names, snapshot.free_of(NVIDIA_GPU).tolist(), strict=True))
    assert free == {"b": 4, "c": 5}


def test_label_and_taint_columns_follow_node_changes() -> None:
    state = ClusterState()
    state.apply(NodeChanged(make_node("a", labels={"zone": "x", "disk": "ssd"})))
    state.apply(NodeChanged(make_node("b", labels={"zone": "y"})))
    first = state.snapshot().table
    zone, disk = first.label("zone"), first.label("disk")
    assert disk.codes.tolist() == [0, -1]
    state.apply(NodeChanged(make_node("b", labels={"zone": "z"}, unschedulable=True)))
    second = state.snapshot().table
    assert second.label("disk") is disk
    assert [second.label("zone").values[c] for c in second.label("zone").codes] == ["x", "z"]
    assert [zone.values[c] for c in zone.codes] == ["x", "y"]
    codes, groups = second.taints()
    assert [groups[c][0] for c in codes] == [False, True]


def test_a_pod_on_an_unknown_node_counts_when_the_node_appears() -> None:
    state = ClusterState()
    state.apply(PodChanged(make_pod("p", gpus=3, node="late")))
    assert state.snapshot().pending == {}
    state.apply(NodeChanged(make_node("late")))
    assert state.snapshot().free_of(NVIDIA_GPU).tolist() == [5]
    state.apply(NodeDeleted("late"))
    state.apply(PodDeleted("pod-default-p"))
    state.apply(NodeChanged(make_node("late")))
    assert state.snapshot().free_of(NVIDIA_GPU).tolist() == [8]


@pytest.mark.parametrize(
    ("fields", "free"),
    [
        pytest.param({"phase": "Running"}, 6, id="running-counts"),
        pytest.param({"phase": "Running", "terminating": True}, 6, id="terminating-still-counts"),
        pytest.param({"phase": "Succeeded"}, 8, id="succeeded-does-not"),
        pytest.param({"phase": "Failed"}, 8, id="failed-does-not"),
        pytest.param({"phase": "Unknown"}, 6, id="unknown-counts"),
    ],
)
def test_which_pods_count(fields: dict[str, object], free: int) -> None:
    snapshot = snapshot_of([make_node("a")], [make_pod("p", gpus=2, node="a", **fields)])
    assert snapshot.free_of(NVIDIA_GPU).tolist() == [free]


class TestAssumptions:
    def test_counts_at_once_and_leaves_pending(self) -> None:
        state = state_with("a")
        pod = make_pod("p", gpus=2)
        state.apply(PodChanged(pod))
        state.assume(pod, "a", now_s=1.0)
        snapshot = state.snapshot()
        assert snapshot.free_of(NVIDIA_GPU).tolist() == [6]
        assert pod.uid not in snapshot.pending
        assert snapshot.assumed[pod.uid].node == "a"

    def test_is_consumed_when_confirmed(self) -> None:
        state = state_with("a")
        pod = make_pod("p", gpus=2)
        state.assume(pod, "a", now_s=1.0)
        state.apply(PodChanged(replace(pod, node="a")))
        assert state.expire(1e9) == ()
        state.forget(pod.uid)
        snapshot = state.snapshot()
        assert snapshot.assumed == {}
        assert snapshot.free_of(NVIDIA_GPU).tolist() == [6]

    def test_gives_way_when_the_truth_is_another_node(self) -> None:
        state = state_with("a", "b")
        pod = make_pod("p", gpus=2)
        state.assume(pod, "a", now_s=1.0)
        state.apply(PodChanged(replace(pod, node="b")))
        snapshot = state.snapshot()
        free = dict(zip(snapshot.node_names, snapshot.free_of(NVIDIA_GPU).tolist(), strict=True))
        assert free == {"a": 8, "b": 6}

    def test_comes_too_late_for_a_bound_pod(self) -> None:
        state = state_with("a", "b")
        pod = make_pod("p", gpus=2)
        state.apply(PodChanged(replace(pod, node="b")))
        before = state.snapshot()
        state.assume(pod, "a", now_s=1.0)
        assert state.snapshot() is before

    def test_survives_an_update_that_does_not_know_the_node_yet(self) -> None:
        state = state_with("a")
        pod = make_pod("p", gpus=2)
        state.assume(pod, "a", now_s=1.0)
        state.apply(PodChanged(replace(pod, labels={"new": "label"})))
        (shown,) = state.snapshot().pods_on(0)
        assert (shown.node, shown.labels) == ("a", {"new": "label"})

    def test_expires_after_its_time_only(self) -> None:
        state = ClusterState(assume_ttl_s=5.0)
        state.apply(NodeChanged(make_node("a")))
        known, unknown = make_pod("known"), make_pod("unknown")
        state.apply(PodChanged(known))
        state.assume(unknown, "a", now_s=0.0)
        state.assume(known, "a", now_s=1.0)
        assert state.expire(4.9) == ()
        assert state.expire(6.0) == (unknown.uid, known.uid)
        snapshot = state.snapshot()
        assert set(snapshot.pending) == {known.uid}
        assert snapshot.pods_on(0) == ()

    def test_of_a_pod_never_seen_outlives_an_older_list(self) -> None:
        state = state_with("a")
        pod = make_pod("p")
        state.assume(pod, "a", now_s=0.0)
        state.apply(PodsListed(()))
        assert set(state.snapshot().assumed) == {pod.uid}

    def test_of_a_pod_seen_before_goes_when_a_list_lacks_it(self) -> None:
        state = state_with("a")
        pod = make_pod("p")
        state.apply(PodChanged(pod))
        state.assume(pod, "a", now_s=0.0)
        state.apply(PodsListed(()))
        assert state.snapshot().assumed == {}
        assert state.snapshot().pods_on(0) == ()


@pytest.mark.parametrize(
    ("newer", "older"),
    [
        pytest.param({"node": "a"}, {}, id="bound-stays-bound"),
        pytest.param({"node": "a", "phase": "Failed"}, {"node": "a"}, id="finished-stays-finished"),
        pytest.param({"phase": "Failed"}, {}, id="failed-before-binding"),
    ],
)
def test_an_old_event_does_not_turn_time_back(
    newer: dict[str, object], older: dict[str, object]
) -> None:
    state = state_with("a")
    state.apply(PodChanged(make_pod("p", **newer)))
    before = state.snapshot()
    state.apply(PodChanged(make_pod("p", **older)))
    assert state.snapshot() is before


def test_sums_are_exact_to_the_byte() -> None:
    odd = 2**45 + 1
    node = make_node("a", memory=MAX_QUANTITY - 1)
    pods = [make_pod(f"p{i}", memory=odd, node="a") for i in range(100)]
    snapshot = snapshot_of([node], pods)
    memory = snapshot.resources.index("memory")
    assert snapshot.requested.dtype == np.int64
    assert int(snapshot.requested[0, memory]) == 100 * odd
    assert int(snapshot.free[0, memory]) == MAX_QUANTITY - 1 - 100 * odd


def test_absurd_amounts_saturate_and_leave_no_trace() -> None:
    state = ClusterState()
    state.apply(NodeChanged(make_node("a", memory=2**80)))
    for i in range(1000):
        state.apply(PodChanged(make_pod(f"p{i}", memory=2**90, node="a")))
    memory = state.snapshot().resources.index("memory")
    assert int(state.snapshot().requested[0, memory]) == 1000 * MAX_QUANTITY
    for i in range(1000):
        state.apply(PodDeleted(f"pod-default-p{i}"))
    assert int(state.snapshot().requested[0, memory]) == 0


def test_demand_of_a_pod_follows_the_columns() -> None:
    snapshot = snapshot_of([make_node("a", gpus=8)])
    demand = snapshot.demand_of(make_pod("p", gpus=2, cpu_m=1500, memory=7))
    assert demand is not None
    assert dict(zip(snapshot.resources, demand.tolist(), strict=True)) == {
        "cpu": 1500,
        "memory": 7,
        "pods": 1,
        NVIDIA_GPU: 2,
    }
    stranger = make_pod("q", requests={"example.com/qpu": 1})
    assert snapshot.demand_of(stranger) is None
    assert snapshot.demand_of(replace(stranger, requests={"example.com/qpu": 0})) is not None
