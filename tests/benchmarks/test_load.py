from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from moorage_benchmarks.load import (
    ARMS,
    FRESH,
    RANDOM,
    _Case,
    _play,
    _weighted_percentile,
    _World,
    run,
)
from moorage_benchmarks.report import OURS
from moorage_policies.errors import BadInputError
from moorage_policies.scoring import Load

CASE = _Case("few", np.full(12, 64_000), np.array([2_000, 4_000]), 500.0, 200.0)
ARM_OF = {arm.name: arm for arm in ARMS}


def test_every_arm_sees_the_same_pods_and_the_nodes_get_as_busy_as_wanted() -> None:
    case = _Case("long", np.full(12, 64_000), np.array([2_000, 4_000]), 50_000.0)
    guests = list(case.guests(3))
    assert guests == list(case.guests(3))
    held_m = sum(guest.used_m * guest.stay_s for guest in guests) / case.length_s
    assert held_m / case.node_cpu_m.sum() == pytest.approx(0.5, rel=0.1)


def test_measuring_beats_chance_and_old_batches_cost_little_if_carried_on() -> None:
    slow = {name: _play(CASE, ARM_OF[name], 5) for name in (FRESH, OURS, "plain-60s", RANDOM)}
    assert slow[FRESH]["slowdown"] < slow[RANDOM]["slowdown"]
    assert slow[OURS]["slowdown"] < slow["plain-60s"]["slowdown"]
    assert slow[OURS]["messages"] < slow[FRESH]["messages"] == len(CASE.node_cpu_m)


def test_what_pods_use_comes_and_goes_with_them() -> None:
    world = _World(CASE, ARM_OF[RANDOM])
    guests = list(CASE.guests(1))
    for number, guest in enumerate(guests):
        world.advance(guest.at_s)
        world.place(guest, number, _never(), np.random.default_rng(1))
    assert world.used_m.sum() == pytest.approx(sum(used for *_, used in world.leaving))
    world.advance(float("inf"))
    np.testing.assert_allclose(world.used_m, 0.0, atol=1e-6)
    assert world.state.snapshot().requested.sum() == 0


def test_the_percentile_counts_pods_by_what_they_use() -> None:
    values, weights = np.array([3.0, 1.0, 2.0]), np.array([1.0, 98.0, 1.0])
    assert _weighted_percentile(values, weights, 0.98) == 1.0
    assert _weighted_percentile(values, weights, 0.995) == 3.0


def test_lists_without_cpu_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "nodes.csv"
    file.write_text("cpu_milli,memory_mib,gpu,model\n0,1,1,A\n")
    with pytest.raises(BadInputError, match="CPU"):
        run(quick=True, nodes=file)


def _never() -> Load:
    return Load(lambda: None, lambda: 0.0)
