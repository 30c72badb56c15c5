"""The way of the API server's news into the cluster state."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from moorage_cluster.reflector import Reflector, Source
from moorage_crds.convert import to_budget, to_node, to_pod
from moorage_crds.names import DISRUPTION_BUDGETS, NODES, PLANS, PODS, POLICIES, POOLS
from moorage_crds.objects import NodeObject, PodDisruptionBudgetObject, PodObject
from moorage_extender.hints import Hints, PoolObject
from moorage_extender.kept_room import KeptRoom, PlanObject
from moorage_extender.metrics import Metrics
from moorage_extender.planner.books import MigrationBook, PolicyBook, PolicyObject
from moorage_policies.errors import BadInputError
from moorage_policies.ports import Reporter
from moorage_policies.state import (
    ClusterState,
    NodeChanged,
    NodeDeleted,
    NodesListed,
    PodChanged,
    PodDeleted,
    PodsListed,
)
from moorage_policies.types import DisruptionBudget, Node, Pod

Wire = TypeVar("Wire")
Fact = TypeVar("Fact")

CHUNK = 25


class Budgets:
    """Disruption budgets as last told."""

    __slots__ = ("_by_key",)

    def __init__(self) -> None:
        self._by_key: dict[tuple[str, str], DisruptionBudget] = {}

    def put(self, budget: DisruptionBudget) -> None:
        """Take over a budget."""
        self._by_key[budget.namespace, budget.name] = budget

    def drop(self, namespace: str, name: str) -> None:
        """Forget a budget."""
        self._by_key.pop((namespace, name), None)

    def replace(self, budgets: Iterable[DisruptionBudget]) -> None:
        """Take over all budgets there are."""
        self._by_key = {(budget.namespace, budget.name): budget for budget in budgets}

    def current(self) -> tuple[DisruptionBudget, ...]:
        """Return all budgets."""
        return tuple(self._by_key.values())


class Feed:
    """Follows nodes, pods, disruption budgets, plans, pools and the policy.

    Args:
        source: the session to the API server.
        state: takes nodes and pods.
        budgets: takes disruption budgets.
        kept_room: takes plans; nothing waits for them, as their resource may not be installed.
        hints: takes the hints of pods and pools; nothing waits for pools either.
        migrations: takes how pools let their replicas be moved.
        policy: takes the policy; nothing waits for it either.
        metrics: counts objects that cannot be read.
        stale_after_s: seconds without news after which the feed counts as broken.
        reporter: hears what reflectors do.
    """

    def __init__(
        self,
        source: Source,
        state: ClusterState,
        budgets: Budgets,
        kept_room: KeptRoom,
        hints: Hints,
        migrations: MigrationBook,
        policy: PolicyBook,
        metrics: Metrics,
        *,
        stale_after_s: float,
        reporter: Reporter,
    ) -> None:
        self._state = state
        self._budgets = budgets
        self._hints = hints
        self._migrations = migrations
        self._metrics = metrics
        self._stale_after_s = stale_after_s
        self._nodes = Reflector(
            source,
            NODES.path(),
            NodeObject,
            on_list=self._list_nodes,
            on_change=self._change_node,
            on_delete=lambda node: state.apply(NodeDeleted(node.metadata.name)),
            reporter=reporter,
        )
        self._pods = Reflector(
            source,
            PODS.path(),
            PodObject,
            on_list=self._list_pods,
            on_change=self._change_pod,
            on_delete=lambda pod: state.apply(PodDeleted(pod.metadata.uid)),
            reporter=reporter,
        )
        self._pdbs = Reflector(
            source,
            DISRUPTION_BUDGETS.path(),
            PodDisruptionBudgetObject,
            on_list=lambda items: budgets.replace(to_budget(item) for item in items),
            on_change=lambda item: budgets.put(to_budget(item)),
            on_delete=lambda item: budgets.drop(item.metadata.namespace, item.metadata.name),
            reporter=reporter,
        )
        self._plans = Reflector(
            source,
            PLANS.path(),
            PlanObject,
            on_list=kept_room.replace,
            on_change=kept_room.put,
            on_delete=kept_room.drop,
            reporter=reporter,
        )
        self._pools = Reflector(
            source,
            POOLS.path(),
            PoolObject,
            on_list=self._list_pools,
            on_change=self._change_pool,
            on_delete=self._drop_pool,
            reporter=reporter,
        )
        self._needed: Mapping[str, Reflector[Any]] = {
            "nodes": self._nodes,
            "pods": self._pods,
            "poddisruptionbudgets": self._pdbs,
        }
        self._policies = Reflector(
            source,
            POLICIES.path(),
            PolicyObject,
            on_list=policy.replace,
            on_change=policy.put,
            on_delete=policy.drop,
            reporter=reporter,
        )
        optional = {
            "placementplans": self._plans.age_s,
            "gpuinferencepools": self._pools.age_s,
            "placementpolicies": self._policies.age_s,
        }
        for kind, age_s in {**self.ages_s(), **optional}.items():
            metrics.watch(
                "moorage_extender_cache_age_seconds",
                "Seconds since the API server last had news of a kind.",
                age_s,
                kind=kind,
            )

    def ages_s(self) -> dict[str, Callable[[], float]]:
        """Return per kind a function that tells the seconds since the last news."""
        return {kind: reflector.age_s for kind, reflector in self._needed.items()}

    def why_not_ready(self) -> str:
        """Return what is missing before decisions rest on facts, empty when nothing is."""
        for kind, reflector in self._needed.items():
            if reflector.age_s() >= self._stale_after_s:
                return f"{kind} {reflector.why_stale()}"
        return ""

    def is_listed(self) -> bool:
        """Return whether every kind has been listed once."""
        return all(reflector.synced.is_set() for reflector in self._needed.values())

    async def run(self) -> None:
        """Follow until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for reflector in (
                self._nodes,
                self._pods,
                self._pdbs,
                self._plans,
                self._pools,
                self._policies,
            ):
                tasks.create_task(reflector.run())

    async def wait_listed(self) -> None:
        """Return when every kind has been listed once."""
        for reflector in self._needed.values():
            await reflector.synced.wait()

    async def _list_nodes(self, items: list[NodeObject]) -> None:
        nodes: list[Node] = []
        await _breathing(self._collect(items, to_node, nodes, "nodes"))
        await _breathing(self._state.apply_in_steps(NodesListed(tuple(nodes)), CHUNK))

    async def _list_pods(self, items: list[PodObject]) -> None:
        pods: list[Pod] = []
        await _breathing(self._collect(items, to_pod, pods, "pods"))
        for pod in pods:
            self._notice_hint(pod)
        await _breathing(self._state.apply_in_steps(PodsListed(tuple(pods)), CHUNK))

    def _list_pools(self, items: list[PoolObject]) -> None:
        self._hints.list_pools(items)
        self._migrations.replace(items)

    def _change_pool(self, item: PoolObject) -> None:
        self._hints.put_pool(item)
        self._migrations.put(item)

    def _drop_pool(self, item: PoolObject) -> None:
        self._hints.drop_pool(item)
        self._migrations.drop(item)

    def _collect(
        self, items: list[Wire], convert: Callable[[Wire], Fact], into: list[Fact], kind: str
    ) -> Iterator[None]:
        for done, item in enumerate(items, 1):
            fact = self._converted(item, convert, kind)
            if fact is not None:
                into.append(fact)
            if done % CHUNK == 0:
                yield

    def _change_node(self, item: NodeObject) -> None:
        node = self._converted(item, to_node, "nodes")
        if node is not None:
            self._state.apply(NodeChanged(node))

    def _change_pod(self, item: PodObject) -> None:
        pod = self._converted(item, to_pod, "pods")
        if pod is not None:
            self._state.apply(PodChanged(pod))
            self._notice_hint(pod)

    def _notice_hint(self, pod: Pod) -> None:
        if pod.node is None:
            self._hints.notice(pod)

    def _converted(self, item: Wire, convert: Callable[[Wire], Fact], kind: str) -> Fact | None:
        try:
            return convert(item)
        except BadInputError:
            self._metrics.unreadable_objects.labels(kind).inc()
            return None


async def _breathing(steps: Iterator[None]) -> None:
    """Drive steps to their end and let the event loop answer requests between them."""
    for _ in steps:
        await asyncio.sleep(0)
