"""What must hold before a pod is touched: who may be moved, whether the target still has room."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from moorage_policies.matching import node_accepts
from moorage_policies.plans.observation import Observation, PlanParams, Workload
from moorage_policies.plans.records import SETTLED, Move, PlanRecord
from moorage_policies.preemption.protection import OPT_OUT_ANNOTATION, budgets_of
from moorage_policies.types import PODS, DisruptionBudget, Node, Pod

MOVABLE_ANNOTATION: Final = "moorage.dev/movable"
"""``"false"`` on a pod: no plan moves or evicts it."""
DELETION_COST_ANNOTATION: Final = "controller.kubernetes.io/pod-deletion-cost"
MARK: Final = "-2147483647"
"""Deletion cost of the pod that is to go: below anything that people write."""

_OPT_OUTS: Final = {
    MOVABLE_ANNOTATION: "false",
    OPT_OUT_ANNOTATION: "false",
    "karpenter.sh/do-not-disrupt": "true",
    "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
}
_MIRROR_ANNOTATION: Final = "kubernetes.io/config.mirror"


class Problem(NamedTuple):
    """Why something cannot be done.

    Args:
        reason: one word for programs.
        message: the same for people, with what would help.
        passes: whether it may go by itself, so that waiting makes sense.
    """

    reason: str
    message: str
    passes: bool = False


def is_marked(pod: Pod) -> bool:
    """Return whether the pod bears our mark for removal."""
    return pod.annotations.get(DELETION_COST_ANNOTATION) == MARK


def why_protected(pod: Pod, params: PlanParams) -> Problem | None:
    """Return why no plan may ever move or evict the pod, ``None`` when one may."""
    return next(_protections(pod, params), None)


def why_immovable(
    move: Move, record: PlanRecord, seen: Observation, params: PlanParams
) -> Problem | None:
    """Return why the move's pod cannot be moved or evicted now, ``None`` when it can."""
    pod = seen.pods.get(move.uid)
    if pod is None or pod.terminating:
        return Problem("PodGone", f"pod {move.key} with UID {move.uid} is gone; plan again")
    if pod.node != move.source:
        return Problem("PodElsewhere", f"{move.key} sits on {pod.node}, not on {move.source}")
    if move.owner is None or pod.owner is None or pod.owner.uid != move.owner.uid:
        return Problem("OwnerChanged", f"{move.key} has another controller than the plan says")
    return (
        why_protected(pod, params)
        or _why_budgets_clash(pod, seen)
        or why_nobody_gains(move, record, seen, params)
        or (_why_unmovable_kind(move, pod, seen) if move.kind == "Move" else None)
    )


def why_nobody_gains(
    move: Move, record: PlanRecord, seen: Observation, params: PlanParams
) -> Problem | None:
    """Return why the disruption would help nobody; evictions need a pod of higher priority."""
    served = [m for m in record.plan.moves if m.kind == "Place"]
    waiting = [
        m
        for m in served
        if (pod := seen.pods.get(m.uid)) and not pod.terminating and pod.node in (None, m.target)
    ]
    if served and not waiting:
        message = "the pods that room is made for are gone or found room elsewhere"
        return Problem("BeneficiaryGone", message)
    if move.kind == "Evict":
        pod = seen.pods[move.uid]
        floor = pod.priority + (0 if params.same_tier_eviction else 1)
        if not any(seen.pods[m.uid].priority >= floor for m in waiting):
            return Problem(
                "NoBeneficiary",
                f"{move.key} of priority {pod.priority} may be evicted only for a pod of higher "
                "priority, and the plan places none",
            )
    return None


def why_target_refuses(move: Move, record: PlanRecord, seen: Observation) -> Problem | None:
    """Return why the move's pod, or its replacement, cannot go to the target now."""
    node = seen.nodes.get(move.target)
    if node is None:
        return Problem("TargetGone", f"node {move.target} is gone; plan again")
    pod = seen.pods.get(move.uid)
    if pod is None:
        return None
    if node.unschedulable or not node_accepts(pod, node):
        return Problem(
            "TargetRefuses", f"node {move.target} is cordoned, tainted or relabelled; plan again"
        )
    return _why_no_room(move, pod, node, record, seen)


def why_surge_refused(move: Move, workload: Workload | None) -> Problem | None:
    """Return why the owner cannot be raised by one now."""
    if workload is None or not workload.pool:
        return Problem(
            "Unsupported",
            f"{move.key} belongs to no pool: only the Deployments of pools are raised by one; "
            "use EvictFirst",
        )
    if workload.migration != "SurgeFirst":
        return Problem(
            "MigrationNotAllowed",
            f"the pool lets replicas of {workload.name} be moved by {workload.migration} only",
        )
    if workload.surge_refused:
        return Problem("SurgeRefused", workload.surge_refused)
    return why_rolling(move, workload)


def why_settling(move: Move, seen: Observation) -> Problem | None:
    """Return that the owner has more pods than it wants: the next one might not be a new one."""
    workload = seen.workloads.get(move.owner.uid) if move.owner else None
    if workload is None or not move.surges:
        return None
    live = len(siblings_of(move, seen.pods.values())) + 1
    if workload.surge or live > workload.desired:
        message = f"{workload.name} still has {live} pods of {workload.desired}"
        return Problem("OwnerSettling", message, passes=True)
    return None


