"""``GPUInferencePool``: one model served by one or several roles on scarce accelerators."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from moorage_crds.base import Metadata, Model, Rule, with_rules
from moorage_crds.fields import (
    MAX_ACCELERATORS,
    MAX_ROLES,
    Actuation,
    ClassName,
    LabelKey,
    Replicas,
    RoleName,
    list_map,
)
from moorage_crds.names import MAX_POOL_NAME
from moorage_crds.pool_status import PoolStatus
from moorage_crds.scaling import Scaling
from moorage_crds.template import PodTemplate

Engine = Literal["vllm", "sglang", "trtllm", "custom"]
MigrationStrategy = Literal["SurgeFirst", "EvictFirst", "Never"]


class ServedModel(Model):
    """What the pool serves."""

    name: Annotated[str, Field(min_length=1, max_length=253)]
    """Name of the model, for people, metrics and start-up times."""
    engine: Engine = "vllm"
    """Inference engine; decides which metrics the pods are read for."""


class Accelerator(Model):
    """A class of accelerators that a role accepts, and the engine's shape on it."""

    class_: Annotated[ClassName, Field(alias="class")]
    """Name of an accelerator class: from the PlacementPolicy, else the GPU product that the nodes
    carry as a label."""
    count: Annotated[int, Field(ge=1, le=128)]
    """Accelerators per pod."""
    nodes_per_replica: Annotated[int, Field(ge=1, le=64)] = 1
    """Pods, each on its own node, that make up one replica; above 1 needs LeaderWorkerSet."""
    template: PodTemplate | None = None
    """What differs from the role's template on this class; containers are merged by name."""

    @property
    def gpus_per_replica(self) -> int:
        """Return the accelerators that one replica takes."""
        return self.count * self.nodes_per_replica


class Migration(Model):
    """How a running replica may be moved to another node."""

    strategy: MigrationStrategy
    """SurgeFirst: the new replica is ready before the old one goes. EvictFirst: the old one goes
    first. Never: running replicas are not moved. Absent: SurgeFirst, or EvictFirst where a replica
    spans several nodes."""


class Role(Model):
    """A part of the pool with replicas of its own, such as prefill or decode."""

    model_config = with_rules(
        Rule(
            "(has(self.template) && has(self.template.spec.containers)) || "
            "self.accelerators.all(a, has(a.template) && has(a.template.spec.containers))",
            "must have spec.containers unless the template of every accelerator has them",
            ".template",
        ),
        Rule(
            "!has(self.migration) || self.migration.strategy != 'SurgeFirst' || "
            "self.accelerators.all(a, a.nodesPerReplica == 1)",
            "cannot be SurgeFirst where nodesPerReplica is above 1, since a set of groups can only "
            "drop the one of highest index; write EvictFirst or Never",
            ".migration.strategy",
        ),
    )

    name: RoleName
    """Name of the role: lower case letters and digits. The names prefill and decode make the pool a
    disaggregated one."""
    replicas: Replicas | None = None
    """Replicas wished for. Absent: 1, or minReplicas where the role has bounds. Under scaling it is
    the count to start with."""
    accelerators: Annotated[
        tuple[Accelerator, ...],
        Field(min_length=1, max_length=MAX_ACCELERATORS, json_schema_extra=list_map("class")),
    ]
    """Accelerator classes that will do, best first."""
    template: PodTemplate | None = None
    """Template of the pods."""
    migration: Migration | None = None
    """How running replicas may be moved."""

    def migration_on(self, accelerator: Accelerator) -> MigrationStrategy:
        """Return how a replica on this accelerator class may be moved."""
        if self.migration is not None:
            return self.migration.strategy
        return "SurgeFirst" if accelerator.nodes_per_replica == 1 else "EvictFirst"


class Topology(Model):
    """How close together all pods of the pool belong, also those of later scale-outs."""

    model_config = with_rules(
        Rule(
            "!has(self.required) || !has(self.preferred) || self.required != self.preferred",
            "must name another label than required; a required domain is kept anyway",
            ".preferred",
        ),
        Rule(
            "has(self.required) || has(self.preferred)",
            "is empty; set required, preferred or both to a node label",
        ),
    )

    required: LabelKey | None = None
    """Node label whose value all pods must share."""
    preferred: LabelKey | None = None
    """Node label whose value all pods should share where possible."""


