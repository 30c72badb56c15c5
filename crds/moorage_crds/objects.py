"""Kubernetes objects as they come over the wire, trimmed to what decisions read.

Unknown fields are skipped while decoding, so a pod of 10 KB becomes a few hundred bytes. Quantities
stay as sent; ``moorage_crds.quantities`` reads them. Enumerations stay text, so that a value which
only a later Kubernetes knows spoils one decision (``moorage_crds.convert``) and never a whole list.
"""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct, field

Quantity = str | int | float
ResourceList = dict[str, Quantity]


class Wire(Struct, rename="camel", omit_defaults=True, gc=False):
    """Base of every wire struct: camelCase names, defaults left out, no cycles to collect."""


class Presence(Wire):
    """An object of which only the presence counts."""


class OwnerReference(Wire):
    """Who owns an object (meta/v1)."""

    kind: str
    name: str
    uid: str
    api_version: str = ""
    controller: bool = False


class ObjectMeta(Wire):
    """Metadata of any object (meta/v1)."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    finalizers: tuple[str, ...] = ()
    owner_references: tuple[OwnerReference, ...] = ()
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None


class Condition(Wire):
    """One condition of a status; ``status`` is ``True``, ``False`` or ``Unknown``."""

    type: str
    status: str = "Unknown"
    reason: str = ""
    message: str = ""
    last_transition_time: datetime | None = None
    last_heartbeat_time: datetime | None = None


class SelectorExpression(Wire):
    """One expression of a label or node selector."""

    key: str
    operator: str
    values: tuple[str, ...] = ()


class LabelSelectorObject(Wire):
    """A label selector (meta/v1)."""

    match_labels: dict[str, str] = field(default_factory=dict)
    match_expressions: tuple[SelectorExpression, ...] = ()


class NodeSelectorTermObject(Wire):
    """One term of a node selector."""

    match_expressions: tuple[SelectorExpression, ...] = ()
    match_fields: tuple[SelectorExpression, ...] = ()


class NodeSelectorObject(Wire):
    """Terms of which one must hold."""

    node_selector_terms: tuple[NodeSelectorTermObject, ...] = ()


class PreferredNodeTermObject(Wire):
    """A preferred node term with its weight."""

    weight: int
    preference: NodeSelectorTermObject


_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


class NodeAffinityObject(Wire):
    """A pod's node affinity."""

    required: NodeSelectorObject | None = field(default=None, name=_REQUIRED)
    preferred: tuple[PreferredNodeTermObject, ...] = field(default=(), name=_PREFERRED)


class PodAffinityTermObject(Wire):
    """One inter-pod term.

    The API server folds ``matchLabelKeys`` and ``mismatchLabelKeys`` into the selector when the pod
    is created, so they are not read here.
    """

    topology_key: str
    label_selector: LabelSelectorObject | None = None
    namespaces: tuple[str, ...] = ()
    namespace_selector: LabelSelectorObject | None = None


class WeightedPodTermObject(Wire):
    """A preferred inter-pod term with its weight."""

    weight: int
    pod_affinity_term: PodAffinityTermObject


class PodAffinityObject(Wire):
    """A pod's affinity or anti-affinity to other pods."""

    required: tuple[PodAffinityTermObject, ...] = field(default=(), name=_REQUIRED)
    preferred: tuple[WeightedPodTermObject, ...] = field(default=(), name=_PREFERRED)


class AffinityObject(Wire):
    """Every affinity of a pod."""

    node_affinity: NodeAffinityObject | None = None
    pod_affinity: PodAffinityObject | None = None
    pod_anti_affinity: PodAffinityObject | None = None


class TolerationObject(Wire):
    """A toleration; an absent operator means ``Equal``."""

    key: str = ""
    operator: str = ""
    value: str = ""
    effect: str = ""


class TopologySpreadObject(Wire):
    """A topology spread constraint."""

    topology_key: str
    max_skew: int
    when_unsatisfiable: str
    label_selector: LabelSelectorObject | None = None
    min_domains: int | None = None
    node_affinity_policy: str = ""
    node_taints_policy: str = ""
    match_label_keys: tuple[str, ...] = ()


class ResourceRequirements(Wire):
    """Requests and limits of a container or a pod."""

    requests: ResourceList | None = None
    limits: ResourceList | None = None


class ContainerPort(Wire):
    """A port of a container; only host ports concern scheduling."""

    host_port: int = 0
    container_port: int = 0
    name: str = ""


class Container(Wire):
    """A container or init container."""

    name: str
    image: str = ""
    restart_policy: str | None = None
    resources: ResourceRequirements | None = None
    ports: tuple[ContainerPort, ...] = ()


