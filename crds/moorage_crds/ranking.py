"""From the policy to how nodes are ranked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from moorage_crds.policy import PolicySpec, ScorerSettings, ScorerWeight
from moorage_policies.errors import BadInputError
from moorage_policies.pools.classes import PRODUCT_LABEL
from moorage_policies.scoring import (
    HIGHEST_PRIORITY,
    LOWEST_PRIORITY,
    Draw,
    RankingParams,
    WeightOverride,
)

BUILT_IN_WEIGHT = 10
"""Weight in a policy that leaves a scorer as it is built in."""

SCORERS: Mapping[str, tuple[str, ...]] = {
    "Fragmentation": ("fragmentation",),
    "Heterogeneity": ("heterogeneity",),
    "SoftConstraints": (
        "preferred-nodes",
        "preferred-neighbours",
        "soft-spread",
        "soft-taints",
        "local-images",
    ),
    "Energy": ("energy",),
    "Fairness": ("fairness",),
    "Load": ("load",),
    "Interference": ("interference",),
    "Network": ("network",),
}
"""Scorers of the ranking behind each name in a policy."""

HALF_LIFE = "halfLifeSeconds"
JOULES, IDLE_WATTS, SLOWDOWN = "joulesPerToken.", "idleWatts.", "slowdown."


def to_ranking_params(spec: PolicySpec, base: RankingParams) -> RankingParams:
    """Return how nodes are ranked under a policy.

    Args:
        spec: the policy.
        base: what the extender's own settings say; the policy beats it.

    Raises:
        BadInputError: a parameter that its scorer does not know, or that makes no sense.
    """
    weights = {**base.weights, **_weights(spec.scorers, base.weights)}
    hinted = spec.hints.weight / BUILT_IN_WEIGHT if spec.hints.actuation == "Auto" else 0.0
    weights["hints"] = base.weights.get("hints", 0.0) * hinted
    parameters = {
        name: value
        for position, scorer in enumerate(spec.scorers)
        for name, value in _parameters(scorer, f"spec.scorers[{position}].parameters").items()
    }
    return replace(
        base,
        weights=weights,
        overrides=tuple(
            WeightOverride(
                _weights(override.scorers, base.weights),
                frozenset(override.pools),
                _or(override.lowest_priority, LOWEST_PRIORITY),
                _or(override.highest_priority, HIGHEST_PRIORITY),
            )
            for override in spec.scorer_overrides
        ),
        half_life_s=parameters.get(HALF_LIFE, base.half_life_s),
        topology_levels=spec.topology.levels if spec.topology is not None else (),
        draws=_draws(parameters, spec),
        slowdowns={
            _pair(name): value for name, value in parameters.items() if name.startswith(SLOWDOWN)
        },
    )


def _or(value: int | None, otherwise: int) -> int:
    return otherwise if value is None else value


def _weights(
    scorers: Iterable[ScorerSettings | ScorerWeight], base: Mapping[str, float]
) -> dict[str, float]:
    return {
        name: base.get(name, 0.0) * scorer.weight / BUILT_IN_WEIGHT
        for scorer in scorers
        for name in SCORERS.get(scorer.name, ())
    }


def _parameters(scorer: ScorerSettings, field: str) -> dict[str, float]:
    found = {name: float(value) for name, value in scorer.parameters.items()}
    for name, value in found.items():
        if scorer.name == "Fragmentation" and name == HALF_LIFE:
            if value <= 0:
                raise BadInputError("must be more than 0", field=f"{field}.{name}")
        elif scorer.name == "Interference" and all(_pair(name)):
            if value < 1:
                raise BadInputError("must be 1 or more", field=f"{field}.{name}")
        elif scorer.name != "Energy" or not name.startswith((JOULES, IDLE_WATTS)):
            message = f"{scorer.name} has no such parameter; its page in the documentation has all"
            raise BadInputError(message, field=f"{field}.{name}")
    return found


def _pair(name: str) -> tuple[str, str]:
    """Return who suffers from whom, empty names where ``slowdown.VICTIM/NEIGHBOUR`` is not kept."""
    if not name.startswith(SLOWDOWN):
        return "", ""
    victim, _, neighbour = name.removeprefix(SLOWDOWN).partition("/")
    return victim, neighbour


def _draws(parameters: Mapping[str, float], spec: PolicySpec) -> dict[str, Draw]:
    """Return what classes draw, by the product that marks their nodes, else by their name."""
    products = {one.name: one.node_selector.get(PRODUCT_LABEL) for one in spec.accelerator_classes}
    names = {n.partition(".")[2] for n in parameters if n.startswith((JOULES, IDLE_WATTS))}
    return {
        products.get(name) or name: Draw(
            parameters.get(f"{JOULES}{name}"), parameters.get(f"{IDLE_WATTS}{name}")
        )
        for name in names
    }
