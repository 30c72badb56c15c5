"""Who may be evicted for whom, and what disruption budgets have left."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from moorage_policies.matching import selector_matches
from moorage_policies.types import NVIDIA_GPU, DisruptionBudget, Pod

OPT_OUT_ANNOTATION = "moorage.dev/preemptible"


@dataclass(frozen=True, slots=True)
class Protection:
    """Pods that are never victims, whatever their priority.

    Args:
        namespaces: pods of these namespaces.
        from_priority: pods of this priority or higher; ``None`` protects no priority.
        min_runtime_s: pods that started less than this many seconds ago, so that two pods cannot
            chase each other; 0 protects none.
    """

    namespaces: frozenset[str] = frozenset({"kube-system"})
    from_priority: int | None = None
    min_runtime_s: float = 0.0


def why_spared(victim: Pod, preemptor: Pod, protection: Protection, now_s: float) -> str | None:
    """Return why the pod must not be evicted for the preemptor, ``None`` when it may be."""
    if victim.priority >= preemptor.priority:
        return "its priority is not lower"
    if victim.terminating:
        return None  # it goes anyway: naming it harms nobody
    floor, started_s = protection.from_priority, victim.started_s
    young = started_s is not None and now_s - started_s < protection.min_runtime_s
    reasons = {
        f"namespace {victim.namespace} is protected": victim.namespace in protection.namespaces,
        f"priority {victim.priority} is protected": floor is not None and victim.priority >= floor,
        "its annotation opts out": victim.annotations.get(OPT_OUT_ANNOTATION) == "false",
        f"it runs for less than {protection.min_runtime_s:g} s": young,
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


def budgets_of(pod: Pod, budgets: Sequence[DisruptionBudget]) -> tuple[int, ...]:
    """Return the positions of the budgets that one more eviction of the pod would use up."""
    if pod.terminating:
        return ()
    return tuple(
        position
        for position, budget in enumerate(budgets)
        if budget.namespace == pod.namespace
        and pod.name not in budget.disrupted_pods
        and selector_matches(budget.selector, pod.labels)
    )


def restart_cost(pod: Pod, now_s: float) -> float:
    """Return what evicting the pod throws away, in GPU-seconds of work and warmth.

    Seconds run so far times ``1 + GPUs``; lower is better, 0 for a pod that never started or goes
    anyway.
    """
    if pod.started_s is None or pod.terminating:
        return 0.0
    return max(0.0, now_s - pod.started_s) * (1 + pod.requests.get(NVIDIA_GPU, 0))


def overdrawn(budgets: Sequence[DisruptionBudget], used: Iterable[tuple[int, ...]]) -> int:
    """Return by how many evictions the budgets are exceeded, summed over budgets."""
    counts = [0] * len(budgets)
    for positions in used:
        for position in positions:
            counts[position] += 1
    return sum(
        max(0, count - max(0, budget.disruptions_allowed))
        for count, budget in zip(counts, budgets, strict=True)
    )
