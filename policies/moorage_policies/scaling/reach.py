"""Which of the wished replicas have a place to go, and what that makes of the decision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from moorage_policies.pools.room import find_accepting
from moorage_policies.scaling.joint import join
from moorage_policies.scaling.observation import Observation
from moorage_policies.scaling.params import Params
from moorage_policies.scaling.step import frame_of
from moorage_policies.scaling.targets import Alternative, Targets
from moorage_policies.state.snapshot import Snapshot
from moorage_policies.types import AcceleratorClass, BoolArray, Decision, IntArray, Pod

Where = Literal["now", "class", "moves", "reclaim", "nowhere"]
"""now: on the best class. class: on another class of the role's list. moves: after running replicas
moved. reclaim: after pods of lower priority left. nowhere: not on these nodes."""


@dataclass(frozen=True, slots=True)
class Shape:
    """One replica of a role on one accelerator class.

    Args:
        accelerator: the class.
        pod: one of its pods.
        pods: equal pods of a replica.
    """

    accelerator: AcceleratorClass
    pod: Pod
    pods: int = 1


@dataclass(frozen=True, slots=True)
class RoleReach:
    """How many replicas of a role have a place.

    Args:
        role: its name.
        replicas: replicas that it may be asked to have now.
        missing: wished replicas beyond those.
        where: what the last of the placed ones needs, or the missing ones would.
        relaxation: the least change that would let the missing ones in; empty when none miss.
    """

    role: str
    replicas: int
    missing: int = 0
    where: Where = "now"
    relaxation: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for one role.

    Args:
        role: its name.
        have: replicas that hold a place, or wait for one that is theirs.
        wished: replicas wished for.
        shapes: the role's classes, best first.
    """

    role: str
    have: int
    wished: int
    shapes: tuple[Shape, ...]


@dataclass(frozen=True, slots=True)
class Shift:
    """A running pod that could change its node.

    Args:
        uid: of the pod.
        source: node that it leaves.
        target: node that it goes to.
    """

    uid: str
    source: str
    target: str


def find_reach(
    snapshot: Snapshot,
    asked: Sequence[Asked],
    kept: IntArray | None = None,
    taken: IntArray | None = None,
    shifts: Sequence[Shift] = (),
) -> tuple[RoleReach, ...]:
    """Return how many of the wished replicas have a place, role by role in turn.

    Replicas are put on the node that they fill most, in turns, so that no role takes all. What fits
    nowhere is tried once more after moves, then with the pods of lower priority away.

    Args:
        snapshot: nodes, and the pods that sit on them; those going away still do.
        asked: what is wished for.
        kept: room that plans hold for others, shape ``(nodes, resources)``.
        taken: the room that the placed replicas take is added to it.
        shifts: moves that a search proposed, in their order; those that do not hold any more, and
            all after them, are left out.
    """
    free = snapshot.free.copy() if kept is None else snapshot.free - kept
    offered = free.copy()
    placed, classes = _place(snapshot, asked, free)
    if taken is not None:
        taken += offered - free
    missing = [max(0, a.wished - a.have) - n for a, n in zip(asked, placed, strict=True)]
    moves = _count_moves(snapshot, asked, missing, free, shifts) if any(missing) else None
    after = _place_after_reclaim(snapshot, asked, missing, free) if any(missing) else placed
    return tuple(
        _describe(a, n, lack, worst, reclaimed, moves)
        for a, n, lack, worst, reclaimed in zip(asked, placed, missing, classes, after, strict=True)
    )


def find_scattered(
    snapshot: Snapshot, asked: Sequence[Asked], reach: Sequence[RoleReach], kept: IntArray
) -> tuple[Shape, ...]:
    """Return shapes of missing replicas for which enough is free, only not in one piece."""
    found = []
    for role, seen in zip(asked, reach, strict=True):
        if not seen.missing or not role.shapes:
            continue
        best = role.shapes[0]
        demand = snapshot.demand_of(best.pod)
        if demand is None:
            continue
        free = np.maximum(snapshot.free - kept, 0)
        free = free[find_accepting(snapshot, best.accelerator, best.pod)].sum(axis=0)
        if (free >= demand * best.pods).all():
            found.append(best)
    return tuple(found)


def settle(
    decision: Decision[Targets],
    reach: Sequence[RoleReach],
    params: Params,
    observation: Observation,
) -> Decision[Targets]:
    """Return the decision with counts that have a place; nothing shrinks that was not to shrink.

    Roles that grow wait for the place that shrinking ones leave: their next tick finds it.
    """
    targets = decision.value
    capped = (
        [
            min(t.replicas, max(t.before, r.replicas)) if t.replicas > t.before else t.replicas
            for t, r in zip(targets.roles, reach, strict=True)
        ]
        if reach
        else list(targets.counts)
    )
    if tuple(capped) == targets.counts:
        return decision
    frame = frame_of(params, observation, is_blind=targets.is_blind)
    highs = tuple(
        max(low, min(high, count))
        for low, high, count in zip(frame.lows, frame.highs, capped, strict=True)
    )
    counts = join(capped, replace(frame, highs=highs)) or tuple(capped)
    # the ratio may hold a role back that has room, but takes none away that still serves
    counts = tuple(
        max(c, min(t.before, t.replicas)) for c, t in zip(counts, targets.roles, strict=True)
    )
    lacking = [r for r in reach if r.missing]
    limit = "; ".join(
        f"role {r.role}: {r.missing} {_PLACES[r.where]}{r.relaxation}" for r in lacking
    )
    settled = replace(
        targets,
        roles=tuple(replace(t, replicas=c) for t, c in zip(targets.roles, counts, strict=True)),
        rejected=(*targets.rejected, Alternative("unplaced", targets.counts, limit)),
        limit=limit,
    )
    reason = f"{decision.reason}; placed: {counts}, {limit}"
    return Decision(settled, reason, {**decision.inputs, "reach": tuple(reach)})


