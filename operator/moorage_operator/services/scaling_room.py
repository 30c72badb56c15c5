"""Where new replicas of pools would go, pool after pool, and who should yield."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from moorage_crds.pool import GPUInferencePool
from moorage_operator.manifests.pods import to_replica_pod
from moorage_operator.services.facts import PoolFacts
from moorage_operator.services.planning import plan_pool
from moorage_operator.services.pool_pods import PoolKey
from moorage_policies.plans.records import PlanRecord
from moorage_policies.plans.slots import open_slots
from moorage_policies.scaling import Targets
from moorage_policies.scaling.reach import (
    Asked,
    RoleReach,
    Shape,
    Shift,
    find_reach,
    find_scattered,
)
from moorage_policies.state.snapshot import Snapshot
from moorage_policies.types import NVIDIA_GPU, IntArray


@dataclass(frozen=True, slots=True)
class Grown:
    """What one pool may have.

    Args:
        reach: by role.
        taken: the room that its new replicas take, shape ``(nodes, resources)``.
        scattered: replicas that found no place although enough is free.
    """

    reach: tuple[RoleReach, ...]
    taken: IntArray
    scattered: tuple[Shape, ...] = ()


def kept_by_plans(records: Sequence[PlanRecord], snapshot: Snapshot, now_s: float) -> IntArray:
    """Return the room that running plans keep, shape ``(nodes, resources)``."""
    kept = np.zeros_like(snapshot.free)
    for slot in open_slots(records, now_s):
        row = snapshot.node_index.get(slot.node)
        if row is None or slot.is_filled(snapshot):
            continue
        for name, amount in slot.requests.items():
            if name in snapshot.columns:
                kept[row, snapshot.columns[name]] += amount
    return kept


def find_growth(
    pool: GPUInferencePool,
    facts: PoolFacts,
    targets: Targets,
    kept: IntArray,
    priority: int,
    shifts: Sequence[Shift] = (),
) -> Grown:
    """Return what of the wished growth has a place besides ``kept``, and takes it.

    Args:
        pool: the pool.
        facts: what is known of it.
        targets: what is wished for.
        kept: room that others have, shape ``(nodes, resources)``.
        priority: of its pods.
        shifts: moves that would make room, as far as they are known.
    """
    plan = plan_pool(pool, facts)
    planned = {role.role.name: role for role in plan.roles}
    asked = []
    for target in targets.roles:
        role = planned[target.role]
        shapes = tuple(
            Shape(
                resolved,
                replace(
                    to_replica_pod(option.template, pool.metadata.namespace), priority=priority
                ),
                option.accelerator.nodes_per_replica,
            )
            for option in role.classes
            if option.template is not None and (resolved := facts.catalog.find(option.name))
        )
        placed = sum(option.count.placed for option in role.classes)
        have = min(placed, target.before, target.replicas)
        asked.append(Asked(target.role, have, target.replicas, shapes))
    taken = np.zeros_like(kept)
    reach = find_reach(facts.snapshot, asked, kept, taken, shifts)
    return Grown(reach, taken, find_scattered(facts.snapshot, asked, reach, kept + taken))


def priority_of(facts: PoolFacts, remembered: Mapping[PoolKey, int], key: PoolKey) -> int:
    """Return the priority of the pool's pods, the last one known while it has none."""
    return max((pod.priority for pod in facts.pods), default=remembered.get(key, 0))


def held_gpus(facts: PoolFacts, role: str | None = None) -> int:
    """Return the accelerators that the pool's pods hold, those going away included."""
    pods = facts.pods if role is None else facts.pods_of(role)
    return sum(pod.requests.get(NVIDIA_GPU, 0) for pod in pods if pod.node is not None)
