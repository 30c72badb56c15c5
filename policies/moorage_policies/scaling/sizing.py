"""How many replicas a load needs, from queueing formulas."""

from __future__ import annotations

import math

from moorage_policies.errors import BadInputError


def mean_ttft_s(arrivals_per_s: float, service_s: float) -> float:
    """Return the mean time to the first token of one replica that serves one prompt at a time.

    M/D/1: ``D + R D² / (2 (1 - R D))``; infinite at and above saturation.

    Args:
        arrivals_per_s: requests per second at this replica (R).
        service_s: time that one prompt takes (D).
    """
    busy = arrivals_per_s * service_s
    if busy >= 1.0:
        return math.inf
    return service_s + arrivals_per_s * service_s**2 / (2.0 * (1.0 - busy))


def initial_replicas(arrivals_per_s: float, service_s: float, ttft_target_s: float) -> int:
    """Return the fewest replicas whose mean time to the first token keeps the target.

    Each replica is taken as an M/D/1 queue with an equal part of the requests.

    Raises:
        BadInputError: one prompt alone takes longer than the target, or a number is negative.
    """
    if not (arrivals_per_s >= 0.0 and service_s >= 0.0 and math.isfinite(arrivals_per_s)):
        raise BadInputError("arrivals and service time must be numbers that are not negative")
    slack_s = ttft_target_s - service_s
    if not slack_s > 0.0:
        raise BadInputError(
            f"a prompt takes {service_s:g} s alone, so {ttft_target_s:g} s cannot be kept; raise "
            "the target or use a faster class",
            field="sla.ttftMs",
        )
    # solved for R: the load per replica at which the wait is just the slack
    busy_at_most = 2.0 * slack_s / (service_s + 2.0 * slack_s)
    offered = arrivals_per_s * service_s
    return math.ceil(offered / busy_at_most - 1e-9)


def replicas_for_wait(load: float, service_s: float, wait_s: float, miss_ratio: float) -> int:
    """Return the fewest replicas behind one queue at which few requests wait too long.

    Erlang's C with the wait of constant service times, half of the exponential one.

    Args:
        load: offered load, replicas that would be busy on average.
        service_s: time that one request takes.
        wait_s: longest wait that is well.
        miss_ratio: part of the requests that may wait longer.
    """
    replicas = max(1, math.floor(load) + 1)
    while _late_ratio(load, replicas, service_s, wait_s) > miss_ratio:
        replicas += 1
    return replicas


def _late_ratio(load: float, replicas: int, service_s: float, wait_s: float) -> float:
    decay = math.exp(-2.0 * (replicas - load) * wait_s / service_s) if service_s else 0.0
    return _waiting_ratio(load, replicas) * decay


def _waiting_ratio(load: float, replicas: int) -> float:
    """Return Erlang's C: the part of requests that find all replicas busy."""
    blocked = 1.0
    for count in range(1, replicas + 1):
        blocked = load * blocked / (count + load * blocked)
    busy = load / replicas
    return blocked / (1.0 - busy * (1.0 - blocked))
