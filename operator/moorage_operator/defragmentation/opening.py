"""Whether a window or a schedule of the policy is open, and whether it ever will be."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import takewhile
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from moorage_crds.disruption import CronSchedule, Defragmentation
from moorage_crds.windows import TimeWindow
from moorage_policies.errors import BadInputError
from moorage_policies.scaling.schedules import Window, is_open

FIELD = "spec.defragmentation"


def is_open_now(policy: Defragmentation, now_s: float) -> bool:
    """Return whether plans may begin; without windows and schedules always.

    Raises:
        BadInputError: a time zone or a schedule cannot be used; names it.
    """
    shown = [_is_window_open(w, now_s) for w in policy.windows]
    shown += [_is_schedule_open(s, at, now_s) for at, s in enumerate(policy.schedules)]
    return any(shown) or not shown


def refuse_what_never_opens(policy: Defragmentation, now_s: float) -> None:
    """Do nothing for a policy whose windows and schedules all open some time.

    Raises:
        BadInputError: one of them cannot be read or never opens; names it and the remedy.
    """
    is_open_now(policy, now_s)
    for at, schedule in enumerate(policy.schedules):
        start = datetime.fromtimestamp(now_s, UTC).astimezone(_zone(schedule.timezone))
        if next(_times(schedule, at, start), None) is None:
            raise BadInputError(
                f"'{schedule.cron}' names no day that exists; write a time that recurs",
                field=f"{FIELD}.schedules[{at}].cron",
            )


def _is_window_open(window: TimeWindow, now_s: float) -> bool:
    _zone(window.timezone)
    start, end = (_minutes(text) for text in (window.start_time, window.end_time))
    return is_open(Window("", "", 0, window.timezone, window.days_of_week, start, end), now_s)


def _minutes(text: str) -> int:
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)


def _is_schedule_open(schedule: CronSchedule, at: int, now_s: float) -> bool:
    now = datetime.fromtimestamp(now_s, UTC).astimezone(_zone(schedule.timezone))
    earliest = now - timedelta(seconds=schedule.duration_seconds)
    began = takewhile(lambda moment: moment <= now, _times(schedule, at, earliest))
    return next(began, None) is not None


def _times(schedule: CronSchedule, at: int, after: datetime) -> CronSim:
    try:
        return CronSim(schedule.cron, after)
    except CronSimError as error:
        raise BadInputError(
            f"'{schedule.cron}' is no cron expression ({error}); write minute, hour, day of month, "
            "month and day of week, as in '0 2 * * 6'",
            field=f"{FIELD}.schedules[{at}].cron",
        ) from error


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise BadInputError(
            f"'{name}' is no known time zone; write an IANA name such as Europe/Berlin",
            field=f"{FIELD}.timezone",
        ) from error
