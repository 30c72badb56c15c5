"""How far a role is, and why it is no further."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from moorage_crds.pool import GPUInferencePool
from moorage_operator.services.class_plans import RolePlan
from moorage_operator.services.facts import PoolFacts
from moorage_policies.pools.problems import Problem
from moorage_policies.types import NVIDIA_GPU


@dataclass(frozen=True, slots=True)
class RoleProgress:
    """Counts of a role.

    Args:
        name: the role.
        desired: replicas it should have.
        existing: replicas of which a pod exists.
        placed: replicas whose pods all have a node; at most ``desired``.
        ready: ready replicas; at most ``desired``.
        gpus: accelerators that its pods hold, those going away included.
        reason: why it lacks replicas, one word.
        message: the same for people, with what would help.
    """

    name: str
    desired: int
    existing: int
    placed: int
    ready: int
    gpus: int
    reason: str
    message: str


def measure_progress(
    pool: GPUInferencePool, plan: RolePlan, facts: PoolFacts, shared: Sequence[Problem]
) -> RoleProgress:
    """Return how far the role is.

    Args:
        pool: its pool.
        plan: what the role should have.
        facts: what there is.
        shared: problems of the whole pool and refusals of the API server.
    """
    name = plan.role.name
    cause = next(_causes(pool, plan, facts, shared))
    pods = facts.pods_of(name)
    return RoleProgress(
        name=name,
        desired=plan.wanted,
        existing=sum(option.count.existing for option in plan.classes),
        placed=min(plan.wanted, sum(option.count.placed for option in plan.classes)),
        ready=min(plan.wanted, sum(option.count.ready for option in plan.classes)),
        gpus=sum(pod.requests.get(NVIDIA_GPU, 0) for pod in pods if pod.node is not None),
        reason=cause.reason,
        message=cause.text,
    )


def _causes(
    pool: GPUInferencePool, plan: RolePlan, facts: PoolFacts, shared: Sequence[Problem]
) -> Iterator[Problem]:
    """Yield what may keep replicas from being placed, the most telling first."""
    if pool.spec.actuation != "Auto":
        yield Problem(
            f"Actuation{pool.spec.actuation}",
            f"nothing is written while actuation is {pool.spec.actuation}; would run {plan.reason}",
            field="spec.actuation",
        )
    yield from (problem for problem in shared if problem.role in ("", plan.role.name))
    blocked = all(option.problem for option in plan.classes)
    if blocked or plan.unplaceable:
        yield from plan.problems
    yield from _troubles(plan)
    yield from _empty_classes(plan)
    yield from _refusals(plan, facts)
    yield Problem("PodsStarting", "waiting for pods to be created and scheduled")


def _troubles(plan: RolePlan) -> Iterator[Problem]:
    for option in plan.classes:
        trouble = option.child.trouble if option.child else ""
        if "exceeded quota" in trouble:
            remedy = "raise the ResourceQuota of the namespace or ask for fewer replicas"
            yield Problem("QuotaExceeded", f"{trouble}; {remedy}", role=plan.role.name)
        elif trouble:
            yield Problem("PodsRefused", trouble, role=plan.role.name)


def _empty_classes(plan: RolePlan) -> Iterator[Problem]:
    for option in plan.classes:
        if option.room.nodes == 0 and plan.counts.get(option.name, 0) > option.count.placed:
            remedy = "add a node with the labels of the class, or accept another class"
            message = f"no node is of class {option.name}; {remedy}"
            yield Problem("NoNodeOfClass", message, role=plan.role.name)


def _refusals(plan: RolePlan, facts: PoolFacts) -> Iterator[Problem]:
    for pod in sorted(facts.pods_of(plan.role.name), key=lambda pod: pod.name):
        if pod.uid in facts.refusals:
            yield Problem("Unschedulable", f"the scheduler says: {facts.refusals[pod.uid]}")