def why_rolling(move: Move, workload: Workload) -> Problem | None:
    """Return that a rollout is under way: then nobody knows which pod would go."""
    strangers = workload.revisions - {move.owner.uid if move.owner else ""}
    if workload.rolling or strangers:
        message = f"a rollout of {workload.name} is under way; it has to end first"
        return Problem("RolloutInProgress", message, passes=True)
    return None


def why_budget_closed(pod: Pod, budgets: tuple[DisruptionBudget, ...]) -> Problem | None:
    """Return which disruption budget forbids that the pod goes now."""
    for position in budgets_of(pod, budgets):
        budget = budgets[position]
        if budget.disruptions_allowed < 1:
            message = f"PodDisruptionBudget {budget.namespace}/{budget.name} allows no disruption"
            return Problem("BudgetClosed", message, passes=True)
    return None


def find_shortage(pod: Pod, node: Node, seen: Observation) -> str:
    """Return the first resource that the node lacks for the pod now, empty when it has room."""
    held = [
        other
        for other in seen.pods.values()
        if other.node == node.name
        and other.uid != pod.uid
        and other.phase not in ("Succeeded", "Failed")
    ]
    return _shortage(pod, node, held)


def siblings_of(move: Move, pods: Iterable[Pod]) -> tuple[Pod, ...]:
    """Return the live pods of the move's owner, without the pod itself."""
    if move.owner is None:
        return ()
    return tuple(
        pod
        for pod in pods
        if pod.owner is not None
        and pod.owner.uid == move.owner.uid
        and pod.uid != move.uid
        and not pod.terminating
        and pod.phase not in ("Succeeded", "Failed")
    )


def _protections(pod: Pod, params: PlanParams) -> Iterator[Problem]:
    """Yield each rule that keeps the pod where it is."""
    kind = pod.owner.kind if pod.owner else ""
    if kind == "Node" or _MIRROR_ANNOTATION in pod.annotations:
        yield Problem("StaticPod", f"{pod.key} is a static pod")
    if not kind:
        yield Problem("BarePod", f"{pod.key} has no controller that would bring it back")
    if kind == "DaemonSet":
        yield Problem("DaemonSetPod", f"{pod.key} belongs to its node")
    critical = pod.priority_class.startswith("system-")
    if critical or pod.priority >= params.protected_priority:
        yield Problem("ProtectedPriority", f"{pod.key} has protected priority {pod.priority}")
    if pod.namespace in params.protected_namespaces:
        yield Problem("ProtectedNamespace", f"namespace {pod.namespace} is protected")
    if pod.scheduler not in params.schedulers:
        yield Problem("ForeignPod", f"{pod.key} is placed by {pod.scheduler}, not by us")
    for name, value in _OPT_OUTS.items():
        if pod.annotations.get(name) == value:
            yield Problem("OptedOut", f"{pod.key} opts out by {name}={value}")


def _why_budgets_clash(pod: Pod, seen: Observation) -> Problem | None:
    guards = budgets_of(pod, seen.budgets)
    if len(guards) > 1:
        names = ", ".join(sorted(seen.budgets[position].name for position in guards))
        return Problem(
            "SeveralBudgets",
            f"{pod.key} is selected by several PodDisruptionBudgets ({names}), which the Eviction "
            "API never allows; let one of them go",
        )
    return None


def _why_unmovable_kind(move: Move, pod: Pod, seen: Observation) -> Problem | None:
    if pod.unsupported:
        what = ", ".join(pod.unsupported)
        return Problem("Unsupported", f"{pod.key} uses {what}, which plans do not model")
    workload = seen.workloads.get(move.owner.uid) if move.owner else None
    if move.surges:
        return why_surge_refused(move, workload)
    if workload is not None and workload.migration == "Never":
        return Problem("MigrationNotAllowed", f"the pool never moves replicas of {workload.name}")
    return None


def _why_no_room(
    move: Move, pod: Pod, node: Node, record: PlanRecord, seen: Observation
) -> Problem | None:
    """Return what the target lacks, room that the plan frees counted as free for EvictFirst."""
    counts_leavers = move.kind == "Move" and not move.surges
    leaving = {
        other.uid
        for other, progress in record.pairs()
        if other.source == node.name
        and (counts_leavers or other.step <= move.step)
        and progress.phase not in SETTLED
    }
    held = [
        p
        for p in seen.pods.values()
        if p.node == node.name
        and p.uid != move.uid
        and p.phase not in ("Succeeded", "Failed")
        and not (counts_leavers and p.uid in leaving)
    ]
    short = _shortage(pod, node, held)
    if not short:
        return None
    staying = [p for p in held if not p.terminating and p.uid not in leaving]
    passes = not _shortage(pod, node, staying)
    message = f"node {node.name} lacks {short} for {move.key}"
    return Problem("TargetTaken", message, passes=passes)


def _shortage(pod: Pod, node: Node, held: list[Pod]) -> str:
    """Return the first resource that the node lacks for the pod, empty when it has room."""
    if len(held) + 1 > node.allocatable.get(PODS, 0):
        return PODS
    for name, amount in pod.requests.items():
        used = sum(p.requests.get(name, 0) for p in held)
        if amount > 0 and used + amount > node.allocatable.get(name, 0):
            return name
    return ""
