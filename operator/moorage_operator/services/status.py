"""The statuses of a pool and its roles, from plan and facts: the same input, the same text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from moorage_crds.conditions import PLACED, READY, VALID
from moorage_crds.names import ACCELERATOR_CLASS_LABEL
from moorage_crds.pool import GPUInferencePool
from moorage_crds.pool_status import MAX_LISTED_NODES
from moorage_crds.role import RoleObjectStatus
from moorage_operator.manifests.names import LWS_WORKER_INDEX_LABEL, role_labels, selector_text
from moorage_operator.manifests.templates import Json
from moorage_operator.services.class_plans import RolePlan
from moorage_operator.services.conditions import Finding, shorten, write_conditions
from moorage_operator.services.facts import PoolFacts
from moorage_operator.services.hint_reading import ReadHint
from moorage_operator.services.planning import PoolPlan
from moorage_operator.services.progress import RoleProgress, measure_progress
from moorage_operator.services.scaling_note import ScalingNote, note_of, to_text
from moorage_policies.pools.problems import Problem

LIMIT_REASONS = frozenset({"GpuLimitReached"})
"""Problems that limit a pool without making its spec wrong."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A pool's plan, what became of it, how far each role is, and what its hint means."""

    pool: GPUInferencePool
    plan: PoolPlan
    facts: PoolFacts
    refusals: tuple[Problem, ...]
    progress: tuple[RoleProgress, ...]
    hint: ReadHint | None = None

    @property
    def lacks_something(self) -> bool:
        """Return whether a change of nodes, room or classes may help the pool."""
        waits = any(p.placed < p.desired for p in self.progress)
        return waits or bool(self.plan.all_problems or self.refusals)


def judge(
    pool: GPUInferencePool,
    plan: PoolPlan,
    facts: PoolFacts,
    refusals: Sequence[Problem],
    hint: ReadHint | None = None,
) -> Verdict:
    """Return the verdict on a pool.

    Args:
        pool: the pool.
        plan: what it should own.
        facts: what the plan rests on.
        refusals: what the API server refused of the plan.
        hint: what the pool's hint means, ``None`` without one.
    """
    shared = (*refusals, *plan.problems)
    progress = tuple(measure_progress(pool, role, facts, shared) for role in plan.roles)
    return Verdict(pool, plan, facts, tuple(refusals), progress, hint)


def write_pool_status(verdict: Verdict, now: str) -> Json:
    """Return the pool's status."""
    pool, progress = verdict.pool, verdict.progress
    findings = [_valid(verdict), _placed(progress), _ready(verdict)]
    note = None
    if pool.spec.scaling is not None and pool.spec.scaling.target:
        note = verdict.facts.scaling or note_of(pool)
        findings += note.findings
    hint = {}
    if verdict.hint is not None:
        findings.append(verdict.hint.to_finding())
        hint = {"hint": verdict.hint.to_status()}
    return {
        **hint,
        "observedGeneration": pool.metadata.generation,
        "desired": sum(p.desired for p in progress),
        "placed": sum(p.placed for p in progress),
        "ready": sum(p.ready for p in progress),
        **({"scalingHistory": list(note.history)} if note and note.history else {}),
        "roles": {
            p.name: {
                **_role_status(p, role, verdict.facts),
                **(_of_scaling(note, p.name) if note else {}),
            }
            for p, role in zip(progress, verdict.plan.roles, strict=True)
        },
        "conditions": write_conditions(
            findings, pool.status.conditions, generation=pool.metadata.generation, now=now
        ),
    }


def write_role_status(
    pool: GPUInferencePool,
    plan: RolePlan,
    progress: RoleProgress,
    live: RoleObjectStatus,
    verdict_note: ScalingNote | None = None,
    *,
    generation: int,
    now: str,
) -> Json:
    """Return the status of a role object: what autoscalers and ``kubectl scale`` read."""
    labels = role_labels(pool.metadata.name, plan.role.name)
    if any(option.accelerator.nodes_per_replica > 1 for option in plan.classes):
        labels[LWS_WORKER_INDEX_LABEL] = "0"  # one pod per replica, or autoscalers miscount
    status: Json = {
        "observedGeneration": generation,
        "replicas": progress.existing,
        "desired": progress.desired,
        "placed": progress.placed,
        "ready": progress.ready,
        "selector": selector_text(labels),
        "classes": ",".join(f"{name}:{count}" for name, count in plan.counts.items() if count),
        "conditions": write_conditions(
            [_placed([progress]), _role_ready(progress)],
            live.conditions,
            generation=generation,
            now=now,
        ),
    }
    floor = _manual_floor(pool, plan.role.name, verdict_note, live)
    if floor is not None:
        status["manualFloor"] = floor
    since = live.last_scale_time if live.desired == progress.desired else now
    return {**status, "lastScaleTime": since} if since else status


