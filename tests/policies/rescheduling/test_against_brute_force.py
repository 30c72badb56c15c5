"""Answers on tiny instances of every sort against all orders of moves there are."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moorage_policies.packing.instance import Limit
from moorage_policies.rescheduling.bounds import bound_worth
from moorage_policies.rescheduling.check import find_violations, judge_worth
from moorage_policies.rescheduling.greedy import improve_greedily
from moorage_policies.rescheduling.groups import group_moves
from moorage_policies.rescheduling.instance import Hole, Instance, make_instance
from moorage_policies.rescheduling.objective import (
    move_gains,
    net_worth_of,
    swap_gains,
    worth_of,
)
from moorage_policies.rescheduling.solve import Params, solve

TINY = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@st.composite
def instances(draw: st.DrawFn, *, most_items: int = 6, most_hosts: int = 3) -> Instance:
    """Return an instance with whatever a real one may have, valid as it stands."""
    noise = np.random.default_rng(draw(st.integers(0, 2**31)))
    hosts = draw(st.integers(2, most_hosts))
    halves = draw(st.booleans())
    cells = hosts * (2 if halves else 1)
    capacity = np.column_stack([np.full(cells, 8), noise.integers(8, 20, cells)])
    free = capacity.copy()
    requests, wide, home = [], [], []
    for _ in range(draw(st.integers(1, most_items))):
        need = np.array([noise.choice([1, 2, 4]), noise.integers(0, 6)])
        is_wide = halves and noise.random() < 0.3
        spots = [
            cell
            for cell in range(0, cells, 2 if is_wide else 1)
            if (free[cell : cell + 1 + is_wide] >= need).all()
        ]
        if not spots:
            continue
        cell = int(noise.choice(spots))
        free[cell : cell + 1 + is_wide] -= need
        requests.append(need)
        wide.append(bool(is_wide))
        home.append(cell)
    count = len(home)
    cell_host = np.repeat(np.arange(hosts), 2 if halves else 1)
    owner = noise.integers(-1, 2, count)
    groups = noise.integers(0, 2, cells) if noise.random() < 0.3 else np.zeros(cells, dtype=int)
    eligible = np.array([groups == 0, np.ones(cells, dtype=bool)])
    kind = np.where(eligible[0][np.array(home, dtype=int)], noise.integers(0, 2, count), 1)
    if halves:
        eligible[:, 1::2] = eligible[:, 0::2]
        kind = np.where(eligible[0][np.array(home, dtype=int)], kind, 1)
    return make_instance(
        resources=("gpu", "memory"),
        capacity=capacity.astype(np.int64),
        cell_host=cell_host.astype(np.int64),
        requests=np.array(requests, dtype=np.int64).reshape(count, 2),
        wide=np.array(wide, dtype=np.bool_),
        home=np.array(home, dtype=np.int64),
        movable=noise.random(count) < 0.9,
        kind=kind.astype(np.int64),
        eligible=eligible.astype(np.bool_),
        price=noise.choice([0.0, 0.0, 0.5], count),
        owner=owner.astype(np.int64),
        owner_room=np.array([1, 2], dtype=np.int64),
        limits=_limits(noise, cell_host, np.array(home, dtype=int)),
        holes=_holes(noise, cells),
        max_moves=int(noise.integers(0, 4)),
        host_worth=noise.choice([0.0, 1.0], hosts),
        held=noise.random(hosts) < 0.2,
        domain=(np.arange(hosts) // 2).astype(np.int64),
        domain_worth=noise.choice([0.0, 2.0], (hosts + 1) // 2),
    )


def _holes(noise: np.random.Generator, cells: int) -> tuple[Hole, ...]:
    large = Hole("large", np.array([8, 0]), 2.0)
    small = Hole("small", np.array([4, int(noise.integers(0, 4))]), 1.0, noise.random(cells) < 0.8)
    return (large, small) if noise.random() < 0.5 else (large,)


def _limits(
    noise: np.random.Generator, cell_host: np.ndarray, home: np.ndarray
) -> tuple[Limit, ...]:
    members = np.flatnonzero(noise.random(len(home)) < 0.5)
    if len(members) < 2 or noise.random() < 0.5:
        return ()
    hosts = int(cell_host[-1]) + 1
    today = np.bincount(cell_host[home[members]], minlength=hosts)
    room = np.maximum(today, 1).astype(np.int64)
    return (Limit("apart", members.astype(np.int64), cell_host.astype(np.int64), room),)


def best_net_by_force(instance: Instance) -> float:
    """Return the best worth less prices over all places that moves can lead to, one by one."""
    best = judge_worth(instance, [])
    options = [
        range(len(instance.capacity)) if instance.movable[item] else (int(instance.home[item]),)
        for item in range(len(instance.items))
    ]
    for places in product(*options):
        moves = [(i, c) for i, c in enumerate(places) if c != instance.home[i]]
        if len(moves) > instance.max_moves:
            continue
        net = judge_worth(instance, moves) - sum(float(instance.price[i]) for i, _ in moves)
        if net > best and _can_be_ordered(instance, moves):
            best = net
    return best


def _can_be_ordered(instance: Instance, moves: list[tuple[int, int]]) -> bool:
    done: list[tuple[int, int]] = []
    waiting = list(moves)
    while waiting:
        ready = next((m for m in waiting if not find_violations(instance, [*done, m])), None)
        if ready is None:
            return False
        done.append(ready)
        waiting.remove(ready)
    return True


@TINY
@given(instances())
def test_an_answer_is_allowed_step_by_step_and_as_good_as_brute_force(instance: Instance) -> None:
    solution = solve(instance, Params(deadline_s=0.15, seed=1))
    moves = [(move.item, move.target) for move in solution.moves]
    best = best_net_by_force(instance)
    reached = solution.worth - sum(move.price for move in solution.moves)

    assert find_violations(instance, moves) == ()
    assert abs(judge_worth(instance, moves) - solution.worth) < 1e-9
    assert reached <= best + 1e-9
    assert best <= solution.bound + 1e-9
    assert abs(reached - best) < 1e-9, (reached, best)
    assert not solution.proven or abs(reached - best) < 1e-9


@TINY
@given(instances(most_items=5))
def test_no_allowed_moves_are_worth_more_than_the_bound(instance: Instance) -> None:
    best = best_net_by_force(instance)
    for rounds in (1, 5, 60):
        assert best <= bound_worth(instance, rounds=rounds, target=best).worth + 1e-6


@TINY
@given(instances(most_items=12, most_hosts=4))
def test_gains_of_single_moves_are_exact(instance: Instance) -> None:
    items = np.arange(len(instance.items))
    table = move_gains(instance, instance.home, items)
    now = worth_of(instance, instance.home)
    for item, cell in product(items.tolist(), range(len(instance.capacity))):
        moved = instance.home.copy()
        moved[item] = cell
        if np.isfinite(table[item, cell]):
            gain = judge_worth(instance, [(item, cell)]) - now - float(instance.price[item])
            assert abs(table[item, cell] - gain) < 1e-9
        elif instance.movable[item] and cell != instance.home[item]:
            faults = find_violations(instance, [(item, cell)])
            assert faults or instance.max_moves == 0


@TINY
@given(instances(most_items=10, most_hosts=4))
def test_gains_of_swaps_are_exact(instance: Instance) -> None:
    items = np.arange(len(instance.items))
    table = swap_gains(instance, instance.home, items)
    now = worth_of(instance, instance.home)
    for left, right in product(items.tolist(), items.tolist()):
        swapped = instance.home.copy()
        swapped[[left, right]] = swapped[[right, left]]
        if np.isfinite(table[left, right]):
            fee = float(instance.price[left] + instance.price[right])
            assert abs(table[left, right] - (worth_of(instance, swapped) - now - fee)) < 1e-9
            assert (instance.free(swapped) >= 0).all()


@TINY
@given(instances(most_items=12, most_hosts=4))
def test_greedy_gains_with_every_move_and_breaks_nothing(instance: Instance) -> None:
    moves = improve_greedily(instance)
    assert find_violations(instance, moves) == ()
    places, net = instance.home.copy(), net_worth_of(instance, instance.home)
    for item, target in moves:
        places[item] = target
        after = net_worth_of(instance, places)
        assert after > net
        net = after


@TINY
@given(instances(most_items=7, most_hosts=4), st.data())
def test_whole_groups_fall_away_and_the_rest_finds_room_and_wins_its_part(
    instance: Instance, data: st.DataObject
) -> None:
    solution = solve(replace(instance, max_moves=6), Params(deadline_s=0.1, seed=2))
    moves = [(move.item, move.target) for move in solution.moves]
    groups = group_moves(instance, [item for item, _ in moves], solution.places)
    assert sorted(set(groups)) == list(range(len(set(groups))))
    now = judge_worth(instance, [])
    wins = {
        group: judge_worth(instance, [m for m, g in zip(moves, groups, strict=True) if g == group])
        - now
        for group in set(groups)
    }
    kept = {group for group in wins if data.draw(st.booleans())}
    left = [move for move, group in zip(moves, groups, strict=True) if group in kept]
    assert find_violations(replace(instance, max_moves=6), left) == ()
    won = judge_worth(instance, left) - now
    assert abs(won - sum(wins[group] for group in kept)) < 1e-9
