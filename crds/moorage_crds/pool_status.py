"""Status of a ``GPUInferencePool``: where it sits and why not where it does not."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from moorage_crds.base import Model
from moorage_crds.conditions import Conditions
from moorage_crds.fields import (
    MAX_ACCELERATORS,
    MAX_ROLES,
    ClassName,
    Message,
    ObjectName,
    OptionalName,
    Reason,
    Replicas,
    RoleName,
    Timestamp,
    list_map,
)
from moorage_crds.hint_status import HintStatus

MAX_LISTED_NODES = 256
MAX_SCALING_EVENTS = 10


class NodePlacement(Model):
    """Pods of a role on one node."""

    name: ObjectName
    """Name of the node."""
    pods: Annotated[int, Field(ge=0, le=1000)]
    """Pods of the role on the node."""
    class_: Annotated[ClassName | None, Field(alias="class")] = None
    """Accelerator class of the node."""


class ClassStatus(Model):
    """Replicas of a role on one accelerator class."""

    class_: Annotated[ClassName, Field(alias="class")]
    """Name of the accelerator class."""
    workload: OptionalName = ""
    """Name of the workload that runs them."""
    desired: Replicas = 0
    """Replicas that this class should run."""
    placed: Replicas = 0
    """Replicas whose pods all have a node."""
    ready: Replicas = 0
    """Replicas that are ready."""
    gpus_per_replica: Annotated[int, Field(ge=0, le=8192)] = 0
    """Accelerators that one replica takes."""


class RoleStatus(Model):
    """State of one role."""

    desired: Replicas = 0
    """Replicas that the role should have now."""
    recommended: Replicas | None = None
    """Replicas that scaling would ask for, where actuation is Recommend."""
    resting: Replicas | None = None
    """Replicas that are out of the Service before they go or return; absent: none."""
    placed: Replicas = 0
    """Replicas whose pods all have a node."""
    ready: Replicas = 0
    """Replicas that are ready."""
    gpus: Annotated[int, Field(ge=0)] = 0
    """Accelerators held by the role's pods, those going away included."""
    reason: Reason = ""
    """Why not all replicas are placed, as one word; empty when they are."""
    message: Message = ""
    """Why not all replicas are placed, and what would help."""
    classes: Annotated[
        tuple[ClassStatus, ...],
        Field(max_length=MAX_ACCELERATORS, json_schema_extra=list_map("class")),
    ] = ()
    """The role's replicas by accelerator class."""
    nodes: Annotated[
        tuple[NodePlacement, ...],
        Field(max_length=MAX_LISTED_NODES, json_schema_extra=list_map("name")),
    ] = ()
    """Where the pods sit; the first 256 nodes by name."""


class ScalingEvent(Model):
    """A change of a role's replicas."""

    time: Timestamp
    """When it was decided."""
    role: RoleName
    """Role that was scaled."""
    from_replicas: Replicas
    """Replicas before."""
    to_replicas: Replicas
    """Replicas after."""
    reason: Message
    """Why."""


class PoolStatus(Model):
    """What the pool is."""

    observed_generation: Annotated[int, Field(ge=0)] = 0
    """Generation of the spec that this status speaks of."""
    desired: Annotated[int, Field(ge=0)] = 0
    """Replicas wished for, over all roles."""
    placed: Annotated[int, Field(ge=0)] = 0
    """Replicas whose pods all have a node, over all roles."""
    ready: Annotated[int, Field(ge=0)] = 0
    """Replicas that are ready, over all roles."""
    roles: Annotated[dict[str, RoleStatus], Field(max_length=MAX_ROLES, default_factory=dict)]
    """State by role."""
    hint: HintStatus | None = None
    """What spec.hints was understood as."""
    scaling_history: Annotated[tuple[ScalingEvent, ...], Field(max_length=MAX_SCALING_EVENTS)] = ()
    """Last changes of replica counts, newest first."""
    conditions: Conditions = ()
    """Ready, Placed, MetricsFresh, ScalingLimited, HintUnderstood and others."""
