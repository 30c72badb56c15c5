"""In which order moves run, so that room is free before it is used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from moorage_policies.errors import BadInputError
from moorage_policies.plans.records import Move
from moorage_policies.types import Decision

Amounts = Mapping[str, int]


def order_moves(
    moves: Sequence[Move],
    free: Mapping[str, Amounts],
    requests: Mapping[str, Amounts],
    cost: Mapping[str, float],
) -> Decision[tuple[Move, ...]]:
    """Return the moves with their steps; moves of one step may run together.

    A move waits until its target has room beside everything that still sits there: with SurgeFirst
    the old pod keeps its place until the new one is ready. Where moves wait for each other in a
    circle, the cheapest of them becomes EvictFirst and shares its step with those that free its
    target.

    Args:
        moves: the moves; their steps are ignored.
        free: what is free now, by node and resource.
        requests: what the moves' pods ask for, by UID.
        cost: cost of ending a pod before its replacement runs, by UID; lower is better.

    Raises:
        BadInputError: a move has no room even after all others; names it.
    """
    room = {node: dict(amounts) for node, amounts in free.items()}
    waiting = sorted(moves, key=lambda move: move.index)
    ordered: list[Move] = []
    homeless: list[Move] = []
    step = broken = 0
    while waiting or homeless:
        arrived = [m for m in homeless if _take(room, m.target, requests[m.uid])]
        homeless = [m for m in homeless if m not in arrived]
        ready = [m for m in waiting if _can_run(m, room, requests)]
        if ready:
            for move in ready:
                _give(room, move.source, requests[move.uid])
            ordered += [replace(move, step=step) for move in ready]
        elif not arrived:
            evicted = _cheapest(waiting, homeless, cost)
            _give(room, evicted.source, requests[evicted.uid])
            ready = [evicted]
            homeless.append(evicted)
            ordered.append(replace(evicted, step=step, strategy="EvictFirst"))
            broken += 1
        waiting = [move for move in waiting if move not in ready]
        step += not homeless
    reason = f"{step} steps" + (f", {broken} circles broken by an eviction" if broken else "")
    return Decision(tuple(ordered), reason)


def _can_run(move: Move, room: dict[str, dict[str, int]], requests: Mapping[str, Amounts]) -> bool:
    return not move.target or _take(room, move.target, requests[move.uid])


def _take(room: dict[str, dict[str, int]], node: str, amounts: Amounts) -> bool:
    """Take room on a node if it has enough; return whether it had."""
    there = room.get(node)
    if there is None or any(there.get(name, 0) < n for name, n in amounts.items() if n > 0):
        return False
    for name, amount in amounts.items():
        there[name] = there.get(name, 0) - amount
    return True


def _give(room: dict[str, dict[str, int]], node: str, amounts: Amounts) -> None:
    if node in room:
        for name, amount in amounts.items():
            room[node][name] = room[node].get(name, 0) + amount


def _cheapest(waiting: Sequence[Move], homeless: Sequence[Move], cost: Mapping[str, float]) -> Move:
    movable = [move for move in waiting if move.kind == "Move"]
    if not movable:
        stuck = (*waiting, *homeless)[0]
        raise BadInputError(
            f"node {stuck.target} has no room for {stuck.key} even after every other move; "
            "choose another target",
            field=f"spec.moves[{stuck.index}].to",
        )
    return min(movable, key=lambda move: (cost.get(move.uid, 0.0), move.index))
