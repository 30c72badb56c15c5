"""The workload of one role on one accelerator class: a Deployment or a LeaderWorkerSet."""

from __future__ import annotations

from moorage_crds.names import (
    DEPLOYMENTS,
    LEADER_WORKER_SETS,
    SURGE_ANNOTATION,
    workload_name,
)
from moorage_crds.pool import Accelerator, GPUInferencePool, MigrationStrategy, Role
from moorage_operator.manifests.names import class_labels
from moorage_operator.manifests.objects import Manifest, owned_metadata
from moorage_operator.manifests.templates import Json

REVISIONS_KEPT = 3


def build_workload(
    pool: GPUInferencePool,
    role: Role,
    accelerator: Accelerator,
    template: Json,
    replicas: int,
    *,
    surge: int = 0,
) -> Manifest:
    """Return the workload that runs ``replicas`` of the role on this class.

    A running plan may add ``surge`` replicas for as long as it takes to exchange a pod; the
    annotation tells how many of the written ones those are.
    """
    metadata = owned_metadata(
        pool,
        workload_name(pool.metadata.name, role.name, accelerator.class_),
        class_labels(pool.metadata.name, role.name, accelerator.class_),
    )
    if surge:
        metadata["annotations"] = {SURGE_ANNOTATION: str(surge)}
    if accelerator.nodes_per_replica > 1:
        spec = _group_spec(accelerator, template, replicas)
        return Manifest(LEADER_WORKER_SETS, metadata, spec)
    strategy = _strategy(role.migration_on(accelerator))
    labels = class_labels(pool.metadata.name, role.name, accelerator.class_)
    return Manifest(
        DEPLOYMENTS,
        metadata,
        {
            "replicas": replicas + surge,
            "revisionHistoryLimit": REVISIONS_KEPT,
            "selector": {"matchLabels": labels},
            "strategy": strategy,
            "template": template,
        },
    )


def _strategy(migration: MigrationStrategy) -> Json:
    """Roll out as the role wants to be moved: surging needs free devices, evicting needs none."""
    surge, unavailable = (0, 1) if migration == "EvictFirst" else (1, 0)
    return {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable},
    }


def _group_spec(accelerator: Accelerator, template: Json, replicas: int) -> Json:
    return {
        "replicas": replicas,
        "startupPolicy": "LeaderCreated",
        "rolloutStrategy": {
            "type": "RollingUpdate",
            "rollingUpdateConfiguration": {"maxSurge": 0, "maxUnavailable": 1},
        },
        "leaderWorkerTemplate": {
            "size": accelerator.nodes_per_replica,
            "restartPolicy": "RecreateGroupOnPodRestart",
            "workerTemplate": template,
        },
    }
