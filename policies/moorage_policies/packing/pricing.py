"""The best filling of one node for given prices: depth-first branch and bound, compiled."""

from __future__ import annotations

import numpy as np

from moorage_policies.packing.compiled import compiled
from moorage_policies.types import FloatArray, IntArray


@compiled
def fill_node(  # noqa: C901, PLR0912 - one depth-first loop, compiled
    requests: IntArray,
    available: IntArray,
    prices: FloatArray,
    capacity: IntArray,
    visits: int,
    filling: IntArray,
) -> tuple[float, float]:
    """Return the value of the best filling found and an upper bound on the best there is.

    Both are equal when the search ended within ``visits``. ``filling`` receives the count per
    group.

    Args:
        requests: per group, shape ``(groups, resources)``, groups in falling price per size.
        available: how many pods each group has, shape ``(groups,)``.
        prices: value of one pod, shape ``(groups,)``, positive.
        capacity: room of the node, shape ``(resources,)``.
        visits: how many branches may be tried.
        filling: output, shape ``(groups,)``.
    """
    groups, columns = requests.shape
    size = np.zeros(groups)
    for group in range(groups):
        for column in range(columns):
            if capacity[column] > 0:
                size[group] += requests[group, column] / capacity[column]
    whole = 0.0
    for column in range(columns):
        if capacity[column] > 0:
            whole += 1.0
    ratio = np.zeros(groups + 1)  # best price per size from this group on
    for group in range(groups - 1, -1, -1):
        own = prices[group] / size[group] if size[group] > 0 else 1e18
        ratio[group] = max(ratio[group + 1], own)
    count = np.zeros(groups, dtype=np.int64)
    room = capacity.copy()
    left = np.empty(groups + 1)
    left[0] = whole
    value = 0.0
    best = 0.0
    tried = 0
    group = 0
    while True:
        # Down: take as many as fit of each following group while the bound allows better.
        while group < groups and value + ratio[group] * left[group] > best + 1e-9:
            most = available[group]
            for column in range(columns):
                if requests[group, column] > 0:
                    most = min(most, room[column] // requests[group, column])
            count[group] = most
            for column in range(columns):
                room[column] -= most * requests[group, column]
            value += most * prices[group]
            left[group + 1] = left[group] - most * size[group]
            group += 1
            tried += 1
        if group == groups and value > best + 1e-9:
            best = value
            filling[:] = count
        if tried > visits:
            return best, ratio[0] * whole
        # Back: give one pod of the last taken group back.
        group -= 1
        while group >= 0 and count[group] == 0:
            group -= 1
        if group < 0:
            return best, best
        count[group] -= 1
        for column in range(columns):
            room[column] += requests[group, column]
        value -= prices[group]
        left[group + 1] = left[group] - count[group] * size[group]
        group += 1
        for later in range(group, groups):
            count[later] = 0
