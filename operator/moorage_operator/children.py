"""What a pool owns as it lives in the cluster, trimmed to what reconciling looks at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import msgspec

from moorage_cluster.apply import needs_apply
from moorage_crds.names import (
    FIELD_MANAGER,
    GPU_PRODUCT_LABEL,
    POOL_LABEL,
    ROLES,
    SURGE_ANNOTATION,
    ApiResource,
)
from moorage_crds.objects import Condition, ObjectMeta, OwnerReference, Wire
from moorage_operator.manifests.names import POOL_REPLICAS_ANNOTATION
from moorage_operator.manifests.objects import Manifest

_REPLICA_FAILURE = "ReplicaFailure"


class ManagedEntry(Wire):
    """Which fields a manager owns."""

    manager: str = ""
    operation: str = ""
    subresource: str = ""
    fields_v1: msgspec.Raw = msgspec.field(
        default_factory=lambda: msgspec.Raw(b"{}"), name="fieldsV1"
    )


class ChildMeta(ObjectMeta):
    """Metadata with field ownership."""

    managed_fields: tuple[ManagedEntry, ...] = ()


class TemplateSpec(Wire):
    """The one field of a pod template's spec that is read back."""

    node_selector: dict[str, str] = msgspec.field(default_factory=dict)


class Template(Wire):
    """A pod template."""

    spec: TemplateSpec = msgspec.field(default_factory=TemplateSpec)


class GroupTemplate(Wire):
    """The templates of a LeaderWorkerSet."""

    worker_template: Template = msgspec.field(default_factory=Template)


class ChildSpec(Wire):
    """What is read back of the spec of a workload or a role object."""

    replicas: int = 1
    template: Template = msgspec.field(default_factory=Template)
    leader_worker_template: GroupTemplate = msgspec.field(default_factory=GroupTemplate)


class ChildStatus(Wire):
    """The conditions of a workload."""

    conditions: tuple[Condition, ...] = ()


class ChildObject(Wire):
    """Any object that a pool owns."""

    metadata: ChildMeta = msgspec.field(default_factory=ChildMeta)
    spec: ChildSpec = msgspec.field(default_factory=ChildSpec)
    status: ChildStatus = msgspec.field(default_factory=ChildStatus)


@dataclass(frozen=True, slots=True)
class Child:
    """An object that lives in the cluster under a pool's label.

    Args:
        resource: its kind.
        namespace: its namespace.
        name: its name.
        uid: its UID.
        resource_version: its revision; larger is newer.
        labels: its labels.
        owner: the controller that owns it, ``None`` for an orphan.
        is_terminating: whether its deletion has begun.
        replicas: replicas that it asks for, surge included; 1 where that means nothing.
        surge: replicas of them that a running plan added.
        pool_replicas: on a role object, the count that the pool asked for when it was decided.
        product: the accelerator product that its pods select, empty when they select none.
        trouble: what its controller cannot do (a quota refusal), empty when all is well.
        proof: its annotations and the fields that we own, as JSON: enough to tell whether an
            apply would change anything. Role objects are kept whole, with their status.
    """

    resource: ApiResource
    namespace: str
    name: str
    uid: str
    resource_version: int
    labels: Mapping[str, str] = field(default_factory=dict)
    owner: OwnerReference | None = None
    is_terminating: bool = False
    replicas: int = 1
    surge: int = 0
    pool_replicas: int | None = None
    product: str = ""
    trouble: str = ""
    proof: bytes = b'{"metadata":{}}'

    @property
    def key(self) -> tuple[str, str]:
        """Return what tells the pool's objects apart."""
        return self.resource.kind, self.name

    @property
    def pool(self) -> tuple[str, str]:
        """Return namespace and name of the pool whose label it bears."""
        return self.namespace, self.labels.get(POOL_LABEL, "")

    def is_owned_by(self, uid: str) -> bool:
        """Return whether the pool of this UID controls it."""
        return self.owner is not None and self.owner.uid == uid

    def satisfies(self, manifest: Manifest) -> bool:
        """Return whether applying the manifest would change nothing."""
        return not needs_apply(msgspec.json.decode(self.proof), manifest.fixed(), FIELD_MANAGER)


def to_child(resource: ApiResource, item: ChildObject, whole: bytes = b"") -> Child:
    """Return the live object as reconciling sees it; role objects need their ``whole`` body."""
    meta = item.metadata
    return Child(
        resource=resource,
        namespace=meta.namespace,
        name=meta.name,
        uid=meta.uid,
        resource_version=int(meta.resource_version or 0),
        labels=meta.labels,
        owner=next((owner for owner in meta.owner_references if owner.controller), None),
        is_terminating=meta.deletion_timestamp is not None,
        replicas=item.spec.replicas,
        surge=_number(meta.annotations.get(SURGE_ANNOTATION, "")) or 0,
        pool_replicas=_number(meta.annotations.get(POOL_REPLICAS_ANNOTATION, "")),
        product=_product(item.spec),
        trouble=_trouble(item.status.conditions),
        proof=whole or _proof(meta),
    )


def read_child(resource: ApiResource, body: bytes) -> Child:
    """Return the live object that the API server answered with.

    Raises:
        msgspec.DecodeError: it is no such object.
    """
    item = msgspec.json.decode(body, type=ChildObject)
    return to_child(resource, item, whole=body if resource is ROLES else b"")


def _proof(meta: ChildMeta) -> bytes:
    ours = [entry for entry in meta.managed_fields if entry.manager == FIELD_MANAGER]
    metadata = {"annotations": meta.annotations, "managedFields": ours}
    return msgspec.json.encode({"metadata": metadata})


def _product(spec: ChildSpec) -> str:
    templates = (spec.template, spec.leader_worker_template.worker_template)
    found = (template.spec.node_selector.get(GPU_PRODUCT_LABEL, "") for template in templates)
    return next(filter(None, found), "")


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() else None


def _trouble(conditions: Iterable[Condition]) -> str:
    return next(
        (c.message for c in conditions if c.type == _REPLICA_FAILURE and c.status == "True"), ""
    )
