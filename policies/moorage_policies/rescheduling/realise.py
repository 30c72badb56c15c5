"""From a flow of kinds to places of items: who exactly leaves, and who goes where."""

from __future__ import annotations

import numpy as np

from moorage_policies.rescheduling.bounds import Relaxation
from moorage_policies.rescheduling.instance import Instance
from moorage_policies.rescheduling.patterns import Flow
from moorage_policies.types import IntArray


def realise(instance: Instance, relaxed: Relaxation, flow: Flow) -> IntArray:
    """Return places that follow the flow as far as all resources and limits allow.

    Items of a kind differ in other resources; the largest of them choose first.
    """
    places = instance.home.copy()
    free = instance.free(instance.home)
    leaving, spots = _sides(instance, relaxed, flow)
    for item in leaving:
        _shift(instance, free, item, int(places[item]), 1)
    for item in sorted(leaving, key=lambda i: -int(instance.requests[i].sum())):
        open_spots = spots[int(relaxed.kind_of[item])]
        target = _find_spot(instance, free, item, open_spots)
        if target >= 0:
            open_spots.remove(target)
        else:
            target = int(instance.home[item])
        places[item] = target
        _shift(instance, free, item, target, -1)
    return _undo_overfull(instance, places)


def flow_of(instance: Instance, relaxed: Relaxation, places: IntArray) -> Flow:
    """Return what places move, by kind: the reverse of ``realise``."""
    kinds = len(relaxed.kinds.amount)
    narrow = np.zeros((len(instance.capacity), kinds), dtype=np.int64)
    wide = np.zeros((len(instance.hosts), kinds), dtype=np.int64)
    for item in np.flatnonzero(places != instance.home).tolist():
        kind, cells = int(relaxed.kind_of[item]), (instance.home[item], places[item])
        for cell, count in zip(cells, (1, -1), strict=True):
            if instance.wide[item]:
                wide[instance.cell_host[cell], kind] += count
            else:
                narrow[cell, kind] += count
    return Flow(narrow, wide)


def _sides(
    instance: Instance, relaxed: Relaxation, flow: Flow
) -> tuple[list[int], list[list[int]]]:
    """Return the items that leave, and by kind the cells that take one."""
    leaving: list[int] = []
    spots: list[list[int]] = [[] for _ in relaxed.kinds.amount]
    owners_left = instance.owner_room.copy()
    narrow = ((cell, row) for cell, row in enumerate(flow.narrow))
    wide = ((int(instance.first_cell[host]), row) for host, row in enumerate(flow.wide))
    for cell, row in (*narrow, *wide):
        for kind in np.flatnonzero(row).tolist():
            count = int(row[kind])
            if count < 0:
                spots[kind] += [cell] * -count
                continue
            here = np.flatnonzero((instance.home == cell) & (relaxed.kind_of == kind))
            for item in sorted(here.tolist(), key=lambda i: float(instance.price[i])):
                owner = int(instance.owner[item])
                if count == 0 or (owner >= 0 and owners_left[owner] == 0):
                    continue
                if owner >= 0:
                    owners_left[owner] -= 1
                leaving.append(item)
                count -= 1
    return leaving, spots


def _find_spot(instance: Instance, free: IntArray, item: int, spots: list[int]) -> int:
    """Return the tightest of the spots that has room for the item, -1 for none."""
    width = 2 if instance.wide[item] else 1
    need = instance.requests[item]
    found, least = -1, None
    for cell in dict.fromkeys(spots):
        if (free[cell : cell + width] < need).any() or cell == instance.home[item]:
            continue
        spare = int(free[cell].sum())
        if least is None or spare < least:
            found, least = cell, spare
    return found


def _shift(instance: Instance, free: IntArray, item: int, cell: int, sign: int) -> None:
    width = 2 if instance.wide[item] else 1
    free[cell : cell + width] += sign * instance.requests[item]


def _undo_overfull(instance: Instance, places: IntArray) -> IntArray:
    """Return the places with moves undone wherever a room or a limit would be broken."""
    free = instance.free(places)
    full = np.minimum(instance.free(instance.home), 0)
    counts = [
        np.bincount(limit.domain[places[limit.members]] + 1, minlength=len(limit.room) + 1)[1:]
        for limit in instance.limits
    ]
    crowded = any(
        (count > limit.room).any() for count, limit in zip(counts, instance.limits, strict=True)
    )
    return instance.home.copy() if crowded or (free < full).any() else places
