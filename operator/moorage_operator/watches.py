"""The reflectors that feed the view, and the slow checks of what watches cannot tell."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

from moorage_cluster.errors import ApiError, NotFoundError
from moorage_cluster.reflector import Reflector
from moorage_cluster.session import ApiSession
from moorage_crds import names
from moorage_crds.names import ApiResource
from moorage_crds.objects import NodeObject, PodObject
from moorage_operator.children import ChildObject, read_child, to_child
from moorage_operator.services.health_book import HealthBook
from moorage_operator.services.pod_hints import PendingPod, PodHints
from moorage_operator.services.records import read_pool_record
from moorage_operator.services.refused_pods import RefusedPods
from moorage_operator.services.surroundings import NamedObject, PolicyObject
from moorage_operator.services.view import ClusterView
from moorage_policies.ports import Reporter

CHILD_KINDS = (names.DEPLOYMENTS, names.SERVICES, names.DISRUPTION_BUDGETS)
GROUPS = names.LEADER_WORKER_SETS
GROUP_CHECK_S = 30.0


class Following(Protocol):
    """A reflector of any kind of object."""

    synced: asyncio.Event

    async def run(self) -> None:
        """Follow until cancelled."""
        ...

    def age_s(self) -> float:
        """Return the seconds since the view was last proven fresh."""
        ...

    def why_stale(self) -> str:
        """Return what is wrong with the view in words."""
        ...


class Watches:
    """Everything that is watched, pools and role objects aside: those are kopf's.

    Args:
        session: the session.
        view: is told.
        health: is told of nodes and of pods that kubelets refused.
        refused: is told of pods that kubelets refused, and when they are gone.
        pod_hints: is told of pods that have not started.
        reporter: hears of relists and failures.
    """

    def __init__(
        self,
        session: ApiSession,
        view: ClusterView,
        health: HealthBook,
        refused: RefusedPods,
        pod_hints: PodHints,
        reporter: Reporter,
    ) -> None:
        self._session = session
        self._view = view
        self._health = health
        self._refused = refused
        self._pod_hints = pod_hints
        self._reporter = reporter
        self._groups_looked_for = asyncio.Event()
        self._groups_served = asyncio.Event()
        self._groups = self._of_children(GROUPS)
        self.followed: dict[str, Following] = {
            "pods": self._of_pods(),
            "pending-pods": self._of_pending_pods(),
            "nodes": self._of_nodes(),
            "policies": self._of_policies(),
            "priorityclasses": self._of_priority_classes(),
            **{resource.plural: self._of_children(resource) for resource in CHILD_KINDS},
        }

    async def run(self) -> None:
        """Follow everything until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for following in self.followed.values():
                tasks.create_task(following.run())
            tasks.create_task(self._look_for_groups())
            tasks.create_task(self._follow_groups())

    async def synced(self) -> None:
        """Return when everything that is served has been listed once."""
        await self._groups_looked_for.wait()
        if self._groups_served.is_set():
            await self._groups.synced.wait()
        for following in self.followed.values():
            await following.synced.wait()

    def age_s(self) -> float:
        """Return the age of the oldest view, ``inf`` before everything was listed."""
        return max(following.age_s() for following in self.followed.values())

    def why_stale(self, limit_s: float) -> str:
        """Return which view is older than ``limit_s`` and why, empty when none is."""
        for kind, following in self.followed.items():
            if following.age_s() > limit_s:
                return f"{kind} {following.why_stale()}"
        return ""

    async def _look_for_groups(self) -> None:
        """Notice when LeaderWorkerSet is installed or removed."""
        while True:
            try:
                await self._session.request("GET", f"/apis/{GROUPS.api_version}")
            except NotFoundError:
                self._note_groups(served=False)
            except ApiError as error:
                self._reporter.report("groups.unknown", error=str(error))
            else:
                self._note_groups(served=True)
            await asyncio.sleep(GROUP_CHECK_S)

    def _note_groups(self, *, served: bool) -> None:
        self._view.surroundings.note_groups(served=served)
        (self._groups_served.set if served else self._groups_served.clear)()
        self._groups_looked_for.set()

    async def _follow_groups(self) -> None:
        await self._groups_served.wait()
        await self._groups.run()

    def _of_children(self, resource: ApiResource) -> Reflector[ChildObject]:
        view = self._view

        def take_list(items: list[ChildObject]) -> None:
            view.list_children(resource.kind, [to_child(resource, item) for item in items])

        return Reflector(
            self._session,
            resource.path(),
            ChildObject,
            on_list=take_list,
            on_change=lambda item: view.put_child(to_child(resource, item)),
            on_delete=lambda item: view.drop_child(to_child(resource, item)),
            label_selector=names.POOL_LABEL,
            reporter=self._reporter,
        )

    def _of_pods(self) -> Reflector[PodObject]:
        pods, health, refused = self._view.pods, self._health, self._refused

        def take_list(items: list[PodObject]) -> None:
            health.list_pods(items)
            refused.list_pods(items)
            pods.take_list(items)

        def take_change(item: PodObject) -> None:
            health.put_pod(item)
            refused.put_pod(item)
            pods.take_change(item)

        def take_deletion(item: PodObject) -> None:
            refused.drop_pod(item)
            pods.take_deletion(item)

        return Reflector(
            self._session,
            names.PODS.path(),
            PodObject,
            on_list=take_list,
            on_change=take_change,
            on_delete=take_deletion,
            label_selector=names.POOL_LABEL,
            reporter=self._reporter,
        )

    def _of_pending_pods(self) -> Reflector[PendingPod]:
        hints = self._pod_hints
        return Reflector(
            self._session,
            names.PODS.path(),
            PendingPod,
            on_list=hints.take_list,
            on_change=hints.notice,
            on_delete=hints.drop,
            field_selector="status.phase=Pending",
            reporter=self._reporter,
        )

    def _of_nodes(self) -> Reflector[NodeObject]:
        around, health = self._view.surroundings, self._health

        def take_list(nodes: list[NodeObject]) -> None:
            health.list_nodes(nodes)
            around.list_nodes(nodes)

        def take_change(node: NodeObject) -> None:
            health.put_node(node)
            around.put_node(node)

        def take_deletion(node: NodeObject) -> None:
            health.drop_node(node)
            around.drop_node(node)

        return Reflector(
            self._session,
            names.NODES.path(),
            NodeObject,
            on_list=take_list,
            on_change=take_change,
            on_delete=take_deletion,
            reporter=self._reporter,
        )

    def _of_policies(self) -> Reflector[PolicyObject]:
        around = self._view.surroundings
        return Reflector(
            self._session,
            names.POLICIES.path(),
            PolicyObject,
            on_list=around.list_policies,
            on_change=around.put_policy,
            on_delete=around.drop_policy,
            reporter=self._reporter,
        )

    def _of_priority_classes(self) -> Reflector[NamedObject]:
        around = self._view.surroundings
        return Reflector(
            self._session,
            names.PRIORITY_CLASSES.path(),
            NamedObject,
            on_list=around.list_priority_classes,
            on_change=around.put_priority_class,
            on_delete=around.drop_priority_class,
            reporter=self._reporter,
        )