class Volume(Wire):
    """A volume: the sources that tie a pod to a place; others decode to an empty struct."""

    persistent_volume_claim: Presence | None = None
    ephemeral: Presence | None = None
    csi: Presence | None = None
    gce_persistent_disk: Presence | None = None
    aws_elastic_block_store: Presence | None = None
    azure_disk: Presence | None = None
    cinder: Presence | None = None
    iscsi: Presence | None = None
    rbd: Presence | None = None


class SchedulingGate(Wire):
    """A gate that keeps a pod from being scheduled."""

    name: str


class PodSpecObject(Wire):
    """What a pod asks for."""

    containers: tuple[Container, ...] | None = None
    init_containers: tuple[Container, ...] = ()
    node_name: str = ""
    scheduler_name: str = "default-scheduler"
    priority: int | None = None
    priority_class_name: str = ""
    preemption_policy: str = ""
    node_selector: dict[str, str] = field(default_factory=dict)
    affinity: AffinityObject | None = None
    tolerations: tuple[TolerationObject, ...] = ()
    topology_spread_constraints: tuple[TopologySpreadObject, ...] = ()
    overhead: ResourceList | None = None
    resources: ResourceRequirements | None = None
    scheduling_gates: tuple[SchedulingGate, ...] = ()
    volumes: tuple[Volume, ...] = ()
    resource_claims: tuple[Presence, ...] = ()
    scheduling_group: Presence | None = None
    workload_ref: Presence | None = None


class ContainerStatus(Wire):
    """What the kubelet says of a container's resources."""

    name: str
    allocated_resources: ResourceList | None = None
    resources: ResourceRequirements | None = None


class PodStatusObject(Wire):
    """What became of a pod."""

    phase: str = ""
    reason: str = ""
    message: str = ""
    conditions: tuple[Condition, ...] = ()
    nominated_node_name: str = ""
    pod_ip: str = field(default="", name="podIP")
    start_time: datetime | None = None
    container_statuses: tuple[ContainerStatus, ...] = ()
    init_container_statuses: tuple[ContainerStatus, ...] = ()
    allocated_resources: ResourceList | None = None
    resources: ResourceRequirements | None = None
    extended_resource_claim_status: Presence | None = None


class PodObject(Wire):
    """A pod (core/v1)."""

    metadata: ObjectMeta = field(default_factory=ObjectMeta)
    spec: PodSpecObject = field(default_factory=PodSpecObject)
    status: PodStatusObject = field(default_factory=PodStatusObject)


class TaintObject(Wire):
    """A taint of a node."""

    key: str
    effect: str
    value: str = ""


class NodeSpecObject(Wire):
    """What an admin set on a node."""

    unschedulable: bool = False
    taints: tuple[TaintObject, ...] = ()


class ContainerImage(Wire):
    """An image that a node holds."""

    names: tuple[str, ...] | None = None
    size_bytes: int = 0


class NodeStatusObject(Wire):
    """What the kubelet says of a node."""

    allocatable: ResourceList = field(default_factory=dict)
    capacity: ResourceList = field(default_factory=dict)
    conditions: tuple[Condition, ...] = ()
    images: tuple[ContainerImage, ...] = ()


class NodeObject(Wire):
    """A node (core/v1)."""

    metadata: ObjectMeta = field(default_factory=ObjectMeta)
    spec: NodeSpecObject = field(default_factory=NodeSpecObject)
    status: NodeStatusObject = field(default_factory=NodeStatusObject)


class PodDisruptionBudgetSpec(Wire):
    """Which pods a budget guards."""

    selector: LabelSelectorObject | None = None


class PodDisruptionBudgetStatus(Wire):
    """How many disruptions a budget allows now; ``disrupted_pods`` maps pod names to times."""

    disruptions_allowed: int = 0
    disrupted_pods: dict[str, datetime | None] = field(default_factory=dict)
    observed_generation: int = 0


class PodDisruptionBudgetObject(Wire):
    """A PodDisruptionBudget (policy/v1)."""

    metadata: ObjectMeta = field(default_factory=ObjectMeta)
    spec: PodDisruptionBudgetSpec = field(default_factory=PodDisruptionBudgetSpec)
    status: PodDisruptionBudgetStatus = field(default_factory=PodDisruptionBudgetStatus)


class DeploymentSpec(Wire):
    """How many replicas of which pods."""

    replicas: int = 1
    selector: LabelSelectorObject | None = None


class DeploymentStatus(Wire):
    """How far a Deployment got."""

    observed_generation: int = 0
    replicas: int = 0
    ready_replicas: int = 0
    available_replicas: int = 0
    updated_replicas: int = 0
    terminating_replicas: int = 0
    conditions: tuple[Condition, ...] = ()


class DeploymentObject(Wire):
    """A Deployment (apps/v1)."""

    metadata: ObjectMeta = field(default_factory=ObjectMeta)
    spec: DeploymentSpec = field(default_factory=DeploymentSpec)
    status: DeploymentStatus = field(default_factory=DeploymentStatus)
