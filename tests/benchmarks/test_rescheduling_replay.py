"""A plan stays useful while the cluster changes: the executor's decisions, replayed."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from moorage_benchmarks.report import OURS
from moorage_benchmarks.rescheduling_replay import World, replay

SEEDS = (1, 3)


@dataclass(frozen=True, slots=True)
class Replayed:
    """A world at its end.

    Args:
        world: the world.
        least_free: fewest free accelerators of any node at any second.
    """

    world: World
    least_free: int


def run(arm: str, seed: int) -> Replayed:
    least = 0
    for world in replay(seed, minutes=4, changes=15, moves=8, nodes=24, arm=arm):
        least = min(least, *world.free().values())
    return Replayed(world, least)


@pytest.fixture(scope="module")
def ours() -> dict[int, Replayed]:
    return {seed: run(OURS, seed) for seed in SEEDS}


def test_no_node_is_ever_overfull_and_no_pod_moves_twice(ours: dict[int, Replayed]) -> None:
    for replayed in ours.values():
        assert replayed.least_free == 0
        moved = [
            (move.uid, progress.replacement_uid)
            for record in replayed.world.records
            for move, progress in record.pairs()
            if progress.phase == "Done"
        ]
        assert moved
        assert len(moved) == len(set(moved))
        assert not {uid for uid, _ in moved} & {new for _, new in moved}


def test_stale_moves_fall_away_the_rest_is_done_and_plans_follow(
    ours: dict[int, Replayed],
) -> None:
    records = [record for replayed in ours.values() for record in replayed.world.records]
    partly = [record for record in records if record.progress.reason == "PartlyDone"]
    assert partly
    for record in partly:
        phases = {state.phase for state in record.progress.moves}
        assert "Done" in phases
        assert phases & {"Failed", "Skipped"}
    assert all(len(replayed.world.records) > 1 for replayed in ours.values())


def test_the_cluster_is_less_scattered_than_without_plans(ours: dict[int, Replayed]) -> None:
    for seed, replayed in ours.items():
        assert replayed.world.rate() < run("start", seed).world.rate()
