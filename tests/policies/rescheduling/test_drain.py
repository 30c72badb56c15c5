from __future__ import annotations

import numpy as np

from moorage_policies.rescheduling.check import find_violations
from moorage_policies.rescheduling.drain import drain_cells
from moorage_policies.rescheduling.instance import Hole, Instance, make_instance
from moorage_policies.rescheduling.objective import net_worth_of, worth_of
from moorage_policies.rescheduling.search import build_static, order_of
from moorage_policies.rescheduling.solve import Params, solve


def scattered(seed: int, nodes: int = 30, most: int = 20) -> Instance:
    """Return nodes of eight GPUs with pods of one to eight all over them."""
    noise = np.random.default_rng(seed)
    free, requests, home = np.tile([8, 64], (nodes, 1)), [], []
    for _ in range(nodes * 3):
        need = np.array([noise.choice([1, 1, 2, 4, 8]), noise.integers(0, 16)])
        spots = np.flatnonzero((free >= need).all(axis=1))
        if len(spots) and free[:, 0].sum() > nodes * 3:
            cell = int(noise.choice(spots))
            free[cell] -= need
            requests.append(need)
            home.append(cell)
    owner = noise.integers(-1, 3, len(home))
    return make_instance(
        capacity=np.tile([8, 64], (nodes, 1)),
        requests=np.array(requests),
        home=np.array(home),
        movable=noise.random(len(home)) < 0.9,
        price=noise.choice([0.0, 0.5], len(home)),
        owner=owner,
        owner_room=np.array([2, 3, 40]),
        eligible=np.ones((1, nodes), dtype=np.bool_),
        holes=(Hole("node", np.array([8, 0]), 8.0),),
        max_moves=most,
    )


def test_drains_are_allowed_and_pay() -> None:
    for seed in range(12):
        instance = scattered(seed)
        noise = np.random.default_rng(seed)
        for places in (drain_cells(instance), drain_cells(instance, noise=noise, strength=0.2)):
            order, done = order_of(instance, build_static(instance), places)
            assert done == (places != instance.home).sum()
            assert find_violations(instance, [(i, int(places[i])) for i in order.tolist()]) == ()
            assert net_worth_of(instance, places) > net_worth_of(instance, instance.home)


def test_the_nodes_that_take_fewest_moves_are_drained_first() -> None:
    # three nodes of one, two and three pods; a fourth with room for three more
    instance = make_instance(
        capacity=np.full((4, 1), 8),
        requests=np.array([[1], [1], [1], [1], [1], [1], [5]]),
        home=np.array([0, 1, 1, 2, 2, 2, 3]),
        movable=np.array([True] * 6 + [False]),
        holes=(Hole("node", np.array([8])),),
        max_moves=3,
    )
    places = drain_cells(instance)
    assert worth_of(instance, places) == 2
    assert places.tolist() == [3, 3, 3, 2, 2, 2, 3]


def test_where_nothing_can_change_the_answer_is_proven() -> None:
    instance = make_instance(
        capacity=np.full((2, 1), 8),
        requests=np.array([[3]]),
        home=np.array([0]),
        movable=np.array([False]),
        holes=(Hole("node", np.array([8])),),
        max_moves=1,
    )
    solution = solve(instance, Params(deadline_s=0.1))
    assert solution.moves == ()
    assert solution.bound == 1.0


def test_a_pod_as_large_as_a_hole_stays() -> None:
    instance = make_instance(
        capacity=np.full((2, 1), 8),
        requests=np.array([[8]]),
        home=np.array([0]),
        holes=(Hole("node", np.array([8])),),
        max_moves=1,
    )
    assert (drain_cells(instance) == instance.home).all()
