"""``PlacementPolicy``: what the cluster's admin decides for all pools.

Every field has a default, so ``PolicySpec()`` is the policy of a cluster that has none.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from moorage_crds.base import Metadata, Model, Rule, with_rules
from moorage_crds.conditions import Conditions
from moorage_crds.disruption import Defragmentation, Disruption, Preemption
from moorage_crds.fields import (
    LIST_SET,
    Actuation,
    ClassName,
    Decimal,
    LabelKey,
    LabelValue,
    Percent,
    Priority,
    ResourceName,
    Seconds,
    Weight,
    list_map,
)

POLICY_NAME = "default"
PoolKey = Annotated[
    str,
    Field(
        min_length=3, max_length=127, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?/[a-z0-9][-a-z0-9]*$"
    ),
]

Scorer = Literal[
    "Fragmentation",
    "Heterogeneity",
    "SoftConstraints",
    "Load",
    "Interference",
    "Energy",
    "Fairness",
    "Network",
]


class AcceleratorClass(Model):
    """A kind of accelerator and the nodes that carry it."""

    name: ClassName
    """Name by which pools ask for it."""
    node_selector: Annotated[dict[str, LabelValue], Field(min_length=1, max_length=16)]
    """Labels that all nodes of the class have."""
    resource: ResourceName = "nvidia.com/gpu"
    """Resource that counts its devices."""


class ScorerSettings(Model):
    """How much one scorer counts."""

    name: Scorer
    """Name of the scorer."""
    weight: Weight
    """Its share in a node's score: 10 is the built-in share, 0 switches it off."""
    parameters: Annotated[dict[str, Decimal], Field(max_length=16, default_factory=dict)]
    """Parameters of the scorer, decimal strings; the scorer's page in the documentation lists
    them."""


class ScorerWeight(Model):
    """How much one scorer counts for some pods."""

    name: Scorer
    """Name of the scorer."""
    weight: Weight
    """Its share in a node's score: 10 is the built-in share, 0 switches it off."""


class ScorerOverride(Model):
    """Other weights for pods of some pools or priorities."""

    model_config = with_rules(
        Rule(
            "!has(self.lowestPriority) || !has(self.highestPriority) || "
            "self.lowestPriority <= self.highestPriority",
            "must not be above highestPriority",
            ".lowestPriority",
        ),
    )

    name: ClassName
    """Name of the override, for people."""
    pools: Annotated[tuple[PoolKey, ...], Field(max_length=64, json_schema_extra=LIST_SET)] = ()
    """Pools as namespace/name; empty: pods of all pools and of none."""
    lowest_priority: Priority | None = None
    """Priority from which on it holds."""
    highest_priority: Priority | None = None
    """Priority up to which it holds."""
    scorers: Annotated[
        tuple[ScorerWeight, ...],
        Field(min_length=1, max_length=16, json_schema_extra=list_map("name")),
    ]
    """Scorers with other weights; those that are left out keep theirs."""


class Hints(Model):
    """Placement wishes in plain words."""

    actuation: Actuation = "Auto"
    """Auto: they count. Recommend: they are read and shown. Off: they are not read."""
    weight: Weight = 10
    """Their share in a node's score: 10 is the built-in share."""


class Solver(Model):
    """How long and how hard the packing problem is worked on."""

    time_limit_ms: Annotated[int, Field(ge=10, le=600_000)] = 1000
    """Milliseconds per attempt."""
    workers: Annotated[int, Field(ge=1, le=64)] = 1
    """Solver workers; recorded decisions replay exactly with one."""
    seed: Annotated[int, Field(ge=0, le=2_147_483_647)] = 0
    """Seed of the search."""
    max_moves_per_plan: Annotated[int, Field(ge=0, le=256)] = 32
    """Most running pods that one plan may move or evict."""


class TopologyLevels(Model):
    """Node labels that tell how far nodes are from each other."""

    levels: Annotated[
        tuple[LabelKey, ...], Field(min_length=1, max_length=10, json_schema_extra=LIST_SET)
    ]
    """Node label keys from the outermost level to the nearest. A node without the label has an
    unknown place on that level, never the same as another's."""


class NodeAutoscaler(Model):
    """Living with an autoscaler that adds nodes."""

    delay_seconds: Seconds
    """Seconds that a pending pod waits for a new node before others are moved or evicted for it."""


class SickCondition(Model):
    """A node condition by which a health agent says that accelerators fail."""

    type: Annotated[str, Field(min_length=1, max_length=317)]
    """Type of the condition."""
    status: Literal["True", "False", "Unknown"] = "True"
    """Its status when they fail."""


