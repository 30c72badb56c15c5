"""Which moves make sense only together: if one of them falls away, so do the others.

What is left when whole groups fall away still finds room in order and wins what it was to win.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import product

import numpy as np

from moorage_policies.rescheduling.instance import Instance
from moorage_policies.rescheduling.objective import rate_rooms
from moorage_policies.types import FloatArray, IntArray

TINY = 1e-6
MOST_TRIED = 6
"""Moves at one cell of which every combination is looked at; more count as bound together."""


def group_moves(instance: Instance, items: Sequence[int], places: IntArray) -> tuple[int, ...]:
    """Return a group for each moved item, numbered from 0 by first member.

    Moves are joined where they meet and one counts on the other: in a cell or domain whose worth
    they change other than each for itself, in room that only leavers make, under a limit.

    Args:
        instance: the problem.
        items: the items that move.
        places: where all items end.
    """
    parent = list(range(len(items)))

    def find(row: int) -> int:
        while parent[row] != row:
            row = parent[row]
        return row

    for members in _bound_together(instance, items, places):
        for row in members[1:]:
            first, second = sorted((find(members[0]), find(row)))
            parent[second] = first
    roots = [find(row) for row in range(len(items))]
    numbers = {root: number for number, root in enumerate(dict.fromkeys(roots))}
    return tuple(numbers[root] for root in roots)


def _bound_together(instance: Instance, items: Sequence[int], places: IntArray) -> list[list[int]]:
    start = instance.free(instance.home)
    at_cell, at_domain = defaultdict[int, list[int]](list), defaultdict[int, list[int]](list)
    for row, item in enumerate(items):
        for cell in _cells(instance, item, int(instance.home[item]), int(places[item])):
            at_cell[cell].append(row)
        for end in (instance.home[item], places[item]):
            at_domain[int(instance.domain[instance.cell_host[end]])].append(row)
    found = [
        rows
        for cell, rows in at_cell.items()
        if len(rows) > 1 and _is_joint(instance, items, places, start, cell, rows)
    ]
    worth = instance.domain_worth
    found += [rows for domain, rows in at_domain.items() if len(rows) > 1 and worth[domain]]
    hosts = defaultdict[int, list[int]](list)
    for cell, rows in at_cell.items():
        hosts[int(instance.cell_host[cell])] += rows
    found += [rows for host, rows in hosts.items() if len(rows) > 1 and instance.host_worth[host]]
    for limit in instance.limits:
        met = defaultdict[int, list[int]](list)
        members = set(limit.members.tolist())
        for row, item in enumerate(items):
            if item in members:
                for end in (instance.home[item], places[item]):
                    met[int(limit.domain[end])].append(row)
        found += [rows for domain, rows in met.items() if domain >= 0 and len(rows) > 1]
    return found


def _is_joint(
    instance: Instance,
    items: Sequence[int],
    places: IntArray,
    start: IntArray,
    cell: int,
    rows: Sequence[int],
) -> bool:
    """Return whether the moves at a cell count on each other, in room or in worth."""
    changes = np.array([_change(instance, items[row], places, cell) for row in rows])
    least, most = (side(changes, 0).sum(axis=0) for side in (np.minimum, np.maximum))
    if ((start[cell] + least < 0) & (least < 0)).any():
        return True  # what comes needs what goes
    now, low, high = _rate(instance, cell, start[cell] + np.array([0 * least, least, most]))
    if low == now == high:
        return False
    if len(rows) > MOST_TRIED:
        return True
    chosen = np.array(list(product((0, 1), repeat=len(rows))))
    worth = _rate(instance, cell, start[cell] + chosen @ changes)
    alone = _rate(instance, cell, start[cell] + changes) - now
    return bool(np.abs(worth - now - chosen @ alone).max() > TINY)


def _cells(instance: Instance, item: int, *ends: int) -> set[int]:
    wide = int(instance.wide[item])
    return {cell for end in ends for cell in range(end, end + 1 + wide)}


def _change(instance: Instance, item: int, places: IntArray, cell: int) -> IntArray:
    """Return how the room of a cell changes by one move."""
    sign = int(cell in _cells(instance, item, int(instance.home[item])))
    sign -= int(cell in _cells(instance, item, int(places[item])))
    change: IntArray = instance.requests[item] * sign
    return change


def _rate(instance: Instance, cell: int, rooms: IntArray) -> FloatArray:
    return rate_rooms(instance, np.full(len(rooms), cell), rooms)
