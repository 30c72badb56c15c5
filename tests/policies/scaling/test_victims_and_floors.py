"""Who leaves, and which floors of the day hold."""

from __future__ import annotations

from dataclasses import replace

import pytest

from moorage_policies.errors import BadInputError
from moorage_policies.scaling.schedules import Window, is_open, open_floor
from moorage_policies.scaling.victims import Candidate, choose_leavers

BASE = Candidate("base", True, 4, 0, 8, kv_ratio=0.5, running=4.0, age_s=100.0)


@pytest.mark.parametrize(
    "better",
    [
        pytest.param({"is_ready": False, "kv_ratio": 0.9}, id="not-ready-before-warm"),
        pytest.param({"class_place": 1}, id="worse-class-first"),
        pytest.param({"free_gpus": 4}, id="empties-its-node"),
        pytest.param({"kv_ratio": 0.1}, id="coldest"),
        pytest.param({"running": 1.0}, id="least-busy"),
        pytest.param({"age_s": 1.0}, id="youngest"),
    ],
)
def test_who_goes_first(better: dict[str, object]) -> None:
    other = replace(BASE, uid="other", **better)  # type: ignore[arg-type]
    for order in ([BASE, other], [other, BASE]):
        assert choose_leavers(order, 1).value == ("other",)


def test_no_more_go_than_there_are() -> None:
    assert choose_leavers([BASE], 3).value == ("base",)


# 2026-01-05 is a Monday; 09:00 in Berlin is 08:00 in UTC
MONDAY_S = 1767571200.0
DAY = Window("day", "decode", 4, "Europe/Berlin", ("Mon",), 9 * 60, 17 * 60)
NIGHT = Window("night", "decode", 2, "Etc/UTC", ("Mon",), 22 * 60, 2 * 60)


@pytest.mark.parametrize(
    ("window", "hour", "expected"),
    [
        pytest.param(DAY, 7.9, False, id="before"),
        pytest.param(DAY, 8.0, True, id="opens-in-its-own-zone"),
        pytest.param(DAY, 15.9, True, id="last-minute"),
        pytest.param(DAY, 16.0, False, id="closed"),
        pytest.param(DAY, 24 + 9, False, id="another-day"),
        pytest.param(NIGHT, 23.0, True, id="before-midnight"),
        pytest.param(NIGHT, 25.0, True, id="after-midnight-belongs-to-the-day-before"),
        pytest.param(NIGHT, 1.0, False, id="the-night-before-was-no-monday"),
    ],
)
def test_windows(window: Window, hour: float, expected: bool) -> None:
    assert is_open(window, MONDAY_S + hour * 3600) is expected


def test_a_floor_is_there_when_replicas_have_started() -> None:
    before_s = MONDAY_S + 7.95 * 3600
    assert open_floor([DAY], "decode", before_s) == 0
    assert open_floor([DAY], "decode", before_s, ahead_s=300.0) == 4
    assert open_floor([DAY], "prefill", before_s, ahead_s=300.0) == 0


def test_an_unknown_zone_is_refused_by_name() -> None:
    with pytest.raises(BadInputError, match="Mars"):
        is_open(replace(DAY, timezone="Mars/Olympus"), 0.0)
