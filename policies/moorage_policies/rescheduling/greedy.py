"""The best single move, again and again: the yardstick, and what anybody would try first."""

from __future__ import annotations

import numpy as np

from moorage_policies.rescheduling.instance import Instance
from moorage_policies.rescheduling.objective import move_gains
from moorage_policies.types import IntArray

TINY = 1e-9


def improve_greedily(instance: Instance, *, most: int | None = None) -> list[tuple[int, int]]:
    """Return items and their targets in order, each the best single move at its turn.

    It ends when no single move gains. An item moves once. Limits and workloads' budgets hold.

    Args:
        instance: the problem.
        most: most moves; ``None`` means the instance's own limit.
    """
    places, moves = instance.home.copy(), list[tuple[int, int]]()
    items = np.flatnonzero(instance.movable)
    table = np.full((len(items), len(instance.capacity)), -np.inf)
    _refresh(instance, places, items, table, set(range(len(instance.hosts))))
    rows_done = list[int]()
    while len(moves) < (instance.max_moves if most is None else most):
        picked = _best_allowed(instance, places, items, table)
        if picked is None:
            break
        row, target = picked
        item = int(items[row])
        touched = {int(instance.cell_host[places[item]]), int(instance.cell_host[target])}
        places[item] = target
        moves.append((item, target))
        _refresh(instance, places, items, table, touched)
        rows_done.append(row)
        table[rows_done] = -np.inf
    return moves


def _best_allowed(
    instance: Instance, places: IntArray, items: IntArray, table: np.ndarray
) -> tuple[int, int] | None:
    while table.size:
        row, target = divmod(int(table.argmax()), table.shape[1])
        if table[row, target] <= TINY:
            return None
        if is_allowed(instance, places, int(items[row]), target):
            return row, target
        table[row, target] = -np.inf
    return None


def _refresh(
    instance: Instance,
    places: IntArray,
    items: IntArray,
    table: np.ndarray,
    touched: set[int],
) -> None:
    """Compute anew what the last move changed: items of the touched hosts, all targets there."""
    hosts = np.array(sorted(touched))
    near = np.isin(instance.cell_host[places[items]], hosts)
    for rows, cells in (
        (np.flatnonzero(near), np.ones(table.shape[1], dtype=np.bool_)),
        (np.flatnonzero(~near), np.isin(instance.cell_host, hosts)),
    ):
        if not len(rows):
            continue
        chosen = items[rows]
        alike = np.column_stack(
            [
                instance.requests[chosen],
                instance.wide[chosen],
                instance.kind[chosen],
                places[chosen],
            ]
        )
        _, first, same = np.unique(alike, axis=0, return_index=True, return_inverse=True)
        gains = move_gains(instance, places, chosen[first])[:, cells]
        fee = instance.price[chosen] - instance.price[chosen[first]][same.reshape(-1)]
        table[np.ix_(rows, cells)] = gains[same.reshape(-1)] - fee[:, None]


def is_allowed(instance: Instance, places: IntArray, item: int, target: int) -> bool:
    """Return whether limits and the workload's budget let the item go there now."""
    owner = int(instance.owner[item])
    if owner >= 0:
        gone = int(((places != instance.home) & (instance.owner == owner)).sum())
        if gone >= int(instance.owner_room[owner]):
            return False
    for limit in instance.limits:
        domain = int(limit.domain[target])
        if domain < 0 or item not in limit.members:
            continue
        if int((limit.domain[places[limit.members]] == domain).sum()) >= int(limit.room[domain]):
            return False
    return True
