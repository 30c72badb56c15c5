from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from moorage_policies.scoring.mix import Shape
from moorage_policies.simulation.shared_devices import SharedNodes, SharedPlacer


def _nodes() -> SharedNodes:
    return SharedNodes(
        cpu=np.array([96, 96, 52, 16]),
        memory=np.array([400, 400, 250, 100]),
        milli=np.array([[1000] * 4, [1000] * 4, [1000, 1000, 0, 0], [1000, 0, 0, 0]]),
        classes=("G2", "G2", "T4", ""),
    )


T4 = frozenset({"T4"})
cpu, memory = st.integers(0, 40), st.integers(0, 90)
any_class = st.sampled_from([None, T4])
pods = st.one_of(
    st.builds(Shape, st.just(0), cpu, memory, st.just(1000), st.none()),
    st.builds(Shape, st.sampled_from([1, 2, 4]), cpu, memory, st.just(1000), any_class),
    st.builds(Shape, st.just(1), cpu, memory, st.sampled_from([160, 470, 810]), any_class),
)


@given(stream=st.lists(pods, max_size=25))
@settings(max_examples=60, deadline=None)
def test_no_node_is_over_committed_and_whoever_fits_is_placed(stream: list[Shape]) -> None:
    nodes = _nodes()
    placer = SharedPlacer(nodes)
    for shape in stream:
        before = nodes.copy()
        node = placer.place(shape)
        enough = (before.cpu >= shape.cpu) & (before.memory >= shape.memory)
        enough &= (before.milli >= shape.milli).sum(axis=1) >= shape.devices
        if shape.classes is not None:
            enough &= np.array([name in shape.classes for name in before.classes])
        assert (node is None) == (not enough.any())
        if node is not None:
            assert enough[node]
            taken = before.milli - nodes.milli
            assert taken.sum() == shape.devices * shape.milli
            assert taken[node].max() <= shape.milli
        assert min(nodes.cpu.min(), nodes.memory.min(), nodes.milli.min()) >= 0


@given(stream=st.lists(pods, min_size=1, max_size=20))
@settings(max_examples=40, deadline=None)
def test_what_is_remembered_between_decisions_changes_none(stream: list[Shape]) -> None:
    nodes = _nodes()
    placer = SharedPlacer(nodes)
    for shape in stream:
        fresh = SharedPlacer(nodes.copy()).place(shape)
        assert placer.place(shape) == fresh


def test_small_pods_go_where_only_they_fit() -> None:
    """What 810 leave of a device is for pods of 160, not what 470 leave."""
    nodes = SharedNodes(
        np.array([90, 90]),
        np.array([900, 900]),
        np.array([[190, 0], [530, 0]]),
        ("G2", "G2"),
    )
    placer = SharedPlacer(nodes)
    stream = [Shape(1, 3, 5, 810)] * 60 + [Shape(1, 8, 30, 470)] * 60 + [Shape(1, 4, 15, 160)] * 3
    for shape in stream:
        placer._seen[shape] += 1
        placer._asked += 1
    placer.learn_if_due()
    assert placer.place(Shape(1, 4, 15, 160)) == 0
