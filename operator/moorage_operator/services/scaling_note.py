"""What scaling has to say in the status of a pool."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from moorage_crds.conditions import METRICS_FRESH, SCALING_LIMITED
from moorage_crds.pool import GPUInferencePool
from moorage_crds.pool_status import MAX_SCALING_EVENTS, ScalingEvent
from moorage_operator.manifests.templates import Json
from moorage_operator.services.conditions import Finding

TYPES = (METRICS_FRESH, SCALING_LIMITED)


@dataclass(frozen=True, slots=True)
class ManualFloor:
    """A floor that somebody's scale left."""

    replicas: int
    until_s: float


@dataclass(frozen=True, slots=True)
class ScalingNote:
    """What one pool's status says of its scaling.

    Args:
        findings: conditions.
        recommended: replicas that scaling would ask for, by role; empty where it acts itself.
        floors: floors that people left, by role.
        history: last changes, newest first.
        resting: replicas out of the Service before they go or return, by role.
    """

    findings: tuple[Finding, ...] = ()
    recommended: Mapping[str, int] = field(default_factory=dict)
    floors: Mapping[str, ManualFloor] = field(default_factory=dict)
    history: tuple[Json, ...] = ()
    resting: Mapping[str, int] = field(default_factory=dict)


def note_of(pool: GPUInferencePool) -> ScalingNote:
    """Return what the live status says: what a new process goes on from."""
    status = pool.status
    findings = tuple(
        Finding(c.type, c.status == "True", c.reason, c.message)
        for c in status.conditions
        if c.type in TYPES
    )
    recommended = {
        name: role.recommended
        for name, role in status.roles.items()
        if role.recommended is not None
    }
    history = tuple(to_entry(event) for event in status.scaling_history)
    resting = {
        name: role.resting for name, role in status.roles.items() if role.resting is not None
    }
    return ScalingNote(findings, recommended, {}, history, resting)


def to_entry(event: ScalingEvent) -> Json:
    """Return an entry of the history as it is written."""
    return {
        "time": event.time,
        "role": event.role,
        "fromReplicas": event.from_replicas,
        "toReplicas": event.to_replicas,
        "reason": event.reason,
    }


def add_entry(
    history: tuple[Json, ...], role: str, before: int, after: int, reason: str, now_s: float
) -> tuple[Json, ...]:
    """Return the history with one more change in front."""
    entry = {
        "time": to_text(now_s),
        "role": role,
        "fromReplicas": before,
        "toReplicas": after,
        "reason": reason[:1024],
    }
    return (entry, *history)[:MAX_SCALING_EVENTS]


def to_text(at_s: float) -> str:
    """Return a moment as the API server writes it."""
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
