"""What the planner takes from our resources: limits from the policy, migration from the pools."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from moorage_crds.names import ACCELERATOR_CLASS_LABEL, POOL_LABEL, ROLE_LABEL, SCHEDULER_NAME
from moorage_crds.policy import PolicySpec
from moorage_crds.pool import GPUInferencePool
from moorage_policies.planning.facts import PlanningParams
from moorage_policies.plans.observation import PlanParams
from moorage_policies.types import AcceleratorClass, Pod

Migrations = Mapping[tuple[str, str, str, str], str]
"""How replicas may be moved, by namespace, pool, role and accelerator class."""


def to_plan_limits(policy: PolicySpec, schedulers: Iterable[str] = (SCHEDULER_NAME,)) -> PlanParams:
    """Return the limits that a policy sets to plans, however they come about."""
    disruption = policy.disruption
    return PlanParams(
        schedulers=frozenset(schedulers),
        protected_namespaces=frozenset(disruption.protected_namespaces),
        protected_priority=disruption.protected_priority,
        same_tier_eviction=policy.preemption.same_tier_eviction == "Allow",
        max_moves=disruption.max_moves,
        window_s=disruption.window_seconds,
        max_moves_per_owner=disruption.max_moves_per_owner,
        max_parallel_moves=disruption.max_parallel_moves,
        pod_cool_down_s=disruption.pod_cool_down_seconds,
        owner_cool_down_s=disruption.owner_cool_down_seconds,
    )


def to_planning_params(
    policy: PolicySpec, schedulers: Iterable[str] = (SCHEDULER_NAME,)
) -> PlanningParams:
    """Return how plans are made under a policy."""
    solver = policy.solver
    return PlanningParams(
        limits=to_plan_limits(policy, schedulers),
        work_s=solver.time_limit_ms / 1000,
        workers=solver.workers,
        seed=solver.seed,
        max_moves_per_plan=solver.max_moves_per_plan,
        min_runtime_s=policy.preemption.min_runtime_seconds,
        classes=tuple(
            AcceleratorClass(known.name, known.node_selector, known.resource)
            for known in policy.accelerator_classes
        ),
    )


def read_migrations(pool: GPUInferencePool) -> Migrations:
    """Return how the replicas of a pool may be moved; not at all while it is not carried out."""
    meta = pool.metadata
    return {
        (meta.namespace, meta.name, role.name, accelerator.class_): (
            role.migration_on(accelerator) if pool.spec.actuation == "Auto" else "Never"
        )
        for role in pool.spec.roles
        for accelerator in role.accelerators
    }


def migrations_of(pods: Iterable[Pod], known: Migrations) -> dict[str, str]:
    """Return how each running pod of a pool may be moved, by UID."""
    found = {}
    for pod in pods:
        pool = pod.labels.get(POOL_LABEL)
        if pod.node is None or pool is None:
            continue
        role, kind = pod.labels.get(ROLE_LABEL, ""), pod.labels.get(ACCELERATOR_CLASS_LABEL, "")
        found[pod.uid] = known.get((pod.namespace, pool, role, kind), "Never")
    return found
