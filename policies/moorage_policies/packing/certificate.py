"""What is proven about an answer, tier by tier, within the modelled constraints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from moorage_policies.packing.instance import Instance
from moorage_policies.packing.objective import PLACED, placed_vector, stages
from moorage_policies.types import IntArray

Verdict = Literal["Optimal", "Unchanged", "Feasible"]


@dataclass(frozen=True, slots=True)
class TierCertificate:
    """The verdict on one tier.

    Attributes:
        priority: the tier's Kubernetes priority.
        wanted: pods of the tier.
        today: how many run today.
        placed: how many the answer places.
        bound: how many any answer can place that does as well in the tiers above.
        verdict: ``Feasible`` while ``bound`` is above ``placed``; the gap is their difference.
    """

    priority: int
    wanted: int
    today: int
    placed: int
    bound: int
    verdict: Verdict

    @property
    def gap(self) -> int:
        """Return how many more pods might be placed for all that is proven."""
        return self.bound - self.placed


@dataclass(frozen=True, slots=True)
class Certificate:
    """The verdict on the whole answer; it holds within the modelled constraints.

    ``verdict`` is ``Optimal`` or ``Unchanged`` (nothing better than today exists) only when every
    tier is proven. ``cost_proven`` tells whether moves and evictions are at their least as well.
    """

    verdict: Verdict
    tiers: tuple[TierCertificate, ...]
    cost: tuple[int, ...]
    cost_proven: bool
    seed: int
    workers: int
    work: float

    @property
    def is_proven(self) -> bool:
        """Return whether no answer places more, by priority."""
        return self.verdict != "Feasible"


def certify(
    instance: Instance,
    placement: IntArray,
    bounds: Sequence[int],
    *,
    cost: tuple[int, ...],
    cost_proven: bool,
    seed: int,
    workers: int,
    work: float,
) -> Certificate:
    """Return the certificate of a placement whose stages are bounded by ``bounds``."""
    today = placed_vector(instance, instance.current)
    placed = placed_vector(instance, placement)
    changed = placed != today
    listed = stages(instance)
    tiers = []
    proven = True
    for stage, (what, tier, mask) in enumerate(listed):
        reached = int((placement[mask] >= 0).sum())
        proven = proven and bounds[stage] <= reached
        if what != PLACED:
            continue
        verdict: Verdict = "Feasible"
        if proven:
            verdict = "Unchanged" if placed[tier] == today[tier] else "Optimal"
        tiers.append(
            TierCertificate(
                priority=instance.tiers[tier],
                wanted=int(np.count_nonzero(mask)),
                today=today[tier],
                placed=placed[tier],
                bound=max(bounds[stage], placed[tier]),
                verdict=verdict,
            )
        )
    overall: Verdict = "Feasible"
    if proven:
        overall = "Optimal" if changed else "Unchanged"
    return Certificate(
        verdict=overall,
        tiers=tuple(tiers),
        cost=cost,
        cost_proven=cost_proven and proven,
        seed=seed,
        workers=workers,
        work=work,
    )
