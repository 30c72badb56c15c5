"""Conditions whose transition times move only when their status does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from moorage_crds.conditions import Condition
from moorage_operator.manifests.templates import Json

MESSAGE_LIMIT = 4096


@dataclass(frozen=True, slots=True)
class Finding:
    """What a condition should say now."""

    type: str
    holds: bool
    reason: str
    message: str = ""


def write_conditions(
    findings: Sequence[Finding], live: Iterable[Condition], *, generation: int, now: str
) -> list[Json]:
    """Return the conditions to apply.

    Args:
        findings: what to say.
        live: the conditions of the object as it is.
        generation: the generation of the spec that was looked at.
        now: RFC 3339 time for conditions whose status changes.
    """
    before = {condition.type: condition for condition in live}
    written = []
    for finding in findings:
        status = "True" if finding.holds else "False"
        old = before.get(finding.type)
        since = old.last_transition_time if old and old.status == status else now
        written.append(
            {
                "type": finding.type,
                "status": status,
                "reason": finding.reason,
                "message": shorten(finding.message),
                "observedGeneration": generation,
                "lastTransitionTime": since,
            }
        )
    return written


def shorten(message: str) -> str:
    """Return the message within the length that a status holds."""
    return message if len(message) <= MESSAGE_LIMIT else message[: MESSAGE_LIMIT - 1] + "…"
