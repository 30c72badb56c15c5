"""Names that Moorage and Kubernetes agree on: groups, kinds, labels, annotations, paths."""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from urllib.parse import quote

from moorage_policies.errors import BadInputError

GROUP = "moorage.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

POOL_LABEL = f"{GROUP}/pool"
ROLE_LABEL = f"{GROUP}/role"
ACCELERATOR_CLASS_LABEL = f"{GROUP}/accelerator-class"
HINT_ANNOTATION = f"{GROUP}/hint"
HINT_INTENTS_ANNOTATION = f"{GROUP}/hint-intents"
"""On a pod: what its hint was understood as; a person may write or correct it."""
NETWORK_CLASS_ANNOTATION = f"{GROUP}/network-class"
"""On a pod: class of its workload, as the network model knows it."""
NETWORK_GROUP_LABEL = f"{GROUP}/network-group"
"""On pods that exchange data: one value for all of a namespace that do so with each other."""
SERVING_LABEL = f"{GROUP}/serving"
"""On a pod of a pool: "true" where the pool's Service sends requests, "false" where it does not."""
RESTING_ANNOTATION = f"{GROUP}/resting-since"
"""On a pod that is out of the Service before it goes or returns: since when, RFC 3339."""
SURGE_ANNOTATION = f"{GROUP}/surge"
"""On a workload: replicas by which a running plan raised it above what its pool wants."""
MANIFEST_DIGEST_ANNOTATION = f"{GROUP}/manifest-digest"
LAST_APPLIED_ANNOTATION = "kubectl.kubernetes.io/last-applied-configuration"

QUARANTINE = f"{GROUP}/quarantined"
"""Type of the node condition that keeps our scheduler off a node, and key of the taint that
decisions see in its place: no such taint is ever written."""

SCHEDULER_NAME = "moorage-scheduler"
FIELD_MANAGER = "moorage-operator"

GPU_PRODUCT_LABEL = "nvidia.com/gpu.product"
ZONE_LABEL = "topology.kubernetes.io/zone"

MAX_POOL_NAME = 40
"""Characters of a pool's name, so that ``<pool>-<role>`` stays within 63."""
MAX_ROLE_NAME = 20
"""Characters of a role's name."""
MAX_CLASS_NAME = 63
"""Characters of an accelerator class's name."""
MAX_WORKLOAD_NAME = 47
"""Characters of a workload's name: 63 less what controllers append for pods and revisions."""

_DIGEST = 8


@dataclass(frozen=True, slots=True)
class ApiResource:
    """A served resource: enough to build its paths and manifests."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool
    short: str = ""

    @property
    def api_version(self) -> str:
        """Return ``group/version``, or the bare version of the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def crd_name(self) -> str:
        """Return the name of the CustomResourceDefinition."""
        return f"{self.plural}.{self.group}"

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """Return the URL path of a collection, an object or its subresource.

        An empty ``namespace`` of a namespaced resource means the collection over all namespaces.

        Raises:
            BadInputError: a name would point at another path.
        """
        root = f"/apis/{self.group}" if self.group else "/api"
        parts = [root, self.version]
        if self.namespaced and namespace:
            parts += ["namespaces", _segment(namespace, "metadata.namespace")]
        if name:
            name = _segment(name, "metadata.name")
        parts += [part for part in (self.plural, name, subresource) if part]
        return "/".join(parts)


def _segment(name: str, field: str) -> str:
    """Return the name as one part of a path; it may come from whoever calls us."""
    if name in (".", "..") or "/" in name or "%" in name:
        raise BadInputError(
            f"{name[:63]!r} cannot be the name of an object; remove '/' and '%', and do not "
            "write '.' or '..' alone",
            field=field,
        )
    return quote(name, safe=":")


POOLS = ApiResource(
    GROUP, VERSION, "gpuinferencepools", "GPUInferencePool", namespaced=True, short="gip"
)
ROLES = ApiResource(
    GROUP, VERSION, "gpuinferenceroles", "GPUInferenceRole", namespaced=True, short="gir"
)
PLANS = ApiResource(
    GROUP, VERSION, "placementplans", "PlacementPlan", namespaced=False, short="pplan"
)
POLICIES = ApiResource(
    GROUP, VERSION, "placementpolicies", "PlacementPolicy", namespaced=False, short="placepol"
)

NODES = ApiResource("", "v1", "nodes", "Node", namespaced=False)
PODS = ApiResource("", "v1", "pods", "Pod", namespaced=True)
EVENTS = ApiResource("", "v1", "events", "Event", namespaced=True)
SERVICES = ApiResource("", "v1", "services", "Service", namespaced=True)
DEPLOYMENTS = ApiResource("apps", "v1", "deployments", "Deployment", namespaced=True)
DISRUPTION_BUDGETS = ApiResource(
    "policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", namespaced=True
)
PRIORITY_CLASSES = ApiResource(
    "scheduling.k8s.io", "v1", "priorityclasses", "PriorityClass", namespaced=False
)
NODE_METRICS = ApiResource("metrics.k8s.io", "v1beta1", "nodes", "NodeMetrics", namespaced=False)
LEASES = ApiResource("coordination.k8s.io", "v1", "leases", "Lease", namespaced=True)
LEADER_WORKER_SETS = ApiResource(
    "leaderworkerset.x-k8s.io", "v1", "leaderworkersets", "LeaderWorkerSet", namespaced=True
)
CUSTOM_RESOURCE_DEFINITIONS = ApiResource(
    "apiextensions.k8s.io",
    "v1",
    "customresourcedefinitions",
    "CustomResourceDefinition",
    namespaced=False,
)


def role_object_name(pool: str, role: str) -> str:
    """Return the name of a role's GPUInferenceRole, which its disruption budget shares.

    Role names have no dash, so two pools of a namespace never share a child's name.
    """
    return f"{pool}-{role}"


def workload_name(pool: str, role: str, accelerator_class: str) -> str:
    """Return the name of the workload that runs a role on one accelerator class.

    Classes are no DNS names (``H100-80GB``), so the readable part is cut and a digest of all three
    names makes it unique. At most 47 characters: room for what ReplicaSet and StatefulSet append.
    """
    digest = sha256("/".join((pool, role, accelerator_class)).encode()).hexdigest()[:_DIGEST]
    slug = re.sub(r"[^a-z0-9]+", "-", f"{pool}-{role}-{accelerator_class}".lower())
    return f"{slug[: MAX_WORKLOAD_NAME - _DIGEST - 1].rstrip('-')}-{digest}"
