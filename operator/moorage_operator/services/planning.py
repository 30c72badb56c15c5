"""What a pool should own now: a pure function of its spec and the facts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from moorage_crds.names import (
    DEPLOYMENTS,
    LEADER_WORKER_SETS,
    PRIORITY_CLASSES,
    ROLE_LABEL,
    role_object_name,
)
from moorage_crds.pool import GPUInferencePool, Role
from moorage_operator.children import Child
from moorage_operator.manifests.companions import (
    build_budget,
    build_role_object,
    build_service,
)
from moorage_operator.manifests.objects import Manifest
from moorage_operator.manifests.workloads import build_workload
from moorage_operator.services.class_plans import ClassPlan, RolePlan, plan_class
from moorage_operator.services.facts import PoolFacts
from moorage_operator.services.gpu_limit import limit_growth
from moorage_policies.pools.problems import Problem
from moorage_policies.pools.split import split_replicas

ROLE_KIND = "GPUInferenceRole"
WORKLOAD_KINDS = frozenset({DEPLOYMENTS.kind, LEADER_WORKER_SETS.kind})


@dataclass(frozen=True, slots=True)
class PoolPlan:
    """What a pool should own.

    Args:
        manifests: what to apply, in this order.
        kept: kind and name of objects that are neither applied nor removed.
        roles: the roles in the order of the spec.
        problems: what is wrong with the pool as a whole.
        look_again_s: Unix seconds at which the same facts would give another plan.
    """

    manifests: tuple[Manifest, ...]
    kept: frozenset[tuple[str, str]]
    roles: tuple[RolePlan, ...]
    problems: tuple[Problem, ...]
    look_again_s: float | None

    @property
    def all_problems(self) -> tuple[Problem, ...]:
        """Return the problems of the pool and of its roles."""
        return self.problems + tuple(p for role in self.roles for p in role.problems)


def plan_pool(pool: GPUInferencePool, facts: PoolFacts) -> PoolPlan:
    """Return what the pool should own, given what there is."""
    planned = [_plan_role(pool, index, role, facts) for index, role in enumerate(pool.spec.roles)]
    roles = limit_growth(pool.spec.max_gpus, planned, facts)
    problems = tuple(_pool_problems(pool, facts))
    workloads = [
        (plan, class_plan)
        for plan in roles
        for class_plan in plan.classes
        if class_plan.template is not None
        and (class_plan.child or (plan.counts[class_plan.name] and not problems))
    ]
    # a class that shrinks frees what a class that grows may need
    workloads.sort(key=lambda pair: pair[0].counts[pair[1].name] - pair[1].assigned)
    templates = [plan.template for role in roles for plan in role.classes if plan.template]
    manifests = [
        *(
            build_role_object(pool, r.role, replicas=r.wanted, pool_replicas=r.pool_replicas)
            for r in roles
        ),
        build_service(pool, templates),
        *(build_budget(pool, plan.role) for plan in roles),
        *(
            build_workload(
                pool,
                plan.role,
                c.accelerator,
                c.template,
                plan.counts[c.name],
                surge=c.surge,
            )
            for plan, c in workloads
            if c.template is not None
        ),
    ]
    ends_s = [c.count.patience_ends_s for plan in roles for c in plan.classes]
    return PoolPlan(
        manifests=tuple(manifests),
        kept=frozenset(key for plan in roles for key in _kept(plan)),
        roles=tuple(roles),
        problems=problems,
        look_again_s=min((end_s for end_s in ends_s if end_s is not None), default=None),
    )


def wanted_replicas(pool: GPUInferencePool, role: Role, child: Child | None) -> tuple[int, int]:
    """Return how many replicas the role should have, and how many the pool's spec asks for.

    The role object's count wins (``kubectl scale``, HPA, KEDA), except that a change of the pool's
    own count since the operator last decided overrides it once.
    """
    asked = role.replicas
    if asked is None:
        bounds = pool.spec.scaling.bounds if pool.spec.scaling else ()
        asked = next((b.min_replicas for b in bounds if b.role == role.name), 1)
    if child is None or child.pool_replicas != asked:
        return asked, asked
    return child.replicas, asked


def _plan_role(pool: GPUInferencePool, index: int, role: Role, facts: PoolFacts) -> RolePlan:
    name = role_object_name(pool.metadata.name, role.name)
    wanted, asked = wanted_replicas(pool, role, facts.children.get((ROLE_KIND, name)))
    classes = tuple(
        plan_class(pool, role, accelerator, f"spec.roles[{index}].accelerators[{place}]", facts)
        for place, accelerator in enumerate(role.accelerators)
    )
    usable = [plan for plan in classes if plan.problem is None]
    frozen = sum(plan.assigned for plan in classes if plan.problem is not None)
    decision = split_replicas(max(0, wanted - frozen), [plan.to_option() for plan in usable])
    problems = tuple(plan.problem for plan in classes if plan.problem is not None)
    return RolePlan(
        role=role,
        wanted=wanted,
        pool_replicas=asked,
        classes=classes,
        counts={plan.name: plan.assigned for plan in classes} | dict(decision.value.counts),
        unplaceable=decision.value.unplaceable,
        problems=problems,
        reason=decision.reason,
        retired=_retired(pool, role, classes, facts),
    )


def _retired(
    pool: GPUInferencePool, role: Role, classes: tuple[ClassPlan, ...], facts: PoolFacts
) -> tuple[Child, ...]:
    current = {plan.key for plan in classes}
    return tuple(
        child
        for child in facts.children.values()
        if child.resource.kind in WORKLOAD_KINDS
        and child.labels.get(ROLE_LABEL) == role.name
        and child.is_owned_by(pool.metadata.uid)
        and child.key not in current
    )


def _kept(plan: RolePlan) -> Iterator[tuple[str, str]]:
    """Yield what must not be removed: its classes' workloads, and retired ones still needed."""
    yield from (option.child.key for option in plan.classes if option.child)
    if sum(option.count.ready for option in plan.classes) < plan.wanted:
        yield from (child.key for child in plan.retired)


def _pool_problems(pool: GPUInferencePool, facts: PoolFacts) -> Iterator[Problem]:
    name = pool.spec.priority_class_name
    if name and name not in facts.priority_classes:
        known = ", ".join(sorted(facts.priority_classes)) or "none"
        yield Problem(
            "MissingPriorityClass",
            f"there is no {PRIORITY_CLASSES.kind} '{name}' (known: {known}); create it or write a "
            "known one",
            field="spec.priorityClassName",
        )
