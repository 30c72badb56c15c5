from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moorage_policies.scoring import Interference
from moorage_policies.scoring.interference import PERFORMANCE_ANNOTATION, Observed
from moorage_policies.scoring.slowdowns import (
    HALF_LIFE_S,
    LEAST_S,
    MOST_S,
    MOST_SLOWDOWN,
    SlowdownLearner,
)
from moorage_policies.state import ClusterState, NodesListed, PodChanged, PodsListed
from moorage_policies.testing import make_node, make_pod
from moorage_policies.types import Pod

CLASSES = ("batch", "decode", "prefill")
CLASS = "moorage.dev/workload-class"

counts = st.dictionaries(st.sampled_from(CLASSES), st.integers(0, 5))
readings = st.one_of(st.floats(1e-9, 1e9), st.floats(allow_nan=True, allow_infinity=True))
observations = st.lists(
    st.tuples(st.sampled_from(["", *CLASSES]), counts, readings, st.floats(0, 1e7)), max_size=60
)


def _teach(
    learner: SlowdownLearner,
    losses: Mapping[str, float],
    *,
    seed: int,
    alone_s: float = 2.0,
    noise: float = 0.05,
    times: int = 200,
    at_s: float = 0.0,
) -> None:
    """Let decode pods report times beside random neighbours that cost this much each."""
    chance = np.random.default_rng(seed)
    for _ in range(times):
        beside = {name: int(chance.integers(0, 4)) for name in CLASSES}
        took = 1 + sum(losses.get(name, 0.0) * count for name, count in beside.items())
        took_s = alone_s * took * (1 + noise * chance.uniform(-1.7, 1.7))
        assert learner.observe("decode", beside, took_s, at_s)


@settings(max_examples=10)
@given(
    batch=st.floats(0.1, 3.0), prefill=st.floats(0.1, 3.0), seed=st.integers(0, 999),
    alone_s=st.sampled_from([1e-3, 1.0, 500.0]),
)  # fmt: skip
def test_what_neighbours_cost_is_found_whatever_the_unit_of_work(
    batch: float, prefill: float, seed: int, alone_s: float
) -> None:
    learner = SlowdownLearner()
    _teach(learner, {"batch": batch, "prefill": prefill}, seed=seed, alone_s=alone_s)
    found = learner.slowdowns(0.0)
    assert found["decode", "batch"] == pytest.approx(1 + batch, rel=0.15)
    assert found["decode", "prefill"] == pytest.approx(1 + prefill, rel=0.15)


def test_neighbours_that_cost_nothing_are_hardly_ever_accused() -> None:
    accused = 0
    for seed in range(100):
        learner = SlowdownLearner()
        _teach(learner, {}, seed=seed, noise=0.3, times=60)
        accused += len(learner.slowdowns(0.0))
    assert accused <= 5  # of 300 pairs; three standard errors leave 0.4 by chance


@given(told=observations)
def test_no_report_leads_out_of_range(told: list[tuple[str, dict[str, int], float, float]]) -> None:
    """Pods that lie can at most keep others away, and that by a bounded amount."""
    learner = SlowdownLearner()
    for own, beside, seconds, at_s in told:
        used = learner.observe(own, beside, seconds, at_s)
        assert used == (own != "" and LEAST_S <= seconds <= MOST_S)
    for value in learner.slowdowns(1e7).values():
        assert 1.0 < value <= MOST_SLOWDOWN


@given(seed=st.integers(0, 99))
def test_the_order_of_what_was_seen_at_one_time_does_not_matter(seed: int) -> None:
    chance = np.random.default_rng(seed)
    seen = [({"batch": int(n)}, 1.0 + 0.5 * n) for n in chance.integers(0, 3, size=40)]
    found = []
    for order in (range(40), chance.permutation(40)):
        learner = SlowdownLearner()
        for at in order:
            learner.observe("decode", *seen[at], 0.0)
        found.append(learner.slowdowns(0.0))
    assert found[0] == pytest.approx(found[1])