def _manual_floor(
    pool: GPUInferencePool, role: str, note: ScalingNote | None, live: RoleObjectStatus
) -> Json | None:
    """Return the floor that a manual scale left; before the first tick, what is there stays."""
    if pool.spec.scaling is None or pool.spec.scaling.mode != "Internal":
        return None
    if note is None:
        held = live.manual_floor
        return None if held is None else {"replicas": held.replicas, "until": held.until}
    floor = note.floors.get(role)
    if floor is None:
        return None
    return {"replicas": floor.replicas, "until": to_text(floor.until_s)}


def _of_scaling(note: ScalingNote, role: str) -> Json:
    """Return what scaling has to say of one role."""
    said = {"recommended": note.recommended.get(role), "resting": note.resting.get(role)}
    return {name: count for name, count in said.items() if count is not None}


def _role_status(progress: RoleProgress, plan: RolePlan, facts: PoolFacts) -> Json:
    lacking = progress.placed < progress.desired
    return {
        "desired": progress.desired,
        "placed": progress.placed,
        "ready": progress.ready,
        "gpus": progress.gpus,
        "reason": progress.reason if lacking else "",
        "message": shorten(progress.message) if lacking else "",
        "classes": [
            {
                "class": option.name,
                "workload": option.workload,
                "desired": plan.counts[option.name],
                "placed": option.count.placed,
                "ready": option.count.ready,
                "gpusPerReplica": option.accelerator.gpus_per_replica,
            }
            for option in plan.classes
        ],
        "nodes": _placement(plan.role.name, facts),
    }


def _placement(role: str, facts: PoolFacts) -> list[Json]:
    """Return pods per node, the first nodes by name."""
    placed = [(pod.node, pod) for pod in facts.pods_of(role) if pod.node is not None]
    pods = Counter(node for node, _ in placed)
    classes = {node: pod.labels.get(ACCELERATOR_CLASS_LABEL, "") for node, pod in placed}
    return [
        {"name": node, "pods": pods[node], "class": classes[node]}
        for node in sorted(pods)[:MAX_LISTED_NODES]
    ]


def _valid(verdict: Verdict) -> Finding:
    invalid = [r for r in verdict.refusals if r.field]
    blocking = [*verdict.plan.problems, *invalid]
    advice: list[Problem] = []
    for role in verdict.plan.roles:
        wrong = [p for p in role.problems if p.reason not in LIMIT_REASONS]
        blocked = all(option.problem for option in role.classes)
        (blocking if blocked else advice).extend(wrong)
    if blocking:
        return Finding(VALID, holds=False, reason=blocking[0].reason, message=_join(blocking))
    if advice:
        return Finding(VALID, holds=True, reason="PartlyUsable", message=_join(advice))
    return Finding(
        VALID, holds=True, reason="Accepted", message="the spec can be served as written"
    )


def _placed(progress: Sequence[RoleProgress]) -> Finding:
    lacking = [p for p in progress if p.placed < p.desired]
    if not lacking:
        return Finding(
            PLACED, holds=True, reason="AllPlaced", message="every replica has its nodes"
        )
    message = "; ".join(
        f"role {p.name}: {p.placed} of {p.desired} replicas placed: {p.message}" for p in lacking
    )
    return Finding(PLACED, holds=False, reason=lacking[0].reason, message=message)


def _ready(verdict: Verdict) -> Finding:
    valid = _valid(verdict)
    if not valid.holds:
        return Finding(READY, holds=False, reason=valid.reason, message=valid.message)
    if verdict.refusals:
        reason = verdict.refusals[0].reason
        return Finding(READY, holds=False, reason=reason, message=_join(verdict.refusals))
    placed = _placed(verdict.progress)
    if not placed.holds:
        return Finding(READY, holds=False, reason=placed.reason, message=placed.message)
    waiting = [_role_ready(p) for p in verdict.progress if p.ready < p.desired]
    if waiting:
        message = "; ".join(finding.message for finding in waiting)
        return Finding(READY, holds=False, reason=waiting[0].reason, message=message)
    return Finding(READY, holds=True, reason="AllReady", message="every replica is ready")


def _role_ready(progress: RoleProgress) -> Finding:
    text = f"role {progress.name}: {progress.ready} of {progress.desired} replicas ready"
    if progress.ready >= progress.desired:
        return Finding(READY, holds=True, reason="AllReady", message=text)
    reason = progress.reason if progress.placed < progress.desired else "ReplicasStarting"
    return Finding(READY, holds=False, reason=reason, message=text)


def _join(problems: Sequence[Problem]) -> str:
    return "; ".join(dict.fromkeys(problem.text for problem in problems))
