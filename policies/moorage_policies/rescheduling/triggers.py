"""Whether it is time to look for moves against fragmentation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from moorage_policies.rescheduling.proposals import Picture
from moorage_policies.types import Decision

Trigger = Literal["Pending", "Schedule", "Threshold", "NoHole"]
PERCENT = 100


@dataclass(frozen=True, slots=True)
class TriggerParams:
    """When plans are made.

    Args:
        trigger: what asks for them.
        threshold_percent: stranded share of the free accelerators, for Threshold.
        cool_down_s: seconds between the end of one plan and the next.
    """

    trigger: Trigger
    threshold_percent: int = 0
    cool_down_s: float = 600.0


@dataclass(frozen=True, slots=True)
class Moment:
    """What the decision looks at.

    Args:
        now_s: Unix seconds.
        is_open: whether a window or schedule lets plans begin now; true where there is none.
        unfinished: name of a plan against fragmentation that has not ended, empty for none.
        last_end_s: when the last one ended, ``None`` when there was none.
        waiting: GPU pods that kube-scheduler finds no room for.
        picture: how scattered the free room is, ``None`` before anybody looked.
    """

    now_s: float
    is_open: bool = True
    unfinished: str = ""
    last_end_s: float | None = None
    waiting: int = 0
    picture: Picture | None = None


def why_rest(params: TriggerParams, moment: Moment) -> str:
    """Return why no plan may begin now, however scattered the room is; empty when one may."""
    if moment.unfinished:
        return f"plan {moment.unfinished} has not ended"
    if not moment.is_open:
        return "no window is open"
    if moment.last_end_s is not None:
        left_s = moment.last_end_s + params.cool_down_s - moment.now_s
        if left_s > 0:
            return f"the last plan ended less than {params.cool_down_s:g} s ago"
    return ""


def decide_start(params: TriggerParams, moment: Moment) -> Decision[bool]:
    """Return whether to search for moves now, and why."""
    resting = why_rest(params, moment)
    picture = moment.picture
    inputs: dict[str, object] = {"trigger": params.trigger, "waiting": moment.waiting}
    if resting or picture is None:
        return Decision(
            value=False, reason=resting or "nobody has looked at the cluster yet", inputs=inputs
        )
    inputs = {**inputs, "fragment_rate": picture.fragment_rate, "free_gpus": picture.free_gpus}
    if params.trigger == "Schedule":
        return Decision(value=True, reason="a window is open", inputs=inputs)
    if params.trigger == "Threshold":
        stranded = PERCENT * picture.fragment_rate
        over = stranded >= params.threshold_percent
        verb = "passes" if over else "is below"
        return Decision(
            over, f"{stranded:.0f} % stranded {verb} {params.threshold_percent}", inputs
        )
    if params.trigger == "NoHole":
        names = ", ".join(picture.without_room)
        reason = f"no hole for the next replica of {names}" if names else "every pool has a hole"
        return Decision(bool(names), reason, inputs)
    lacking = bool(moment.waiting and picture.without_room)
    reason = (
        f"{moment.waiting} pods wait though enough accelerators are free"
        if lacking
        else "no pod waits that scattered accelerators could hold"
    )
    return Decision(lacking, reason, inputs)
