"""Soft scale-in: a replica leaves the Service, is watched for a while, and then goes or returns.

A replica is in one of three states::

    serving --not needed--> resting --watched for observe_s--> gone
       ^                       |
       +--needed, or a latency-+
          misses its target

While nobody can tell, those that rest stay as they are; after a whole window they return. A return
costs a change of the Service and no start-up. When each replica began to rest is part of the
observation, so a new process goes on where the last one was.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Rest:
    """What becomes of one role's replicas.

    Args:
        replicas: the count to write; those that rest are part of it.
        resting: how many stay out of the Service.
    """

    replicas: int
    resting: int


def rest(
    before: int,
    serving: int,
    since_s: Sequence[float],
    now_s: float,
    observe_s: float,
    *,
    returns: bool = False,
    holds: bool = False,
) -> Rest:
    """Return how many replicas there should be and how many of them rest.

    Args:
        before: replicas that there are, those that rest included.
        serving: replicas that should serve.
        since_s: when each of those that rest began to.
        now_s: the moment.
        observe_s: how long a replica rests before it goes; 0: it goes at once.
        returns: whether all that rest should serve again.
        holds: whether nobody may go.
    """
    if returns and since_s:
        return Rest(max(before, serving), 0)
    spare = max(0, before - serving)
    watched = spare if observe_s <= 0.0 else sum(now_s - at_s >= observe_s for at_s in since_s)
    gone = 0 if holds else min(spare, watched)
    return Rest(max(before, serving) - gone, spare - gone)


def keep_budget(
    rests: Sequence[Rest], gpus: Sequence[int], max_gpus: int | None
) -> tuple[Rest, ...]:
    """Return the rests within the budget: a replica that another role grows into goes at once."""
    kept = list(rests)
    for place, (one, each) in enumerate(zip(rests, gpus, strict=True)):
        cost = sum(r.replicas * g for r, g in zip(kept, gpus, strict=True))
        if max_gpus is None or cost <= max_gpus or not one.resting or not each:
            continue
        go = min(one.resting, math.ceil((cost - max_gpus) / each))
        kept[place] = replace(one, replicas=one.replicas - go, resting=one.resting - go)
    return tuple(kept)
