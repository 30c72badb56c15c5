"""How far nodes are from each other by their labels, outermost level first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from moorage_policies.network.telemetry import UNKNOWN
from moorage_policies.state import NodeTable
from moorage_policies.types import IntArray

REGION, ZONE = "topology.kubernetes.io/region", "topology.kubernetes.io/zone"

PRESETS: Mapping[str, tuple[str, ...]] = {
    "topograph": tuple(f"fabric.topograph.run/tier-{tier}" for tier in (3, 2, 1, 0)),
    "topograph-legacy": tuple(
        f"network.topology.nvidia.com/{level}" for level in ("core", "spine", "leaf", "accelerator")
    ),
    "gke": (
        "cloud.google.com/gce-topology-block",
        "cloud.google.com/gce-topology-subblock",
        "cloud.google.com/gce-topology-host",
    ),
    "aws": tuple(f"topology.k8s.aws/network-node-layer-{layer}" for layer in (1, 2, 3)),
    "kueue": tuple(f"cloud.provider.com/topology-{level}" for level in ("block", "rack")),
}
"""Label keys that known tools write, outermost level first."""


def detect_levels(table: NodeTable) -> tuple[str, ...]:
    """Return region, zone, and the keys of the preset that most nodes have; none if none has."""
    counts = {
        name: sum(int((table.label(key).codes >= 0).sum()) for key in keys)
        for name, keys in PRESETS.items()
    }
    best = max(counts, key=counts.__getitem__)
    fabric = PRESETS[best] if counts[best] else ()
    return tuple(key for key in (REGION, ZONE, *fabric) if (table.label(key).codes >= 0).any())


def places_of(table: NodeTable, levels: Sequence[str]) -> IntArray:
    """Return a code per node and level, ``UNKNOWN`` without label, shape ``(nodes, levels)``.

    Equal values are the same place only under the same outer places.
    """
    codes = np.full((len(table), max(len(levels), 1)), UNKNOWN, dtype=np.int64)
    for level, key in enumerate(levels):
        own = table.label(key).codes
        path = np.concatenate((codes[:, :level], own[:, None]), axis=1)
        _, place = np.unique(path, axis=0, return_inverse=True)
        codes[:, level] = np.where(own >= 0, place.reshape(-1), UNKNOWN)
    return codes
