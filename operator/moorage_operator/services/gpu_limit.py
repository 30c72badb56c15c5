"""Holds a pool below the accelerators that it may have at any moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from moorage_operator.services.class_plans import RolePlan
from moorage_operator.services.facts import PoolFacts
from moorage_policies.pools.problems import Problem
from moorage_policies.types import NVIDIA_GPU


def limit_growth(
    max_gpus: int | None, plans: Sequence[RolePlan], facts: PoolFacts
) -> list[RolePlan]:
    """Return the plans with growth cut to what ``maxGpus`` leaves, earlier roles first.

    Replicas that were asked for before and pods that are going away count as held: a role can grow
    into what another gives up only once that is gone.
    """
    if max_gpus is None:
        return list(plans)
    classes = [p for plan in plans for p in plan.classes]
    held = sum((p.assigned + p.surge) * p.accelerator.gpus_per_replica for p in classes)
    held += sum(pod.requests.get(NVIDIA_GPU, 0) for pod in facts.pods if pod.terminating)
    limited = []
    for plan in plans:
        counts, missing = dict(plan.counts), 0
        for option in plan.classes:
            gpus = option.accelerator.gpus_per_replica
            growth = max(0, counts[option.name] - option.assigned)
            granted = min(growth, max(0, max_gpus - held) // gpus)
            counts[option.name] -= growth - granted
            missing += growth - granted
            held += granted * gpus
        limited.append(_with_counts(plan, counts, missing, max_gpus) if missing else plan)
    return limited


def _with_counts(plan: RolePlan, counts: dict[str, int], missing: int, max_gpus: int) -> RolePlan:
    problem = Problem(
        "GpuLimitReached",
        f"{missing} of {plan.wanted} replicas would take the pool above {max_gpus} accelerators; "
        "raise the limit or ask for fewer replicas",
        field="spec.maxGpus",
        role=plan.role.name,
    )
    return replace(
        plan,
        counts=counts,
        unplaceable=plan.unplaceable + missing,
        problems=(*plan.problems, problem),
    )
