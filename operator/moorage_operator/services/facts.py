"""Everything about a pool that one reconcile looks at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from moorage_crds.names import ACCELERATOR_CLASS_LABEL, ROLE_LABEL
from moorage_operator.children import Child
from moorage_operator.services.scaling_note import ScalingNote
from moorage_policies.pools.classes import Catalog
from moorage_policies.state.snapshot import Snapshot
from moorage_policies.types import Pod


@dataclass(frozen=True, slots=True)
class PoolFacts:
    """What is known of a pool and its surroundings at one moment.

    Args:
        children: live objects under the pool's label, by kind and name.
        pods: live pods under the pool's label; finished ones left out.
        refusals: what the scheduler says of pods that it cannot place, by UID.
        snapshot: nodes and the pods of all pools.
        catalog: accelerator classes.
        priority_classes: names of the cluster's PriorityClasses.
        serves_groups: whether the LeaderWorkerSet API is there.
        now_s: Unix seconds.
        patience_s: seconds that a refused pod waits before its replica may change class.
        surges: replicas that running plans add, by name of the workload.
        scaling: what scaling has to say, ``None`` before its first tick.
    """

    children: Mapping[tuple[str, str], Child]
    pods: tuple[Pod, ...]
    snapshot: Snapshot
    catalog: Catalog
    refusals: Mapping[str, str] = field(default_factory=dict)
    priority_classes: frozenset[str] = frozenset()
    serves_groups: bool = False
    now_s: float = 0.0
    patience_s: float = 15.0
    surges: Mapping[str, int] = field(default_factory=dict)
    scaling: ScalingNote | None = None

    def pods_of(self, role: str, accelerator_class: str | None = None) -> tuple[Pod, ...]:
        """Return the pods of a role, or of its workload on one class."""
        return tuple(
            pod
            for pod in self.pods
            if pod.labels.get(ROLE_LABEL) == role
            and accelerator_class in (None, pod.labels.get(ACCELERATOR_CLASS_LABEL))
        )
