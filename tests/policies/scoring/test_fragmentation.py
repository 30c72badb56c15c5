from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage_policies.scoring.fragmentation import Fragmentation, stranded_delta
from moorage_policies.state import ClusterState, PodChanged
from moorage_policies.testing import make_node, make_pod, make_snapshot
from moorage_policies.types import NVIDIA_GPU

SIZES = np.array([[1], [8]])  # half the pods take one GPU, half take a whole node
SHARE = np.array([0.5, 0.5])


@pytest.mark.parametrize(
    ("free", "demand", "expected"),
    [
        # before 8 * 0 = 0 stranded, after 4 * 0.5 = 2
        pytest.param([8], 4, [2.0], id="opening-a-whole-node-strands-the-rest"),
        # before 4 * 0.5 = 2 stranded, after 0
        pytest.param([4], 4, [-2.0], id="filling-a-half-node-heals-it"),
        pytest.param([2], 4, [np.inf], id="pod-does-not-fit"),
        pytest.param([8, 4], 4, [2.0, -2.0], id="nodes-are-independent"),
        pytest.param([-1], 0, [0.0], id="an-over-committed-node-strands-nothing"),
    ],
)
def test_one_resource(free: list[int], demand: int, expected: list[float]) -> None:
    delta = stranded_delta(np.array(free)[:, None], np.array([demand]), SIZES, SHARE)
    np.testing.assert_allclose(delta, expected)


@pytest.mark.parametrize(
    ("free", "demand", "expected"),
    [
        # every pod needs 1 GPU and 4 cores; 8 GPUs with 8 cores: nothing strands while 4 are left,
        # after a pod of 5 cores 7 GPUs have 3 cores between them: all 7 strand
        pytest.param([8, 8], [1, 5], 7.0, id="taking-the-last-cores-strands-every-gpu"),
        # 4 cores left for 7 GPUs: the next pod still fits
        pytest.param([8, 8], [1, 4], 0.0, id="leaving-enough-cores-strands-nothing"),
        pytest.param([8, 8], [0, 5], 8.0, id="a-pod-without-gpus-can-strand-them-all"),
    ],
)
def test_gpus_strand_for_want_of_cpu(free: list[int], demand: list[int], expected: float) -> None:
    delta = stranded_delta(np.array([free]), np.array(demand), np.array([[1, 4]]), np.array([1.0]))
    np.testing.assert_allclose(delta, [expected])


amounts = st.lists(st.integers(0, 9), min_size=2, max_size=2)


@given(
    free=st.lists(amounts, min_size=1, max_size=6),
    demand=amounts,
    shapes=st.lists(amounts, min_size=1, max_size=5),
)
def test_agrees_with_counting_one_node_and_shape_at_a_time(
    free: list[list[int]], demand: list[int], shapes: list[list[int]]
) -> None:
    def stranded(left: list[int]) -> float:
        misfits = sum(any(s > f for s, f in zip(shape, left, strict=True)) for shape in shapes)
        return left[0] * misfits / len(shapes)

    share = np.full(len(shapes), 1 / len(shapes))
    delta = stranded_delta(np.array(free), np.array(demand), np.array(shapes), share)
    for node, answer in zip(free, delta, strict=True):
        left = [f - d for f, d in zip(node, demand, strict=True)]
        expected = np.inf if min(left) < 0 else stranded(left) - stranded(node)
        assert answer == pytest.approx(expected)


def test_a_cluster_of_whole_node_pods_keeps_whole_nodes_whole() -> None:
    placed = [make_pod(f"big{i}", gpus=8, node=f"full{i}") for i in range(20)]
    nodes = [make_node(f"full{i}") for i in range(20)]
    snapshot = make_snapshot(
        [*nodes, make_node("empty"), make_node("opened")],
        [*placed, make_pod("small", gpus=2, node="opened")],
    )
    rows = np.array([snapshot.node_index["empty"], snapshot.node_index["opened"]])
    scores = Fragmentation((NVIDIA_GPU,)).score(make_pod("new", gpus=2), snapshot, rows)
    assert scores is not None
    assert scores[1] > 0.5 > scores[0]


def test_the_mix_stays_until_it_is_learned_again() -> None:
    state = ClusterState()
    fragmentation = Fragmentation((NVIDIA_GPU,))
    pod = make_pod("new")
    before = fragmentation.mix_for(pod, state.snapshot())
    state.apply(PodChanged(make_pod("other", gpus=8)))
    assert fragmentation.mix_for(pod, state.snapshot()) is before
    fragmentation.learn(state.snapshot())
    assert fragmentation.mix_for(pod, state.snapshot()).describe()[8] > before.describe()[8]


def test_no_opinion_where_no_node_has_the_accelerator() -> None:
    snapshot = make_snapshot([make_node("cpu-only", gpus=0)])
    assert Fragmentation((NVIDIA_GPU,)).score(make_pod("new"), snapshot, np.array([0])) is None


def test_a_pod_is_scored_by_the_accelerator_it_asks_for() -> None:
    fragmentation = Fragmentation((NVIDIA_GPU, "amd.com/gpu"))
    amd = make_pod("amd", requests={"amd.com/gpu": 1})
    assert fragmentation.accelerator_of(amd) == "amd.com/gpu"
    assert fragmentation.accelerator_of(make_pod("none", gpus=0)) == NVIDIA_GPU


@given(
    placed=st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 5), st.integers(0, 40)), max_size=12
    ),
    gpus=st.integers(0, 9),
    cores=st.integers(0, 40),
)
def test_the_scorer_says_what_the_formula_says(
    placed: list[tuple[int, int, int]], gpus: int, cores: int
) -> None:
    """Most nodes are scored by a table of free GPUs; it must not be seen."""
    snapshot = make_snapshot(
        [make_node(f"n{i}") for i in range(4)],
        [
            make_pod(f"p{i}", gpus=g, cpu_m=1000 * c, node=f"n{row}")
            for i, (row, g, c) in enumerate(placed)
        ],
    )
    pod = make_pod("new", gpus=gpus, cpu_m=1000 * cores)
    scorer = Fragmentation((NVIDIA_GPU,))
    scores = scorer.score(pod, snapshot, np.arange(4))
    mix = scorer.mix_for(pod, snapshot)
    columns = [snapshot.resources.index(name) for name in (NVIDIA_GPU, "cpu", "memory")]
    demand = np.array([gpus, 1000 * cores, pod.requests["memory"]])
    delta = stranded_delta(snapshot.free[:, columns], demand, mix.shapes, mix.share)
    np.testing.assert_allclose(scores, np.clip(0.5 - delta / 16, 0, 1))
