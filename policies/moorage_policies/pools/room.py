"""How many replicas of one shape an accelerator class holds, now and at best."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from moorage_policies.matching import UNSCHEDULABLE_TAINT, node_term_matches, tolerates
from moorage_policies.state.node_table import ABSENT, NodeTable
from moorage_policies.state.snapshot import Snapshot
from moorage_policies.types import PODS, AcceleratorClass, BoolArray, IntArray, Pod

UNLIMITED = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class Room:
    """What an accelerator class offers to one replica shape.

    Args:
        nodes: nodes of the class.
        accepting: those whose taints, cordon and labels admit the pod.
        free_replicas: replicas that fit beside the pods placed now.
        most_replicas: replicas that fit when the class is empty and takes every pod: taints and
            cordons come and go, the size of a node stays. 0 means that none ever fits.
        short_of: when none ever fits, per resource what one pod asks for and the most that any
            node offers.
        most_pods: single pods that fit when the class is empty.
    """

    nodes: int
    accepting: int
    free_replicas: int
    most_replicas: int
    short_of: Mapping[str, tuple[int, int]]
    most_pods: int = 0

    @property
    def is_impossible(self) -> bool:
        """Return whether the class has nodes, and none could ever hold a replica."""
        return self.nodes > 0 and self.most_replicas == 0


def measure_room(
    snapshot: Snapshot, accelerator: AcceleratorClass, pod: Pod, pods_per_replica: int = 1
) -> Room:
    """Return the room of a class for replicas made of ``pods_per_replica`` equal pods.

    Pods of one replica may share a node. Neighbour rules (affinity to pods, spread) are not looked
    at: the scheduler decides about those.
    """
    of_class = _with_labels(snapshot.table, accelerator.node_selector)
    accepting = find_accepting(snapshot, accelerator, pod)
    demand = _demand(snapshot, pod)
    best = snapshot.allocatable[of_class]
    most_pods = _slots(best, demand)
    most = most_pods // pods_per_replica
    return Room(
        nodes=int(of_class.sum()),
        accepting=int(accepting.sum()),
        free_replicas=_slots(snapshot.free[accepting], demand) // pods_per_replica,
        most_replicas=most,
        short_of={} if most else _shortage(snapshot, pod, best),
        most_pods=most_pods,
    )


def find_accepting(snapshot: Snapshot, accelerator: AcceleratorClass, pod: Pod) -> BoolArray:
    """Return the nodes of a class whose taints, cordon and labels admit the pod, by row."""
    return _with_labels(snapshot.table, accelerator.node_selector) & _accepting(snapshot.table, pod)


def _with_labels(table: NodeTable, labels: Mapping[str, str]) -> BoolArray:
    rows = np.ones(len(table), dtype=np.bool_)
    for key, value in labels.items():
        column = table.label(key)
        rows &= column.codes == column.code_of.get(value, ABSENT - 1)
    return rows


def _accepting(table: NodeTable, pod: Pod) -> BoolArray:
    rows = _with_labels(table, pod.node_selector)
    taints = table.taints()
    admitted = [
        tolerates(pod.tolerations, (*found, UNSCHEDULABLE_TAINT) if cordoned else found)
        for cordoned, found in taints.groups
    ]
    if admitted:
        rows &= np.array(admitted, dtype=np.bool_)[taints.codes]
    terms = pod.affinity.required_node_terms
    if terms:
        for row in np.flatnonzero(rows):
            rows[row] = any(node_term_matches(term, table.nodes[row]) for term in terms)
    return rows


def _demand(snapshot: Snapshot, pod: Pod) -> IntArray:
    demand = snapshot.demand_of(pod)
    if demand is None:  # a resource that nobody ever had
        return np.full(len(snapshot.resources), UNLIMITED, dtype=np.int64)
    return demand


def _slots(amounts: IntArray, demand: IntArray) -> int:
    """Return how many pods the rows hold together.

    Args:
        amounts: what each row has, shape ``(rows, resources)``; may be negative.
        demand: what one pod takes, shape ``(resources,)``.
    """
    asked = demand > 0
    per_row = (np.maximum(amounts[:, asked], 0) // demand[asked]).min(axis=1, initial=UNLIMITED)
    return int(per_row.sum()) if len(per_row) else 0


def _shortage(snapshot: Snapshot, pod: Pod, best: IntArray) -> Mapping[str, tuple[int, int]]:
    asked = {**pod.requests, PODS: 1}
    offered = {
        name: int(best[:, column].max(initial=0))
        for column, name in enumerate(snapshot.resources)
        if name in asked
    }
    return {
        name: (amount, offered.get(name, 0))
        for name, amount in asked.items()
        if amount > offered.get(name, 0)
    }
