from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage_policies.scoring import Load
from moorage_policies.scoring.load import MAX_AGE_S, Utilisation, asked_ratio
from moorage_policies.state import Snapshot
from moorage_policies.testing import GIB, make_node, make_pod, make_snapshot

NAMES = ("a", "b", "c")
UNKNOWN = [np.nan] * 4


def _cluster(*pods: tuple[str, int]) -> Snapshot:
    """Return three nodes of 100 cores and 100 GiB with pods that ask for as many of both."""
    nodes = [make_node(name, cpu_m=100_000, memory=100 * GIB) for name in NAMES]
    return make_snapshot(
        nodes,
        [
            make_pod(f"p{i}", gpus=0, cpu_m=1000 * cores, memory=cores * GIB, node=node)
            for i, (node, cores) in enumerate(pods)
        ],
    )


def _batch(snapshot: Snapshot, *used: list[float], at_s: float = 0.0) -> Utilisation:
    return Utilisation(at_s, NAMES, np.array(used), asked_ratio(snapshot))


def _scores(
    batch: Utilisation | None, snapshot: Snapshot, now_s: float = 0.0
) -> list[float] | None:
    rows = np.array([snapshot.node_index[name] for name in NAMES])
    pod = make_pod("new", gpus=1, cpu_m=0, memory=0)
    found = Load(lambda: batch, lambda: now_s).score(pod, snapshot, rows)
    return None if found is None else found.tolist()


def test_what_is_measured_counts_and_what_is_not_is_left_out() -> None:
    snapshot = _cluster(("a", 10))
    batch = _batch(snapshot, [0.2, 0.4, np.nan, 0.9], [0.1, 0.3, np.nan, np.nan], UNKNOWN)
    # 1 - (0.2 + 0.4 + 0.9) / 3, 1 - (0.1 + 0.3) / 2, the mean use of the other two
    assert _scores(batch, snapshot) == pytest.approx([0.5, 0.8, 0.65])


def test_pods_that_came_since_count_with_what_pods_really_use() -> None:
    before = _cluster(("a", 40), ("b", 40))
    # pods use half of what they ask for; c is empty
    batch = _batch(before, [0.2, 0.2, np.nan, np.nan], [0.2, 0.2, np.nan, np.nan], [0.0] * 4)
    after = _cluster(("a", 40), ("b", 40), ("b", 20))
    # b has 20 more of 100, of which half is used
    assert _scores(batch, after) == pytest.approx([0.8, 0.7, 1.0])


@pytest.mark.parametrize("age_s", [MAX_AGE_S + 1, None])
def test_abstains_without_a_fresh_batch(age_s: float | None) -> None:
    snapshot = _cluster()
    batch = None if age_s is None else _batch(snapshot, [0.1] * 4, [0.2] * 4, [0.3] * 4)
    assert _scores(batch, snapshot, age_s or 0.0) is None


def test_abstains_when_nobody_measures_these_nodes() -> None:
    snapshot = _cluster()
    assert _scores(_batch(snapshot, UNKNOWN, UNKNOWN, UNKNOWN), snapshot) is None


ratios = st.one_of(st.just(np.nan), st.floats(0, 5, allow_nan=False))


@given(used=st.lists(st.lists(ratios, min_size=4, max_size=4), min_size=3, max_size=3))
def test_no_measurement_leads_out_of_range(used: list[list[float]]) -> None:
    """A source that lies can at most reorder nodes."""
    snapshot = _cluster(("a", 90), ("b", 5))
    found = _scores(_batch(snapshot, *used), snapshot)
    assert found is None or all(0 <= score <= 1 for score in found)
