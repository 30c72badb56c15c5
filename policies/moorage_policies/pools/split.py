"""How many of a role's replicas go to each accelerator class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from moorage_policies.types import Decision


@dataclass(frozen=True, slots=True)
class ClassOption:
    """One acceptable class of a role and what is there now; options come best first.

    Args:
        name: the accelerator class.
        assigned: replicas that its workload asks for now.
        bound: replicas of it that sit on nodes; at most ``assigned`` counts.
        stuck: unbound replicas that the scheduler has refused for longer than the patience.
        free_replicas: replicas that fit beside everything placed now.
        has_nodes: whether any node of the class is there; an autoscaler may still add the first.
    """

    name: str
    assigned: int = 0
    bound: int = 0
    stuck: int = 0
    free_replicas: int = 0
    has_nodes: bool = True

    @property
    def kept(self) -> int:
        """Return the assigned replicas that sit on nodes."""
        return min(self.assigned, self.bound)


@dataclass(frozen=True, slots=True)
class Split:
    """Replicas per class, and those that have no class to go to."""

    counts: Mapping[str, int]
    unplaceable: int


def split_replicas(wanted: int, options: Sequence[ClassOption]) -> Decision[Split]:
    """Return the replicas of each class so that running ones stay where they are.

    A bound replica is given up only when fewer are wanted than are bound. Replicas that wait go to
    the best class with room; what fits nowhere waits on the best class with nodes, where preemption
    and packing find it.

    Args:
        wanted: replicas the role should have.
        options: the classes that could hold a replica, best first.
    """
    counts = {option.name: option.assigned for option in options}
    _trim(counts, options, excess=sum(counts.values()) - wanted)
    moved = _spill(counts, options)
    missing = max(0, wanted - sum(counts.values()))
    room = _room_left(counts, options)
    for option in options:
        grown = min(missing, room[option.name])
        counts[option.name] += grown
        missing -= grown
    home = _home(options)
    if home is not None:
        counts[home.name] += missing
        missing = 0
    inputs = {"wanted": wanted, "options": tuple(options)}
    return Decision(Split(counts, missing), _reason(counts, moved, missing), inputs)


def _home(options: Sequence[ClassOption]) -> ClassOption | None:
    """Return where replicas wait: the best class that has nodes, else the best one."""
    return next((o for o in options if o.has_nodes), options[0] if options else None)


def _trim(counts: dict[str, int], options: Sequence[ClassOption], excess: int) -> None:
    """Take replicas away: those that wait before those that run, the worst class first."""
    for floor in ({o.name: o.kept for o in options}, dict.fromkeys(counts, 0)):
        for option in reversed(options):
            taken = min(max(0, excess), max(0, counts[option.name] - floor[option.name]))
            counts[option.name] -= taken
            excess -= taken


def _spill(counts: dict[str, int], options: Sequence[ClassOption]) -> int:
    """Move refused replicas to the best other class with room; return how many moved."""
    moved = 0
    for option in options:
        waiting = min(option.stuck, max(0, counts[option.name] - option.kept))
        for other in options:
            room = _room_left(counts, options)[other.name]
            if other.name == option.name or other.stuck:
                continue  # a class that refuses replicas has no room, whatever the count says
            step = min(waiting, room)
            counts[option.name] -= step
            counts[other.name] += step
            waiting -= step
            moved += step
    return moved


def _room_left(counts: Mapping[str, int], options: Sequence[ClassOption]) -> dict[str, int]:
    """Return what each class still has room for after the replicas counted on it."""
    return {
        o.name: 0 if o.stuck else max(0, o.free_replicas - max(0, counts[o.name] - o.kept))
        for o in options
    }


def _reason(counts: Mapping[str, int], moved: int, unplaceable: int) -> str:
    shares = ", ".join(f"{count} on {name}" for name, count in counts.items() if count) or "none"
    if unplaceable:
        return f"{shares}; {unplaceable} have no class to go to"
    if moved:
        return f"{shares}; {moved} waiting moved to a class with room"
    return shares
