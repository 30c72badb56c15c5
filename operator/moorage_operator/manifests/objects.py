"""One object that a pool owns, as the operator wants it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from moorage_cluster.apply import sign
from moorage_crds.names import POOLS, ROLE_LABEL, ApiResource
from moorage_crds.pool import GPUInferencePool
from moorage_operator.manifests.templates import Json


@dataclass(frozen=True, slots=True)
class Manifest:
    """One object that the operator wants.

    Args:
        resource: its kind.
        metadata: name, namespace, labels, annotations, owner.
        spec: the part of its spec that is ours alone to decide.
        shared: fields of its spec that others may change too (a role's replicas): written with
            the rest, but no part of the digest that tells whether an apply is needed.
    """

    resource: ApiResource
    metadata: Json
    spec: Json
    shared: Json = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Return the object's name."""
        return str(self.metadata["name"])

    @property
    def namespace(self) -> str:
        """Return the object's namespace."""
        return str(self.metadata["namespace"])

    @property
    def role(self) -> str:
        """Return the role that it belongs to, empty for the whole pool's."""
        return str(self.metadata["labels"].get(ROLE_LABEL, ""))

    @property
    def key(self) -> tuple[str, str]:
        """Return what tells the pool's objects apart."""
        return self.resource.kind, self.name

    @property
    def path(self) -> str:
        """Return the object's path."""
        return self.resource.path(self.namespace, self.name)

    def fixed(self) -> Json:
        """Return the object without what others may change."""
        return {
            "apiVersion": self.resource.api_version,
            "kind": self.resource.kind,
            "metadata": self.metadata,
            "spec": self.spec,
        }

    def to_apply(self, resource_version: int = 0) -> Json:
        """Return what to send; with ``resource_version`` it holds only for that revision."""
        signed = sign(self.fixed())
        signed["spec"] = {**signed["spec"], **self.shared}
        if resource_version:
            metadata = {**signed["metadata"], "resourceVersion": str(resource_version)}
            signed["metadata"] = metadata
        return signed


def owned_metadata(pool: GPUInferencePool, name: str, labels: Mapping[str, str]) -> Json:
    """Return the metadata of an object that belongs to the pool and goes with it."""
    owner = {
        "apiVersion": POOLS.api_version,
        "kind": POOLS.kind,
        "name": pool.metadata.name,
        "uid": pool.metadata.uid,
        "controller": True,
    }
    return {
        "name": name,
        "namespace": pool.metadata.namespace,
        "labels": dict(labels),
        "ownerReferences": [owner],
    }
