"""One immutable view of the cluster as arrays: what every decision reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from moorage_policies.state.groups import FrozenGroups
from moorage_policies.state.node_table import NodeTable
from moorage_policies.types import PODS, IntArray, Node, Pod


class RowHistory(NamedTuple):
    """When each row last changed, so that what was worked out for the others may be kept.

    Args:
        books: whose rows they are; turns of other books say nothing here.
        turn: number of this snapshot among those of its books.
        changed: turn from which on a row is as it is now, shape ``(nodes,)``, read-only.
    """

    books: object
    turn: int
    changed: IntArray


@dataclass(frozen=True, eq=False)  # no slots: derived arrays are remembered in the instance
class Snapshot:
    """The cluster at one generation; equal generations of one state are the same object.

    Args:
        generation: grows with every change that readers can see.
        table: nodes and their labels and taints by row; the same object while no node changed.
        resources: names of the columns; ``cpu``, ``memory`` and ``pods`` come first.
        allocatable: what nodes offer, shape ``(nodes, resources)``, read-only.
        requested: what bound and assumed pods ask for, shape ``(nodes, resources)``, read-only.
        node_pods: live pods by row, assumed ones included with ``node`` filled in.
        pending: live pods that are neither bound nor assumed, by UID, in no particular order.
        assumed: pods that were told to bind and are not confirmed yet, by UID.
        nominated: pending pods that hold room on their ``nominated_node``, by UID.
        groups: live placed pods counted by node, in groups that neighbour rules treat alike.
        history: when each row's node, amounts or pods last changed.
    """

    generation: int
    table: NodeTable
    resources: tuple[str, ...]
    allocatable: IntArray
    requested: IntArray
    node_pods: tuple[tuple[Pod, ...], ...]
    pending: Mapping[str, Pod]
    assumed: Mapping[str, Pod]
    nominated: Mapping[str, Pod]
    groups: FrozenGroups
    history: RowHistory

    @property
    def nodes(self) -> tuple[Node, ...]:
        """Return the nodes by row."""
        return self.table.nodes

    @property
    def node_names(self) -> tuple[str, ...]:
        """Return node names by row."""
        return self.table.names

    @property
    def node_index(self) -> Mapping[str, int]:
        """Return the row of each node name."""
        return self.table.index

    def pods_on(self, row: int) -> tuple[Pod, ...]:
        """Return the live pods that sit, or are assumed to sit, on a row."""
        return self.node_pods[row]

    @cached_property
    def columns(self) -> Mapping[str, int]:
        """Return the column of each resource name."""
        return {name: column for column, name in enumerate(self.resources)}

    @cached_property
    def free(self) -> IntArray:
        """Return ``allocatable - requested``; negative where a node is over-committed."""
        free = self.allocatable - self.requested
        free.setflags(write=False)
        return free

    def free_of(self, resource: str) -> IntArray:
        """Return what is free of one resource, shape ``(nodes,)``; zeros if no node has it."""
        column = self.columns.get(resource)
        if column is None:
            return np.zeros(len(self.nodes), dtype=np.int64)
        return self.free[:, column]

    def demand_of(self, pod: Pod) -> IntArray | None:
        """Return the pod's requests by column, shape ``(resources,)``.

        ``None`` when the pod asks for a resource that no node or pod ever had: it fits nowhere.
        """
        if any(amount > 0 and name not in self.columns for name, amount in pod.requests.items()):
            return None
        return self.known_demand_of(pod)

    def known_demand_of(self, pod: Pod) -> IntArray:
        """Return the pod's requests for resources that are columns, shape ``(resources,)``."""
        demand = np.zeros(len(self.resources), dtype=np.int64)
        for name, amount in pod.requests.items():
            column = self.columns.get(name)
            if column is not None:
                demand[column] = saturate(amount)
        demand[self.columns[PODS]] = 1
        return demand


MAX_QUANTITY = 2**53
"""Largest amount that arrays hold (8 PiB of memory): a node's sum then never leaves int64."""


def saturate(amount: int) -> int:
    """Return the amount, held inside what arrays can sum exactly."""
    return min(amount, MAX_QUANTITY)
