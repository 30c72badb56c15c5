"""Holds a pool below the accelerators that it may have at any moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from moorage_operator.services.class_plans import ClassPlan, RolePlan
from moorage_operator.services.facts import PoolFacts
from moorage_policies.pools.problems import Problem
from moorage_policies.types import NVIDIA_GPU


def limit_growth(
    max_gpus: int | None, plans: Sequence[RolePlan], facts: PoolFacts
) -> list[RolePlan]:
    """Return the plans with growth cut to what ``maxGpus`` leaves, earlier roles first.

    Replicas that were asked for before and pods that are going away count as held: a role can grow
    into what another gives up only once that is gone. A replica that waits without a node holds
    nothing, so it may change class at the limit; where the other class would take more than there
    is, it stays and waits.
    """
    if max_gpus is None:
        return list(plans)
    classes = [p for plan in plans for p in plan.classes]
    held = sum((p.assigned + p.surge) * p.accelerator.gpus_per_replica for p in classes)
    held += sum(pod.requests.get(NVIDIA_GPU, 0) for pod in facts.pods if pod.terminating)
    limited = []
    for plan in plans:
        counts = dict(plan.counts)
        held -= sum(
            _waiting_taken(p, counts) * p.accelerator.gpus_per_replica for p in plan.classes
        )
        missing = 0
        for option in plan.classes:
            gpus = option.accelerator.gpus_per_replica
            growth = max(0, counts[option.name] - option.assigned)
            granted = min(growth, max(0, max_gpus - held) // gpus)
            counts[option.name] -= growth - granted
            missing += growth - granted
            held += granted * gpus
        held += _give_back(plan, counts)
        limited.append(_with_counts(plan, counts, missing, max_gpus) if missing else plan)
    return limited


def _waiting_taken(option: ClassPlan, counts: Mapping[str, int]) -> int:
    """Return how many of the replicas that a class loses have no node yet."""
    waiting = option.assigned - min(option.assigned, option.count.placed)
    return min(waiting, max(0, option.assigned - counts[option.name]))


def _give_back(plan: RolePlan, counts: dict[str, int]) -> int:
    """Let replicas that could not change class stay; return the accelerators they may take."""
    had = sum(option.assigned for option in plan.classes)
    short = min(plan.wanted, had) - sum(counts.values())
    gpus = 0
    for option in plan.classes:
        back = min(max(0, short), max(0, option.assigned - counts[option.name]))
        counts[option.name] += back
        short -= back
        gpus += back * option.accelerator.gpus_per_replica
    return gpus


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
