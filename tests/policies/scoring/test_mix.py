from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage_policies.scoring.mix import (
    HALF_LIFE_S,
    MAX_SHAPES,
    PRIOR_SIZES,
    MixLearner,
    Shape,
    mix_from,
)
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


@given(st.lists(st.lists(events | st.builds(NodeDeleted, NODES), max_size=5), max_size=6))
def test_learning_step_by_step_equals_learning_at_once_but_for_pods_that_are_gone(
    steps: list[list[Event]],
) -> None:
    """Long after, what is gone is forgotten, and only the state counts."""
    state, learner = ClusterState(), MixLearner()
    for step in steps:
        for event in step:
            state.apply(event)
        learner.learn(state.snapshot(), 0.0)
    learned = learner.learn(state.snapshot(), 100 * HALF_LIFE_S)[NVIDIA_GPU]
    fresh = MixLearner().learn(state.snapshot(), 0.0)[NVIDIA_GPU]
    np.testing.assert_array_equal(learned.shapes, fresh.shapes)
    np.testing.assert_allclose(learned.share, fresh.share)


def test_pods_that_are_gone_fade_by_half_lives() -> None:
    state, learner = ClusterState(), MixLearner()
    state.apply(_pod("p", 3, None))
    learner.learn(state.snapshot(), 0.0)
    state.apply(PodDeleted("p"))
    for half_lives, weight in ((0, 1.0), (1, 0.5), (3, 0.125)):
        mix = learner.learn(state.snapshot(), half_lives * HALF_LIFE_S)[NVIDIA_GPU]
        # one pod of 3 GPUs, faded, beside the four of the prior
        assert mix.describe()[3] == pytest.approx(weight / (4 + weight), abs=1e-4)


def test_a_pod_that_moves_or_gets_placed_counts_once() -> None:
    state, learner = ClusterState(), MixLearner()
    for node in ("a", "b"):
        state.apply(NodeChanged(make_node(node)))
    for node in (None, "a", "b"):
        state.apply(PodDeleted("p"))
        state.apply(_pod("p", 3, node))
        mix = learner.learn(state.snapshot(), 0.0)[NVIDIA_GPU]
        assert mix.describe()[3] == pytest.approx(1 / 5, abs=1e-4)


def test_an_empty_cluster_expects_each_prior_size_equally() -> None:
    mix = MixLearner().learn(ClusterState().snapshot(), 0.0)[NVIDIA_GPU]
    assert mix.describe() == {size: pytest.approx(1 / len(PRIOR_SIZES)) for size in PRIOR_SIZES}


def test_waiting_pods_count_like_placed_ones_and_pods_without_gpus_do_not() -> None:
    state = ClusterState()
    state.apply(NodeChanged(make_node("a")))
    for event in (_pod("p", 3, "a"), _pod("q", 3, None), _pod("r", 0, "a")):
        state.apply(event)
    mix = MixLearner().learn(state.snapshot(), 0.0)[NVIDIA_GPU]
    # two pods of 3 GPUs beside four of the prior, one of each size
    assert mix.describe()[3] == pytest.approx(2 / 6, abs=1e-4)


def test_rare_shapes_are_counted_together_with_their_mean_needs() -> None:
    common = {Shape(1, 1000 + i): 10 for i in range(MAX_SHAPES)}
    rare = {Shape(5, 7000, 60): 1, Shape(5, 4000, 30): 2}
    mix = mix_from(NVIDIA_GPU, {**common, **rare})
    # the mean of 7000 and twice 4000 is 5000, that of 60 and twice 30 is 40
    assert [5, 5000, 40, 1000] in mix.shapes.tolist()
    assert [5, 7000, 60, 1000] not in mix.shapes.tolist()
    assert mix.share.sum() == pytest.approx(1.0)


def test_a_class_gets_the_pods_that_accept_it() -> None:
    picky, easy = Shape(2, classes=frozenset({"H100"})), Shape(1)
    mix = mix_from(NVIDIA_GPU, {picky: 50, easy: 50})
    # of 54 pods with the prior; the prior takes every class
    assert mix.on("H100").describe()[2] == pytest.approx(51 / 104, abs=1e-3)
    assert mix.on("A100").describe()[2] == pytest.approx(1 / 54, abs=1e-3)
    assert mix.on(None).describe() == mix.on("A100").describe()
