"""The best placement of a day once it is over: all its pods known before the first is placed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from moorage_policies.feasibility import feasible_nodes
from moorage_policies.packing.instance import UNPLACED, Instance
from moorage_policies.packing.solve import Params, solve
from moorage_policies.ports import Clock
from moorage_policies.state import ClusterState, NodesListed
from moorage_policies.tuning.days import Day, gpus_of
from moorage_policies.types import CPU, MEMORY, NVIDIA_GPU, PODS, BoolArray, IntArray

RESOURCES = (CPU, MEMORY, NVIDIA_GPU, PODS)


def solve_day(
    day: Day, *, deadline_s: float, seed: int, clock: Clock | None = None
) -> frozenset[str]:
    """Return UIDs of the pods that the packing solver has room for; its answer is checked.

    The solver counts pods by tier: those without GPUs first, as nobody refuses them in a replay
    either while there is CPU, then those with the most GPUs.

    Args:
        day: the recorded day.
        deadline_s: seconds of the clock, or of work without one.
        seed: seed of the search.
        clock: counts the deadline.
    """
    params = Params(deadline_s=deadline_s, seed=seed, search_share=1.0, polish=False)
    solution = solve(to_instance(day), params, clock=clock)
    placed = np.flatnonzero(solution.placement != UNPLACED).tolist()
    return frozenset(day.pods[at].uid for at in placed)


def to_instance(day: Day) -> Instance:
    """Return the day as a packing problem in which every pod waits."""
    gpus = np.array([gpus_of(pod) for pod in day.pods], dtype=np.int64)
    kind, eligible = _eligible(day)
    count = len(day.pods)
    asked = [{**pod.requests, PODS: 1} for pod in day.pods]
    return Instance(
        resources=RESOURCES,
        nodes=tuple(node.name for node in day.nodes),
        capacity=_amounts([node.allocatable for node in day.nodes]),
        pods=tuple(pod.uid for pod in day.pods),
        requests=_amounts(asked),
        priority=np.where(gpus > 0, gpus, gpus.max(initial=0) + 1),
        current=np.full(count, UNPLACED),
        movable=np.ones(count, dtype=np.bool_),
        evictable=np.ones(count, dtype=np.bool_),
        move_cost=np.ones(count, dtype=np.int64),
        evict_cost=np.ones(count, dtype=np.int64),
        kind=kind,
        eligible=eligible,
    )


def _amounts(every: list[Mapping[str, int]] | list[dict[str, int]]) -> IntArray:
    rows = [[amounts.get(name, 0) for name in RESOURCES] for amounts in every]
    return np.array(rows, dtype=np.int64)


def _eligible(day: Day) -> tuple[IntArray, BoolArray]:
    """Return each pod's kind, and which nodes accept a kind whatever room they have."""
    state = ClusterState()
    state.apply(NodesListed(day.nodes))
    snapshot = state.snapshot()
    rows = [snapshot.node_index[node.name] for node in day.nodes]
    kinds: dict[object, int] = {}
    masks: list[BoolArray] = []
    for pod in day.pods:
        if pod.affinity not in kinds:
            kinds[pod.affinity] = len(masks)
            masks.append(feasible_nodes(replace(pod, requests={}), snapshot).mask[rows])
    return np.array([kinds[pod.affinity] for pod in day.pods], dtype=np.int64), np.array(masks)
