"""What is better: placed pods by tier from the top, then cost by tier from the top.

With ``same_tier_eviction`` off, each tier first counts the running pods it keeps and only then the
pods it places. Since the counts are compared from the top, a running pod is given up only where a
newly placed pod of strictly higher priority gains by it: equals are moved, never evicted.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from moorage_policies.packing.instance import Instance
from moorage_policies.types import BoolArray, IntArray

Score = tuple[int, ...]

KEPT: Final = "kept"
PLACED: Final = "placed"


def stages(instance: Instance) -> tuple[tuple[str, int, BoolArray], ...]:
    """Return the counted sets from the most important down: what is counted, tier, pods."""
    out: list[tuple[str, int, BoolArray]] = []
    for tier in range(len(instance.tiers)):
        members = instance.tier == tier
        if not instance.same_tier_eviction:
            out.append((KEPT, tier, members & instance.running))
        out.append((PLACED, tier, members))
    return tuple(out)


def placed_score(instance: Instance, placement: IntArray) -> Score:
    """Return the counts of every stage; higher is better, compared from the left."""
    placed = placement >= 0
    return tuple(int((placed & mask).sum()) for _, _, mask in stages(instance))


def placed_vector(instance: Instance, placement: IntArray) -> tuple[int, ...]:
    """Return placed pods per tier, most important first."""
    counts = np.bincount(instance.tier[placement >= 0], minlength=len(instance.tiers))
    return tuple(int(count) for count in counts)


def cost_vector(instance: Instance, placement: IntArray) -> tuple[int, ...]:
    """Return the cost of moves and evictions per tier, most important first; lower is better."""
    left = instance.running & (placement != instance.current)
    cost = np.where(placement >= 0, instance.move_cost, instance.evict_cost) * left
    totals = np.bincount(instance.tier, weights=cost, minlength=len(instance.tiers))
    return tuple(round(float(total)) for total in totals)


def full_score(instance: Instance, placement: IntArray) -> Score:
    """Return placed counts, then negated costs: higher is better, compared from the left."""
    costs = cost_vector(instance, placement)
    return (*placed_score(instance, placement), *(-cost for cost in costs))
