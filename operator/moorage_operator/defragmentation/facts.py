"""Fresh facts of the whole cluster for one search, and what the pools want in one piece."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from moorage_cluster.session import ApiSession
from moorage_crds.convert import to_budget, to_node, to_pod
from moorage_crds.names import DISRUPTION_BUDGETS, NODES, POOL_LABEL, ApiResource
from moorage_crds.names import PODS as POD_RESOURCE
from moorage_crds.objects import NodeObject, PodDisruptionBudgetObject, PodObject
from moorage_crds.policy import PolicySpec
from moorage_crds.pool import GPUInferencePool
from moorage_operator.services.plan_facts import PlanFacts
from moorage_operator.services.view import ClusterView
from moorage_policies.errors import BadInputError
from moorage_policies.planning.facts import Facts, PlanningParams
from moorage_policies.pools.classes import Catalog
from moorage_policies.rescheduling.proposals import DefragmentParams, Want, wants_of
from moorage_policies.types import AcceleratorClass, DisruptionBudget, Node, Pod

T = TypeVar("T")

ROOM_SEARCH_S = 2.0
"""Search for room for the replicas of one pool, seconds."""


@dataclass(frozen=True, slots=True)
class Question:
    """What one search is asked."""

    facts: Facts
    planning: PlanningParams
    params: DefragmentParams


class ClusterFacts:
    """Reads nodes, pods and budgets of the whole cluster.

    Args:
        session: the session.
        view: pools, plans and accelerator classes as last heard of.
        plan_facts: limits of plans.
    """

    def __init__(self, session: ApiSession, view: ClusterView, plan_facts: PlanFacts) -> None:
        self._session = session
        self._view = view
        self._plan_facts = plan_facts

    async def gather(
        self, policy: PolicySpec, now_s: float, wants: Sequence[Want] = ()
    ) -> Question:
        """Return what a search looks at, read now.

        Args:
            policy: the cluster's policy.
            now_s: the moment.
            wants: what should find room; absent: what the policy's defragmentation asks for.

        Raises:
            ApiError: the server does not answer.
        """
        nodes = [_node(body) async for body in self._list(NODES)]
        bodies = [_decode(body, PodObject) async for body in self._list(POD_RESOURCE)]
        budgets = [_budget(body) async for body in self._list(DISRUPTION_BUDGETS)]
        pods = [(pod, body) for body in bodies if (pod := _pod(body)) is not None]
        migrations = {
            pod.uid: self._plan_facts.strategy_of(pod)
            for pod, _ in pods
            if self._view.pool((pod.namespace, pod.labels.get(POOL_LABEL, ""))) is not None
        }
        facts = Facts(
            at_s=now_s,
            generation=0,
            nodes=tuple(nodes),
            pods=tuple(pod for pod, _ in pods),
            budgets=tuple(budgets),
            plans=self._view.plans.records(),
            migrations=migrations,
        )
        restart_s = {pod.uid: s for pod, body in pods if (s := restart_of(body)) is not None}
        params = _params_for(wants, policy, restart_s) if wants else self._params(policy, restart_s)
        return Question(facts, self._planning(policy), params)

    def _planning(self, policy: PolicySpec) -> PlanningParams:
        classes = tuple(
            AcceleratorClass(c.name, c.node_selector, c.resource)
            for c in policy.accelerator_classes
        )
        return PlanningParams(
            limits=self._plan_facts.params(policy),
            max_moves_per_plan=policy.solver.max_moves_per_plan,
            classes=classes,
        )

    def _params(self, policy: PolicySpec, restart_s: Mapping[str, float]) -> DefragmentParams:
        asked = policy.defragmentation
        assert asked is not None
        wants = wants_of(tuple(self._wants()))
        if asked.holes:
            wants = tuple(
                Want(f"{hole.gpus} GPUs", {"nvidia.com/gpu": hole.gpus}, {}, float(hole.weight))
                for hole in asked.holes
            )
        levels = policy.topology.levels if policy.topology is not None else ()
        return DefragmentParams(
            goal=asked.objective,
            wants=wants,
            max_moves=asked.max_moves,
            min_gain_gpus=asked.min_gain_gpus,
            exempt_namespaces=frozenset(asked.exempt_namespaces),
            topology_key=levels[-1] if levels else "",
            restart_s=restart_s,
            deadline_s=float(asked.search_seconds),
            seed=policy.solver.seed,
        )

    def _wants(self) -> Iterable[Want]:
        catalog = self._view.surroundings.catalog
        for record in self._view.pools().values():
            try:
                pool = GPUInferencePool.read(msgspec.json.decode(record.body))
            except BadInputError:
                continue
            largest = max(_replicas(pool, catalog), key=lambda want: want.gpus, default=None)
            if largest is not None:
                yield largest

    async def _list(self, resource: ApiResource) -> AsyncIterator[bytes]:
        async for page in self._session.list_pages(resource.path()):
            for item in page.items or ():
                yield bytes(item)


def _params_for(
    wants: Sequence[Want], policy: PolicySpec, restart_s: Mapping[str, float]
) -> DefragmentParams:
    return DefragmentParams(
        wants=tuple(wants),
        max_moves=policy.solver.max_moves_per_plan,
        restart_s=restart_s,
        deadline_s=ROOM_SEARCH_S,
        seed=policy.solver.seed,
    )


def _replicas(pool: GPUInferencePool, catalog: Catalog) -> Iterable[Want]:
    for role in pool.spec.roles:
        for accelerator in role.accelerators:
            known = catalog.find(accelerator.class_)
            if known is not None:
                name = f"{pool.metadata.namespace}/{pool.metadata.name}"
                asked = {known.resource: accelerator.count}
                yield Want(name, asked, dict(known.node_selector))


def restart_of(body: PodObject) -> float | None:
    """Return the seconds from a pod's creation until it was ready; ``None`` while it is not."""
    made = body.metadata.creation_timestamp
    for condition in body.status.conditions:
        since = condition.last_transition_time
        if (condition.type, condition.status) == ("Ready", "True") and since and made:
            return max(0.0, (since - made).total_seconds())
    return None


def _decode(body: bytes, shape: type[T]) -> T:
    return msgspec.json.decode(body, type=shape)


def _node(body: bytes) -> Node:
    return to_node(_decode(body, NodeObject))


def _budget(body: bytes) -> DisruptionBudget:
    return to_budget(_decode(body, PodDisruptionBudgetObject))


def _pod(body: PodObject) -> Pod | None:
    """Return the pod; one whose amounts cannot be read is left out, as the planner does."""
    try:
        return to_pod(body)
    except BadInputError:
        return None
