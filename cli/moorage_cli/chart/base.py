"""What every block of the chart's values has in common."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

KubernetesObject = dict[str, Any]
"""Given to the API server as it is, which checks it."""

Quantity = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi)?$")]
DnsLabel = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
PortNumber = Annotated[int, Field(ge=1, le=65_535)]
ReplicaCount = Annotated[int, Field(ge=1, le=9)]
Duration = Annotated[str, Field(pattern=r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$")]


class Block(BaseModel):
    """A block of values: camelCase keys, unknown keys refused, docstrings become comments."""

    model_config = ConfigDict(
        extra="forbid",
        alias_generator=to_camel,
        populate_by_name=True,
        use_attribute_docstrings=True,
        frozen=True,
    )


class Image(Block):
    """Where an image is pulled from."""

    registry: str = "registry.moorage.dev"
    """Registry; global.imageRegistry wins over it."""

    repository: Annotated[str, Field(min_length=1)]
    """Name within the registry."""

    tag: str = ""
    """Tag; empty: see the image's own comment."""

    digest: Annotated[str, Field(pattern=r"^(sha256:[0-9a-f]{64})?$")] = ""
    """sha256:... pins the content; it wins over the tag."""

    pull_policy: Annotated[str, Field(pattern="^(Always|IfNotPresent|Never)$")] = "IfNotPresent"
    """Always, IfNotPresent or Never."""


class Amounts(Block):
    """Amounts of compute."""

    cpu: Quantity | None = None
    """Cores, as 500m or 2."""

    memory: Quantity | None = None
    """Bytes, as 256Mi."""


class Resources(Block):
    """What a container asks for, and at most gets."""

    requests: Amounts = Amounts()
    """What the scheduler sets aside."""

    limits: Amounts = Amounts()
    """What the container never exceeds; a CPU limit would delay answers to the scheduler."""


class Container(Block):
    """What can be set about any of our containers."""

    resources: Resources = Resources()
    """Requests and limits."""

    security_context: KubernetesObject = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    """Security context of the container; the default meets the restricted Pod Security standard."""

    extra_args: list[str] = []
    """Further arguments."""

    extra_env: list[KubernetesObject] = []
    """Further environment variables, as in a container."""

    extra_volume_mounts: list[KubernetesObject] = []
    """Further mounts; the volumes are the pod's extraVolumes."""


class Pod(Block):
    """What can be set about any of our pods."""

    annotations: dict[str, str] = {}
    """Annotations of the pod."""

    labels: dict[str, str] = {}
    """Labels of the pod besides the chart's."""

    node_selector: dict[str, str] = {"kubernetes.io/os": "linux"}
    """Nodes that may run the pod."""

    affinity: KubernetesObject = {}
    """Affinity of the pod."""

    tolerations: list[KubernetesObject] = []
    """Taints that the pod tolerates."""

    topology_spread_constraints: list[KubernetesObject] = [
        {
            "maxSkew": 1,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "ScheduleAnyway",
        },
        {
            "maxSkew": 1,
            "topologyKey": "topology.kubernetes.io/zone",
            "whenUnsatisfiable": "ScheduleAnyway",
        },
    ]
    """How replicas are spread; the chart adds the label selector."""

    security_context: KubernetesObject = {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "runAsGroup": 65532,
        "fsGroup": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    """Security context of the pod; the default meets the restricted Pod Security standard."""

    priority_class_name: str = ""
    """Priority class; empty: global.priorityClassName."""

    extra_volumes: list[KubernetesObject] = []
    """Further volumes."""


class ServiceAccount(Block):
    """The account that a pod runs under."""

    create: bool = True
    """Create it; false: it exists already, and so do its rights in other namespaces."""

    name: str = ""
    """Name; empty: the component's."""

    annotations: dict[str, str] = {}
    """Annotations of the account."""


class DisruptionBudget(Block):
    """How many replicas a drain may take at once."""

    enabled: bool = True
    """Create a PodDisruptionBudget."""

    max_unavailable: Annotated[int, Field(ge=1)] = 1
    """Replicas that may be gone at once."""
