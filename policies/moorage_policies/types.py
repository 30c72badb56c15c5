"""The language of every decision: frozen views of nodes, pods and what was decided about them.

Quantities are integers. Resource names are Kubernetes' own (``cpu``, ``memory``, ``pods``,
``nvidia.com/gpu``, …); ``cpu`` is counted in millicores, everything else in its base unit (bytes,
devices, pods).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

CPU = "cpu"
MEMORY = "memory"
PODS = "pods"
NVIDIA_GPU = "nvidia.com/gpu"

T_co = TypeVar("T_co", covariant=True)

Effect = Literal["NoSchedule", "PreferNoSchedule", "NoExecute"]
SelectorOperator = Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]
TolerationOperator = Literal["Equal", "Exists", "Lt", "Gt"]
PodPhase = Literal["Pending", "Running", "Succeeded", "Failed", "Unknown"]


@dataclass(frozen=True, slots=True)
class Taint:
    """A node's taint (core/v1 ``Taint``)."""

    key: str
    value: str = ""
    effect: Effect = "NoSchedule"


@dataclass(frozen=True, slots=True)
class Toleration:
    """A pod's toleration (core/v1 ``Toleration``); ``None`` effect matches every effect."""

    key: str = ""
    operator: TolerationOperator = "Equal"
    value: str = ""
    effect: Effect | None = None


@dataclass(frozen=True, slots=True)
class Requirement:
    """One expression of a node or label selector."""

    key: str
    operator: SelectorOperator
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NodeSelectorTerm:
    """Requirements that must all hold; ``fields`` match ``metadata.name`` only."""

    expressions: tuple[Requirement, ...] = ()
    fields: tuple[Requirement, ...] = ()


@dataclass(frozen=True, slots=True)
class PreferredNodeTerm:
    """A preferred node term and its weight, 1 to 100."""

    weight: int
    term: NodeSelectorTerm


@dataclass(frozen=True, slots=True)
class LabelSelector:
    """A label selector, all requirements joined by *and*; empty matches everything."""

    requirements: tuple[Requirement, ...] = ()


@dataclass(frozen=True, slots=True)
class PodAffinityTerm:
    """One inter-pod (anti-)affinity term.

    ``selector`` ``None`` matches no pod. ``namespaces`` empty means the pod's own namespace unless
    ``all_namespaces`` (an empty namespaceSelector) is set.
    """

    topology_key: str
    selector: LabelSelector | None
    namespaces: tuple[str, ...] = ()
    all_namespaces: bool = False


@dataclass(frozen=True, slots=True)
class PreferredPodTerm:
    """A preferred (anti-)affinity term and its weight, 1 to 100."""

    weight: int
    term: PodAffinityTerm


@dataclass(frozen=True, slots=True)
class TopologySpread:
    """A topology spread constraint; ``hard`` is ``whenUnsatisfiable: DoNotSchedule``."""

    topology_key: str
    max_skew: int
    hard: bool
    selector: LabelSelector | None
    min_domains: int = 1
    honor_node_affinity: bool = True
    honor_node_taints: bool = False


@dataclass(frozen=True, slots=True)
class Affinity:
    """Every affinity of a pod. Empty ``required_node_terms`` means no node constraint."""

    required_node_terms: tuple[NodeSelectorTerm, ...] = ()
    preferred_node_terms: tuple[PreferredNodeTerm, ...] = ()
    required_pod_affinity: tuple[PodAffinityTerm, ...] = ()
    required_pod_anti_affinity: tuple[PodAffinityTerm, ...] = ()
    preferred_pod_affinity: tuple[PreferredPodTerm, ...] = ()
    preferred_pod_anti_affinity: tuple[PreferredPodTerm, ...] = ()


NO_AFFINITY = Affinity()


@dataclass(frozen=True, slots=True)
class Owner:
    """The controller of a pod (its ownerReference with ``controller: true``)."""

    kind: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class Node:
    """A node as the scheduler sees it.

    ``allocatable`` includes ``pods``. ``ready`` is the Ready condition; kube-scheduler goes by
    taints and ``unschedulable``, so decisions do too, and ``ready`` is for people and scaling.
    ``images`` maps an image name to its bytes, ``created_s`` is Unix seconds, 0 when unknown.
    """

    name: str
    uid: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[Taint, ...] = ()
    unschedulable: bool = False
    ready: bool = True
    allocatable: Mapping[str, int] = field(default_factory=dict)
    images: Mapping[str, int] = field(default_factory=dict)
    created_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod as decisions see it.

    ``requests`` follow kube-scheduler's arithmetic (init and sidecar containers, overhead,
    pod-level requests) and never hold ``pods``: every pod counts one. ``node`` is ``None`` while
    the pod is unbound. ``unsupported`` names constraints that Moorage does not model
    (``PersistentVolumeClaim``, ``ResourceClaim``, ``HostPort``, …): such a pod is scored but never
    moved nor planned. ``created_s`` and ``started_s`` are Unix seconds.
    """

    uid: str
    namespace: str
    name: str
    node: str | None = None
    scheduler: str = "default-scheduler"
    priority: int = 0
    priority_class: str = ""
    preemption: Literal["PreemptLowerPriority", "Never"] = "PreemptLowerPriority"
    requests: Mapping[str, int] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    node_selector: Mapping[str, str] = field(default_factory=dict)
    affinity: Affinity = NO_AFFINITY
    tolerations: tuple[Toleration, ...] = ()
    spread: tuple[TopologySpread, ...] = ()
    images: tuple[str, ...] = ()
    owner: Owner | None = None
    phase: PodPhase = "Pending"
    ready: bool = False
    terminating: bool = False
    gates: tuple[str, ...] = ()
    nominated_node: str | None = None
    unschedulable: bool = False
    created_s: float = 0.0
    started_s: float | None = None
    unsupported: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Return ``namespace/name``."""
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class DisruptionBudget:
    """A PodDisruptionBudget: which pods it guards and how many may go now."""

    namespace: str
    name: str
    selector: LabelSelector | None
    disruptions_allowed: int
    disrupted_pods: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class AcceleratorClass:
    """A kind of accelerator: which nodes carry it and which resource counts its devices."""

    name: str
    node_selector: Mapping[str, str] = field(default_factory=dict)
    resource: str = NVIDIA_GPU


@dataclass(frozen=True, slots=True)
class Decision(Generic[T_co]):
    """What was decided, why in one sentence, and the facts it rests on (for records and replay)."""

    value: T_co
    reason: str
    inputs: Mapping[str, object] = field(default_factory=dict)
