"""Snapshots of recorded pods are valid, and what the peers move is allowed and frees nodes."""

from __future__ import annotations

import numpy as np
import pytest

from moorage_benchmarks.fragmentation_trace import read_trace
from moorage_benchmarks.rescheduling_gpus import (
    GPU,
    TRACES,
    empty_greedily,
    empty_low_nodes,
    take_snapshot,
)
from moorage_policies.rescheduling.check import find_violations, judge_worth
from moorage_policies.rescheduling.instance import Hole, Instance, make_instance


@pytest.mark.parametrize("load", [0.2, 0.6])
def test_a_snapshot_is_as_full_as_asked_and_peers_break_nothing(load: float) -> None:
    trace = read_trace(TRACES / "nodes.csv", TRACES / "default.csv").thinned(40)
    instance = take_snapshot(trace, 3, load)
    free = instance.free(instance.home)
    taken = 1 - free[:, GPU].sum() / instance.capacity[:, GPU].sum()

    assert (free >= 0).all()
    assert abs(taken - load) < 0.06
    for act in (empty_low_nodes, empty_greedily):
        moves = act(instance)
        assert find_violations(instance, moves) == ()
    assert judge_worth(instance, empty_greedily(instance)) > judge_worth(instance, [])


def small(requests: list[list[int]], home: list[int]) -> Instance:
    nodes = max(home) + 1
    return make_instance(
        resources=("cpu", "memory", "gpu"),
        capacity=np.tile([100, 100, 8], (nodes, 1)),
        cell_host=np.arange(nodes),
        requests=np.array(requests),
        home=np.array(home),
        holes=(Hole("node-of-8", np.array([0, 0, 8])),),
        max_moves=len(home),
    )


def test_the_rule_empties_nodes_below_a_fifth_of_everything() -> None:
    instance = small([[10, 10, 1], [30, 10, 1], [50, 50, 4]], [0, 1, 2])
    assert empty_low_nodes(instance) == [(0, 2)]  # the second asks for too much CPU


def test_greedy_takes_the_node_of_fewest_pods_first_and_moves_none_twice() -> None:
    instance = small([[1, 1, 1], [1, 1, 1], [1, 1, 2], [1, 1, 2]], [0, 0, 1, 2])
    moves = empty_greedily(instance)
    assert moves[0][0] == 2
    assert len({item for item, _ in moves}) == len(moves)
    assert judge_worth(instance, moves) == 2
