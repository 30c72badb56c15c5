"""Status of a ``PlacementPlan``: enough to go on after a crash at any point."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from moorage_crds.base import Model
from moorage_crds.conditions import Conditions
from moorage_crds.fields import (
    LIST_SET,
    Message,
    OptionalName,
    Reason,
    Timestamp,
    Uid,
    list_map,
)

PlanPhase = Literal["Proposed", "Approved", "Executing", "Completed", "Aborted", "Superseded"]
MovePhase = Literal["Waiting", "Surging", "Evicting", "Binding", "Done", "Failed", "Skipped"]


class MoveStatus(Model):
    """How far one move got."""

    index: Annotated[int, Field(ge=0, le=255)]
    """Number of the move in spec.moves."""
    phase: MovePhase = "Waiting"
    """Surging: the replacement is on its way. Evicting: the old pod is asked to go. Binding: the
    pod is waited for on its node."""
    replacement_name: OptionalName = ""
    """Pod that took the reserved place."""
    replacement_uid: Uid = ""
    """UID of that pod."""
    siblings: Annotated[tuple[Uid, ...], Field(max_length=256, json_schema_extra=LIST_SET)] = ()
    """UIDs of the owner's other pods when the move began: none of them is the replacement."""
    started_at: Timestamp | None = None
    """When it started."""
    phase_since: Timestamp | None = None
    """When it entered its phase."""
    finished_at: Timestamp | None = None
    """When it ended."""
    reason: Reason = ""
    """What it waits for, or why it failed, as one word for programs."""
    message: Message = ""
    """What it waits for, or why it failed."""


class Executor(Model):
    """Who carries the plan out."""

    holder: OptionalName
    """Identity of the operator that holds the Lease."""
    fence: Annotated[int, Field(ge=0)]
    """Lease transitions when it took over; a lower number must not write any more."""


class PlanStatus(Model):
    """How far the plan got."""

    observed_generation: Annotated[int, Field(ge=0)] = 0
    """Generation of the spec that this status speaks of."""
    phase: PlanPhase | None = None
    """Proposed, Approved, Executing, and at last Completed, Aborted or Superseded."""
    step: Annotated[int, Field(ge=0, le=255)] = 0
    """Step that is being carried out."""
    progress: Annotated[str, Field(max_length=32)] = ""
    """Moves done of all moves, for people: "2/5"."""
    moves: Annotated[
        tuple[MoveStatus, ...], Field(max_length=256, json_schema_extra=list_map("index"))
    ] = ()
    """How far each move got."""
    executor: Executor | None = None
    """Who carries the plan out."""
    phase_since: Timestamp | None = None
    """When it entered its phase."""
    started_at: Timestamp | None = None
    """When the first step started."""
    finished_at: Timestamp | None = None
    """When the plan ended."""
    conditions: Conditions = ()
    """Valid, Progressing and others."""
