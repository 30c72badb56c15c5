"""Room that running plans keep: for whom, and from whom it is hidden."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from moorage_policies.plans.records import SETTLED, Move, MoveProgress, PlanRecord
from moorage_policies.state import Snapshot
from moorage_policies.types import NVIDIA_GPU, IntArray, Pod

LONGEST_S: Final = 7200.0
"""A plan that nobody finished for so long keeps no room any more."""

# reasons name no plan: they are labels of a metric
KEPT: Final = "room is kept by a running plan"
ELSEWHERE: Final = "a running plan keeps room for the pod on another node"


@dataclass(frozen=True, slots=True)
class Slot:
    """One place that a move keeps on its target.

    Args:
        plan: name of the plan.
        move: the move.
        progress: how far the move is.
        requests: what the kept place offers, as a pod's requests.
    """

    plan: str
    move: Move
    progress: MoveProgress
    requests: Mapping[str, int] = field(default_factory=dict)

    @property
    def node(self) -> str:
        """Return the node of the place."""
        return self.move.target

    @property
    def is_offered(self) -> bool:
        """Return whether somebody is expected to take the place now."""
        return self.progress.phase in ("Surging", "Evicting", "Binding")

    def takes(self, pod: Pod) -> bool:
        """Return whether the place is kept for this pod."""
        return self.move.takes(pod) and pod.uid not in self.progress.siblings

    def is_filled(self, snapshot: Snapshot) -> bool:
        """Return whether somebody has taken the place.

        Before a move begins, an equal that sits on the target is one that was there before.
        """
        if self.move.kind == "Move" and not self.is_offered:
            return False
        row = snapshot.node_index.get(self.node)
        return row is not None and any(self.takes(pod) for pod in snapshot.pods_on(row))


def open_slots(records: Iterable[PlanRecord], now_s: float) -> tuple[Slot, ...]:
    """Return every place that plans keep now; plans nobody finishes keep none for ever."""
    return tuple(
        Slot(record.plan.name, move, progress, {NVIDIA_GPU: move.gpus})
        for record in records
        if _is_active(record, now_s)
        for move, progress in record.pairs()
        if move.target and progress.phase not in SETTLED
    )


def serves(pod: Pod, slots: Iterable[Slot]) -> bool:
    """Return whether a plan makes room for the pod."""
    return any(slot.takes(pod) for slot in slots)


def barred_nodes(pod: Pod, slots: Sequence[Slot], snapshot: Snapshot) -> dict[str, str]:
    """Return the nodes that the pod must not take because of plans, and why.

    A pod that a place is kept for goes nowhere else. From everybody else the kept room is hidden,
    unless their priority is higher than that of the pod it is kept for.
    """
    mine = [slot for slot in slots if slot.is_offered and slot.takes(pod)]
    homes = {slot.node for slot in mine if not slot.is_filled(snapshot)} & set(snapshot.node_index)
    if homes:
        return {name: ELSEWHERE for name in snapshot.node_names if name not in homes}
    return _hidden(pod, [slot for slot in slots if not slot.takes(pod)], snapshot)


def _hidden(pod: Pod, slots: Iterable[Slot], snapshot: Snapshot) -> dict[str, str]:
    demand = snapshot.demand_of(pod)
    if demand is None:
        return {}
    kept: defaultdict[str, list[Slot]] = defaultdict(list)
    for slot in slots:
        known = slot.node in snapshot.node_index
        if known and slot.move.priority >= pod.priority and not slot.is_filled(snapshot):
            kept[slot.node].append(slot)
    return {node: KEPT for node, there in kept.items() if _is_short(node, there, demand, snapshot)}


def _is_short(node: str, slots: Iterable[Slot], demand: IntArray, snapshot: Snapshot) -> bool:
    free = snapshot.free[snapshot.node_index[node]].copy()
    for slot in slots:
        for name, amount in slot.requests.items():
            column = snapshot.columns.get(name)
            if column is not None:
                free[column] -= amount
    asked = demand > 0
    return bool((free < demand)[asked].any())


def _is_active(record: PlanRecord, now_s: float) -> bool:
    plan, progress = record.plan, record.progress
    if plan.mode != "Auto" or progress.phase not in ("Approved", "Executing"):
        return False
    since_s = plan.created_s if progress.started_s is None else progress.started_s
    return now_s - since_s < LONGEST_S
