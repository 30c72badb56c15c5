"""How many pods could be placed at best, without a search: surrogate knapsacks and shape counts.

Every bound relaxes the problem to one knapsack: weights of pods and capacities of nodes are mapped
by a function under which whatever fits on a node still fits. Those functions are each resource
alone, mixtures of resources, and counts of whole shapes (``floor(request / shape)``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from moorage_policies.packing.instance import Instance
from moorage_policies.packing.objective import stages
from moorage_policies.types import BoolArray, FloatArray, IntArray

MIXTURES = 21
SHAPES_AT_MOST = 12  # resources with more distinct sizes have no shapes worth counting
SETS_AT_MOST = 24
SCARCE_RATIO = 0.8  # of the scarcest resource: others bound nothing in a mixture
TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True)
class Knapsack:
    """One relaxation: what a pod weighs and what all nodes of a set can carry together."""

    weight: FloatArray  # (pods,)
    room: float
    inside: BoolArray  # pods that can only go to the node set, shape (pods,)


def stage_bounds(instance: Instance, counts: Sequence[int]) -> tuple[int, ...]:
    """Return, per stage, how many it can count at most while the stages above keep ``counts``.

    Args:
        instance: the problem.
        counts: pods counted today or by an answer, per stage of the objective.
    """
    listed = stages(instance)
    masks = [mask for _, _, mask in listed]
    tiers = [tier for _, tier, _ in listed]
    best = [int(mask.sum()) for mask in masks]
    for knapsack in _knapsacks(instance):
        for stage in range(len(masks)):
            if best[stage] > counts[stage]:
                best[stage] = min(best[stage], _bound(knapsack, masks, tiers, counts, stage))
    return tuple(best)


def _bound(
    knapsack: Knapsack,
    masks: Sequence[BoolArray],
    tiers: Sequence[int],
    counts: Sequence[int],
    stage: int,
) -> int:
    """Return the bound of one stage: least use of the tiers above, then the lightest pods."""
    used: dict[int, float] = {}
    for above in range(stage):
        if tiers[above] == tiers[stage]:
            continue
        lightest = np.sort(knapsack.weight[masks[above] & knapsack.inside])
        outside = int((masks[above] & ~knapsack.inside).sum())
        must = max(0, counts[above] - outside)
        used[tiers[above]] = max(used.get(tiers[above], 0.0), float(lightest[:must].sum()))
    room = knapsack.room - sum(used.values())
    own = np.cumsum(np.sort(knapsack.weight[masks[stage] & knapsack.inside]))
    fitting = int((own <= room * (1 + TOLERANCE) + TOLERANCE).sum())
    return fitting + int((masks[stage] & ~knapsack.inside).sum())


def _knapsacks(instance: Instance) -> Iterator[Knapsack]:
    for nodes, inside in _node_sets(instance):
        capacity = instance.capacity[nodes]
        for weight, room in _relaxations(instance.requests, capacity):
            yield Knapsack(weight, room, inside)


def _node_sets(instance: Instance) -> Iterator[tuple[BoolArray, BoolArray]]:
    """Yield node sets and the pods that can go nowhere else: all nodes, then each kind's own."""
    everything = np.ones(len(instance.nodes), dtype=np.bool_)
    yield everything, np.ones(len(instance.pods), dtype=np.bool_)
    distinct = np.unique(instance.eligible, axis=0)
    for nodes in distinct[:SETS_AT_MOST]:
        if nodes.all() or not nodes.any():
            continue
        kinds_inside = ~(instance.eligible & ~nodes).any(axis=1)
        stays_inside = (instance.current < 0) | nodes[np.maximum(instance.current, 0)]
        yield nodes, kinds_inside[instance.kind] & stays_inside


def _relaxations(requests: IntArray, capacity: IntArray) -> Iterator[tuple[FloatArray, float]]:
    total = np.maximum(capacity.sum(axis=0), 1).astype(np.float64)
    shares = requests / total
    used = [column for column in range(requests.shape[1]) if requests[:, column].any()]
    for column in used:
        yield shares[:, column], float(capacity[:, column].sum() / total[column])
    asked = shares.sum(axis=0)
    scarce = [column for column in used if asked[column] >= SCARCE_RATIO * asked.max()]
    for row, left in enumerate(scarce):
        for right in scarce[row + 1 :]:
            for part in np.linspace(0, 1, MIXTURES + 2)[1:-1]:
                yield part * shares[:, left] + (1 - part) * shares[:, right], 1.0
    for column in used:
        yield from _shape_counts(requests[:, column], capacity[:, column])


def _shape_counts(requests: IntArray, capacity: IntArray) -> Iterator[tuple[FloatArray, float]]:
    """Yield counts of whole shapes: 5 free GPUs hold one shape of 4, not 1.25."""
    sizes = np.unique(requests[requests > 0])
    if len(sizes) > SHAPES_AT_MOST:
        return
    for size in sizes:
        yield (requests // size).astype(np.float64), float((capacity // size).sum())
