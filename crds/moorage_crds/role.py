"""``GPUInferenceRole``: the scale target that a pool makes for each of its roles."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from moorage_crds.base import Metadata, Model, Rule, with_rules
from moorage_crds.conditions import Conditions
from moorage_crds.fields import ObjectName, Replicas, RoleName, Timestamp


class RoleObjectSpec(Model):
    """Which role this is, and how many replicas someone asks for."""

    model_config = with_rules(
        Rule(
            "self.poolName == oldSelf.poolName",
            "cannot change; the pool makes an object for each of its roles",
            ".poolName",
        ),
        Rule(
            "self.roleName == oldSelf.roleName",
            "cannot change; the pool makes an object for each of its roles",
            ".roleName",
        ),
    )

    pool_name: ObjectName
    """Name of the pool that owns this role."""
    role_name: RoleName
    """Name of the role in the pool's spec."""
    replicas: Replicas = 1
    """Replicas asked for through the scale subresource. Without scaling, or in mode External, this
    is the role's count; in mode Internal a manual change is a floor for a while."""


class ManualFloor(Model):
    """A floor left by a manual scale under Internal scaling."""

    replicas: Replicas
    """Fewest replicas while the floor holds."""
    until: Timestamp
    """When the floor ends."""


class RoleObjectStatus(Model):
    """What the role is."""

    observed_generation: Annotated[int, Field(ge=0)] = 0
    """Generation of the spec that this status speaks of."""
    replicas: Replicas = 0
    """Replicas that exist; what autoscalers divide by."""
    desired: Replicas = 0
    """Replicas that the role should have now."""
    placed: Replicas = 0
    """Replicas whose pods all have a node."""
    ready: Replicas = 0
    """Replicas that are ready."""
    selector: Annotated[str, Field(max_length=1024)] = ""
    """Label selector of the role's pods, for autoscalers."""
    classes: Annotated[str, Field(max_length=512)] = ""
    """Accelerator classes in use and their replicas, for people: "H100-80GB:2,A100-40GB:1"."""
    manual_floor: ManualFloor | None = None
    """Floor left by a manual scale."""
    last_scale_time: Timestamp | None = None
    """When the wished count last changed."""
    conditions: Conditions = ()
    """Ready, Placed and others."""


class GPUInferenceRole(Model):
    """A role of a GPUInferencePool as a target of kubectl scale, HPA and KEDA."""

    api_version: Literal["moorage.dev/v1alpha1"] = "moorage.dev/v1alpha1"
    kind: Literal["GPUInferenceRole"] = "GPUInferenceRole"
    metadata: Metadata = Metadata()
    spec: RoleObjectSpec
    """Which role this is, and how many replicas someone asks for."""
    status: RoleObjectStatus = RoleObjectStatus()
    """What the role is."""
