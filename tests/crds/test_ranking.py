from __future__ import annotations

from typing import Any

import pytest

from moorage_crds.policy import PlacementPolicy, PolicySpec, Scorer
from moorage_crds.ranking import SCORERS, to_ranking_params
from moorage_policies.errors import BadInputError
from moorage_policies.scoring import DEFAULT_WEIGHTS, Draw, RankingParams
from moorage_policies.testing import make_pod

BASE = RankingParams()


def _spec(**spec: Any) -> PolicySpec:
    body = {"metadata": {"name": "default"}, "spec": spec}
    return PlacementPolicy.read(body).spec


def test_the_built_in_policy_changes_nothing() -> None:
    assert to_ranking_params(PolicySpec(), BASE).weights == DEFAULT_WEIGHTS


def test_ten_is_the_built_in_weight_and_zero_is_off() -> None:
    spec = _spec(
        scorers=[
            {"name": "Fragmentation", "weight": 20},
            {"name": "SoftConstraints", "weight": 5},
            {"name": "Energy", "weight": 0},
        ]
    )
    weights = to_ranking_params(spec, BASE).weights
    assert weights["fragmentation"] == 2 * DEFAULT_WEIGHTS["fragmentation"]
    for name in SCORERS["SoftConstraints"]:
        assert weights[name] == DEFAULT_WEIGHTS[name] / 2
    assert weights["energy"] == 0
    assert weights["hints"] == DEFAULT_WEIGHTS["hints"]


def test_what_the_extender_switched_off_stays_off() -> None:
    base = RankingParams(weights={"fragmentation": 1.0})
    spec = _spec(scorers=[{"name": "Energy", "weight": 100}])
    weights = to_ranking_params(spec, base).weights
    assert {name for name, weight in weights.items() if weight > 0} == {"fragmentation"}


@pytest.mark.parametrize(
    ("hints", "share"),
    [
        pytest.param({"weight": 20}, 2.0, id="weight"),
        pytest.param({"actuation": "Recommend"}, 0.0, id="only-shown"),
        pytest.param({"actuation": "Off"}, 0.0, id="off"),
    ],
)
def test_hints_count_as_the_policy_says(hints: dict[str, Any], share: float) -> None:
    weights = to_ranking_params(_spec(hints=hints), BASE).weights
    assert weights["hints"] == share * DEFAULT_WEIGHTS["hints"]


def test_pools_and_priorities_have_weights_of_their_own() -> None:
    scorers = [{"name": "Fragmentation", "weight": 0}]
    spec = _spec(
        scorerOverrides=[
            {"name": "chat", "pools": ["team/chat"], "scorers": scorers},
            {"name": "high", "lowestPriority": 1000, "scorers": scorers},
        ]
    )
    params = to_ranking_params(spec, BASE)
    chat = make_pod("a", namespace="team", labels={"moorage.dev/pool": "chat"})
    for pod, weight in (
        (chat, 0.0),
        (make_pod("b", priority=1000), 0.0),
        (make_pod("c", priority=999), 1.0),
    ):
        assert params.weights_of(pod)["fragmentation"] == weight


def test_parameters_reach_their_scorers() -> None:
    spec = _spec(
        acceleratorClasses=[{"name": "big", "nodeSelector": {"nvidia.com/gpu.product": "H100X"}}],
        scorers=[
            {"name": "Fragmentation", "weight": 10, "parameters": {"halfLifeSeconds": "60"}},
            {
                "name": "Interference",
                "weight": 10,
                "parameters": {"slowdown.decode/batch": "1.5"},
            },
            {
                "name": "Energy",
                "weight": 10,
                "parameters": {"joulesPerToken.big": "0.4", "idleWatts.L40S": "90"},
            },
        ],
        topology={"levels": ["zone", "rack"]},
    )
    params = to_ranking_params(spec, BASE)
    assert params.half_life_s == 60
    assert params.draws == {"H100X": Draw(0.4), "L40S": Draw(None, 90)}
    assert params.slowdowns == {("decode", "batch"): 1.5}
    assert params.topology_levels == ("zone", "rack")


@pytest.mark.parametrize(
    ("scorer", "parameters", "named"),
    [
        pytest.param("Fragmentation", {"patience": "3"}, "patience", id="unknown"),
        pytest.param("Fairness", {"halfLifeSeconds": "3"}, "halfLife", id="of-another-scorer"),
        pytest.param("Interference", {"slowdown.decode": "2"}, "no such", id="one-of-a-pair"),
        pytest.param("Interference", {"slowdown.a/b": "0.5"}, "1 or more", id="a-speed-up"),
        pytest.param("Fragmentation", {"halfLifeSeconds": "0"}, "more than 0", id="zero"),
    ],
)
def test_parameters_that_mean_nothing_are_refused(
    scorer: Scorer, parameters: dict[str, str], named: str
) -> None:
    spec = _spec(scorers=[{"name": scorer, "weight": 10, "parameters": parameters}])
    with pytest.raises(BadInputError, match=named) as caught:
        to_ranking_params(spec, BASE)
    assert caught.value.field.startswith("spec.scorers[0].parameters")
