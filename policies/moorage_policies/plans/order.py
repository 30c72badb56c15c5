"""In which order moves run, so that room is free before it is used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from moorage_policies.errors import BadInputError
from moorage_policies.plans.records import Move
from moorage_policies.types import Decision

Amounts = Mapping[str, int]

LOOKS_AHEAD: Final = 32
"""Moves up to which every way out of a circle is tried to the end; beyond, the cheapest goes."""


@dataclass(frozen=True, slots=True)
class Way:
    """What it costs to take a pod out of a circle of moves; lower is better.

    Args:
        evict_cost: ending it before its replacement runs, beyond what its move costs anyway.
        stage_cost: one move more.
        stages: nodes that may keep it for a while; none when it has to go straight.
    """

    evict_cost: float = 0.0
    stage_cost: float = 0.0
    stages: tuple[str, ...] = ()


def order_moves(
    moves: Sequence[Move],
    free: Mapping[str, Amounts],
    requests: Mapping[str, Amounts],
    ways: Mapping[str, Way],
) -> Decision[tuple[Move, ...]]:
    """Return the moves with their steps; moves of one step may run together.

    A move waits until its target has room beside everything that still sits there: with SurgeFirst
    the old pod keeps its place until the new one is ready. Where moves wait for each other in a
    circle, one of them goes another way, whichever costs less in all: by a staging node, which adds
    a move that follows it, or as EvictFirst, and then its replacement comes as soon as a later step
    has freed its target.

    Args:
        moves: the moves; their steps are ignored.
        free: what is free now, by node and resource.
        requests: what the moves' pods ask for, by UID.
        ways: ways out of a circle, by UID; pods without any are evicted at no cost.

    Raises:
        BadInputError: a move has no room even after all others; names it.
    """
    listed = sorted(moves, key=lambda move: move.index)
    best = _finish(_Yard(free, listed, requests, ways))
    if best.cost:  # room that new pods take last may stage others before
        late = _finish(_Yard(free, listed, requests, ways, places_last=True))
        best = late if late.cost < best.cost else best
    return Decision(tuple(best.ordered), best.tell())


def _finish(yard: _Yard) -> _Yard:
    """Return the yard with every move ordered."""
    looks_ahead = yard.left <= LOOKS_AHEAD
    while yard.is_stuck():
        options = yard.options()
        if looks_ahead and len(options) > 1:
            options = [min(options, key=lambda option: _cost_in_the_end(yard.after(option)))]
        yard = yard.after(options[0])
    return yard


@dataclass(frozen=True, slots=True)
class _Option:
    """One way out of a circle; without a node the pod is evicted."""

    cost: float
    move: Move
    node: str = ""


class _Yard:
    """Moves that ran, moves that wait, and what is free in between."""

    def __init__(
        self,
        room: Mapping[str, Amounts],
        waiting: Sequence[Move],
        requests: Mapping[str, Amounts],
        ways: Mapping[str, Way],
        *,
        places_last: bool = False,
    ) -> None:
        self.ordered: list[Move] = []
        self.cost = 0.0
        self._room = {node: dict(amounts) for node, amounts in room.items()}
        self._places_last = places_last
        self._waiting = list(waiting)
        self._homeless: list[Move] = []
        self._requests, self._ways = requests, ways
        self._step = 0
        self._next_index = max((move.index for move in waiting), default=-1) + 1

    @property
    def left(self) -> int:
        """Return how many moves have not run."""
        return len(self._waiting)

    def is_stuck(self) -> bool:
        """Run whatever can run; return whether moves are left that wait for each other."""
        while self._waiting or self._homeless:
            arrived = [move for move in self._homeless if self._take(move, move.target)]
            self._homeless = [move for move in self._homeless if move not in arrived]
            ready = self._ready()
            if ready:
                self._run(ready)
            elif not arrived:
                return True
        return False

    def options(self) -> list[_Option]:
        """Return the ways out of the circle, the cheapest first.

        Only a pod helps that sits where others want to go. No pod is staged where others want to
        go, so that staged pods never stand in anybody's way.

        Raises:
            BadInputError: nothing helps.
        """
        wanted = {move.target for move in (*self._waiting, *self._homeless)}
        kept = {move.target for move in (*self._movers(), *self._homeless)}
        found = []
        for move in self._waiting:
            if move.kind != "Move" or move.follows is not None or move.source not in wanted:
                continue
            way = self._ways.get(move.uid, Way())
            found.append(_Option(way.evict_cost, move))
            node = self._stage_for(move, way, kept)
            if node is not None:
                found.append(_Option(way.stage_cost, move, node))
        if not found:
            raise self._stuck_for_ever()
        return sorted(found, key=lambda option: (option.cost, not option.node, option.move.index))

    def after(self, option: _Option) -> _Yard:
        """Return the yard with one pod out of the circle; this one stays as it is."""
        then = _Yard(
            self._room,
            self._waiting,
            self._requests,
            self._ways,
            places_last=self._places_last,
        )
        then.ordered, then.cost = list(self.ordered), self.cost + option.cost
        then._homeless, then._step = list(self._homeless), self._step
        then._next_index = self._next_index
        move = option.move
        then._waiting.remove(move)
        if option.node:
            then._take(move, option.node)
            then._run_one(replace(move, target=option.node))
            then._waiting.append(
                replace(move, index=self._next_index, source=option.node, follows=move.index)
            )
            then._next_index += 1
        else:
            then._run_one(replace(move, strategy="EvictFirst"))
            then._homeless.append(move)
        then._step += 1
        return then

    def tell(self) -> str:
        """Return how many steps there are and how circles were broken."""
        staged = sum(move.follows is not None for move in self.ordered)
        parts = [f"{self._step} steps"]
        if staged:
            parts.append(f"{staged} pods go by a staging node")
        if self.cost:
            parts.append(f"circles cost {self.cost:g} more")
        return ", ".join(parts)

    def _ready(self) -> list[Move]:
        """Take the room of every move that can run; those go first whom others wait for."""
        wanted = Counter(move.target for move in (*self._waiting, *self._homeless))
        by_need = sorted(self._movers(), key=lambda move: (-wanted[move.source], move.index))
        ready = {move.index for move in by_need if not move.target or self._take(move, move.target)}
        return [move for move in self._waiting if move.index in ready]

    def _movers(self) -> list[Move]:
        """Return the moves whose turn it is: where new pods come last, all others first."""
        movers = [move for move in self._waiting if move.kind != "Place"]
        return movers if self._places_last and (movers or self._homeless) else self._waiting

    def _run(self, ready: Sequence[Move]) -> None:
        for move in ready:
            self._waiting.remove(move)
            self._run_one(move)
        self._step += 1

    def _run_one(self, move: Move) -> None:
        self.ordered.append(replace(move, step=self._step))
        there = self._room.get(move.source, {})
        for name, amount in self._requests[move.uid].items():
            there[name] = there.get(name, 0) + amount

    def _take(self, move: Move, node: str) -> bool:
        """Take room on a node if it has enough; return whether it had."""
        amounts = self._requests[move.uid]
        if not self._has_room(amounts, node):
            return False
        there = self._room[node]
        for name, amount in amounts.items():
            there[name] = there.get(name, 0) - amount
        return True

    def _has_room(self, amounts: Amounts, node: str) -> bool:
        there = self._room.get(node)
        return there is not None and all(
            there.get(name, 0) >= amount for name, amount in amounts.items() if amount > 0
        )

    def _stage_for(self, move: Move, way: Way, kept: set[str]) -> str | None:
        if not move.surges:
            return None
        amounts = self._requests[move.uid]
        return next(
            (
                node
                for node in way.stages
                if node != move.source and node not in kept and self._has_room(amounts, node)
            ),
            None,
        )

    def _stuck_for_ever(self) -> BadInputError:
        stuck = (*self._waiting, *self._homeless)[0]
        return BadInputError(
            f"node {stuck.target} has no room for {stuck.key} even after every other move; "
            "choose another target",
            field=f"spec.moves[{stuck.index}].to",
        )


def _cost_in_the_end(yard: _Yard) -> float:
    """Return what all circles cost if from here on the cheapest way is taken each time."""
    while yard.is_stuck():
        yard = yard.after(yard.options()[0])
    return yard.cost
