from __future__ import annotations

import numpy as np
import pytest

from moorage_policies.plans import Move, MoveProgress, Plan, PlanProgress, PlanRecord
from moorage_policies.scoring import Draw, Energy, Fairness, disruptions_in, weigh_disruptions
from moorage_policies.scoring.fairness import HALF_LIFE_S
from moorage_policies.testing import make_node, make_pod, make_snapshot
from moorage_policies.types import Owner

CLASS = "nvidia.com/gpu.product"
NODES = [
    make_node("h-idle", labels={CLASS: "NVIDIA-H100-80GB-HBM3"}),
    make_node("h-busy", labels={CLASS: "NVIDIA-H100-80GB-HBM3"}),
    make_node("l-idle", labels={CLASS: "NVIDIA-L40S"}),
    make_node("strange"),
]
SNAPSHOT = make_snapshot(NODES, [make_pod("p", gpus=6, node="h-busy")])
ROWS = np.arange(len(NODES))


@pytest.mark.parametrize(
    ("draws", "expected"),
    [
        pytest.param(
            # half and whole of 0.8 J, unknown costs the mean of 0.4, 0.4 and 0.8
            {"H100-80GB": Draw(0.4), "L40S": Draw(0.8)},
            [0.5, 0.5, 0.0, 1 - (1.6 / 3) / 0.8],
            id="joules-per-token",
        ),
        pytest.param(
            # only idle nodes have to wake: 100 and 50 W, unknown is the mean of 100, 0 and 50
            {"H100-80GB": Draw(idle_w=100), "L40S": Draw(idle_w=50)},
            [0.0, 1.0, 0.5, 0.5],
            id="idle-watts",
        ),
        pytest.param(
            {"NVIDIA-L40S": Draw(0.5, 90), "H100-80GB": Draw(0.25, 90)},
            # tokens 0.5, 0.5, 1, 2/3 of the most; waking 1, 0, 1, 2/3
            [0.25, 0.75, 0.0, 1 / 3],
            id="both-by-either-name",
        ),
    ],
)
def test_energy(draws: dict[str, Draw], expected: list[float]) -> None:
    score = Energy(draws).score(make_pod("new"), SNAPSHOT, ROWS)
    np.testing.assert_allclose(score, expected)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("draws", "gpus"),
    [
        pytest.param({}, 1, id="nobody-said-anything"),
        pytest.param({"A100-80GB": Draw(0.3, 9)}, 1, id="nothing-about-these-classes"),
        pytest.param({"L40S": Draw(0.3)}, 1, id="one-figure-for-all-unknown"),
        pytest.param({"H100-80GB": Draw(0.4), "L40S": Draw(0.8)}, 0, id="a-pod-without-devices"),
    ],
)
def test_energy_abstains(draws: dict[str, Draw], gpus: int) -> None:
    assert Energy(draws).score(make_pod("new", gpus=gpus), SNAPSHOT, ROWS) is None


def test_whoever_was_disrupted_goes_where_little_stays_free() -> None:
    score = Fairness(lambda _pod: 3.0).score(make_pod("new", gpus=2), SNAPSHOT, ROWS)
    # three quarters of the free share that is left: 6 of 8 devices, none, 6 and 6
    np.testing.assert_allclose(score, [1 - 0.75 * 0.75, 1.0, 1 - 0.75 * 0.75, 1 - 0.75 * 0.75])  # type: ignore[arg-type]


def test_whoever_was_left_alone_has_no_opinion() -> None:
    assert Fairness(lambda _pod: 0.0).score(make_pod("new"), SNAPSHOT, ROWS) is None


def test_only_running_pods_that_ended_count_and_fade() -> None:
    owner = Owner("ReplicaSet", "rs", "rs-uid")

    def move(index: int, kind: str, by: Owner | None = owner) -> Move:
        return Move(index, 0, kind, f"u{index}", "ns", f"p{index}", by)  # type: ignore[arg-type]

    moves = (
        move(0, "Move"),
        move(1, "Place"),
        move(2, "Evict"),
        move(3, "Move"),
        move(4, "Move", None),
    )
    progress = (
        MoveProgress(0, "Done", finished_s=1000.0),
        MoveProgress(1, "Done", finished_s=1000.0),
        MoveProgress(2, "Done", finished_s=1000.0 - HALF_LIFE_S),
        MoveProgress(3, "Failed", finished_s=1000.0),
        MoveProgress(4, "Done", finished_s=1000.0),
    )
    record = PlanRecord(Plan("plan", moves=moves), PlanProgress(moves=progress))
    weighed = weigh_disruptions(disruptions_in([record]), 1000.0)
    assert weighed == {"rs-uid": pytest.approx(1.5)}
