"""The rescheduling problem as arrays: items that sit in cells, and the holes that are wanted.

A cell is what an item has to fit into: a node, or one NUMA half of a host. A narrow item sits in
one cell, a wide one takes the same amount of both cells of a host. Everything that never moves is
taken from the capacity before the search sees it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from moorage_policies.errors import BadInputError
from moorage_policies.packing.instance import Limit
from moorage_policies.types import BoolArray, FloatArray, IntArray

NO_OWNER = -1
PAIR = 2  # cells of a host that a wide item takes


@dataclass(frozen=True, slots=True)
class Hole:
    """Free room of a size that somebody needs in one piece.

    Attributes:
        name: what it is for.
        requests: amount per resource, shape ``(resources,)``.
        weight: worth of one such hole; higher is better.
        cells: which cells count, shape ``(cells,)``; ``None`` counts all.
        measured: resource that its size is told in; -1 for the first that it asks for.
    """

    name: str
    requests: IntArray
    weight: float = 1.0
    cells: BoolArray | None = None
    measured: int = -1

    @property
    def column(self) -> int:
        """Return the resource that its size is told in."""
        return self.measured if self.measured >= 0 else int(np.flatnonzero(self.requests)[0])


@dataclass(frozen=True, slots=True)
class Instance:
    """One rescheduling problem: at most ``max_moves`` items change their cell, for larger holes.

    Attributes:
        resources: names of the columns.
        hosts: host names.
        cell_host: host of each cell, shape ``(cells,)``; the cells of a host follow each other.
        capacity: room per cell for the items below, shape ``(cells, resources)``.
        items: item names.
        requests: what an item takes of each cell that it sits in, shape ``(items, resources)``.
        wide: whether it takes both cells of its host, shape ``(items,)``.
        home: cell today, for wide items the first of the host, shape ``(items,)``.
        movable: whether it may move, shape ``(items,)``.
        kind: row of ``eligible``, shape ``(items,)``.
        eligible: which cells accept the kind, shape ``(kinds, cells)``; home always does.
        price: what a move must be worth at least, in the unit of the holes' weights, ``(items,)``.
        owner: workload of each item, -1 for none, shape ``(items,)``.
        owner_room: most moves per workload, shape ``(owners,)``.
        limits: at most so many of some items in one domain of cells.
        holes: what free room is good for.
        held: hosts on which something stays for ever, shape ``(hosts,)``.
        host_worth: worth of a host without any item, shape ``(hosts,)``.
        domain: topology domain of each host, shape ``(hosts,)``; all zero where there is one.
        domain_worth: worth of a domain without any item, shape ``(domains,)``.
        max_moves: most items that may end in another cell.
    """

    resources: tuple[str, ...]
    hosts: tuple[str, ...]
    cell_host: IntArray
    capacity: IntArray
    items: tuple[str, ...]
    requests: IntArray
    wide: BoolArray
    home: IntArray
    movable: BoolArray
    kind: IntArray
    eligible: BoolArray
    price: FloatArray
    holes: tuple[Hole, ...]
    max_moves: int
    owner: IntArray
    owner_room: IntArray
    limits: tuple[Limit, ...]
    held: BoolArray
    host_worth: FloatArray
    domain: IntArray
    domain_worth: FloatArray
    first_cell: IntArray = field(init=False)

    def __post_init__(self) -> None:
        """Check the shapes and derive the first cell of each host."""
        _check(self)
        first = np.searchsorted(self.cell_host, np.arange(len(self.hosts)))
        object.__setattr__(self, "first_cell", first.astype(np.int64))

    def free(self, places: IntArray) -> IntArray:
        """Return the room left when items sit at ``places``, shape ``(cells, resources)``."""
        room = self.capacity.copy()
        np.subtract.at(room, places, self.requests)
        wide = np.flatnonzero(self.wide)
        np.subtract.at(room, places[wide] + 1, self.requests[wide])
        return room


def make_instance(
    *,
    capacity: IntArray,
    requests: IntArray,
    home: IntArray,
    holes: tuple[Hole, ...],
    max_moves: int,
    cell_host: IntArray | None = None,
    wide: BoolArray | None = None,
    resources: tuple[str, ...] | None = None,
    hosts: tuple[str, ...] | None = None,
    items: tuple[str, ...] | None = None,
    movable: BoolArray | None = None,
    kind: IntArray | None = None,
    eligible: BoolArray | None = None,
    price: FloatArray | None = None,
    owner: IntArray | None = None,
    owner_room: IntArray | None = None,
    limits: tuple[Limit, ...] = (),
    held: BoolArray | None = None,
    host_worth: FloatArray | None = None,
    domain: IntArray | None = None,
    domain_worth: FloatArray | None = None,
) -> Instance:
    """Return an instance in which everything that is not given does not restrict.

    Raises:
        BadInputError: the parts do not fit together; names the part.
    """
    cells, count = len(capacity), len(requests)
    of_cell = np.arange(cells, dtype=np.int64) if cell_host is None else cell_host
    size = int(of_cell[-1]) + 1 if cells else 0
    none = np.zeros(count, dtype=np.int64)
    wanted = tuple(f"resource-{column}" for column in range(capacity.shape[1]))
    return Instance(
        resources=wanted if resources is None else resources,
        hosts=tuple(f"host-{h:05d}" for h in range(size)) if hosts is None else hosts,
        cell_host=of_cell.astype(np.int64),
        capacity=capacity.astype(np.int64),
        items=tuple(f"item-{i:05d}" for i in range(count)) if items is None else items,
        requests=requests.astype(np.int64),
        wide=np.zeros(count, dtype=np.bool_) if wide is None else wide,
        home=home.astype(np.int64),
        movable=np.ones(count, dtype=np.bool_) if movable is None else movable,
        kind=none if kind is None else kind,
        eligible=np.ones((1, cells), dtype=np.bool_) if eligible is None else eligible,
        price=np.zeros(count) if price is None else price.astype(np.float64),
        holes=holes,
        max_moves=max_moves,
        owner=none + NO_OWNER if owner is None else owner,
        owner_room=np.zeros(0, dtype=np.int64) if owner_room is None else owner_room,
        limits=limits,
        held=np.zeros(size, dtype=np.bool_) if held is None else held,
        host_worth=np.zeros(size) if host_worth is None else host_worth.astype(np.float64),
        domain=np.zeros(size, dtype=np.int64) if domain is None else domain,
        domain_worth=np.zeros(1) if domain_worth is None else domain_worth.astype(np.float64),
    )


def _check(instance: Instance) -> None:
    cells, columns = instance.capacity.shape
    count, size = len(instance.items), len(instance.hosts)
    shapes = {
        "cell_host": (instance.cell_host, (cells,)),
        "requests": (instance.requests, (count, columns)),
        "wide": (instance.wide, (count,)),
        "home": (instance.home, (count,)),
        "movable": (instance.movable, (count,)),
        "kind": (instance.kind, (count,)),
        "price": (instance.price, (count,)),
        "owner": (instance.owner, (count,)),
        "held": (instance.held, (size,)),
        "host_worth": (instance.host_worth, (size,)),
        "domain": (instance.domain, (size,)),
    }
    for name, (array, shape) in shapes.items():
        if array.shape != shape:
            raise BadInputError(f"has shape {array.shape}, must be {shape}", field=name)
    if instance.max_moves < 0:
        raise BadInputError("must be 0 or more", field="max_moves")
    if count and not (instance.home.min() >= 0 and instance.home.max() < cells):
        raise BadInputError("names a cell that does not exist", field="home")
    if (instance.requests < 0).any():
        raise BadInputError("an item takes a negative amount; write 0 or more", field="requests")
    if np.any(np.diff(instance.cell_host) < 0):
        raise BadInputError("cells of one host must follow each other", field="cell_host")
    for hole in instance.holes:
        if not (hole.requests > 0).any():
            raise BadInputError("a hole needs a size above 0", field=f"holes[{hole.name}]")
    pairs = np.bincount(instance.cell_host, minlength=size)
    hosts = instance.cell_host[instance.home[instance.wide]]
    first = np.searchsorted(instance.cell_host, hosts)
    if (pairs[hosts] != PAIR).any() or (first != instance.home[instance.wide]).any():
        raise BadInputError("a wide item sits in the first of two cells", field="wide")
