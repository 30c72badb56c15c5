"""An independent judge of placements: plain loops over the instance, no code of the solver."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from moorage_policies.packing.instance import Attraction, Gang, Instance, Spread
from moorage_policies.types import IntArray


def find_violations(instance: Instance, placement: IntArray) -> tuple[str, ...]:
    """Return every broken rule in words; empty means that the placement may be carried out.

    Args:
        instance: the problem.
        placement: node row per pod, -1 for none, shape ``(pods,)``.
    """
    where = [int(node) for node in placement]
    if len(where) != len(instance.pods):
        return (f"{len(where)} placements for {len(instance.pods)} pods",)
    if any(not -1 <= node < len(instance.nodes) for node in where):
        return ("a pod is on a node that does not exist",)
    return (
        *_single_pods(instance, where),
        *_rooms(instance, where),
        *_gangs(instance, where),
        *_limits(instance, where),
        *_conflicts(instance, where),
        *_spreads(instance, where),
        *_attractions(instance, where),
        *_budgets(instance, where),
        *_evictions(instance, where),
    )


def is_not_below(instance: Instance, placement: IntArray) -> bool:
    """Return whether the placed pods by tier are lexicographically at least today's."""
    today, then = Counter[int](), Counter[int]()
    for pod, priority in enumerate(instance.priority):
        today[int(priority)] += int(instance.current[pod]) >= 0
        then[int(priority)] += int(placement[pod]) >= 0
    order = sorted(today, reverse=True)
    return [then[p] for p in order] >= [today[p] for p in order]


def _single_pods(instance: Instance, where: list[int]) -> Iterator[str]:
    for pod, node in enumerate(where):
        name, here = instance.pods[pod], int(instance.current[pod])
        if node == here:
            continue
        if node < 0:
            if not instance.evictable[pod]:
                yield f"{name} must not be evicted"
            continue
        if here >= 0 and not instance.movable[pod]:
            yield f"{name} must not be moved"
        if not instance.eligible[instance.kind[pod]][node]:
            yield f"{name} is not accepted by {instance.nodes[node]}"


def _rooms(instance: Instance, where: list[int]) -> Iterator[str]:
    for column, resource in enumerate(instance.resources):
        used = [0] * len(instance.nodes)
        for pod, node in enumerate(where):
            if node >= 0:
                used[node] += int(instance.requests[pod][column])
        for node, amount in enumerate(used):
            if amount > int(instance.capacity[node][column]):
                yield f"{instance.nodes[node]} is given {amount} {resource}, more than it has"


def _gangs(instance: Instance, where: list[int]) -> Iterator[str]:
    for gang in instance.gangs:
        nodes = [where[pod] for pod in gang.members]
        if any(node < 0 for node in nodes):
            if any(node >= 0 for node in nodes):
                yield f"gang {gang.name} is placed in part"
        elif not _is_together(gang, nodes):
            yield f"gang {gang.name} is not in one domain"


def _is_together(gang: Gang, nodes: list[int]) -> bool:
    if gang.domain is None:
        return True
    domains = {int(gang.domain[node]) for node in nodes}
    return len(domains) <= 1 and -1 not in domains


def _limits(instance: Instance, where: list[int]) -> Iterator[str]:
    for limit in instance.limits:
        inside = Counter(int(limit.domain[where[pod]]) for pod in limit.members if where[pod] >= 0)
        for domain, count in inside.items():
            if domain >= 0 and count > int(limit.room[domain]):
                yield f"limit {limit.name}: {count} pods in domain {domain}"


def _conflicts(instance: Instance, where: list[int]) -> Iterator[str]:
    for conflict in instance.conflicts:
        left = {int(conflict.domain[where[pod]]): pod for pod in conflict.left if where[pod] >= 0}
        for pod in conflict.right:
            if where[pod] < 0:
                continue
            domain = int(conflict.domain[where[pod]])
            if domain >= 0 and domain in left:
                other = instance.pods[left[domain]]
                yield f"conflict {conflict.name}: {instance.pods[pod]} beside {other}"


def _spreads(instance: Instance, where: list[int]) -> Iterator[str]:
    for spread in instance.spreads:
        counts = [int(count) for count in spread.base]
        for pod in spread.members:
            if where[pod] >= 0 and spread.domain[where[pod]] >= 0:
                counts[int(spread.domain[where[pod]])] += 1
        yield from _skews(instance, spread, where, counts)


def _skews(
    instance: Instance, spread: Spread, where: list[int], counts: list[int]
) -> Iterator[str]:
    least = min(counts) if len(counts) >= spread.min_domains else 0
    for pod in spread.subjects:
        node = where[pod]
        if node < 0 or node == int(instance.current[pod]):
            continue
        domain = int(spread.domain[node])
        if domain < 0 or counts[domain] - least > spread.max_skew:
            yield f"spread {spread.name}: {instance.pods[pod]} on {instance.nodes[node]}"


def _attractions(instance: Instance, where: list[int]) -> Iterator[str]:
    for attraction in instance.attractions:
        for pod in attraction.subjects:
            node = where[pod]
            if node < 0 or node == int(instance.current[pod]):
                continue
            if not _is_drawn(attraction, int(pod), where):
                yield f"affinity {attraction.name}: {instance.pods[pod]} is alone"


def _is_drawn(attraction: Attraction, pod: int, where: list[int]) -> bool:
    domain = int(attraction.domain[where[pod]])
    if domain < 0:
        return False
    others = [int(other) for other in attraction.targets if other != pod and where[other] >= 0]
    if attraction.present[domain] or any(
        int(attraction.domain[where[other]]) == domain for other in others
    ):
        return True
    return attraction.self_match and not others and not attraction.present.any()


def _budgets(instance: Instance, where: list[int]) -> Iterator[str]:
    for budget in instance.budgets:
        left = sum(
            int(instance.current[pod]) >= 0 and where[pod] != int(instance.current[pod])
            for pod in budget.members
        )
        if left > budget.allowed:
            yield f"budget {budget.name}: {left} pods leave, {budget.allowed} may"


def _evictions(instance: Instance, where: list[int]) -> Iterator[str]:
    if instance.same_tier_eviction:
        return
    gained = [
        int(instance.priority[pod])
        for pod, node in enumerate(where)
        if node >= 0 and int(instance.current[pod]) < 0
    ]
    top = max(gained, default=None)
    for pod, node in enumerate(where):
        if node >= 0 or int(instance.current[pod]) < 0:
            continue
        if top is None or top <= int(instance.priority[pod]):
            yield f"{instance.pods[pod]} is evicted, and no pod of higher priority is placed for it"