async def sweep(session: ApiSession, view: ClusterView) -> None:
    """Compare pools, role objects and plans with a fresh list.

    Kopf shows a list as so many events, so an object that was deleted while its watch was down is
    never mentioned again; here its absence is noticed.

    Raises:
        ApiError: the lists could not be read; nothing was changed then.
    """
    known_pools = list(view.pools().values())
    known_roles = [child for child in view.children() if child.resource is names.ROLES]
    plans = [body async for body in _bodies(session, names.PLANS)]
    pools = [read_pool_record(body) async for body in _bodies(session, names.POOLS)]
    roles = [read_child(names.ROLES, body) async for body in _bodies(session, names.ROLES)]
    listed = {pool.uid for pool in pools} | {role.uid for role in roles}
    view.plans.take_list(plans)  # first: a pool that is written must know who raised its workloads
    for pool in known_pools:
        if pool.uid not in listed:
            view.drop_pool(pool.key, pool.uid)
    for role in known_roles:
        if role.uid not in listed:
            view.drop_child(role)
    for role in roles:
        view.put_child(role)
    for pool in pools:
        view.put_pool(pool)


async def _bodies(session: ApiSession, resource: ApiResource) -> AsyncIterator[bytes]:
    async for page in session.list_pages(resource.path()):
        for item in page.items or ():
            yield bytes(item)
