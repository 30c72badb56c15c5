"""Names and labels of what a pool owns: the same input, the same name."""

from __future__ import annotations

import hashlib
import re

from moorage_crds.names import (
    ACCELERATOR_CLASS_LABEL,
    GROUP,
    MAX_WORKLOAD_NAME,
    POOL_LABEL,
    ROLE_LABEL,
)

POOL_REPLICAS_ANNOTATION = f"{GROUP}/pool-replicas"
"""On a role object: the count that the pool's spec asked for when it last decided."""
LWS_GROUP_INDEX_LABEL = "leaderworkerset.sigs.k8s.io/group-index"
LWS_WORKER_INDEX_LABEL = "leaderworkerset.sigs.k8s.io/worker-index"

_HASH_CHARACTERS = 6


def role_object_name(pool: str, role: str) -> str:
    """Return the name of the role object and its disruption budget, ``<pool>-<role>``.

    Unambiguous, because a role's name has no dash.
    """
    return f"{pool}-{role}"


def workload_name(pool: str, role: str, accelerator_class: str) -> str:
    """Return ``<pool>-<role>-<class>``, with a hash where that is too long or not a DNS name."""
    lower = accelerator_class.lower()
    slug = re.sub(r"[^a-z0-9-]+", "-", lower).strip("-")
    name = f"{pool}-{role}-{slug}"
    if slug == lower and len(name) <= MAX_WORKLOAD_NAME:
        return name
    digest = hashlib.sha256(f"{pool}/{role}/{accelerator_class}".encode()).hexdigest()
    return f"{name[: MAX_WORKLOAD_NAME - _HASH_CHARACTERS - 1]}-{digest[:_HASH_CHARACTERS]}"


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
