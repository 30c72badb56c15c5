from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from moorage_policies.network.evaluate import by_judge, by_topology, evaluate, nearest, stock
from moorage_policies.network.fit import Training, train
from moorage_policies.network.runs import Trial
from moorage_policies.network.scores import Judge, topology_values
from moorage_policies.network.spoil import SPOILS
from moorage_policies.network.telemetry import UNKNOWN


def test_the_model_beats_simple_rules_on_conditions_that_it_has_not_seen(
    training: Training, trials: list[Trial]
) -> None:
    unseen = trials[80:]
    ours = evaluate(unseen, by_judge(Judge(training.model)))
    for rule in (stock, nearest, by_topology):
        theirs = evaluate(unseen, rule)
        assert ours.slowdown.mean() < 0.5 * theirs.slowdown.mean()
        assert ours.hit.mean() > theirs.hit.mean()


def test_honest_telemetry_is_believed(training: Training, trials: list[Trial]) -> None:
    judge = Judge(training.model)
    reasons = Counter(judge.score(judge.look(t.view), t.job, t.rows).abstained for t in trials[80:])
    assert reasons[""] >= 0.9 * sum(reasons.values())


@pytest.mark.parametrize("name", SPOILS)
def test_spoilt_telemetry_leaves_the_choice_to_topology(
    name: str, training: Training, trials: list[Trial]
) -> None:
    judge, chance = Judge(training.model), np.random.default_rng(5)
    for trial in trials[80:]:
        spoilt = replace(trial, view=SPOILS[name](chance, trial.view))
        scores = judge.score(judge.look(spoilt.view), spoilt.job, spoilt.rows)
        assert scores.abstained
        expected = topology_values(spoilt.view.places, spoilt.job.peers, spoilt.rows)
        np.testing.assert_equal(scores.values, expected)
        assert by_judge(judge)(spoilt) == by_topology(spoilt)


def test_a_model_trained_on_shuffled_runs_does_not_decide(trials: list[Trial]) -> None:
    chance = np.random.default_rng(3)
    shuffled = [replace(t, duration_s=chance.permutation(t.duration_s)) for t in trials[:60]]
    model = train(shuffled, seed=1, families=("costs", "ridge")).model
    assert model.distrust
    judge = Judge(model)
    for trial in trials[80:90]:
        assert judge.score(judge.look(trial.view), trial.job, trial.rows).abstained == "distrusted"
        assert by_judge(judge)(trial) == by_topology(trial)


def test_without_a_model_and_without_labels_there_is_no_opinion(trials: list[Trial]) -> None:
    view = replace(trials[0].view, places=np.full_like(trials[0].view.places, UNKNOWN))
    judge = Judge(None)
    scores = judge.score(
        judge.look(view), trials[0].job, np.setdiff1d(trials[0].rows, trials[0].job.peers)
    )
    assert (scores.values, scores.abstained) == (None, "no-model")


def test_a_node_that_nobody_measures_is_not_preferred(
    training: Training, trials: list[Trial]
) -> None:
    judge = Judge(training.model)
    for trial in trials[80:]:
        if len(trial.job.peers) > 1 or len(trial.rows) < 6:
            continue
        silent = int(np.setdiff1d(trial.rows, trial.job.peers)[0])
        age = trial.view.age_s.copy()
        age[silent] = np.inf
        view = replace(trial.view, age_s=age)
        scores = judge.score(judge.look(view), trial.job, trial.rows)
        if not scores.abstained:
            assert scores.values is not None
            assert np.argmax(scores.values) != np.flatnonzero(trial.rows == silent)[0]


def test_scores_are_bounded_and_the_best_has_one(training: Training, trials: list[Trial]) -> None:
    judge = Judge(training.model)
    for trial in trials[80:]:
        values = judge.score(judge.look(trial.view), trial.job, trial.rows).values
        assert values is not None
        assert values.max() == 1.0
        assert values.min() >= 0.0