_PLACES: dict[str, str] = {
    "now": "fit",
    "class": "fit on another class",
    "moves": "would fit after moves",
    "reclaim": "would fit after pods of lower priority left",
    "nowhere": "fit nowhere",
}


def _place(
    snapshot: Snapshot, asked: Sequence[Asked], free: IntArray
) -> tuple[list[int], list[int]]:
    """Return replicas placed and the worst class used, by role; ``free`` is used up."""
    placed, worst = [0] * len(asked), [0] * len(asked)
    open_roles = [place for place, a in enumerate(asked) if a.wished > a.have]
    while open_roles:
        for place in tuple(open_roles):
            role = asked[place]
            found = _put(snapshot, role.shapes, free)
            if found is None:
                open_roles.remove(place)
                continue
            placed[place] += 1
            worst[place] = max(worst[place], found)
            if role.have + placed[place] >= role.wished:
                open_roles.remove(place)
    return placed, worst


def _put(snapshot: Snapshot, shapes: Sequence[Shape], free: IntArray) -> int | None:
    """Take the room of one replica on the best class that has it; return the class's place."""
    for place, shape in enumerate(shapes):
        demand = snapshot.demand_of(shape.pod)
        if demand is None:
            continue
        accepting = find_accepting(snapshot, shape.accelerator, shape.pod)
        rows = _choose_rows(free, demand, accepting, shape.pods)
        if rows is not None:
            np.subtract.at(free, rows, demand)
            return place
    return None


def _choose_rows(
    free: IntArray, demand: IntArray, accepting: BoolArray, pods: int
) -> IntArray | None:
    """Return a node for each pod, fullest first, ``None`` when they do not all fit."""
    used = demand > 0
    slots = (np.maximum(free[:, used], 0) // demand[used]).min(axis=1, initial=pods)
    rows = np.flatnonzero(accepting & (slots > 0))
    if int(slots[rows].sum()) < pods:
        return None
    order = rows[np.argsort(slots[rows], kind="stable")]
    chosen: IntArray = np.repeat(order, slots[order])[:pods]
    return chosen


def _count_moves(
    snapshot: Snapshot,
    asked: Sequence[Asked],
    missing: Sequence[int],
    free: IntArray,
    shifts: Sequence[Shift],
) -> int | None:
    """Return how many of the moves it takes until all fit, ``None`` when all do not do."""
    opened = free.copy()
    again = [replace(a, have=a.wished - lack) for a, lack in zip(asked, missing, strict=True)]
    for count, shift in enumerate(shifts, 1):
        source, target = (snapshot.node_index.get(n) for n in (shift.source, shift.target))
        if source is None or target is None:
            return None
        pod = next((p for p in snapshot.pods_on(source) if p.uid == shift.uid), None)
        demand = None if pod is None or pod.terminating else snapshot.demand_of(pod)
        if demand is None or (opened[target] < demand)[demand > 0].any():
            return None
        opened[target] -= demand
        opened[source] += demand
        placed, _ = _place(snapshot, again, opened.copy())
        if all(n >= lack for n, lack in zip(placed, missing, strict=True)):
            return count
    return None


def _place_after_reclaim(
    snapshot: Snapshot, asked: Sequence[Asked], missing: Sequence[int], free: IntArray
) -> list[int]:
    """Return how many of the missing would fit were all pods of lower priority away."""
    priority = max((shape.pod.priority for a in asked for shape in a.shapes), default=0)
    opened = free.copy()
    for row in range(len(snapshot.nodes)):
        for pod in snapshot.pods_on(row):
            demand = snapshot.demand_of(pod) if pod.priority < priority else None
            if demand is not None:
                opened[row] += demand
    again = [replace(a, have=a.wished - lack) for a, lack in zip(asked, missing, strict=True)]
    placed, _ = _place(snapshot, again, opened)
    return placed


def _describe(
    asked: Asked, placed: int, missing: int, worst: int, reclaimed: int, moves: int | None
) -> RoleReach:
    have = asked.have + placed
    if missing <= 0:
        return RoleReach(asked.role, max(have, asked.wished), 0, "class" if worst else "now")
    if moves is not None:
        text = f" ({moves} of running replicas); set onUnplaceable to Pending to have them made"
        return RoleReach(asked.role, have, missing, "moves", text)
    where: Where = "reclaim" if reclaimed >= missing else "nowhere"
    best = asked.shapes[0] if asked.shapes else None
    name = best.accelerator.name if best else "any class"
    text = f"; free {missing} x {best.pods if best else 1} pods' room on {name}"
    return RoleReach(asked.role, have, missing, where, f"{text} or accept another class")