@pytest.mark.parametrize("times", [0, 1, 8])
def test_few_observations_say_nothing(times: int) -> None:
    learner = SlowdownLearner()
    for at in range(times):
        learner.observe("decode", {"batch": at % 2}, 1.0 + at % 2, 0.0)
    assert learner.slowdowns(0.0) == {}


def test_neighbours_that_are_always_there_are_not_blamed() -> None:
    learner = SlowdownLearner()
    for at in range(100):
        learner.observe("decode", {"batch": 2}, 3.0 + 0.01 * (at % 3), 0.0)
    assert learner.slowdowns(0.0) == {}


def test_what_was_learned_fades_and_newer_times_win() -> None:
    learner = SlowdownLearner()
    _teach(learner, {"batch": 2.0}, seed=1)
    assert ("decode", "batch") in learner.slowdowns(HALF_LIFE_S)
    assert learner.slowdowns(8 * HALF_LIFE_S) == {}  # 200 / 2**8 is less than one observation
    _teach(learner, {"batch": 0.5}, seed=2, at_s=5 * HALF_LIFE_S)
    found = learner.slowdowns(5 * HALF_LIFE_S)
    assert found["decode", "batch"] == pytest.approx(1.5, abs=0.15)


def _reporting(name: str, seconds: float, node: str, workload: str = "decode") -> Pod:
    annotations = {PERFORMANCE_ANNOTATION: str(seconds)}
    return make_pod(name, node=node, labels={CLASS: workload}, annotations=annotations)


def _cluster() -> ClusterState:
    """Return a node with two batch pods and one with none, with a decode pod on each."""
    state = ClusterState()
    state.apply(NodesListed((make_node("busy"), make_node("quiet"))))
    batch = [make_pod(f"b{at}", node="busy", labels={CLASS: "batch"}) for at in range(2)]
    decode = [_reporting("d-busy", 3.0, "busy"), _reporting("d-quiet", 1.0, "quiet")]
    state.apply(PodsListed((*batch, *decode)))
    return state


def test_reports_of_running_pods_steer_the_next_ones() -> None:
    state, observed = _cluster(), Observed()
    scorer = Interference({}, observed)
    new = make_pod("new", labels={CLASS: "decode"})
    scorer.learn(state.snapshot())
    assert scorer.score(new, state.snapshot(), np.arange(2)) is None  # two reports say nothing
    for at in range(30):
        state.apply(PodChanged(_reporting("d-busy", 3.0 + 0.01 * (at % 3), "busy")))
        state.apply(PodChanged(_reporting("d-quiet", 1.0 + 0.01 * (at % 2), "quiet")))
        scorer.learn(state.snapshot(), float(at))
    snapshot = state.snapshot()
    scores = scorer.score(new, snapshot, np.arange(2))
    assert scores is not None
    row = snapshot.node_index
    # two neighbours that cost 1 each: 1 / (1 + 2); the other decode pods cost nothing
    assert scores[row["busy"]] == pytest.approx(1 / 3, rel=0.1)
    assert scores[row["quiet"]] == 1.0


def test_a_report_counts_once_however_often_it_is_looked_at() -> None:
    state, observed = _cluster(), Observed()
    for at in range(50):
        # the pods of both nodes change, their reports do not
        for node in ("busy", "quiet"):
            state.apply(PodChanged(make_pod("guest", node=node, labels={"turn": str(at)})))
            observed.learn(state.snapshot(), 0.0)
    assert observed.slowdowns(0.0) == {}


def test_figures_of_the_admin_beat_what_was_learned() -> None:
    state, observed = _cluster(), Observed()
    _teach(observed.learner, {"batch": 2.0}, seed=1)
    snapshot = state.snapshot()
    new = make_pod("new", labels={CLASS: "decode"})
    scorer = Interference({("decode", "batch"): 1.0}, observed)
    scorer.learn(snapshot)
    assert scorer.score(new, snapshot, np.arange(2)) == pytest.approx([1.0, 1.0])
