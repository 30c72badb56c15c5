"""A whole scheduling story in one call: what lands where, what waits, who was evicted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from moorage_policies.simulation.extender import Extender
from moorage_policies.simulation.scheduler import Attempt, SchedulerParams, StockScheduler
from moorage_policies.state import (
    ClusterState,
    NodesListed,
    PodsListed,
    Snapshot,
)
from moorage_policies.types import Decision, DisruptionBudget, Node, Pod


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """How a simulated story ended.

    Args:
        placements: node name by pod UID, pods placed before included.
        pending: UIDs of pods that wait, the most important first.
        reasons: the last word on every pod that was tried, by UID.
        evictions: pods evicted, counted as often as it happened.
        attempts: every cycle in order.
        snapshot: the cluster at the end.
    """

    placements: Mapping[str, str]
    pending: tuple[str, ...]
    reasons: Mapping[str, str]
    evictions: int
    attempts: tuple[Attempt, ...]
    snapshot: Snapshot

    def placed_by_priority(self) -> dict[int, int]:
        """Return how many pods are placed per priority, the highest first."""
        return _by_priority([pod for pods in self.snapshot.node_pods for pod in pods])

    def pending_by_priority(self) -> dict[int, int]:
        """Return how many pods wait per priority, the highest first."""
        return _by_priority(list(self.snapshot.pending.values()))


def simulate(
    nodes: Sequence[Node],
    pods: Sequence[Pod],
    params: SchedulerParams,
    rng: np.random.Generator,
    *,
    waves: Sequence[Sequence[Pod]] = (),
    extender: Extender | None = None,
    budgets: Sequence[DisruptionBudget] = (),
) -> Decision[Result]:
    """Return where the stock scheduler puts every pending pod.

    Args:
        nodes: the cluster's nodes.
        pods: pods that are there from the start; those without a node are pending.
        params: what of the default profile is chosen.
        rng: breaks ties.
        waves: pods that come later, each wave after the scheduler is done with the one before.
        extender: takes part in every cycle; ``None`` for the stock profile.
        budgets: disruption budgets.
    """
    state = ClusterState()
    state.apply(NodesListed(tuple(nodes)))
    state.apply(PodsListed(tuple(pods)))
    scheduler = StockScheduler(state, params, rng, extender, budgets)
    attempts = list(scheduler.run())
    for wave in waves:
        for pod in wave:
            scheduler.add(pod)
        attempts.extend(scheduler.run())
    result = result_of(state.snapshot(), attempts)
    reason = f"{len(result.placements)} pods placed, {len(result.pending)} wait"
    inputs = {"nodes": len(nodes), "ties": params.ties, "extender": extender is not None}
    return Decision(result, reason, inputs)


def result_of(snapshot: Snapshot, attempts: Sequence[Attempt]) -> Result:
    """Return the story told by these attempts, ending in this snapshot."""
    waiting = sorted(snapshot.pending.values(), key=lambda pod: (-pod.priority, pod.uid))
    return Result(
        placements={
            pod.uid: name
            for name, pods in zip(snapshot.node_names, snapshot.node_pods, strict=True)
            for pod in pods
        },
        pending=tuple(pod.uid for pod in waiting),
        reasons={attempt.pod.uid: attempt.reason for attempt in attempts},
        evictions=sum(len(attempt.victims) for attempt in attempts),
        attempts=tuple(attempts),
        snapshot=snapshot,
    )


def _by_priority(pods: Sequence[Pod]) -> dict[int, int]:
    counts: dict[int, int] = {}
    for pod in sorted(pods, key=lambda pod: -pod.priority):
        counts[pod.priority] = counts.get(pod.priority, 0) + 1
    return counts
