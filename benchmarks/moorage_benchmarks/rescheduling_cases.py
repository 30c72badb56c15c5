"""Cases of the rescheduling protocol: a generated cluster of NUMA hosts."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from moorage_policies.rescheduling.instance import Hole, Instance, make_instance
from moorage_policies.types import IntArray

HALF_CORES, HALF_MIB = 44, 184_388
CORE_MIB = 2048
HIGH_MEMORY_SHARE = 0.1
MIX = {4: 909, 8: 368, 2: 337, 16: 230, 32: 111, 64: 130, 88: 4}
"""Virtual machines by cores."""
WIDE = {64: 130, 88: 4, 32: 50, 16: 46, 8: 57, 4: 3}
"""How many of them take half of each NUMA node."""
SMALLER_CLUSTER = 43 / 280
HOLE_CORES = 16
RATE_FROM = 0.56
LARGE = 64
PATIENCE = 200
MOST_CHURNS = 100_000


def generate(seed: int, *, hosts: int = 280, load: float = 0.94, max_moves: int = 50) -> Instance:
    """Return a cluster of two halves a host, fragmented by random arrivals and departures.

    Args:
        seed: of the random choices.
        hosts: number of hosts, in two clusters between which nothing moves.
        load: share of the cores that is taken.
        max_moves: most moves.
    """
    noise = np.random.default_rng(seed)
    scale = hosts / 280
    sizes = np.repeat(list(MIX), [max(1, round(n * scale)) for n in MIX.values()])
    wide = np.concatenate([_flags(size, scale) for size in MIX])
    return _fill(noise, sizes, wide, hosts, load, max_moves)


def _flags(size: int, scale: float) -> IntArray:
    total = max(1, round(MIX[size] * scale))
    flags = np.zeros(total, dtype=np.int64)
    flags[: min(total, round(WIDE.get(size, 0) * scale))] = 1
    return flags


class _Yard:
    """Hosts that fill up."""

    def __init__(self, hosts: int, noise: np.random.Generator) -> None:
        self.noise = noise
        self.free = np.tile([HALF_CORES, HALF_MIB], (2 * hosts, 1)).astype(np.int64)
        self.cluster = (np.arange(hosts) >= round(hosts * (1 - SMALLER_CLUSTER))).astype(np.int64)
        self.vms: list[tuple[int, int, bool, int]] = []  # cores, MiB, wide, cell

    def put(self, cores: int, mib: int, *, wide: bool) -> bool:
        need = np.array([cores, mib]) // (2 if wide else 1)
        fits = np.asarray((self.free >= need).all(axis=1))
        spots = np.flatnonzero(fits[0::2] & fits[1::2]) * 2 if wide else np.flatnonzero(fits)
        if not len(spots):
            return False
        cell = int(self.noise.choice(spots))
        self.free[cell : cell + 1 + wide] -= need
        self.vms.append((cores, mib, wide, cell))
        return True

    def drop(self, index: int) -> tuple[int, int, bool, int]:
        vm = self.vms[index]
        self.vms[index] = self.vms[-1]
        self.vms.pop()
        self._give(vm, 1)
        return vm

    def drop_any(self) -> tuple[int, int, bool, int]:
        return self.drop(int(self.noise.integers(len(self.vms))))

    def load(self) -> float:
        return 1 - float(self.free[:, 0].sum()) / (len(self.free) * HALF_CORES)

    def _give(self, vm: tuple[int, int, bool, int], sign: int) -> None:
        cores, mib, wide, cell = vm
        self.free[cell : cell + 1 + wide] += sign * np.array([cores, mib]) // (2 if wide else 1)

    def rate(self) -> float:
        cores = self.free[:, 0]
        return float((cores % HOLE_CORES).sum() / max(1, cores.sum()))


def _fill(
    noise: np.random.Generator,
    sizes: IntArray,
    wide: IntArray,
    hosts: int,
    load: float,
    max_moves: int,
) -> Instance:
    yard = _Yard(hosts, noise)
    young = noise.permutation(len(sizes))
    for at in young[np.argsort(sizes[young] < LARGE, kind="stable")]:
        yard.put(int(sizes[at]), _memory(noise, int(sizes[at])), wide=bool(wide[at]))
    refused = 0
    while refused < PATIENCE:  # later arrivals take what is left, anywhere
        at = int(noise.integers(len(sizes)))
        cores = int(sizes[at])
        refused += not yard.put(cores, _memory(noise, cores), wide=bool(wide[at]))
    while yard.load() > load:
        yard.drop_any()
    for _ in range(MOST_CHURNS):
        if yard.rate() >= RATE_FROM:
            break
        cores, mib, is_wide, _ = yard.drop_any()
        yard.put(cores, mib, wide=is_wide)
    return _to_instance(yard, hosts, max_moves)


def _memory(noise: np.random.Generator, cores: int) -> int:
    return cores * CORE_MIB * (2 if noise.random() < HIGH_MEMORY_SHARE else 1)


def _to_instance(yard: _Yard, hosts: int, max_moves: int) -> Instance:
    table = np.array([(c, m, w, cell) for c, m, w, cell in yard.vms], dtype=np.int64)
    wide = table[:, 2].astype(np.bool_)
    home = table[:, 3]
    inside = np.repeat(yard.cluster, 2)
    return make_instance(
        resources=("cpu", "memory"),
        capacity=np.tile([HALF_CORES, HALF_MIB], (2 * hosts, 1)).astype(np.int64),
        cell_host=np.repeat(np.arange(hosts), 2),
        requests=table[:, :2] // np.where(wide, 2, 1)[:, None],
        wide=wide,
        home=home,
        kind=inside[home],
        eligible=np.array([inside == 0, inside == 1]),
        holes=(Hole("cpu-16", np.array([HOLE_CORES, 0])),),
        max_moves=max_moves,
    )


def rate_of(instance: Instance, places: IntArray) -> float:
    """Return the share of free room that no hole of the first size uses; lower is better."""
    hole = instance.holes[0]
    column = hole.column
    size = int(hole.requests[column])
    free = np.maximum(instance.free(places)[:, column], 0)
    return float((free % size).sum() / max(1, free.sum()))


Document = Mapping[str, object]
