"""What is remembered never differs from what would be worked out anew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from moorage_policies.hints import NO_SIGNALS, HintMemory, parse_hint, score_hint, score_nodes
from moorage_policies.state import (
    ClusterState,
    Event,
    NodeChanged,
    NodeDeleted,
    NodesListed,
    PodChanged,
    PodDeleted,
    PodsListed,
)
from moorage_policies.testing import GIB, make_node, make_pod
from moorage_policies.types import IntArray, Node, Pod

ZONE = "topology.kubernetes.io/zone"
PRODUCT = "nvidia.com/gpu.product"
HINTS = (
    "H100 and avoid spot",
    "in zone a if possible, gold nodes",
    "together with redis, away from etl",
    "same zone as redis, not in the same zone as batch/etl",
    "spread over zones, one replica per node",
    "near redis, close to zone b",
    "at least 4 free GPUs, less than 50% CPU used",
    "most free memory, avoid busy nodes",
    "balanced CPU and memory, quiet nodes",
    "away from other pods, away from namespace batch",
    "at least 40 GB of GPU memory, next to tier=gold",
    "stable nodes",
)
NAMES = [f"n{number}" for number in range(6)]
APPS = ("redis", "etl", "web")


def node(name: str, zone: int, product: int, labelled: int) -> Node:
    labels = {ZONE: f"eu-1{'ab'[zone]}", PRODUCT: ("NVIDIA-H100-80GB-HBM3", "Tesla-T4")[product]}
    if labelled:
        labels |= {"tier": "gold", "nvidia.com/gpu.memory": "81920"}
    return make_node(name, labels=labels)


def pod(number: int, app: int, at: int, size: int) -> Pod:
    return make_pod(
        f"p{number}",
        node=None if at == len(NAMES) else NAMES[at],
        labels={"app": APPS[app], "tier": "gold" if number % 2 else "iron"},
        namespace="batch" if app == 1 else "default",
        gpus=size,
        memory=size * GIB,
    )


few = st.integers(0, 1)
nodes = st.builds(node, st.sampled_from(NAMES), few, few, few)
pods = st.builds(
    pod, st.integers(0, 7), st.integers(0, 2), st.integers(0, len(NAMES)), st.integers(0, 4)
)
events: st.SearchStrategy[Event] = st.one_of(
    nodes.map(NodeChanged),
    st.sampled_from(NAMES).map(NodeDeleted),
    pods.map(PodChanged),
    pods.map(lambda pod: PodChanged(replace(pod, terminating=True))),
    pods.map(lambda pod: PodDeleted(pod.uid)),
    st.lists(nodes, max_size=4, unique_by=lambda node: node.name).map(tuple).map(NodesListed),
    st.lists(pods, max_size=4, unique_by=lambda pod: pod.uid).map(tuple).map(PodsListed),
)
ours = st.sampled_from(
    [make_pod("new", labels={"app": app}, gpus=gpus) for app in ("web", "redis") for gpus in (0, 2)]
)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(st.lists(events, max_size=3), ours, st.sampled_from(HINTS)),
        min_size=1,
        max_size=8,
    ),
    st.randoms(use_true_random=False),
)
def test_remembered_scores_are_those_worked_out_anew(
    steps: list[tuple[list[Event], Pod, str]], random: Random
) -> None:
    state, memory = ClusterState(assume_ttl_s=60.0), HintMemory()
    state.apply(NodesListed(tuple(node(name, 0, 0, 0) for name in NAMES[:3])))
    for told, mine, hint in steps:
        for event in told:
            state.apply(event)
        snapshot, intents = state.snapshot(), parse_hint(hint).intents
        for rows in _candidates(len(snapshot.nodes), random.shuffle):
            have = score_nodes(intents, mine, snapshot, rows, NO_SIGNALS, memory)
            want = score_hint(intents, mine, snapshot, rows).value.score
            if want is None:
                assert have is None
            else:
                np.testing.assert_allclose(have, want)


def _candidates(count: int, shuffle: Callable[[list[int]], None]) -> list[IntArray]:
    rows = list(range(count))
    shuffle(rows)
    return [np.array(some, dtype=np.int64) for some in (rows, rows[:1]) if some]


def test_another_cluster_is_not_taken_for_the_one_remembered() -> None:
    memory, intents = HintMemory(), parse_hint("H100, away from web").intents
    mine = make_pod("new", labels={"app": "web"})
    for product in (0, 1):
        state = ClusterState(assume_ttl_s=60.0)
        state.apply(NodesListed((node("n0", 0, product, 0), node("n1", 0, 1 - product, 0))))
        rows = np.arange(2)
        found = score_nodes(intents, mine, state.snapshot(), rows, NO_SIGNALS, memory)
        assert found is not None
        assert int(found.argmax()) == product
