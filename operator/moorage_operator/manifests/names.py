"""Names and labels of what a pool owns: the same input, the same name."""

from __future__ import annotations

from moorage_crds.names import (
    ACCELERATOR_CLASS_LABEL,
    GROUP,
    POOL_LABEL,
    ROLE_LABEL,
)

POOL_REPLICAS_ANNOTATION = f"{GROUP}/pool-replicas"
"""On a role object: the count that the pool's spec asked for when it last decided."""
LWS_GROUP_INDEX_LABEL = "leaderworkerset.sigs.k8s.io/group-index"
LWS_WORKER_INDEX_LABEL = "leaderworkerset.sigs.k8s.io/worker-index"


def pool_labels(pool: str) -> dict[str, str]:
    """Return the labels of everything that a pool owns."""
    return {POOL_LABEL: pool}


def role_labels(pool: str, role: str) -> dict[str, str]:
    """Return the labels of everything that belongs to a role."""
    return {POOL_LABEL: pool, ROLE_LABEL: role}


def class_labels(pool: str, role: str, accelerator_class: str) -> dict[str, str]:
    """Return the labels of a workload and of its pods."""
    return {POOL_LABEL: pool, ROLE_LABEL: role, ACCELERATOR_CLASS_LABEL: accelerator_class}


def selector_text(labels: dict[str, str]) -> str:
    """Return a label selector as one line."""
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
