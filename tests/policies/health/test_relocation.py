from __future__ import annotations

from dataclasses import replace

import hypothesis.strategies as st
from hypothesis import given

from moorage_policies.health import choose_targets
from moorage_policies.matching import node_accepts
from moorage_policies.testing import make_node, make_pod
from moorage_policies.types import NVIDIA_GPU, Node, Pod, Taint

SICK = Taint("moorage.dev/quarantined")


def targets(moving: list[Pod], nodes: list[Node], others: list[Pod] | None = None) -> dict:
    decision = choose_targets(moving, nodes, [*moving, *(others or [])])
    return {relocation.pod.name: relocation.target for relocation in decision.value}


def on(name: str, gpus: int, node: str, priority: int = 0) -> Pod:
    return make_pod(name, gpus=gpus, node=node, priority=priority, phase="Running")


def test_a_pod_takes_the_smallest_hole_that_holds_it() -> None:
    nodes = [make_node("sick", taints=(SICK,)), make_node("empty"), make_node("half")]
    assert targets([on("p", 4, "sick")], nodes, [on("q", 4, "half")]) == {"p": "half"}


def test_nobody_goes_to_a_quarantined_node() -> None:
    nodes = [make_node("sick", taints=(SICK,)), make_node("sick-too", taints=(SICK,))]
    decision = choose_targets([on("p", 1, "sick")], nodes, [on("p", 1, "sick")])
    assert decision.value == ()
    assert decision.reason == "0 of 1 pods have room elsewhere"


def test_the_highest_priority_chooses_first() -> None:
    nodes = [make_node("sick", taints=(SICK,)), make_node("other")]
    moving = [on("low", 8, "sick", priority=1), on("high", 8, "sick", priority=2)]
    assert targets(moving, nodes) == {"high": "other"}


def test_selectors_of_the_pod_hold() -> None:
    nodes = [
        make_node("sick", taints=(SICK,)),
        make_node("wrong", labels={"class": "b"}),
        make_node("right", labels={"class": "a"}),
    ]
    pod = replace(on("p", 1, "sick"), node_selector={"class": "a"})
    assert targets([pod], nodes) == {"p": "right"}


@given(
    wishes=st.lists(st.tuples(st.integers(1, 8), st.integers(0, 2)), min_size=1, max_size=5),
    taken=st.lists(st.integers(0, 8), min_size=1, max_size=4),
)
def test_every_target_has_room_for_all_that_go_there(
    wishes: list[tuple[int, int]], taken: list[int]
) -> None:
    nodes = [make_node("sick", gpus=40, taints=(SICK,))]
    others = []
    for place, gpus in enumerate(taken):
        nodes.append(make_node(f"n{place}"))
        if gpus:
            others.append(on(f"q{place}", gpus, f"n{place}"))
    moving = [on(f"p{i}", gpus, "sick", prio) for i, (gpus, prio) in enumerate(wishes)]
    found = targets(moving, nodes, others)
    free = {f"n{place}": 8 - gpus for place, gpus in enumerate(taken)}
    by_name = {node.name: node for node in nodes}
    for pod in moving:
        if pod.name in found:
            free[found[pod.name]] -= pod.requests[NVIDIA_GPU]
            assert node_accepts(pod, by_name[found[pod.name]])
    assert min(free.values()) >= 0
    left_out = [pod for pod in moving if pod.name not in found]
    for pod in left_out:  # whoever stays really found no room after all others had chosen
        assert pod.requests[NVIDIA_GPU] > max(free.values())
