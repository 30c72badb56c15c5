from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from moorage_policies.errors import BadInputError
from moorage_policies.network.document import write
from moorage_policies.network.features import COSTS, TRAITS, costs, traits
from moorage_policies.network.fit import SIMPLEST_FIRST, fit_family, train
from moorage_policies.network.learners import learn_costs, make_table
from moorage_policies.network.model import Predictor
from moorage_policies.network.runs import Trial
from moorage_policies.network.telemetry import View, distance, likeness


def test_the_same_runs_and_seed_give_the_same_document(trials: list[Trial]) -> None:
    models = [train(trials[:40], seed=3, families=("costs", "boosted-formula")).model for _ in "ab"]
    assert write(models[0]) == write(models[1])


def test_conditions_are_never_on_both_sides_of_a_fold(trials: list[Trial]) -> None:
    training = train(trials[:60], seed=2, families=("costs",))
    folds: dict[int, set[int]] = {}
    for trial, fold in zip(trials[:60], training.folds.tolist(), strict=True):
        folds.setdefault(trial.condition, set()).add(fold)
    assert all(len(found) == 1 for found in folds.values())
    assert len(set(training.folds.tolist())) == 5


@pytest.mark.parametrize("family", SIMPLEST_FIRST)
def test_every_family_predicts_every_candidate(family: str, trials: list[Trial]) -> None:
    predictor = Predictor(fit_family(trials[:40], family, seed=1))
    for trial in trials[40:50]:
        assert np.isfinite(predictor.predict(trial.view, trial.job, trial.rows).log_s).all()


def test_costs_find_the_weights_of_durations_that_they_add_up_to(trials: list[Trial]) -> None:
    wanted = np.zeros(len(COSTS))
    wanted[[COSTS.index("compute"), COSTS.index("transfer-newest")]] = (1.5, 0.5)
    exact = [
        replace(trial, duration_s=costs(trial.view, trial.job, trial.rows) @ wanted)
        for trial in trials[:40]
    ]
    table = make_table(exact)
    found = table.seconds @ learn_costs(table, 0).cost_weights
    ratio = np.log(found / table.duration_s)
    assert np.ptp(table.centred(ratio)) < 0.05


def test_runs_without_bandwidth_train_a_model_that_needs_none(trials: list[Trial]) -> None:
    def blind(trial: Trial) -> Trial:
        nothing = np.full_like(trial.view.mbps, np.nan)
        return replace(trial, view=replace(trial.view, mbps=nothing, usual_mbps=nothing))

    training = train([blind(t) for t in trials[:60]], seed=1, families=("costs", "ridge"))
    seen = blind(trials[100])
    assert np.isfinite(
        Predictor(training.model).predict(seen.view, seen.job, seen.rows).log_s
    ).all()


def test_runs_on_one_node_each_still_train(trials: list[Trial]) -> None:
    chance = np.random.default_rng(0)
    single = []
    for trial in trials[:80]:
        keep = int(chance.integers(len(trial.rows)))
        single.append(replace(trial, rows=trial.rows[[keep]], duration_s=trial.duration_s[[keep]]))
    model = train(single, seed=1, families=("costs", "ridge")).model
    predictor = Predictor(model)
    hits = [
        int(np.argmin(predictor.predict(t.view, t.job, t.rows).log_s) == np.argmin(t.duration_s))
        for t in trials[80:]
    ]
    assert np.mean(hits) > 0.4


@pytest.mark.parametrize(
    ("count", "message"),
    [
        pytest.param(3, "at least 20", id="too-few"),
        pytest.param(0, "at least 20", id="none"),
    ],
)
def test_too_few_runs_are_refused(trials: list[Trial], count: int, message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        train(trials[:count], seed=1, families=("costs",))


def test_one_condition_is_refused(trials: list[Trial]) -> None:
    same = [replace(trial, condition=1) for trial in trials[:30]]
    with pytest.raises(BadInputError, match="share one condition"):
        train(same, seed=1, families=("costs",))


PLACES = np.array([[0, 0], [0, 0], [0, 1], [1, 2], [-1, -1]])


@pytest.mark.parametrize(
    ("row", "peers", "expected"),
    [
        pytest.param(0, [0], 0.0, id="itself"),
        pytest.param(0, [1], 1.0, id="same-rack"),
        pytest.param(0, [2], 2.0, id="same-zone"),
        pytest.param(0, [3], 3.0, id="another-zone"),
        pytest.param(0, [4], 3.0, id="unknown-is-far"),
        pytest.param(4, [4], 0.0, id="unknown-is-itself"),
        pytest.param(0, [1, 3], 2.0, id="mean-of-peers"),  # (1 + 3) / 2
        pytest.param(0, [], 0.0, id="no-peers"),
    ],
)
def test_distance_counts_levels_not_shared(row: int, peers: list[int], expected: float) -> None:
    found = distance(PLACES, np.array([row]), np.array(peers, dtype=np.int64))
    assert found.tolist() == [expected]


def test_traits_and_costs_do_not_depend_on_the_order_of_nodes(trials: list[Trial]) -> None:
    trial = trials[0]
    order = np.random.default_rng(1).permutation(len(trial.view.nodes))
    back = np.argsort(order)
    view = _reordered(trial.view, order)
    job = replace(trial.job, peers=back[trial.job.peers])
    for read, names in ((costs, COSTS), (traits, TRAITS)):
        before = read(trial.view, trial.job, trial.rows)
        after = read(view, job, back[trial.rows])
        assert before.shape == (len(trial.rows), len(names))
        np.testing.assert_allclose(after, before)


def test_likeness_is_high_for_the_same_network_and_low_for_another_order(
    trials: list[Trial],
) -> None:
    view = trials[0].view
    usual = np.log(np.maximum(trials[10].view.rtt_ms, 0.05))
    assert likeness(view, view.nodes, usual) > 0.8
    mixed = replace(_reordered(view, np.roll(np.arange(8), 1)), nodes=view.nodes)
    assert likeness(mixed, view.nodes, usual) < 0.5
    assert np.isnan(likeness(view, ("elsewhere",) * 8, usual))


def _reordered(view: View, order: np.ndarray) -> View:
    pairs = np.ix_(order, order)
    return View(
        tuple(view.nodes[row] for row in order),
        view.rtt_ms[pairs],
        view.usual_rtt_ms[pairs],
        view.mbps[pairs],
        view.usual_mbps[pairs],
        view.cpu_ratio[order],
        view.receive_mbps[order],
        view.transmit_mbps[order],
        view.allocated_ratio[order],
        view.age_s[order],
        view.places[order],
    )
