"""From a cluster to a packing instance: who may change, what the rest leaves, which ties bind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from moorage_policies.errors import BadInputError
from moorage_policies.matching import node_accepts
from moorage_policies.packing.instance import UNPLACED, Gang, Instance
from moorage_policies.packing.ties import build_ties, domains_of
from moorage_policies.types import PODS, BoolArray, DisruptionBudget, IntArray, Node, Pod

SYSTEM_PRIORITY = 2_000_000_000
KEPT_ALIVE = {
    "karpenter.sh/do-not-disrupt": "true",
    "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
    "moorage.dev/do-not-disrupt": "true",
}
BOUND_OWNERS = ("DaemonSet", "Node")


@dataclass(frozen=True, slots=True)
class GangMembership:
    """Which gang a pod belongs to, and the topology key that must hold all of it, if any."""

    name: str
    topology_key: str | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """What may be done to whom.

    Attributes:
        movable: whether a running pod may be moved to another node.
        evictable: whether it may end without a node.
        costs: cost of a move and of an eviction, both at least 1.
        gangs: gang of a pod, by UID.
        same_tier_eviction: whether equals may be evicted for equals.
        node_class: name of a node's class, for relaxations.
    """

    movable: Callable[[Pod], bool]
    evictable: Callable[[Pod], bool]
    costs: Callable[[Pod], tuple[int, int]] = lambda _pod: (2, 3)
    gangs: Mapping[str, GangMembership] = field(default_factory=dict)
    same_tier_eviction: bool = False
    node_class: Callable[[Node], str] = lambda _node: ""


def may_disturb(pod: Pod) -> bool:
    """Return whether a running pod may be moved or evicted at all, by who owns it and its notes."""
    if pod.owner is None or pod.owner.kind in BOUND_OWNERS or pod.priority >= SYSTEM_PRIORITY:
        return False
    return all(pod.annotations.get(key) != value for key, value in KEPT_ALIVE.items())


DEFAULT_RULES = Rules(movable=may_disturb, evictable=may_disturb)


@dataclass(frozen=True, slots=True)
class Translation:
    """An instance whose rows are these pods, and the pods that were left out with the reason."""

    instance: Instance
    pods: tuple[Pod, ...]
    nodes: tuple[Node, ...]
    unsupported: Mapping[str, str]


def from_cluster(
    nodes: Sequence[Node],
    pods: Sequence[Pod],
    budgets: Sequence[DisruptionBudget] = (),
    rules: Rules = DEFAULT_RULES,
) -> Translation:
    """Return the packing problem of a cluster.

    Pods that may not change take their room, and what they attract or repel, from the problem.
    Pods with constraints that are not modelled stay where they are or keep waiting.

    Args:
        nodes: all nodes.
        pods: all pods, bound and pending.
        budgets: disruption budgets.
        rules: what may be done to whom.
    """
    row_of = {node.name: row for row, node in enumerate(nodes)}
    alive = [pod for pod in pods if pod.phase not in ("Succeeded", "Failed")]
    strange = next((pod for pod in alive if pod.node and pod.node not in row_of), None)
    if strange is not None:
        raise BadInputError(f"{strange.key} is on unknown node {strange.node}", field="pods")
    unsupported = {pod.uid: why for pod in alive if (why := why_unsupported(pod))}
    pinned: set[str] = {pod.uid for pod in alive if _is_pinned(pod, rules, unsupported)}
    pinned |= _on_overfull_nodes(nodes, alive, row_of)
    while True:
        translated, newly = _attempt(nodes, alive, budgets, rules, pinned, unsupported)
        if not newly:
            return translated
        pinned |= newly


def why_unsupported(pod: Pod) -> str:
    """Return which constraints of a pod are not modelled, empty when all are."""
    if pod.unsupported:
        return "Unsupported: " + ", ".join(pod.unsupported)
    if pod.node is None and pod.preemption == "Never":
        return "Unsupported: preemptionPolicy Never"
    return ""


def _is_pinned(pod: Pod, rules: Rules, unsupported: Mapping[str, str]) -> bool:
    if pod.node is None:
        return False
    if pod.uid in unsupported or pod.terminating:
        return True
    return not (rules.movable(pod) or rules.evictable(pod))


def _on_overfull_nodes(
    nodes: Sequence[Node], pods: Sequence[Pod], row_of: Mapping[str, int]
) -> set[str]:
    """Return the pods of nodes that hold more than they offer: nothing is planned there."""
    load: list[dict[str, int]] = [{} for _ in nodes]
    for pod in pods:
        if pod.node:
            own = load[row_of[pod.node]]
            for name, amount in {**pod.requests, PODS: 1}.items():
                own[name] = own.get(name, 0) + amount
    full = {
        node.name
        for node, own in zip(nodes, load, strict=True)
        if any(amount > node.allocatable.get(name, 0) for name, amount in own.items() if amount)
    }
    return {pod.uid for pod in pods if pod.node in full}


def _attempt(
    nodes: Sequence[Node],
    alive: Sequence[Pod],
    budgets: Sequence[DisruptionBudget],
    rules: Rules,
    pinned: set[str],
    unsupported: Mapping[str, str],
) -> tuple[Translation, set[str]]:
    """Build the instance; return also the pods to pin because today's state breaks a rule."""
    row_of = {node.name: row for row, node in enumerate(nodes)}
    fixed = [pod for pod in alive if pod.uid in pinned]
    mine = tuple(
        pod
        for pod in alive
        if pod.uid not in pinned and not (pod.node is None and pod.uid in unsupported)
    )
    resources = tuple(sorted({PODS, *(name for pod in mine for name in pod.requests)}))
    capacity = _capacity(nodes, fixed, resources, row_of)
    current = np.array([row_of[p.node] if p.node else UNPLACED for p in mine], dtype=np.int64)
    ties = build_ties(nodes, mine, fixed, current, budgets)
    accepted = _accepted(nodes, mine) & ties.allowed
    gangs, together = _gangs(nodes, mine, current, rules.gangs)
    for row, mask in together.items():
        accepted[row] &= mask
    eligible, kind = np.unique(accepted, axis=0, return_inverse=True)
    costs = np.array([rules.costs(pod) for pod in mine], dtype=np.int64).reshape(-1, 2)
    partly = {row for gang in gangs for row in gang.members.tolist()}
    instance = Instance(
        resources=resources,
        nodes=tuple(node.name for node in nodes),
        node_class=tuple(rules.node_class(node) for node in nodes),
        capacity=capacity,
        pods=tuple(pod.uid for pod in mine),
        requests=_requests(mine, resources),
        priority=np.array([pod.priority for pod in mine], dtype=np.int64),
        current=current,
        movable=np.array([rules.movable(pod) for pod in mine], dtype=np.bool_),
        evictable=np.array(
            [
                rules.evictable(pod) and (pod.uid not in rules.gangs or row in partly)
                for row, pod in enumerate(mine)
            ],
            dtype=np.bool_,
        ),
        move_cost=costs[:, 0],
        evict_cost=costs[:, 1],
        kind=kind.reshape(-1).astype(np.int64),
        eligible=eligible if mine else np.ones((1, len(nodes)), dtype=np.bool_),
        gangs=gangs,
        limits=ties.limits,
        conflicts=ties.conflicts,
        spreads=ties.spreads,
        attractions=ties.attractions,
        budgets=ties.budgets,
        same_tier_eviction=rules.same_tier_eviction,
    )
    translation = Translation(instance, mine, tuple(nodes), dict(unsupported))
    return translation, {mine[row].uid for row in ties.broken_today}


