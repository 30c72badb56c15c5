"""Floors of the day: which windows are open now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from moorage_policies.errors import BadInputError

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@dataclass(frozen=True, slots=True)
class Window:
    """A floor under a role while a window of the day is open.

    Args:
        name: for reasons.
        role: whose floor it is.
        min_replicas: the floor.
        timezone: IANA name of the zone of the times.
        days: days on which it opens.
        start: when it opens, minutes after midnight.
        end: when it closes; at or before the start it is on the next day.
    """

    name: str
    role: str
    min_replicas: int
    timezone: str
    days: tuple[str, ...]
    start: int
    end: int


def open_floor(windows: Sequence[Window], role: str, now_s: float, ahead_s: float = 0.0) -> int:
    """Return the greatest floor of the role now, or within ``ahead_s``, in which replicas start.

    Raises:
        BadInputError: a window names a time zone that is not known.
    """
    floors = [
        window.min_replicas
        for window in windows
        if window.role == role and (is_open(window, now_s) or is_open(window, now_s + ahead_s))
    ]
    return max(floors, default=0)


def is_open(window: Window, at_s: float) -> bool:
    """Return whether the window is open at this moment.

    Raises:
        BadInputError: its time zone is not known.
    """
    at = datetime.fromtimestamp(at_s, UTC).astimezone(_zone(window))
    minutes = at.hour * 60 + at.minute
    today = DAYS[at.weekday()] in window.days
    if window.start < window.end:
        return today and window.start <= minutes < window.end
    yesterday = DAYS[(at - timedelta(days=1)).weekday()] in window.days
    return (today and minutes >= window.start) or (yesterday and minutes < window.end)


def _zone(window: Window) -> tzinfo:
    try:
        return ZoneInfo(window.timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise BadInputError(
            f"'{window.timezone}' is no known time zone; write an IANA name such as Europe/Berlin",
            field=f"spec.scaling.schedules[{window.name}].timezone",
        ) from error
