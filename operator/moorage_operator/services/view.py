"""The cluster as the operator sees it: fed by watches, read by reconciles, it wakes pools."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from moorage_crds.names import DEPLOYMENTS
from moorage_operator.children import Child
from moorage_operator.services.facts import PoolFacts
from moorage_operator.services.plan_book import PlanBook
from moorage_operator.services.pool_pods import PoolKey, PoolPods
from moorage_operator.services.scaling_note import ScalingNote
from moorage_operator.services.surroundings import Surroundings
from moorage_policies.ports import Reporter
from moorage_policies.state.state import ClusterState


class Wake(Protocol):
    """Lets a pool be reconciled soon."""

    def __call__(self, key: PoolKey, *, after_s: float = 0.0, urgent: bool = False) -> None:
        """Wake a pool, in ``after_s`` at the earliest; ``urgent`` when its own spec changed."""
        ...


@dataclass(frozen=True, slots=True)
class PoolRecord:
    """A pool as last heard of: its whole body, and what is asked of it without decoding."""

    key: PoolKey
    uid: str
    resource_version: int
    generation: int
    is_terminating: bool
    body: bytes


class ClusterView:
    """Pools, what they own, their pods and their surroundings.

    Args:
        wake: called for every change that a pool may have to answer.
        wake_plan: called for every change that a plan may have to answer.
        reporter: hears of objects that cannot be read.
        pods_settle_s: how long a change of a pod waits for others to join it: pods of one workload
            come and go together, and each look may write a status.
    """

    def __init__(
        self,
        wake: Wake,
        reporter: Reporter,
        wake_plan: Callable[[str], None] = lambda _: None,
        *,
        pods_settle_s: float = 0.0,
    ) -> None:
        self._wake = wake
        self._pods_settle_s = pods_settle_s
        self._pools: dict[PoolKey, PoolRecord] = {}
        self._children: dict[PoolKey, dict[tuple[str, str], Child]] = {}
        self._labelled: dict[tuple[str, str, str], PoolKey] = {}
        self._state = ClusterState()
        self.surroundings = Surroundings(self._state, self._wake_unsettled, self.wake_all, reporter)
        self.plans = PlanBook(wake_plan, self._wake_workload)
        self.pods = PoolPods(self._state, self._wake_for_pods, self._wake_unsettled, reporter)
        self.scaling: dict[PoolKey, ScalingNote] = {}
        """What scaling has to say of pools, for their statuses."""
        self.unsettled: set[PoolKey] = set()
        """Pools that lack something: a change of nodes, room or classes may help them."""

    def pool(self, key: PoolKey) -> PoolRecord | None:
        """Return a pool, ``None`` when there is none."""
        return self._pools.get(key)

    def pools(self) -> Mapping[PoolKey, PoolRecord]:
        """Return all pools."""
        return self._pools

    def children(self) -> Iterable[Child]:
        """Return everything that bears the label of any pool."""
        return [child for held in self._children.values() for child in held.values()]

    def put_pool(self, record: PoolRecord, *, wake: bool = True) -> None:
        """Take note of a pool; an older revision of the same pool is ignored."""
        key = record.key
        old = self._pools.get(key)
        is_new = old is None or old.uid != record.uid
        if old is not None and not is_new and record.resource_version <= old.resource_version:
            return
        self._pools[key] = record
        if wake:
            self._wake(key, urgent=old is None or is_new or old.generation != record.generation)

    def drop_pool(self, key: PoolKey, uid: str) -> None:
        """Forget a pool that is gone, unless another of its name took its place."""
        record = self._pools.get(key)
        if record is not None and record.uid == uid:
            del self._pools[key]
            self.unsettled.discard(key)
            self.scaling.pop(key, None)
            self._wake(key)

    def put_child(self, child: Child, *, wake: bool = True) -> None:
        """Take note of a child; an older revision of the same object is ignored."""
        place = (child.resource.kind, child.namespace, child.name)
        home = self._labelled.get(place, child.pool)
        old = self._children.get(home, {}).get(child.key)
        if old is not None and old.uid == child.uid:
            if child.resource_version <= old.resource_version:
                return
            wake = wake and replace(old, resource_version=0) != replace(child, resource_version=0)
        if home != child.pool and old is not None:
            self.drop_child(old)  # somebody relabelled it: its pool has to know
        self._children.setdefault(child.pool, {})[child.key] = child
        self._labelled[place] = child.pool
        if wake:
            self._wake(child.pool)

    def drop_child(self, child: Child) -> None:
        """Forget a child that is gone, unless another of its name took its place."""
        place = (child.resource.kind, child.namespace, child.name)
        home = self._labelled.get(place, child.pool)
        siblings = self._children.get(home, {})
        held = siblings.get(child.key)
        if held is None or held.uid != child.uid:
            return
        del siblings[child.key], self._labelled[place]
        if not siblings:
            del self._children[home]
        self._wake(home)

    def list_children(self, kind: str, children: Iterable[Child]) -> None:
        """Take a whole list of one kind: what it does not name is gone."""
        listed = {child.uid: child for child in children}
        for child in self.children():
            if child.resource.kind == kind and child.uid not in listed:
                self.drop_child(child)
        for child in listed.values():
            self.put_child(child)

    def facts(self, key: PoolKey, *, now_s: float, patience_s: float) -> PoolFacts:
        """Return everything that a reconcile of the pool looks at."""
        pods = self.pods.of(key)
        return PoolFacts(
            children=dict(self._children.get(key, {})),
            pods=pods,
            refusals=self.pods.refusals_of(pods),
            snapshot=self._state.snapshot(),
            catalog=self.surroundings.catalog,
            priority_classes=self.surroundings.priority_classes,
            serves_groups=self.surroundings.serves_groups,
            now_s=now_s,
            patience_s=patience_s,
            surges=self.plans.surges_in(key[0]),
            scaling=self.scaling.get(key),
        )

    def note_scaling(self, key: PoolKey, note: ScalingNote) -> None:
        """Take what scaling has to say; a pool whose status says it already is not woken."""
        if self.scaling.get(key) != note:
            self.scaling[key] = note
            self._wake(key)

    def workload(self, namespace: str, name: str) -> Child | None:
        """Return a pool's Deployment of this name, ``None`` when no pool has one."""
        key = self._labelled.get((DEPLOYMENTS.kind, namespace, name))
        return self._children[key].get((DEPLOYMENTS.kind, name)) if key else None

    def _wake_workload(self, namespace: str, name: str) -> None:
        child = self.workload(namespace, name)
        if child is not None:
            self._wake(child.pool, urgent=True)

    def wake_all(self) -> None:
        """Wake every pool."""
        for key in self._pools:
            self._wake(key)

    def _wake_for_pods(self, key: PoolKey) -> None:
        self._wake(key, after_s=self._pods_settle_s)

    def _wake_unsettled(self) -> None:
        for key in self.unsettled:
            self._wake(key)
