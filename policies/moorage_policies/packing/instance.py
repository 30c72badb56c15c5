"""The packing problem as arrays: pods, nodes, who may go where, and what must hold together.

Everything that looks at a node alone (labels, taints, cordons, pods that cannot change) is folded
into ``eligible`` and ``capacity`` before the solver sees it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from moorage_policies.errors import BadInputError
from moorage_policies.types import BoolArray, IntArray

UNPLACED = -1


@dataclass(frozen=True, slots=True)
class Gang:
    """Pods that are placed all or not at all, in one topology domain if ``domain`` is given.

    ``domain`` maps each node to its domain, shape ``(nodes,)``; -1 means that the node has none and
    takes no member.
    """

    name: str
    members: IntArray
    domain: IntArray | None = None


@dataclass(frozen=True, slots=True)
class Limit:
    """At most ``room[d]`` of ``members`` in domain ``d``: a pod anti-affinity with itself.

    ``domain`` has shape ``(nodes,)``; nodes with -1 are not limited.
    """

    name: str
    members: IntArray
    domain: IntArray
    room: IntArray


@dataclass(frozen=True, slots=True)
class Conflict:
    """No pod of ``left`` may share a domain with one of ``right``."""

    name: str
    left: IntArray
    right: IntArray
    domain: IntArray


@dataclass(frozen=True, slots=True)
class Spread:
    """A hard topology spread: where a ``subject`` arrives, the skew stays within ``max_skew``.

    ``members`` are counted; ``base`` counts the pods that cannot change, shape ``(domains,)``. The
    smallest count is taken over all domains, and is 0 while fewer than ``min_domains`` exist.
    """

    name: str
    subjects: IntArray
    members: IntArray
    domain: IntArray
    base: IntArray
    max_skew: int
    min_domains: int = 1


@dataclass(frozen=True, slots=True)
class Attraction:
    """A required pod affinity: a ``subject`` arrives only beside a target.

    ``present[d]`` tells that a pod which cannot change already draws to domain ``d``. With
    ``self_match`` the first subject may open a domain when no target is placed anywhere.
    """

    name: str
    subjects: IntArray
    targets: IntArray
    domain: IntArray
    present: BoolArray
    self_match: bool = False


@dataclass(frozen=True, slots=True)
class Budget:
    """At most ``allowed`` of ``members`` may leave their node, moved or evicted."""

    name: str
    members: IntArray
    allowed: int


@dataclass(frozen=True, slots=True)
class Instance:
    """One packing problem.

    Attributes:
        resources: names of the columns.
        nodes: node names.
        capacity: room per node for the pods below, shape ``(nodes, resources)``.
        node_class: accelerator class (or any name) of each node, for relaxations.
        pods: pod ids.
        requests: shape ``(pods, resources)``.
        priority: Kubernetes priority, shape ``(pods,)``; higher is more important.
        current: node row today, -1 while pending, shape ``(pods,)``.
        movable: may run on another node afterwards.
        evictable: may end without a node though it runs today.
        move_cost: cost of a move, at least 1.
        evict_cost: cost of an eviction, at least 1.
        kind: row of ``eligible``, shape ``(pods,)``.
        eligible: which nodes accept the kind, shape ``(kinds, nodes)``. Today's node is always
            acceptable to the pod that runs there.
        same_tier_eviction: whether a running pod may make room for an equal.
    """

    resources: tuple[str, ...]
    nodes: tuple[str, ...]
    capacity: IntArray
    pods: tuple[str, ...]
    requests: IntArray
    priority: IntArray
    current: IntArray
    movable: BoolArray
    evictable: BoolArray
    move_cost: IntArray
    evict_cost: IntArray
    kind: IntArray
    eligible: BoolArray
    node_class: tuple[str, ...] = ()
    gangs: tuple[Gang, ...] = ()
    limits: tuple[Limit, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    spreads: tuple[Spread, ...] = ()
    attractions: tuple[Attraction, ...] = ()
    budgets: tuple[Budget, ...] = ()
    same_tier_eviction: bool = False
    tiers: tuple[int, ...] = field(init=False)
    tier: IntArray = field(init=False)

    def __post_init__(self) -> None:
        """Check the shapes and derive the tiers, most important first."""
        _check_shapes(self)
        values = np.unique(self.priority)[::-1]
        object.__setattr__(self, "tiers", tuple(int(value) for value in values))
        rank = np.searchsorted(-values, -self.priority)
        object.__setattr__(self, "tier", rank.astype(np.int64))

    @property
    def running(self) -> BoolArray:
        """Return which pods have a node today, shape ``(pods,)``."""
        return self.current >= 0

    def accepts(self, pod: int) -> BoolArray:
        """Return which nodes may hold the pod, room aside, shape ``(nodes,)``."""
        mask: BoolArray = self.eligible[self.kind[pod]].copy()
        here = int(self.current[pod])
        if here >= 0:
            mask &= bool(self.movable[pod])
            mask[here] = True
        return mask

    def entangled(self) -> BoolArray:
        """Return which pods are tied to others by more than room, limits and budgets."""
        mask = np.zeros(len(self.pods), dtype=np.bool_)
        for gang in self.gangs:
            mask[gang.members] = True
        for conflict in self.conflicts:
            mask[conflict.left] = True
            mask[conflict.right] = True
        for spread in self.spreads:
            mask[spread.subjects] = True
            mask[spread.members] = True
        for attraction in self.attractions:
            mask[attraction.subjects] = True
            mask[attraction.targets] = True
        return mask

    def free(self, placement: IntArray) -> IntArray:
        """Return the room left under a placement, shape ``(nodes, resources)``."""
        room = self.capacity.copy()
        placed = placement >= 0
        np.subtract.at(room, placement[placed], self.requests[placed])
        return room


def make_instance(
    *,
    capacity: IntArray,
    requests: IntArray,
    priority: IntArray,
    current: IntArray,
    resources: tuple[str, ...] = ("cpu", "memory"),
    same_tier_eviction: bool = False,
    move_cost: int = 2,
    evict_cost: int = 3,
) -> Instance:
    """Return an instance without labels, taints or ties: every pod may go anywhere."""
    pods, nodes = len(requests), len(capacity)
    return Instance(
        resources=resources,
        nodes=tuple(f"node-{row:05d}" for row in range(nodes)),
        capacity=np.asarray(capacity, dtype=np.int64),
        pods=tuple(f"pod-{row:05d}" for row in range(pods)),
        requests=np.asarray(requests, dtype=np.int64),
        priority=np.asarray(priority, dtype=np.int64),
        current=np.asarray(current, dtype=np.int64),
        movable=np.ones(pods, dtype=np.bool_),
        evictable=np.ones(pods, dtype=np.bool_),
        move_cost=np.full(pods, move_cost, dtype=np.int64),
        evict_cost=np.full(pods, evict_cost, dtype=np.int64),
        kind=np.zeros(pods, dtype=np.int64),
        eligible=np.ones((1, nodes), dtype=np.bool_),
        same_tier_eviction=same_tier_eviction,
    )


def _check_shapes(instance: Instance) -> None:
    nodes, pods, columns = len(instance.nodes), len(instance.pods), len(instance.resources)
    expected = {
        "capacity": (nodes, columns),
        "requests": (pods, columns),
        "priority": (pods,),
        "current": (pods,),
        "movable": (pods,),
        "evictable": (pods,),
        "move_cost": (pods,),
        "evict_cost": (pods,),
        "kind": (pods,),
    }
    for name, shape in expected.items():
        if getattr(instance, name).shape != shape:
            raise BadInputError(f"must have shape {shape}", field=name)
    if instance.eligible.ndim != 2 or instance.eligible.shape[1] != nodes:  # noqa: PLR2004
        raise BadInputError(f"must have shape (kinds, {nodes})", field="eligible")
    if (instance.requests < 0).any():
        raise BadInputError("must not be negative", field="requests")
    if pods and (instance.current.max() >= nodes or instance.current.min() < UNPLACED):
        raise BadInputError("must be a node row or -1", field="current")
    if (instance.free(instance.current) < 0).any():
        row = int((instance.free(instance.current) < 0).any(axis=1).argmax())
        raise BadInputError(
            f"node {instance.nodes[row]} holds more than it has room for; "
            "pin its pods and take it out of the instance",
            field="capacity",
        )
