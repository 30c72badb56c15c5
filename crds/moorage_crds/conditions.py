"""Conditions of a status, and the types and reasons that Moorage sets."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from moorage_crds.base import Model
from moorage_crds.fields import Timestamp, list_map

READY = "Ready"
PLACED = "Placed"
METRICS_FRESH = "MetricsFresh"
SCALING_LIMITED = "ScalingLimited"
PROGRESSING = "Progressing"
VALID = "Valid"
HINT_UNDERSTOOD = "HintUnderstood"

ConditionStatus = Literal["True", "False", "Unknown"]


class Condition(Model):
    """One observation of the object's state."""

    type: Annotated[str, Field(min_length=1, max_length=316)]
    """What is observed, in CamelCase: Ready, Placed, MetricsFresh, ScalingLimited."""
    status: ConditionStatus
    """Whether it holds."""
    reason: Annotated[
        str,
        Field(min_length=1, max_length=128, pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"),
    ]
    """Why, as one CamelCase word for programs."""
    message: Annotated[str, Field(max_length=32_768)] = ""
    """Why and what to do about it, for people."""
    observed_generation: Annotated[int, Field(ge=0)] = 0
    """The generation of the spec that was looked at."""
    last_transition_time: Timestamp
    """When the status last changed."""


Conditions = Annotated[
    tuple[Condition, ...], Field(max_length=16, json_schema_extra=list_map("type"))
]
