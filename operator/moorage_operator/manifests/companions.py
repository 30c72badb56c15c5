"""What stands beside the workloads: the Service, disruption budgets and role objects."""

from __future__ import annotations

from collections.abc import Iterable

from moorage_crds.names import (
    DISRUPTION_BUDGETS,
    ROLES,
    SERVICES,
    SERVING_LABEL,
    role_object_name,
)
from moorage_crds.pool import GPUInferencePool, Role
from moorage_operator.manifests.names import (
    POOL_REPLICAS_ANNOTATION,
    pool_labels,
    role_labels,
)
from moorage_operator.manifests.objects import Manifest, owned_metadata
from moorage_operator.manifests.templates import Json


def build_service(pool: GPUInferencePool, templates: Iterable[Json]) -> Manifest:
    """Return the headless Service of the pool: one name that resolves to all ready pods that serve.

    It lists the named ports of the templates, so that its EndpointSlices carry them; a name that
    two templates give to different ports keeps the first.
    """
    labels = pool_labels(pool.metadata.name)
    spec: Json = {"clusterIP": "None", "selector": {**labels, SERVING_LABEL: "true"}}
    if ports := _named_ports(templates):
        spec["ports"] = ports
    return Manifest(SERVICES, owned_metadata(pool, pool.metadata.name, labels), spec)


def build_budget(pool: GPUInferencePool, role: Role) -> Manifest:
    """Return the role's disruption budget: one pod at a time, broken pods freely."""
    labels = role_labels(pool.metadata.name, role.name)
    return Manifest(
        DISRUPTION_BUDGETS,
        owned_metadata(pool, role_object_name(pool.metadata.name, role.name), labels),
        {
            "maxUnavailable": 1,
            "selector": {"matchLabels": labels},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    )


def build_role_object(
    pool: GPUInferencePool, role: Role, *, replicas: int, pool_replicas: int
) -> Manifest:
    """Return the scale target of a role.

    Args:
        pool: its owner.
        role: the role.
        replicas: the count to write.
        pool_replicas: the count that the pool's spec asks for, kept to notice when it changes.
    """
    name = role_object_name(pool.metadata.name, role.name)
    metadata = owned_metadata(pool, name, role_labels(pool.metadata.name, role.name))
    metadata["annotations"] = {POOL_REPLICAS_ANNOTATION: str(pool_replicas)}
    spec = {"poolName": pool.metadata.name, "roleName": role.name}
    return Manifest(ROLES, metadata, spec, shared={"replicas": replicas})


def _named_ports(templates: Iterable[Json]) -> list[Json]:
    ports: dict[str, Json] = {}
    for template in templates:
        for container in template["spec"]["containers"]:
            for port in container.get("ports") or ():
                if name := port.get("name"):
                    number = port["containerPort"]
                    protocol = port.get("protocol", "TCP")
                    made = {"name": name, "port": number, "targetPort": number}
                    ports.setdefault(name, {**made, "protocol": protocol})
    return list(ports.values())