class GPUHealth(Model):
    """Keeping new pods off nodes whose accelerators fail, and moving away those that are there."""

    actuation: Actuation = "Recommend"
    """Auto: such nodes are quarantined: our scheduler leaves them out and their pods are moved.
    Recommend: they are only reported. Off: not looked at."""
    failures: Annotated[int, Field(ge=1, le=1000)] = 3
    """Pods that the kubelet refused (UnexpectedAdmissionError) before a node counts as sick."""
    window_seconds: Annotated[int, Field(ge=1, le=604_800)] = 600
    """Seconds within which they are counted."""
    grace_seconds: Annotated[int, Field(ge=0, le=604_800)] = 60
    """Seconds for which devices must be unhealthy or gone, or a condition must hold, before the
    node counts as sick: a device plugin that restarts takes all devices away for a moment."""
    quarantine_seconds: Annotated[int, Field(ge=1, le=604_800)] = 3600
    """Seconds without any sign of failure after which the node is used again."""
    max_nodes_percent: Annotated[Percent, Field(alias="maxNodesPercent")] = 25
    """Largest share of the nodes with accelerators that is quarantined at a time; one always may
    be."""
    conditions: Annotated[
        tuple[SickCondition, ...], Field(max_length=32, json_schema_extra=list_map("type"))
    ] = ()
    """Node conditions that say failure; empty: AcceleratedHardwareReady False, and GPUMissing,
    XIDErrors and NVLinkStatusInactive True."""
    move_pods: bool = True
    """Whether the pods of a quarantined node are moved where there is room."""


class PlanRetention(Model):
    """How long finished plans are kept."""

    keep: Annotated[int, Field(ge=1, le=1000)] = 50
    """Newest finished plans to keep."""
    ttl_seconds: Annotated[int, Field(ge=60, le=31_536_000)] = 604_800
    """Seconds after which a finished plan goes even if it is among them."""


class PolicySpec(Model):
    """What holds for all pools."""

    model_config = with_rules(
        Rule(
            "!has(self.defragmentation) || !has(self.disruption) || "
            "self.defragmentation.maxMoves <= self.disruption.maxMoves",
            "must not be above disruption.maxMoves, which no plan may pass; lower it",
            ".defragmentation.maxMoves",
        ),
    )

    accelerator_classes: Annotated[
        tuple[AcceleratorClass, ...], Field(max_length=64, json_schema_extra=list_map("name"))
    ] = ()
    """Accelerator classes; empty: one for each value of the node label nvidia.com/gpu.product."""
    scorers: Annotated[
        tuple[ScorerSettings, ...], Field(max_length=16, json_schema_extra=list_map("name"))
    ] = ()
    """Scorers with other than the built-in weights."""
    scorer_overrides: Annotated[
        tuple[ScorerOverride, ...], Field(max_length=32, json_schema_extra=list_map("name"))
    ] = ()
    """Other weights for pods of some pools or priorities; of several that hold for a pod, the later
    ones win."""
    hints: Hints = Hints()
    """Placement wishes in plain words."""
    solver: Solver = Solver()
    """Limits of the search for a packing."""
    disruption: Disruption = Disruption()
    """How much running pods may be disturbed."""
    preemption: Preemption = Preemption()
    """Evictions in favour of higher priorities."""
    defragmentation: Defragmentation | None = None
    """Moves that bring scattered free accelerators together; leave it out to have none."""
    topology: TopologyLevels | None = None
    """Node labels for distance; absent: well-known labels that the nodes carry."""
    node_autoscaler: NodeAutoscaler | None = None
    """Set it where an autoscaler adds nodes; absent: no waiting."""
    gpu_health: Annotated[GPUHealth, Field(alias="gpuHealth")] = GPUHealth()
    """Keeping new pods off failing nodes."""
    plans: PlanRetention = PlanRetention()
    """How long finished plans are kept."""
    actuation: Actuation = "Auto"
    """Auto: plans are carried out where the pool allows it. Recommend: they are only proposed. Off:
    none are made."""


class ResolvedClass(Model):
    """An accelerator class as found on the cluster."""

    name: ClassName
    """Name of the class."""
    nodes: Annotated[int, Field(ge=0)] = 0
    """Nodes of the class."""
    devices: Annotated[int, Field(ge=0)] = 0
    """Accelerators that they offer."""


class PolicyStatus(Model):
    """What the policy means on this cluster."""

    observed_generation: Annotated[int, Field(ge=0)] = 0
    """Generation of the spec that this status speaks of."""
    accelerator_classes: Annotated[
        tuple[ResolvedClass, ...], Field(max_length=64, json_schema_extra=list_map("name"))
    ] = ()
    """Classes and what they offer."""
    topology_levels: Annotated[tuple[LabelKey, ...], Field(max_length=10)] = ()
    """Node labels for distance in use, outermost first."""
    conditions: Conditions = ()
    """Ready and others."""


class PlacementPolicy(Model):
    """The cluster's policy for placing, moving and scaling GPU pods."""

    model_config = with_rules(
        Rule(
            f"self.metadata.name == '{POLICY_NAME}'",
            f"a cluster has one policy; set metadata.name to {POLICY_NAME}",
        ),
    )

    api_version: Literal["moorage.dev/v1alpha1"] = "moorage.dev/v1alpha1"
    kind: Literal["PlacementPolicy"] = "PlacementPolicy"
    metadata: Metadata = Metadata()
    spec: PolicySpec = PolicySpec()
    """What holds for all pools."""
    status: PolicyStatus = PolicyStatus()
    """What the policy means on this cluster."""
