"""Who gets which part when accelerators are short: floors first, then by priority and demand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from moorage_policies.types import Decision

ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Claim:
    """What one pool asks for.

    Args:
        pool: its name.
        priority: of its pods; higher comes first at the floors.
        floor_gpus: accelerators below which it should not be.
        demand_gpus: accelerators that it asks for, not below the floor.
        held_gpus: accelerators that it has.
        weight: how much its priority counts above the floors, at least 0.
        is_offline: whether nobody waits for its answers; it yields first.
    """

    pool: str
    priority: int
    floor_gpus: int
    demand_gpus: int
    held_gpus: int = 0
    weight: float = 1.0
    is_offline: bool = False


@dataclass(frozen=True, slots=True)
class Shares:
    """Accelerators by pool, and how even the pools' parts of their demand are.

    Args:
        gpus: accelerators by place of the claim.
        fairness_ratio: Jain's index of granted over asked for; 1 is even.
    """

    gpus: tuple[int, ...]
    fairness_ratio: float


def share(claims: Sequence[Claim], total_gpus: int) -> Decision[Shares]:
    """Return the accelerators that each pool should have.

    Floors are filled in the order of priority, the rest is water: it rises in every pool in
    proportion to weight times demand, and what one pool does not need rises in the others.
    """
    granted = _fill_floors(claims, total_gpus)
    left = float(total_gpus - sum(granted))
    level = [float(gpus) for gpus in granted]
    open_pools = [p for p, c in enumerate(claims) if c.demand_gpus > granted[p] and c.weight > 0.0]
    while left > ROUNDING and open_pools:
        left, open_pools = _rise(claims, level, open_pools, left)
    gpus = _round_down(claims, level, granted, total_gpus)
    reason = ", ".join(
        f"{c.pool} {g} of {c.demand_gpus}" for c, g in zip(claims, gpus, strict=True)
    )
    inputs = {"claims": tuple(claims), "total_gpus": total_gpus}
    return Decision(Shares(gpus, _fairness(claims, gpus)), reason or "no pools", inputs)


def next_to_yield(
    claims: Sequence[Claim], shares: Shares, may: Sequence[bool] | None = None
) -> int | None:
    """Return the place of the pool that should give up one replica next, ``None`` for nobody.

    Offline pools yield before others, lower priority before higher, who has most above its share
    before who has less.

    Args:
        claims: all pools.
        shares: what each of them should have.
        may: who of them may be asked; absent: everybody.
    """
    allowed = may or [True] * len(claims)
    over = [p for p, c in enumerate(claims) if allowed[p] and c.held_gpus > shares.gpus[p]]
    if not over:
        return None
    return min(
        over,
        key=lambda p: (
            not claims[p].is_offline,
            claims[p].priority,
            shares.gpus[p] - claims[p].held_gpus,
            claims[p].pool,
        ),
    )


def _fill_floors(claims: Sequence[Claim], total_gpus: int) -> list[int]:
    granted = [0] * len(claims)
    order = sorted(range(len(claims)), key=lambda p: (-claims[p].priority, claims[p].pool))
    for place in order:
        granted[place] = min(claims[place].floor_gpus, total_gpus - sum(granted))
    return granted


def _rise(
    claims: Sequence[Claim], level: list[float], open_pools: list[int], left: float
) -> tuple[float, list[int]]:
    """Let the water rise until it is used up or one pool is full."""
    speeds = {p: claims[p].weight * claims[p].demand_gpus for p in open_pools}
    whole = sum(speeds.values())
    time = min(left / whole, *((claims[p].demand_gpus - level[p]) / speeds[p] for p in open_pools))
    for place in open_pools:
        level[place] += time * speeds[place]
    still = [p for p in open_pools if level[p] < claims[p].demand_gpus - ROUNDING]
    return left - time * whole, still


def _round_down(
    claims: Sequence[Claim], level: list[float], granted: list[int], total_gpus: int
) -> tuple[int, ...]:
    gpus = [max(g, int(x + ROUNDING)) for g, x in zip(granted, level, strict=True)]
    parts = sorted(
        range(len(claims)),
        key=lambda p: (-(level[p] - gpus[p]), -claims[p].priority, claims[p].pool),
    )
    for place in parts:
        if sum(gpus) < total_gpus and gpus[place] < claims[place].demand_gpus:
            gpus[place] += level[place] - gpus[place] > ROUNDING
    return tuple(gpus)


def _fairness(claims: Sequence[Claim], gpus: Sequence[int]) -> float:
    parts = [g / c.demand_gpus for g, c in zip(gpus, claims, strict=True) if c.demand_gpus]
    squares = sum(part**2 for part in parts)
    return sum(parts) ** 2 / (len(parts) * squares) if squares else 1.0
