"""What one tick sees of a pool, and whether it sees at all."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

Sight = Literal["measured", "idle", "blind"]
"""measured: samples are fresh. idle: they are fresh and say that nothing happens. blind: too few
samples, too old or not to be believed; blind is never taken for idle."""


@dataclass(frozen=True, slots=True)
class RoleReading:
    """What is known of one role at one tick.

    Args:
        role: its name.
        sight: whether its load was measured.
        desired: replicas that it was asked to have before this tick.
        ready: replicas that serve.
        leaving: replicas whose pods are going away and still hold accelerators.
        load: demand on the whole role, in replicas at their target; ``None`` when nothing of its
            own is measured, then the role follows the ratio.
        backlog: work that waits, in replica-seconds.
        ttft_s: time to the first token, 95th percentile, ``None`` when unknown.
        itl_s: time between tokens, 95th percentile, ``None`` when unknown.
        peak_ratio: latency of the slowest hundredth that speaks for the role, in targets, ``None``
            when unknown.
        activations: requests that wait for a first replica.
        service_s: time that one request occupies a replica of a role that serves them one after
            the other, 0 while unknown.
        resting_s: when each replica that is out of the Service left it, Unix seconds, the oldest
            first; they count in ``desired`` and ``ready``.
    """

    role: str
    sight: Sight
    desired: int
    ready: int
    leaving: int = 0
    load: float | None = None
    backlog: float = 0.0
    ttft_s: float | None = None
    itl_s: float | None = None
    peak_ratio: float | None = None
    activations: float = 0.0
    service_s: float = 0.0
    resting_s: tuple[float, ...] = ()

    @property
    def is_credible(self) -> bool:
        """Return whether every number is one that a measurement can give."""
        numbers = (
            self.load,
            self.backlog,
            self.ttft_s,
            self.itl_s,
            self.peak_ratio,
            self.activations,
            self.service_s,
            *self.resting_s,
        )
        return all(x is None or (math.isfinite(x) and x >= 0.0) for x in numbers)

    def of_serving(self) -> RoleReading:
        """Return the reading with those that rest left out of the counts."""
        rests = len(self.resting_s)
        desired, ready = max(0, self.desired - rests), max(0, self.ready - rests)
        return replace(self, desired=desired, ready=ready)


@dataclass(frozen=True, slots=True)
class Observation:
    """What is known of a pool at one tick.

    Args:
        now_s: Unix seconds.
        roles: the scaled roles, in the order of the parameters.
        floors: least replicas that schedules and people ask for now, by place of the role; empty
            when nobody does.
    """

    now_s: float
    roles: tuple[RoleReading, ...]
    floors: tuple[int, ...] = ()

    def floor_of(self, place: int) -> int:
        """Return the floor of the role at this place."""
        return self.floors[place] if place < len(self.floors) else 0
