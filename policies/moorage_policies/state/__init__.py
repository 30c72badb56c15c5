"""The cluster-state core: events in, immutable snapshots of arrays out."""

from moorage_policies.state.events import (
    Event,
    NodeChanged,
    NodeDeleted,
    NodesListed,
    PodChanged,
    PodDeleted,
    PodsListed,
)
from moorage_policies.state.groups import FrozenGroups, GroupKey, PodGroup, group_key
from moorage_policies.state.node_table import ABSENT, LabelColumn, NodeTable, TaintGroups
from moorage_policies.state.snapshot import MAX_QUANTITY, Snapshot
from moorage_policies.state.state import ClusterState, snapshot_of

__all__ = [
    "ABSENT",
    "MAX_QUANTITY",
    "ClusterState",
    "Event",
    "FrozenGroups",
    "GroupKey",
    "LabelColumn",
    "NodeChanged",
    "NodeDeleted",
    "NodeTable",
    "NodesListed",
    "PodChanged",
    "PodDeleted",
    "PodGroup",
    "PodsListed",
    "Snapshot",
    "TaintGroups",
    "group_key",
    "snapshot_of",
]
