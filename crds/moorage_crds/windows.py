"""Recurring windows of the day."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from moorage_crds.base import Model, Rule, with_rules
from moorage_crds.fields import LIST_SET

Day = Literal["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
TimeOfDay = Annotated[str, Field(max_length=5, pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
Timezone = Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z][A-Za-z0-9_+/-]*$")]

NOT_EMPTY_WINDOW = Rule(
    "self.startTime != self.endTime",
    "must differ from startTime; for a whole day write 00:00 to 23:59",
    ".endTime",
)


class TimeWindow(Model):
    """A window that recurs on the named days."""

    model_config = with_rules(NOT_EMPTY_WINDOW)

    timezone: Timezone = "Etc/UTC"
    """IANA time zone in which the times are meant, for example Europe/Berlin."""
    days_of_week: Annotated[
        tuple[Day, ...], Field(min_length=1, max_length=7, json_schema_extra=LIST_SET)
    ] = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
    """Days on which the window opens."""
    start_time: TimeOfDay
    """When the window opens, HH:MM."""
    end_time: TimeOfDay
    """When it closes, HH:MM; a time before startTime is on the next day."""
