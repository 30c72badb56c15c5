"""An independent judge of moves: plain loops over the instance, no code of the search."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from moorage_policies.rescheduling.instance import Instance

Step = tuple[int, int]
"""An item and the cell it goes to."""


def find_violations(instance: Instance, moves: Sequence[Step]) -> tuple[str, ...]:
    """Return every rule that the moves break when carried out in this order; empty means none.

    A mover keeps its old room until it sits in the new one, so each prefix is feasible as well.
    """
    if len(moves) > instance.max_moves:
        return (f"{len(moves)} moves, {instance.max_moves} are allowed",)
    return tuple(_walk(instance, moves))


def _walk(instance: Instance, moves: Sequence[Step]) -> Iterator[str]:
    where = [int(cell) for cell in instance.home]
    moved: set[int] = set()
    owners = Counter[int]()
    for number, (item, target) in enumerate(moves):
        name = f"move {number} ({instance.items[item]})"
        if item in moved:
            yield f"{name} is the second of its item"
        moved.add(item)
        if not instance.movable[item]:
            yield f"{name} takes what must not be moved"
        if target == where[item]:
            yield f"{name} goes where it is"
        owner = int(instance.owner[item])
        if owner >= 0:
            owners[owner] += 1
            if owners[owner] > int(instance.owner_room[owner]):
                yield f"{name} is one too many of its workload"
        yield from _arrival(instance, where, name, item, target)
        where[item] = target


def _arrival(
    instance: Instance, where: list[int], name: str, item: int, target: int
) -> Iterator[str]:
    cells = _cells_of(instance, item, target)
    if not cells:
        yield f"{name} needs two cells of one host"
        return
    if not instance.eligible[int(instance.kind[item])][target]:
        yield f"{name} is not accepted by cell {target}"
    for cell in cells:
        for column, resource in enumerate(instance.resources):
            used = sum(
                int(instance.requests[other][column])
                for other, place in enumerate(where)
                if cell in _cells_of(instance, other, place)
            )
            need = int(instance.requests[item][column])
            if need and used + need > int(instance.capacity[cell][column]):
                yield f"{name} lacks {resource} in cell {cell}"
    for limit in instance.limits:
        domain = int(limit.domain[target])
        members = [int(member) for member in limit.members]
        if item not in members or domain < 0:
            continue
        inside = sum(int(limit.domain[where[member]]) == domain for member in members)
        if inside + 1 > int(limit.room[domain]):
            yield f"{name} breaks limit {limit.name}"


def _cells_of(instance: Instance, item: int, place: int) -> tuple[int, ...]:
    if not instance.wide[item]:
        return (place,)
    second = place + 1
    same = second < len(instance.cell_host) and (
        int(instance.cell_host[second]) == int(instance.cell_host[place])
    )
    return (place, second) if same else ()


def judge_worth(instance: Instance, moves: Sequence[Step]) -> float:
    """Return what the moves lead to is worth, prices left out, counted by hand."""
    where = [int(cell) for cell in instance.home]
    for item, target in moves:
        where[item] = target
    free = [[int(amount) for amount in row] for row in instance.capacity]
    busy = [bool(held) for held in instance.held]
    for item, place in enumerate(where):
        busy[int(instance.cell_host[place])] = True
        for cell in _cells_of(instance, item, place):
            for column in range(len(instance.resources)):
                free[cell][column] -= int(instance.requests[item][column])
    worth = 0.0
    for hole in instance.holes:
        asked = [(c, int(n)) for c, n in enumerate(hole.requests) if int(n) > 0]
        for cell, room in enumerate(free):
            if hole.cells is None or hole.cells[cell]:
                worth += hole.weight * min(max(room[c], 0) // n for c, n in asked)
    worth += sum(float(instance.host_worth[h]) for h, used in enumerate(busy) if not used)
    for domain, value in enumerate(instance.domain_worth):
        hosts = [h for h in range(len(busy)) if int(instance.domain[h]) == domain]
        worth += 0.0 if any(busy[h] for h in hosts) else float(value)
    return worth
