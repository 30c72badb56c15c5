from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moorage_policies.scoring.fragmentation import Fragmentation, device_worth
from moorage_policies.state import ClusterState, PodChanged, Snapshot
from moorage_policies.testing import GIB, make_node, make_pod, make_snapshot
from moorage_policies.types import NVIDIA_GPU, Affinity, NodeSelectorTerm, Pod, Requirement

CLASS = "nvidia.com/gpu.product"
MIG = "nvidia.com/mig-3g.40gb"


def _growth(pod: Pod, snapshot: Snapshot, *names: str) -> list[float]:
    rows = np.array([snapshot.node_index[name] for name in names])
    growth = Fragmentation((NVIDIA_GPU,)).stranded_growth(pod, snapshot, rows)
    assert growth is not None
    return growth.tolist()


def _crowd(count: int, **fields: object) -> list[Pod]:
    """Return pods on a far node, which tell what the cluster is asked for."""
    return [make_pod(f"seen{i}", node="far", **fields) for i in range(count)]  # type: ignore[arg-type]


FAR = make_node("far", gpus=0, cpu_m=10**7, memory=10**15, pods=10**4)


def test_a_cluster_of_whole_node_pods_keeps_whole_nodes_whole() -> None:
    snapshot = make_snapshot(
        [FAR, make_node("empty"), make_node("opened")],
        [*_crowd(20, gpus=8), make_pod("small", gpus=2, node="opened")],
    )
    empty, opened = _growth(make_pod("new", gpus=2), snapshot, "empty", "opened")
    assert opened < 0 < empty


@pytest.mark.parametrize(
    ("cpu_m", "memory"),
    [
        pytest.param(40_000, GIB, id="cpu"),
        pytest.param(1000, 400 * GIB, id="memory"),
    ],
)
def test_hungry_pods_stay_away_from_devices_that_would_starve(cpu_m: int, memory: int) -> None:
    """Eight GPUs of a node share what the pods to come need for one GPU each."""
    seen = _crowd(50, gpus=1, cpu_m=7000, memory=60 * GIB)
    snapshot = make_snapshot(
        [FAR, make_node("lean"), make_node("rich", gpus=2)], seen
    )  # 64 cores and 512 GiB each: eight devices need them, two do not
    hungry = make_pod("new", gpus=1, cpu_m=cpu_m, memory=memory)
    lean, rich = _growth(hungry, snapshot, "lean", "rich")
    assert lean > rich + 0.5


def test_a_pod_without_devices_prefers_nodes_without() -> None:
    snapshot = make_snapshot(
        [FAR, make_node("gpus"), make_node("none", gpus=0)], _crowd(50, gpus=1, cpu_m=7000)
    )
    with_gpus, without = _growth(make_pod("new", gpus=0, cpu_m=60_000), snapshot, "gpus", "none")
    assert without == 0 < with_gpus


def test_scarce_slivers_of_a_class_are_judged_by_who_may_use_them() -> None:
    """Whole-node pods are for H100 only: a hole on an A100 node costs nothing."""
    h100 = make_node("h", labels={CLASS: "H100"})
    a100 = make_node("a", labels={CLASS: "A100"})
    seen = _crowd(30, gpus=8, node_selector={CLASS: "H100"})
    snapshot = make_snapshot([FAR, h100, a100], seen)
    on_h, on_a = _growth(make_pod("new", gpus=1), snapshot, "h", "a")
    assert on_a < on_h


def test_required_affinity_says_which_classes_are_acceptable() -> None:
    term = NodeSelectorTerm((Requirement(CLASS, "In", ("H100",)),))
    only_h = Affinity(required_node_terms=(term,))
    h100 = make_node("h", labels={CLASS: "H100"})
    a100 = make_node("a", labels={CLASS: "A100"})
    snapshot = make_snapshot([FAR, h100, a100], _crowd(30, gpus=8, affinity=only_h))
    on_h, on_a = _growth(make_pod("new", gpus=1), snapshot, "h", "a")
    assert on_a < on_h


def test_partitions_of_gpus_are_scored_by_their_size() -> None:
    def node(name: str) -> object:
        return make_node(
            name, allocatable={"cpu": 64_000, "memory": 512 * GIB, "pods": 110, MIG: 2}
        )

    seen = [
        make_pod(f"s{i}", node="far", requests={MIG: 2, "cpu": 1000, "memory": GIB})
        for i in range(20)
    ]
    one = make_pod("one", requests={MIG: 1, "cpu": 1000, "memory": GIB})
    snapshot = make_snapshot(
        [FAR, node("empty"), node("opened")],  # type: ignore[list-item]
        [*seen, make_pod("x", node="opened", requests=one.requests)],
    )
    empty, opened = _growth(one, snapshot, "empty", "opened")
    assert opened < 0 < empty
    assert empty < 3 / 7 + 1e-9  # no more than the one slice that is left over


@pytest.mark.parametrize(
    ("resource", "worth"),
    [
        pytest.param(NVIDIA_GPU, 1.0, id="whole"),
        pytest.param("nvidia.com/mig-3g.40gb", 3 / 7, id="three-of-seven-slices"),
        pytest.param("nvidia.com/mig-odd", 1.0, id="unknown-profile"),
    ],
)
def test_worth(resource: str, worth: float) -> None:
    assert device_worth(resource) == pytest.approx(worth)


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


placed_pods = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 5), st.integers(0, 40)), max_size=12
)


@given(placed=placed_pods, gpus=st.integers(0, 9), cores=st.integers(0, 70))
@settings(max_examples=60)
def test_a_node_is_scored_by_itself_and_one_without_room_gets_nothing(
    placed: list[tuple[int, int, int]], gpus: int, cores: int
) -> None:
    snapshot = make_snapshot(
        [make_node(f"n{i}") for i in range(4)],
        [
            make_pod(f"p{i}", gpus=g, cpu_m=1000 * c, node=f"n{row}")
            for i, (row, g, c) in enumerate(placed)
        ],
    )
    pod = make_pod("new", gpus=gpus, cpu_m=1000 * cores)
    scorer = Fragmentation((NVIDIA_GPU,))
    together = scorer.score(pod, snapshot, np.arange(4))
    alone = [scorer.score(pod, snapshot, np.array([row])) for row in range(4)]
    np.testing.assert_allclose(together, np.concatenate(alone))  # type: ignore[arg-type]
    demand = [gpus, 1000 * cores, pod.requests["memory"]]
    free = snapshot.free[:, [snapshot.columns[n] for n in (NVIDIA_GPU, "cpu", "memory")]]
    fits = (free >= demand).all(axis=1)
    assert together is not None
    assert (together[~fits] == 0).all()
    assert ((together >= 0) & (together <= 1)).all()
