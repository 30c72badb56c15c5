"""Given instance files, and what both arms of the packing protocol make of a small one."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from moorage_benchmarks.packing import PAPER, compare
from moorage_benchmarks.packing_cases import read_cases
from moorage_benchmarks.packing_paper import solve_by_paper_model
from moorage_benchmarks.report import OURS
from moorage_policies.errors import BadInputError
from moorage_policies.packing.check import find_violations

# 2 cores are free on each node; joining them takes one move.
SCATTERED: dict[str, Any] = {
    "name": "scattered",
    "nodes": [{"name": n, "capacity": {"cpu": "4", "memory": "8Gi"}} for n in ("a", "b")],
    "pods": [
        {"name": "p1", "requests": {"cpu": "2", "memory": "1Gi"}, "priority": 1, "node": "a"},
        {"name": "p2", "requests": {"cpu": 2, "memory": "1Gi"}, "priority": 1, "node": "b"},
        {"name": "p3", "requests": {"cpu": "4000m", "memory": "1Gi"}, "priority": 1, "node": None},
    ],
}


def write(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(SCATTERED, id="one-object"),
        pytest.param([SCATTERED], id="a-list"),
        pytest.param({"instances": [SCATTERED]}, id="under-instances"),
    ],
)
def test_a_file_becomes_a_case(tmp_path: Path, content: object) -> None:
    (case,) = read_cases([write(tmp_path / "x.json", content)])
    instance = case.to_instance(same_tier_eviction=True)
    assert case.cell == "scattered"
    assert case.is_needed
    cpu = instance.resources.index("cpu")
    np.testing.assert_array_equal(instance.requests[:, cpu], [2000, 2000, 4000])
    np.testing.assert_array_equal(instance.current, [0, 1, -1])


def test_without_any_node_the_stock_scheduler_places_first(tmp_path: Path) -> None:
    pods = [{**pod, "node": None} for pod in SCATTERED["pods"]]
    (case,) = read_cases([write(tmp_path / "x.json", {**SCATTERED, "pods": pods})])
    assert [pod.node is not None for pod in case.pods] == [True, True, False]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param({"nodes": []}, id="no-pods"),
        pytest.param({**SCATTERED, "pods": [{"name": "p"}]}, id="no-requests"),
        pytest.param({**SCATTERED, "extra": 1}, id="unknown-field"),
        pytest.param(7, id="no-object"),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, content: object) -> None:
    with pytest.raises(BadInputError, match=r"x\.json: is not an instance file"):
        list(read_cases([write(tmp_path / "x.json", content)]))


def test_both_arms_join_the_scattered_room(tmp_path: Path) -> None:
    (case,) = read_cases([write(tmp_path / "x.json", SCATTERED)])
    outcomes = {o.arm: o for o in compare(case, 20.0, 1, 1, rule="paper", peer=True)}
    assert outcomes.keys() == {PAPER, OURS}
    for outcome in outcomes.values():
        assert outcome.vector == (3,)
        assert (outcome.improved, outcome.moves, outcome.evictions) == (True, 1, 0)


def test_the_papers_model_answers_within_its_rules(tmp_path: Path) -> None:
    (case,) = read_cases([write(tmp_path / "x.json", SCATTERED)])
    instance = case.to_instance(same_tier_eviction=True)
    answer = solve_by_paper_model(instance, 20.0, workers=1, seed=1, clock=time.monotonic)
    assert answer.placement is not None
    assert answer.certified
    assert find_violations(instance, answer.placement) == ()
