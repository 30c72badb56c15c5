"""What is left of planned moves after the cluster changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from moorage_policies.plans.records import Move
from moorage_policies.types import Node, Pod

Amounts = dict[str, int]


@dataclass(frozen=True, slots=True)
class Freshness:
    """Moves that still hold, in an order that works, and why the others do not, by index."""

    kept: tuple[Move, ...]
    dropped: Mapping[int, str]


def drop_stale(moves: Sequence[Move], nodes: Sequence[Node], pods: Sequence[Pod]) -> Freshness:
    """Return the moves that can still be carried out one after the other.

    A move is stale when its pod is gone, ends, or sits elsewhere, when its target is gone or
    cordoned, or when the target has no room at its turn.
    """
    alive = {pod.uid: pod for pod in pods if pod.node and pod.phase not in ("Succeeded", "Failed")}
    open_nodes = {node.name: node for node in nodes if not node.unschedulable}
    free = {node.name: dict(node.allocatable) for node in nodes}
    for pod in alive.values():
        _take(free, pod.node or "", _needs(pod))
    kept, dropped = [], dict[int, str]()
    for move in sorted(moves, key=lambda m: (m.step, m.index)):
        why = _why_stale(move, alive, open_nodes, free)
        if why:
            dropped[move.index] = why
            continue
        needs = _needs(alive[move.uid])
        _take(free, move.target, needs)
        _take(free, move.source, {name: -amount for name, amount in needs.items()})
        kept.append(move)
    return Freshness(tuple(kept), dropped)


def _why_stale(
    move: Move,
    alive: Mapping[str, Pod],
    open_nodes: Mapping[str, Node],
    free: Mapping[str, Amounts],
) -> str:
    pod = alive.get(move.uid)
    if pod is None or pod.terminating:
        return "the pod is gone"
    if pod.node != move.source:
        return "the pod sits elsewhere"
    if move.target not in open_nodes:
        return "the target is gone or cordoned"
    room = free[move.target]
    short = [name for name, amount in _needs(pod).items() if amount > room.get(name, 0)]
    return f"the target lacks {short[0]}" if short else ""


def _needs(pod: Pod) -> Amounts:
    return {**pod.requests, "pods": 1}


def _take(free: dict[str, Amounts], node: str, amounts: Mapping[str, int]) -> None:
    if node in free:
        for name, amount in amounts.items():
            free[node][name] = free[node].get(name, 0) - amount
