"""What the cluster tells: one change of one object, or a whole fresh list of a kind."""

from __future__ import annotations

from dataclasses import dataclass

from moorage_policies.types import Node, Pod


@dataclass(frozen=True, slots=True)
class NodeChanged:
    """A node was added or now looks like this."""

    node: Node


@dataclass(frozen=True, slots=True)
class NodeDeleted:
    """The node of this name is gone."""

    name: str


@dataclass(frozen=True, slots=True)
class PodChanged:
    """A pod was added or now looks like this."""

    pod: Pod


@dataclass(frozen=True, slots=True)
class PodDeleted:
    """The pod of this UID is gone."""

    uid: str


@dataclass(frozen=True, slots=True)
class NodesListed:
    """These are all nodes; every other known node is gone."""

    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class PodsListed:
    """These are all pods; every other pod that a change or a list named before is gone."""

    pods: tuple[Pod, ...]


Event = NodeChanged | NodeDeleted | PodChanged | PodDeleted | NodesListed | PodsListed
