"""Which devices a container should get: those that fast links join."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations

from moorage_mocks.device_plugin.board import Gpu

# One linked pair outweighs all pairs of 16 devices that merely share a NUMA node (120).
_LINK = 1000
_SAME_NUMA = 1


def preferred(
    gpus: Sequence[Gpu], available: Iterable[str], must_include: Iterable[str], size: int
) -> list[str]:
    """Return the ids of the best ``size`` devices out of ``available``, in the board's order.

    The set is best whose pairs are linked best; among equal ones that which leaves the others best
    linked, then that of the lowest indices. What ``must_include`` names is in it. Ids that are not
    on the board are passed over, so the answer may be short: the kubelet then fills it up itself.
    """
    offered, needed = set(available), set(must_include)
    kept = tuple(gpu for gpu in gpus if gpu.uuid in needed)
    free = [gpu for gpu in gpus if gpu.uuid in offered - needed]
    missing = min(max(size - len(kept), 0), len(free))
    candidates = (kept + more for more in combinations(free, missing))
    best = max(candidates, key=lambda chosen: _worth(chosen, free))
    return [gpu.uuid for gpu in sorted(best, key=lambda gpu: gpu.index)]


def _worth(chosen: Sequence[Gpu], free: Sequence[Gpu]) -> tuple[int, int]:
    return _links(chosen), _links([gpu for gpu in free if gpu not in chosen])


def _links(gpus: Sequence[Gpu]) -> int:
    return sum(
        _LINK * (one.group == other.group) + _SAME_NUMA * (one.numa == other.numa)
        for one, other in combinations(gpus, 2)
    )
