from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import least_squares

from moorage_policies.network.formula import Formula, Ways, expect_s, find_ways, join_ways
from moorage_policies.network.learn_formula import learn_constants
from moorage_policies.network.learners import learn_boosted_formula, make_table
from moorage_policies.network.runs import Trial
from moorage_policies.network.simulator import LAW, Noise, informed, simulate
from moorage_policies.network.telemetry import View
from moorage_policies.network.worlds import HISTORY, shaped_sites

MB = 8.388608


def ways(**given: object) -> Ways:
    """Two candidates with two peers: 100 ms and 200 ms away, 80 and 40 Mbit/s."""
    rtt = np.broadcast_to(np.log([[0.1, 0.2], [0.1, 0.1]]), (2, 2, 2))
    mbps = np.broadcast_to(np.log([[80.0, 40.0], [80.0, 80.0]]), (2, 2, 2))
    each = np.full((2, 2), 80.0)
    nothing = np.zeros((2, 2))
    usual = Ways(rtt, mbps, mbps, each, nothing, nothing, np.array([3.0, 3.0]), np.zeros(2))
    return replace(usual, **given)  # type: ignore[arg-type]


PLAIN = Formula(1.0, 0.5, 1.0, 1000.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0)


@pytest.mark.parametrize(
    ("formula", "found", "expected"),
    [
        # 80 Mbit at 40 Mbit/s, at 80 Mbit/s; 3 s of work before
        pytest.param(PLAIN, ways(), [5.0, 4.0], id="the-slowest-peer-decides"),
        # 80 / 80 + 80 / 40, 80 / 80 twice
        pytest.param(replace(PLAIN, peers_in_turn=1.0), ways(), [6.0, 5.0], id="one-by-one"),
        pytest.param(
            replace(PLAIN, work_in_turn=0.0), ways(), [3.0, 3.0], id="work-hides-the-transfer"
        ),
        pytest.param(replace(PLAIN, start_s=2.0), ways(), [7.0, 6.0], id="a-start"),
        # half of the speed is lost on a full node, half of the load leaves three quarters
        pytest.param(PLAIN, ways(cpu_ratio=np.array([0.5, 0.0])), [6.0, 4.0], id="a-busy-node"),
        # 2 MiB under way for 200 ms: 10 MiB/s, less than the link
        pytest.param(
            replace(PLAIN, window_mib=0.4 / MB * 10),
            ways(),
            [3 + 80 / (4 / 0.2), 3 + 80 / (4 / 0.1)],
            id="a-long-way-bounds-one-connection",
        ),
        pytest.param(PLAIN, ways(rounds=np.full((2, 2), 10.0)), [7.0, 5.0], id="round-trips"),
        pytest.param(
            replace(PLAIN, reads_mbps=False, window_mib=10 / MB),
            ways(log_mbps_in=np.full((2, 2, 2), np.nan)),
            [3 + 80 / 50, 3 + 80 / 100],
            id="bandwidth-nobody-measures",
        ),
    ],
)
def test_seconds_add_up(formula: Formula, found: Ways, expected: list[float]) -> None:
    # of two peers that take as long, both count a little
    np.testing.assert_allclose(expect_s(formula, found), expected, rtol=0.02)


def test_unknown_readings_leave_the_time_unknown() -> None:
    holes = np.log([[80.0, np.nan], [80.0, 80.0]])
    found = expect_s(PLAIN, ways(log_mbps_in=np.broadcast_to(holes, (2, 2, 2))))
    assert np.isnan(found).tolist() == [True, False]


def test_joined_ways_say_what_each_says_alone(trials: list[Trial]) -> None:
    each = [find_ways(t.view, t.job, t.rows) for t in trials[:10]]
    np.testing.assert_allclose(
        expect_s(LAW, join_ways(each)), np.concatenate([expect_s(LAW, ways) for ways in each])
    )


def test_durations_of_the_formula_give_back_its_order(trials: list[Trial]) -> None:
    told = replace(LAW, newest_rtt=0.2, newest_mbps=0.9, peers_in_turn=0.6, work_in_turn=0.5)
    exact = [
        replace(t, duration_s=expect_s(told, find_ways(t.view, t.job, t.rows))) for t in trials
    ]
    table = make_table(exact[:60])
    learnt = learn_constants(table.ways, table.log_s, table.centred, least_squares)
    picks = [int(np.argmin(expect_s(learnt, find_ways(t.view, t.job, t.rows)))) for t in exact[60:]]
    best = [int(np.argmin(t.duration_s)) for t in exact[60:]]
    assert np.mean(np.equal(picks, best)) > 0.95


def test_without_bandwidth_or_load_the_formula_does_without(trials: list[Trial]) -> None:
    def blind(view: View) -> View:
        nothing = np.full_like(view.mbps, np.nan)
        return replace(view, mbps=nothing, usual_mbps=nothing, cpu_ratio=nothing[0])

    table = make_table([replace(t, view=blind(t.view)) for t in trials[:40]])
    learnt = learn_constants(table.ways, table.log_s, table.centred, least_squares)
    assert (learnt.reads_mbps, learnt.reads_cpu) == (False, False)
    assert np.isfinite(expect_s(learnt, table.ways)).all()


def test_trees_are_believed_only_as_far_as_they_explain_unseen_decisions(
    trials: list[Trial],
) -> None:
    def slowed(trial: Trial, ratio: float) -> Trial:
        """A law of nodes that the formula does not have: those that receive much are slow."""
        card = trial.view.receive_mbps[trial.rows]
        return replace(trial, duration_s=trial.duration_s * np.where(card > 9000, ratio, 1.0))

    lawful = learn_boosted_formula(make_table(trials), 1)
    strange = learn_boosted_formula(make_table([slowed(t, 2.0) for t in trials]), 1)
    weight = [sum(float(np.ptp(tree.value)) for tree in p.trees) for p in (lawful, strange)]
    assert weight[1] > 2 * weight[0]


def test_exact_readings_of_a_network_at_rest_tell_the_true_durations() -> None:
    chance = np.random.default_rng(4)
    world = shaped_sites(chance, 6, 4)
    still = {
        name: np.repeat(getattr(world, name)[:, :1], HISTORY, axis=1)
        for name in ("rtt_ms", "mbps", "cpu_ratio", "card_mbps")
    }
    silent = Noise(duration=0.0, rtt=0.0, mbps=0.0, cpu=0.0)
    for trial in simulate(chance, replace(world, **still), silent):
        told = expect_s(LAW, find_ways(trial.view, trial.job, trial.rows))
        np.testing.assert_allclose(told, trial.duration_s, rtol=0.03)
        assert trial.duration_s[informed(trial)] <= 1.03 * trial.duration_s.min()
