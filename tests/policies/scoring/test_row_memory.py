"""What is remembered of rows is what would be worked out now, whatever happened in between."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from moorage_policies.scoring.energy import Draw, Energy
from moorage_policies.scoring.fairness import Fairness
from moorage_policies.scoring.fragmentation import Fragmentation
from moorage_policies.scoring.load import Load, Utilisation, asked_ratio
from moorage_policies.scoring.row_memory import RowMemory
from moorage_policies.state import (
    ClusterState,
    NodeChanged,
    NodeDeleted,
    PodChanged,
    PodDeleted,
    Snapshot,
)
from moorage_policies.testing import make_node, make_pod
from moorage_policies.types import NVIDIA_GPU, FloatArray, IntArray

NAMES = [f"n{number}" for number in range(6)]

changes = st.one_of(
    st.builds(
        lambda name, gpus: NodeChanged(make_node(name, gpus=gpus)),
        st.sampled_from(NAMES),
        st.sampled_from([4, 8]),
    ),
    st.builds(NodeDeleted, st.sampled_from(NAMES)),
    st.builds(
        lambda number, name, gpus: PodChanged(make_pod(f"p{number}", gpus=gpus, node=name)),
        st.integers(0, 5),
        st.sampled_from(NAMES),
        st.integers(0, 4),
    ),
    st.builds(lambda number: PodDeleted(f"uid-p{number}"), st.integers(0, 5)),
)


def rows_of(snapshot: Snapshot, mask: int) -> IntArray:
    return np.array([r for r in range(len(snapshot.nodes)) if mask >> r & 1], dtype=np.int64)


@given(st.lists(st.tuples(changes, st.integers(0, 63)), min_size=1, max_size=25))
def test_a_remembering_scorer_says_what_a_fresh_one_says(
    story: list[tuple[NodeChanged | NodeDeleted | PodChanged | PodDeleted, int]],
) -> None:
    state = ClusterState()
    for name in NAMES:
        state.apply(NodeChanged(make_node(name, gpus=8)))
    remembering = Fragmentation((NVIDIA_GPU,))
    remembering.learn(state.snapshot())
    pods = [make_pod("a", gpus=1), make_pod("b", gpus=4)]
    for turn, (change, mask) in enumerate(story):
        state.apply(change)
        snapshot = state.snapshot()
        rows = rows_of(snapshot, mask)
        fresh = Fragmentation((NVIDIA_GPU,))
        fresh._mixes = remembering._mixes  # the same mix, nothing remembered of rows
        fresh._accelerators = remembering._accelerators
        pod = pods[turn % 2]
        got, want = (scorer.score(pod, snapshot, rows) for scorer in (remembering, fresh))
        assert (got is None) == (want is None)
        if got is not None and want is not None:
            np.testing.assert_array_equal(got, want)


LOADS = np.array([[0.1 * k, 0.05 * k, np.nan, np.nan] for k in range(6)])
LOADS[4] = np.nan
DRAWS = {"H100": Draw(1.0, 900.0), "L40S": Draw(2.0, None)}


def make_scorers(batches: list[Utilisation]) -> list[Load | Fairness | Energy]:
    return [
        Load(lambda: batches[-1], lambda: 0.0),
        Fairness(lambda _pod: 2.0),
        Energy(DRAWS, "class"),
    ]


@given(st.lists(st.tuples(changes, st.integers(0, 63), st.booleans()), min_size=1, max_size=25))
def test_scorers_with_measurements_say_what_fresh_ones_say(
    story: list[tuple[NodeChanged | NodeDeleted | PodChanged | PodDeleted, int, bool]],
) -> None:
    state = ClusterState()
    for number, name in enumerate(NAMES):
        labels = {"class": ("H100", "L40S", "other")[number % 3]}
        state.apply(NodeChanged(make_node(name, gpus=8, labels=labels)))
    batches = [_measure(state.snapshot())]
    remembering = make_scorers(batches)
    pods = [make_pod("a", gpus=1), make_pod("b", gpus=4)]
    for turn, (change, mask, measured) in enumerate(story):
        state.apply(change)
        snapshot = state.snapshot()
        if measured:
            batches.append(_measure(snapshot))
        rows = rows_of(snapshot, mask)
        for old, fresh in zip(remembering, make_scorers(batches), strict=True):
            got, want = (s.score(pods[turn % 2], snapshot, rows) for s in (old, fresh))
            assert (got is None) == (want is None)
            if got is not None and want is not None:
                np.testing.assert_array_equal(got, want)


def _measure(snapshot: Snapshot) -> Utilisation:
    used = LOADS[: len(snapshot.nodes)].copy()
    return Utilisation(0.0, snapshot.node_names, used, asked_ratio(snapshot))


def test_only_rows_that_changed_are_worked_out() -> None:
    state = ClusterState()
    for name in NAMES:
        state.apply(NodeChanged(make_node(name, gpus=8)))
    memory, asked = RowMemory(), list[list[int]]()

    def work_out(rows: IntArray) -> FloatArray:
        asked.append(rows.tolist())
        return rows.astype(np.float64)

    every = np.arange(len(NAMES))
    first = state.snapshot()
    assert memory.recall("k", first, every, work_out).tolist() == every.tolist()
    state.apply(PodChanged(make_pod("p", gpus=1, node="n2")))
    memory.recall("k", state.snapshot(), every, work_out)
    memory.recall("k", state.snapshot(), every, work_out)
    assert asked == [every.tolist(), [2]]
    memory.recall("k", first, every, work_out)
    assert asked[2:] == [[2]], "an older snapshot must not see what came after it"


def test_another_cluster_shares_nothing() -> None:
    memory = RowMemory()
    for value in (1.0, 2.0):
        state = ClusterState()
        state.apply(NodeChanged(make_node("n", gpus=8)))
        got = memory.recall(
            "k", state.snapshot(), np.array([0]), lambda rows, v=value: np.full(len(rows), v)
        )
        assert got.tolist() == [value]
