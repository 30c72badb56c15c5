from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage_policies.scoring.mix import MAX_SHAPES, PRIOR_SIZES, MixLearner, RequestMix, mix_from
from moorage_policies.state import (
    ClusterState,
    Event,
    NodeChanged,
    NodeDeleted,
    PodChanged,
    PodDeleted,
)
from moorage_policies.testing import make_node, make_pod
from moorage_policies.types import NVIDIA_GPU

NODES = st.sampled_from(["a", "b", "c"])


def _pod(uid: str, gpus: int, node: str | None) -> PodChanged:
    return PodChanged(make_pod(uid, uid=uid, gpus=gpus, node=node))


events = st.one_of(
    st.builds(lambda n: NodeChanged(make_node(n)), NODES),
    st.builds(
        _pod,
        st.sampled_from(["p", "q", "r", "s"]),
        st.sampled_from([0, 1, 3, 8]),
        st.none() | NODES,
    ),
    st.builds(PodDeleted, st.sampled_from(["p", "q", "r", "s"])),
)


def _same(one: RequestMix, other: RequestMix) -> bool:
    return np.array_equal(one.shapes, other.shapes) and np.array_equal(one.share, other.share)


@given(st.lists(st.lists(events | st.builds(NodeDeleted, NODES), max_size=5), max_size=6))
def test_learning_step_by_step_equals_learning_at_once(steps: list[list[Event]]) -> None:
    state, learner = ClusterState(), MixLearner()
    for step in steps:
        for event in step:
            state.apply(event)
        learned = learner.learn(state.snapshot())[NVIDIA_GPU]
        fresh = MixLearner().learn(state.snapshot())[NVIDIA_GPU]
        assert _same(learned, fresh)


def test_an_empty_cluster_expects_each_prior_size_equally() -> None:
    mix = MixLearner().learn(ClusterState().snapshot())[NVIDIA_GPU]
    assert mix.describe() == {size: pytest.approx(1 / len(PRIOR_SIZES)) for size in PRIOR_SIZES}


def test_waiting_pods_count_like_placed_ones_and_pods_without_gpus_do_not() -> None:
    state = ClusterState()
    state.apply(NodeChanged(make_node("a")))
    for event in (_pod("p", 3, "a"), _pod("q", 3, None), _pod("r", 0, "a")):
        state.apply(event)
    mix = MixLearner().learn(state.snapshot())[NVIDIA_GPU]
    # two pods of 3 GPUs beside four of the prior, one of each size
    assert mix.describe()[3] == pytest.approx(2 / 6, abs=1e-4)


def test_rare_shapes_keep_their_devices_and_lose_the_rest() -> None:
    common = {(1, 1000 + i, 0): 10 for i in range(MAX_SHAPES)}
    mix = mix_from(NVIDIA_GPU, {**common, (5, 7000, 7000): 1})
    assert [5, 0, 0] in mix.shapes.tolist()
    assert [5, 7000, 7000] not in mix.shapes.tolist()
    assert mix.share.sum() == pytest.approx(1.0)
