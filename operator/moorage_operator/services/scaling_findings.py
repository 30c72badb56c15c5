"""What the status of a pool says of its scaling."""

from __future__ import annotations

from moorage_crds.conditions import METRICS_FRESH, SCALING_LIMITED
from moorage_operator.services.conditions import Finding
from moorage_operator.services.scaling_turn import Turn, is_external


def findings_of(turn: Turn, advice: str) -> tuple[Finding, ...]:
    """Return the conditions; their words change only when something else is the matter."""
    if turn.blind:
        why = "; ".join(f"role {role}: {text}" for role, text in sorted(turn.blind.items()))
        text = f"{why}; nothing is scaled in; {advice}"
        fresh = Finding(METRICS_FRESH, holds=False, reason="Blind", message=text)
    else:
        fresh = Finding(
            METRICS_FRESH, holds=True, reason="Measured", message="every role can be read"
        )
    targets = turn.decision.value
    if turn.second_writer and is_external(turn.pool):
        text = f"{turn.second_writer}; let one of them go, or each undoes what the other wrote"
        limited = Finding(SCALING_LIMITED, holds=True, reason="SecondWriter", message=text)
    elif turn.second_writer:
        text = (
            f"{turn.second_writer} writes the count of a role as well; remove that autoscaler or "
            "set spec.scaling.mode to External; nothing is scaled meanwhile"
        )
        limited = Finding(SCALING_LIMITED, holds=True, reason="SecondWriter", message=text)
    elif targets.limit:
        reason = "NoPlace" if turn.reach else "Bounds"
        limited = Finding(SCALING_LIMITED, holds=True, reason=reason, message=targets.limit)
    else:
        limited = Finding(
            SCALING_LIMITED, holds=False, reason="Free", message="counts follow the load"
        )
    return fresh, limited
