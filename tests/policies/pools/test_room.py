from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage_policies.matching import node_accepts
from moorage_policies.pools.room import measure_room
from moorage_policies.state.state import snapshot_of
from moorage_policies.testing import GIB, make_node, make_pod
from moorage_policies.types import NVIDIA_GPU, AcceleratorClass, Node, Pod, Taint, Toleration

H100 = AcceleratorClass("H100", {"class": "h100"})
IN_CLASS = {"class": "h100"}


def test_room_counts_whole_replicas_node_by_node() -> None:
    nodes = [make_node(n, gpus=8, labels=IN_CLASS) for n in "ab"] + [make_node("c", gpus=8)]
    pods = [make_pod("x", gpus=5, node="a")]
    room = measure_room(snapshot_of(nodes, pods), H100, make_pod("p", gpus=4))
    # a: (8 - 5) // 4 = 0, b: 8 // 4 = 2; empty: 2 + 2; c is of no class
    assert (room.nodes, room.free_replicas, room.most_replicas) == (2, 2, 4)
    assert not room.is_impossible


def test_a_replica_of_several_pods_takes_several_slots() -> None:
    nodes = [make_node(n, gpus=8, labels=IN_CLASS) for n in "abc"]
    room = measure_room(snapshot_of(nodes), H100, make_pod("p", gpus=8), pods_per_replica=2)
    assert room.free_replicas == 1  # three slots make one replica of two


@pytest.mark.parametrize(
    ("pod", "short_of"),
    [
        pytest.param(make_pod("p", gpus=16), {NVIDIA_GPU: (16, 8)}, id="more-gpus-than-a-node"),
        pytest.param(make_pod("p", cpu_m=65_000), {"cpu": (65_000, 64_000)}, id="cpu"),
        pytest.param(make_pod("p", memory=513 * GIB), {"memory": (513 * GIB, 512 * GIB)}, id="mem"),
        pytest.param(
            make_pod("p", requests={"example.com/nic": 1}),
            {"example.com/nic": (1, 0)},
            id="a-resource-that-nobody-has",
        ),
    ],
)
def test_an_impossible_shape_names_what_is_short(
    pod: Pod, short_of: dict[str, tuple[int, int]]
) -> None:
    room = measure_room(snapshot_of([make_node("a", labels=IN_CLASS)]), H100, pod)
    assert room.is_impossible
    assert room.short_of == short_of


def test_a_class_without_nodes_is_not_called_impossible() -> None:
    room = measure_room(snapshot_of([make_node("a")]), H100, make_pod("p"))
    assert (room.nodes, room.most_replicas) == (0, 0)
    assert not room.is_impossible


def test_taints_and_cordons_close_a_node() -> None:
    taint = Taint("nvidia.com/gpu", "present")
    nodes = [
        make_node("tainted", labels=IN_CLASS, taints=(taint,)),
        make_node("cordoned", labels=IN_CLASS, unschedulable=True),
    ]
    snapshot = snapshot_of(nodes)
    assert measure_room(snapshot, H100, make_pod("p")).accepting == 0
    tolerant = make_pod("p", tolerations=(Toleration("nvidia.com/gpu", "Exists"),))
    assert measure_room(snapshot, H100, tolerant).accepting == 1


@given(
    nodes=st.lists(st.tuples(st.booleans(), st.integers(0, 8), st.integers(0, 9)), max_size=6),
    gpus=st.integers(1, 8),
)
def test_room_equals_counting_one_by_one(nodes: list[tuple[bool, int, int]], gpus: int) -> None:
    made = [
        make_node(f"n{i}", gpus=have, labels=IN_CLASS if inside else {})
        for i, (inside, have, _) in enumerate(nodes)
    ]
    pods = [
        make_pod(f"p{i}", gpus=used, node=f"n{i}") for i, (_, _, used) in enumerate(nodes) if used
    ]
    pod = make_pod("new", gpus=gpus)
    room = measure_room(snapshot_of(made, pods), H100, pod)
    expected = sum(
        _fill_one_by_one(node, used, pod)
        for node, (inside, _, used) in zip(made, nodes, strict=True)
        if inside and node_accepts(pod, node)
    )
    assert room.free_replicas == expected


def _fill_one_by_one(node: Node, used_gpus: int, pod: Pod) -> int:
    free = {name: amount for name, amount in node.allocatable.items() if name != "pods"}
    if used_gpus:
        free[NVIDIA_GPU] = free.get(NVIDIA_GPU, 0) - used_gpus
        free["cpu"] -= 1000
        free["memory"] -= GIB
    count = 0
    while all(free.get(name, 0) >= amount for name, amount in pod.requests.items()):
        for name, amount in pod.requests.items():
            free[name] -= amount
        count += 1
    return count