def _capacity(
    nodes: Sequence[Node],
    fixed: Sequence[Pod],
    resources: Sequence[str],
    row_of: Mapping[str, int],
) -> IntArray:
    capacity = np.array(
        [[node.allocatable.get(name, 0) for name in resources] for node in nodes], dtype=np.int64
    ).reshape(len(nodes), len(resources))
    for pod in fixed:
        if pod.node:
            capacity[row_of[pod.node]] -= _requests([pod], resources)[0]
    return np.maximum(capacity, 0)


def _requests(pods: Sequence[Pod], resources: Sequence[str]) -> IntArray:
    table = [[1 if r == PODS else pod.requests.get(r, 0) for r in resources] for pod in pods]
    return np.array(table, dtype=np.int64).reshape(len(pods), len(resources))


def _accepted(nodes: Sequence[Node], pods: Sequence[Pod]) -> BoolArray:
    """Return which nodes accept which pods by labels, taints and cordons."""
    known: dict[object, BoolArray] = {}
    rows = []
    for pod in pods:
        terms = pod.affinity.required_node_terms
        key = (tuple(sorted(pod.node_selector.items())), terms, pod.tolerations)
        if key not in known:
            known[key] = np.array([node_accepts(pod, node) for node in nodes], dtype=np.bool_)
        rows.append(known[key])
    return np.array(rows, dtype=np.bool_).reshape(len(pods), len(nodes))


def _gangs(
    nodes: Sequence[Node],
    pods: Sequence[Pod],
    current: IntArray,
    memberships: Mapping[str, GangMembership],
) -> tuple[tuple[Gang, ...], dict[int, BoolArray]]:
    """Return gangs, and per pod where it may go since part of its gang runs already.

    A gang of which a part runs keeps that part (its pods are not in a returned gang, so they are
    not evicted), and the rest joins it in the same domain.
    """
    rows: dict[str, list[int]] = {}
    for row, pod in enumerate(pods):
        if pod.uid in memberships:
            rows.setdefault(memberships[pod.uid].name, []).append(row)
    gangs: list[Gang] = []
    together: dict[int, BoolArray] = {}
    for name, members in sorted(rows.items()):
        key = memberships[pods[members[0]].uid].topology_key
        domain = domains_of(nodes, key) if key else None
        waiting = [row for row in members if current[row] < 0]
        running = [row for row in members if current[row] >= 0]
        if waiting and running and domain is not None:
            here = np.isin(domain, domain[current[running]]) & (domain >= 0)
            together.update(dict.fromkeys(members, here))
        tied = waiting if waiting and running else members
        gangs.append(Gang(name, np.array(tied, dtype=np.int64), domain))
    return tuple(gangs), together
