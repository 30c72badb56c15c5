from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moorage_policies.scoring.mix import Shape, mix_from
from moorage_policies.scoring.outlook import (
    CPU_MEAN,
    CPU_VARIANCE,
    FREE,
    PATIENCE,
    STRANDED,
    count_stranded,
    expect,
)
from moorage_policies.types import FloatArray

MIX = mix_from(
    "gpu",
    {Shape(1, 4000, 10): 5, Shape(2, 30_000, 5): 2, Shape(1, 3000, 8, 470): 4, Shape(8, 0, 0): 1},
)
LEVELS = 9


def _walk(devices: int) -> tuple[float, float, float]:
    """Return stranded devices, mean CPU and its variance by following every arrival in turn.

    Whole devices only: a chain over (free devices, CPU taken) that stops where patience ends.
    """
    shapes, share = mix_from("gpu", WHOLE).shapes, mix_from("gpu", WHOLE).share
    alive, ended = {(devices, 0): 1.0}, {}
    while sum(alive.values()) > 1e-12:
        after: dict[tuple[int, int], float] = {}
        for (free, cpu), chance in alive.items():
            go_on = 1 - 1 / (PATIENCE * free) if free else 0.0
            ended[free, cpu] = ended.get((free, cpu), 0.0) + chance * (1 - go_on)
            for (size, needs, *_), part in zip(shapes.tolist(), share.tolist(), strict=True):
                key = (free - size, cpu + needs) if size <= free else (free, cpu)
                after[key] = after.get(key, 0.0) + chance * go_on * part
        alive = {key: chance for key, chance in after.items() if chance > 1e-15}
    stranded = sum(free * chance for (free, _), chance in ended.items())
    mean = sum(cpu * chance for (_, cpu), chance in ended.items())
    square = sum(cpu * cpu * chance for (_, cpu), chance in ended.items())
    return stranded, mean, square - mean * mean


WHOLE = {Shape(2, 3): 6, Shape(3, 5): 2}


@pytest.mark.parametrize("devices", [1, 3])
def test_the_recursion_agrees_with_following_every_arrival(devices: int) -> None:
    facts = expect(mix_from("gpu", WHOLE), devices).whole[:, devices]
    assert (facts[STRANDED], facts[CPU_MEAN], facts[CPU_VARIANCE]) == pytest.approx(
        _walk(devices), rel=1e-5, abs=1e-8
    )


def test_what_only_rare_pods_can_use_counts_as_stranded() -> None:
    common, rare = Shape(1, milli=810), Shape(1, milli=160)
    few = expect(mix_from("gpu", {common: 1000, rare: 1}), 1).of_part(np.array([190]))
    many = expect(mix_from("gpu", {common: 1000, rare: 500}), 1).of_part(np.array([190]))
    assert few[STRANDED, 0] > 0.17
    # a pod of 160 soon takes most of 190
    assert many[STRANDED, 0] == pytest.approx(0.03, abs=0.01)


def test_sizes_that_nobody_asks_for_strand_whole() -> None:
    facts = expect(mix_from("gpu", {Shape(1, milli=800): 1}), 1).of_part(np.array([400]))
    assert facts[STRANDED, 0] == facts[FREE, 0] == pytest.approx(0.4)


amounts = st.integers(0, 400_000)


@given(free=st.integers(0, LEVELS - 1), cpu=amounts, memory=st.integers(0, 200), less=amounts)
@settings(max_examples=60)
def test_less_room_beside_the_devices_never_strands_fewer(
    free: int, cpu: int, memory: int, less: int
) -> None:
    facts: FloatArray = expect(MIX, LEVELS - 1).of_whole(np.array([free, free]))
    stranded = count_stranded(facts, np.array([cpu, cpu - less]), np.array([memory, memory]))
    assert facts[STRANDED, 0] - 1e-9 <= stranded[0] <= stranded[1] + 1e-9
    assert stranded[1] <= free + 1e-9


def test_without_cpu_or_memory_every_device_strands() -> None:
    facts = expect(MIX, LEVELS - 1).of_whole(np.array([8, 8]))
    stranded = count_stranded(facts, np.array([0, 10**6]), np.array([10**6, -10]))
    assert stranded == pytest.approx([8, 8], abs=0.5)


def test_an_outlook_has_no_shared_levels_where_devices_are_whole() -> None:
    outlook = expect(mix_from("gpu", WHOLE), 4)
    assert outlook.part.shape[1] == 1
    assert outlook.whole.shape[1] == 5
