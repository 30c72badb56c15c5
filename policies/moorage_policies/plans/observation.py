"""What a decision about a plan looks at: fresh facts, limits, and what may be done next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from moorage_policies.plans.records import MoveProgress, PlanProgress
from moorage_policies.types import DisruptionBudget, Node, Pod


@dataclass(frozen=True, slots=True)
class Workload:
    """The Deployment above a pod's controller.

    Args:
        name: its name.
        pool: name of the pool that owns it, empty when none does.
        migration: how the pool lets its replicas be moved.
        desired: replicas that the pool wants, surge left out.
        surge: replicas that it was raised by.
        revisions: UIDs of the controllers of its live pods.
        rolling: whether a rollout is under way.
        trouble: what its controller cannot do (a quota refusal), empty when all is well.
        surge_refused: why it may not be raised by one, empty when it may be.
    """

    name: str
    pool: str = ""
    migration: str = "SurgeFirst"
    desired: int = 0
    surge: int = 0
    revisions: frozenset[str] = frozenset()
    rolling: bool = False
    trouble: str = ""
    surge_refused: str = ""


@dataclass(frozen=True, slots=True)
class PastMove:
    """A disruption that some plan carried out, for the budgets."""

    owner_uid: str
    replacement_uid: str
    started_s: float


@dataclass(frozen=True, slots=True)
class Observation:
    """The cluster as it is now, as far as one plan is concerned.

    Args:
        pods: the plan's pods, their siblings and everybody on its nodes, by UID. What was read and
            is not among them is gone.
        nodes: the plan's nodes by name; a node that is gone is left out.
        budgets: disruption budgets of the namespaces concerned.
        workloads: Deployment by UID of the controller (ReplicaSet) that it runs now or before.
        past: disruptions by other plans within the longest window.
        rivals: names of running plans that change the same nodes or owners.
    """

    pods: Mapping[str, Pod] = field(default_factory=dict)
    nodes: Mapping[str, Node] = field(default_factory=dict)
    budgets: tuple[DisruptionBudget, ...] = ()
    workloads: Mapping[str, Workload] = field(default_factory=dict)
    past: tuple[PastMove, ...] = ()
    rivals: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PlanParams:
    """Limits within which plans run.

    Args:
        schedulers: pods of other schedulers are never moved.
        protected_namespaces: namespaces whose pods are never moved.
        protected_priority: pods of this priority and above are never moved.
        same_tier_eviction: whether a pod may be evicted for one of its own priority.
        max_moves: most disruptions within ``window_s``, over all plans.
        window_s: length of the sliding window, seconds.
        max_moves_per_owner: most disruptions of one controller's pods within ``window_s``.
        max_parallel_moves: most moves of one plan under way at a time.
        pod_cool_down_s: seconds for which a replacement is left alone.
        owner_cool_down_s: seconds between two moves of one controller's pods.
        settle_s: seconds between approval and the first move.
        surge_deadline_s: seconds in which a replacement must be ready.
        evict_deadline_s: seconds for which a closed disruption budget is waited for, and in which
            a pod that was asked to go must be gone.
        bind_deadline_s: seconds in which a pod must sit on its node.
        poll_s: seconds between two looks while something is under way.
    """

    schedulers: frozenset[str] = frozenset({"moorage-scheduler"})
    protected_namespaces: frozenset[str] = frozenset({"kube-system"})
    protected_priority: int = 2_000_000_000
    same_tier_eviction: bool = False
    max_moves: int = 20
    window_s: float = 3600.0
    max_moves_per_owner: int = 5
    max_parallel_moves: int = 1
    pod_cool_down_s: float = 1800.0
    owner_cool_down_s: float = 60.0
    settle_s: float = 1.0
    surge_deadline_s: float = 1800.0
    evict_deadline_s: float = 600.0
    bind_deadline_s: float = 600.0
    poll_s: float = 0.5


@dataclass(frozen=True, slots=True)
class Record:
    """Write this progress down; nothing else happens until it is written."""

    progress: PlanProgress


@dataclass(frozen=True, slots=True)
class Mark:
    """Make the pod the first that its controller gives up; repeating it is harmless."""

    uid: str
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class Unmark:
    """Take the mark off a pod that stays."""

    uid: str
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class Evict:
    """Ask for the pod's eviction, by this UID only; the answer goes to ``after_eviction``."""

    uid: str
    namespace: str
    name: str
    move: MoveProgress


@dataclass(frozen=True, slots=True)
class Wait:
    """Look again after so many seconds, or when something changes; ``None`` when only then."""

    for_s: float | None


Action = Record | Mark | Unmark | Evict | Wait
