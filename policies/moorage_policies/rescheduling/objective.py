"""What places are worth, exactly: holes, free hosts and free domains; gains of single changes."""

from __future__ import annotations

import numpy as np

from moorage_policies.rescheduling.instance import Hole, Instance
from moorage_policies.types import FloatArray, IntArray


def count_holes(hole: Hole, free: IntArray) -> IntArray:
    """Return how many holes fit side by side into each cell's room, shape ``(cells,)``."""
    asked = hole.requests > 0
    counts: IntArray = (np.maximum(free[:, asked], 0) // hole.requests[asked]).min(axis=1)
    return counts if hole.cells is None else counts * hole.cells


def rate_cells(instance: Instance, free: IntArray) -> FloatArray:
    """Return the worth of the holes in each room, shape ``(len(free),)`` as the cells go."""
    worth = np.zeros(len(free))
    for hole in instance.holes:
        worth += hole.weight * count_holes(hole, free)
    return worth


def rate_rooms(instance: Instance, cells: IntArray, rooms: IntArray) -> FloatArray:
    """Return the worth of the holes in rooms that these cells might have, shape ``(len(cells),)``.

    A cell may be named several times, each time with another room.
    """
    worth = np.zeros(len(cells))
    for hole in instance.holes:
        counts = count_holes(Hole(hole.name, hole.requests), rooms)
        worth += hole.weight * (counts if hole.cells is None else counts * hole.cells[cells])
    return worth


def worth_of(instance: Instance, places: IntArray) -> float:
    """Return the worth of places; prices of moves are not part of it. Higher is better."""
    hosts = instance.cell_host[places]
    load = np.bincount(hosts, minlength=len(instance.hosts)) + instance.held
    domains = np.bincount(instance.domain, weights=load, minlength=len(instance.domain_worth))
    return float(
        rate_cells(instance, instance.free(places)).sum()
        + instance.host_worth[load == 0].sum()
        + instance.domain_worth[domains == 0].sum()
    )


def net_worth_of(instance: Instance, places: IntArray) -> float:
    """Return the worth of places less the prices of the moves that lead there."""
    moved = places != instance.home
    return worth_of(instance, places) - float(instance.price[moved].sum())


def fragment_rate(instance: Instance, places: IntArray) -> float:
    """Return the share of free room that lies outside of holes; lower is better, from 0 to 1.

    Several holes are weighted by their weights. Cells that a hole does not count are left out.
    """
    free = np.maximum(instance.free(places), 0)
    total = weights = 0.0
    for hole in instance.holes:
        column = hole.column
        room = free[:, column] if hole.cells is None else free[:, column] * hole.cells
        if room.sum():
            used = count_holes(hole, free) * hole.requests[column]
            total += hole.weight * (1 - float(used.sum()) / float(room.sum()))
        weights += hole.weight
    return total / weights if weights else 0.0


def move_gains(instance: Instance, places: IntArray, items: IntArray) -> FloatArray:
    """Return the exact gain of moving each item to each cell, shape ``(items, cells)``.

    Prices are taken off. ``-inf`` marks cells that do not accept the item or lack room for it
    beside everything that sits there now.
    """
    free = instance.free(places)
    now = rate_cells(instance, free)
    gains = np.full((len(items), len(free)), -np.inf)
    for row, item in enumerate(items.tolist()):
        gains[row] = _gains_of(instance, places, free, now, item)
    return gains


def _gains_of(
    instance: Instance, places: IntArray, free: IntArray, now: FloatArray, item: int
) -> FloatArray:
    need, here = instance.requests[item], int(places[item])
    cells = np.arange(len(free))
    fits = ((free >= need) | (need == 0)).all(axis=1) & instance.eligible[instance.kind[item]]
    arrive = rate_cells(instance, free - need) - now
    leave = now[here]
    if instance.wide[item]:
        pairs = np.zeros(len(free), dtype=np.bool_)
        pairs[:-1] = instance.cell_host[1:] == instance.cell_host[:-1]
        fits &= pairs & np.append(fits[1:], False)
        arrive = arrive + np.append(arrive[1:], 0.0)
        leave += now[here + 1]
    width = 2 if instance.wide[item] else 1
    sides = np.arange(here, here + width)
    back = float(rate_rooms(instance, sides, free[sides] + need).sum())
    gain = arrive + back - leave - instance.price[item]
    gain = gain + _host_gains(instance, places, item, instance.cell_host[cells])
    fits[here] = False
    return np.where(fits, gain, -np.inf)


def _host_gains(instance: Instance, places: IntArray, item: int, targets: IntArray) -> FloatArray:
    """Return what moving the item gains in free hosts and domains, by target host."""
    load = np.bincount(instance.cell_host[places], minlength=len(instance.hosts)) + instance.held
    in_domain = np.bincount(instance.domain, weights=load, minlength=len(instance.domain_worth))
    here = int(instance.cell_host[places[item]])
    zone = int(instance.domain[here])
    leaves_host = instance.host_worth[here] if load[here] == 1 else 0.0
    leaves_zone = instance.domain_worth[zone] if in_domain[zone] == 1 else 0.0
    takes_host = np.where(load[targets] == 0, instance.host_worth[targets], 0.0)
    zones = instance.domain[targets]
    takes_zone = np.where(in_domain[zones] == 0, instance.domain_worth[zones], 0.0)
    gain: FloatArray = np.where(targets == here, 0.0, leaves_host - takes_host) + np.where(
        zones == zone, 0.0, leaves_zone - takes_zone
    )
    return gain


def swap_gains(instance: Instance, places: IntArray, items: IntArray) -> FloatArray:
    """Return the exact gain of exchanging the places of two narrow items, ``(items, items)``.

    ``-inf`` marks pairs that do not fit or are not accepted; it is symmetric. Hosts keep as many
    items as they had, so only holes and prices count.
    """
    free = instance.free(places)
    now = rate_cells(instance, free)
    need, cell = instance.requests[items], places[items]
    gains = np.full((len(items), len(items)), -np.inf)
    accepts = instance.eligible[instance.kind[items]][:, cell]
    fee = instance.price[items]
    narrow = ~instance.wide[items]
    for row in range(len(items)):
        here = free[cell[row]] + need[row] - need
        there = free[cell] + need - need[row]
        fits = (here >= 0).all(axis=1) & (there >= 0).all(axis=1) & narrow & narrow[row]
        fits &= accepts[row] & accepts[:, row] & (cell != cell[row])
        before = now[cell[row]] + now[cell]
        mine = np.full(len(items), cell[row])
        after = _rate_each(instance, here, mine) + _rate_each(instance, there, cell)
        gains[row] = np.where(fits, after - before - fee[row] - fee, -np.inf)
    return gains


def _rate_each(instance: Instance, free: IntArray, cells: IntArray) -> FloatArray:
    worth = np.zeros(len(free))
    for hole in instance.holes:
        counted = count_holes(Hole(hole.name, hole.requests), free)
        worth += hole.weight * (counted if hole.cells is None else counted * hole.cells[cells])
    return worth