_ROLE_NAMES = "self.roles.exists(r, r.name == {name})"


class PoolSpec(Model):
    """What the pool should be."""

    model_config = with_rules(
        Rule(
            "self.roles.exists(r, r.name == 'prefill') == self.roles.exists(r, r.name == 'decode')",
            "has one of prefill and decode without the other; add the missing role or give a "
            "single role another name",
            ".roles",
        ),
        Rule(
            "!has(self.scaling) || self.scaling.bounds.all(b, "
            + _ROLE_NAMES.format(name="b.role")
            + ")",
            "names a role that the pool does not have; write a name of spec.roles",
            ".scaling.bounds",
        ),
        *(
            Rule(
                "!has(self.scaling) || !has(self.scaling.ratio) || "
                + _ROLE_NAMES.format(name=f"self.scaling.ratio.{side}"),
                "names a role that the pool does not have; write a name of spec.roles",
                f".scaling.ratio.{side}",
            )
            for side in ("numerator", "denominator")
        ),
        Rule(
            "!has(self.scaling) || self.roles.all(r, !has(r.replicas) || "
            "self.scaling.bounds.all(b, b.role != r.name || "
            "(b.minReplicas <= r.replicas && r.replicas <= b.maxReplicas)))",
            "has replicas outside the role's bounds; change replicas or spec.scaling.bounds, or "
            "leave replicas out",
            ".roles",
        ),
        Rule(
            "!has(self.maxGpus) || self.roles.map(r, has(r.replicas) && r.replicas == 0 ? 0 : "
            "r.accelerators.map(a, a.count * a.nodesPerReplica).min()).sum() <= self.maxGpus",
            "is less than what one replica of each role takes; raise it",
            ".maxGpus",
        ),
        Rule(
            "!has(self.scaling) || self.scaling.mode != 'Internal' || "
            "self.model.engine != 'custom' || has(self.scaling.metric)",
            "is needed with engine custom, whose metrics are not known; name the metric and set "
            "signal to Custom",
            ".scaling.metric",
        ),
    )

    model: ServedModel
    """What is served."""
    priority_class_name: Annotated[str, Field(max_length=253)] = ""
    """PriorityClass of all pods; it decides who is placed, moved and scaled first. Empty: the
    cluster's default."""
    roles: Annotated[
        tuple[Role, ...],
        Field(min_length=1, max_length=MAX_ROLES, json_schema_extra=list_map("name")),
    ]
    """The parts of the pool: one for aggregated serving, prefill and decode for disaggregated."""
    topology: Topology | None = None
    """How close together the pods belong."""
    scaling: Scaling | None = None
    """How replica counts follow load; leave it out to keep them fixed."""
    max_gpus: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """Most accelerators that the pool may hold at any moment, replicas that are going away and the
    extra replicas of moves included; absent: no limit."""
    hints: Annotated[str, Field(max_length=1024)] = ""
    """Wishes for the placement in plain words; they can only express preference."""
    actuation: Actuation = "Auto"
    """Auto: workloads are written, moved and scaled. Recommend: nothing but the status is written;
    it says what would be. Off: the same, and moves and scaling are not worked out either. What
    runs already stays as it is."""


class GPUInferencePool(Model):
    """A pool of inference servers for one model on scarce accelerators."""

    model_config = with_rules(
        Rule(
            f"self.metadata.name.size() <= {MAX_POOL_NAME}",
            f"metadata.name is too long: use at most {MAX_POOL_NAME} characters, so that the names "
            "of the pool's Services stay within 63",
        ),
        Rule(
            "self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
            "metadata.name must be usable in a Service's name: start with a letter, then lower "
            "case letters, digits and dashes only",
        ),
    )

    api_version: Literal["moorage.dev/v1alpha1"] = "moorage.dev/v1alpha1"
    kind: Literal["GPUInferencePool"] = "GPUInferencePool"
    metadata: Metadata = Metadata()
    spec: PoolSpec
    """What the pool should be."""
    status: PoolStatus = PoolStatus()
    """What the pool is, as the operator sees it."""
