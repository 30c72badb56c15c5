"""Fresh facts for one plan, read when they are needed: nothing is decided on an old view."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import replace
from typing import TypeVar

import msgspec

from moorage_cluster.errors import NotFoundError
from moorage_cluster.session import ApiSession
from moorage_crds.convert import to_budget, to_node, to_pod
from moorage_crds.names import (
    ACCELERATOR_CLASS_LABEL,
    DEPLOYMENTS,
    DISRUPTION_BUDGETS,
    NODES,
    PLANS,
    PODS,
    POLICIES,
    POOL_LABEL,
    ROLE_LABEL,
    SURGE_ANNOTATION,
)
from moorage_crds.objects import (
    Condition,
    DeploymentObject,
    NodeObject,
    PodDisruptionBudgetObject,
    PodObject,
)
from moorage_crds.planning import to_plan_limits
from moorage_crds.policy import POLICY_NAME, PlacementPolicy, PolicySpec
from moorage_crds.pool import GPUInferencePool, MigrationStrategy
from moorage_operator.config import OperatorConfig
from moorage_operator.services.plan_book import StoredPlan, read_plan, workload_of
from moorage_operator.services.view import ClusterView
from moorage_policies.plans import (
    Move,
    Observation,
    PlanParams,
    PlanRecord,
    Workload,
    disruptions,
    rivals_of,
)
from moorage_policies.types import NVIDIA_GPU, DisruptionBudget, Node, Owner, Pod

T = TypeVar("T")

_SETTLED = ("Done", "Failed", "Skipped")
_REPLICA_FAILURE = "ReplicaFailure"
_NO_POLICY = PolicySpec()


class PlanFacts:
    """Reads what a decision about a plan looks at.

    Args:
        session: the session.
        view: pools and other plans.
        config: deadlines.
    """

    def __init__(self, session: ApiSession, view: ClusterView, config: OperatorConfig) -> None:
        self._session = session
        self._view = view
        self._config = config

    async def plan(self, name: str) -> StoredPlan | None:
        """Return the plan as it is now, ``None`` when there is none.

        Raises:
            BadInputError: the stored object does not have the shape of a plan.
        """
        body = await self._get(PLANS.path("", name))
        return read_plan(body) if body is not None else None

    async def policy(self) -> PolicySpec:
        """Return the cluster's policy, the built-in one when there is none."""
        body = await self._get(POLICIES.path("", POLICY_NAME))
        if body is None:
            return _NO_POLICY
        return PlacementPolicy.read(msgspec.json.decode(body)).spec

    def params(self, policy: PolicySpec) -> PlanParams:
        """Return the limits within which plans run."""
        config = self._config
        return replace(
            to_plan_limits(policy),
            settle_s=config.plan_settle_ms / 1000,
            surge_deadline_s=config.plan_surge_deadline_s,
            evict_deadline_s=config.plan_evict_deadline_s,
            bind_deadline_s=config.plan_bind_deadline_s,
            poll_s=config.plan_poll_ms / 1000,
        )

    def strategy_of(self, pod: Pod) -> MigrationStrategy:
        """Return how the pod's pool lets it be moved; without a pool only by eviction."""
        pool = self._pool(pod.namespace, pod.labels.get(POOL_LABEL, ""))
        if pool is None:
            return "EvictFirst"
        return _migration(pool, pod.labels)

    async def observe(self, record: PlanRecord) -> Observation:
        """Return the cluster as far as the plan's next decision is concerned."""
        moves = _concerned(record)
        others = [r for r in self._view.plans.records() if r.plan.name != record.plan.name]
        names = {node for move in moves for node in (move.source, move.target) if node}
        spaces = {move.namespace for move in moves}
        owners = {move.owner.uid: (move.namespace, move.owner) for move in moves if move.owner}
        nodes, per_node, subjects, families, budgets = await asyncio.gather(
            _all(self._node(name) for name in sorted(names)),
            _all(self._pods("", {"fieldSelector": f"spec.nodeName={name}"}) for name in names),
            _all(self._pod(move) for move in moves),
            _all(self._family(namespace, owner) for namespace, owner in owners.values()),
            _all(self._budgets(namespace) for namespace in sorted(spaces)),
        )
        pods = {pod.uid: pod for listed in per_node for pod in listed}
        pods |= {pod.uid: pod for _, siblings in families for pod in siblings}
        pods |= {pod.uid: pod for pod in subjects if pod is not None}
        workloads = zip(owners, (workload for workload, _ in families), strict=True)
        return Observation(
            pods=pods,
            nodes={node.name: node for node in nodes if node is not None},
            budgets=tuple(budget for listed in budgets for budget in listed),
            workloads={uid: workload for uid, workload in workloads if workload is not None},
            past=disruptions(others),
            rivals=rivals_of(record, others),
        )

    async def _node(self, name: str) -> Node | None:
        body = await self._get(NODES.path("", name))
        return to_node(msgspec.json.decode(body, type=NodeObject)) if body is not None else None

    async def _pod(self, move: Move) -> Pod | None:
        body = await self._get(PODS.path(move.namespace, move.name))
        pod = to_pod(msgspec.json.decode(body, type=PodObject)) if body is not None else None
        return pod if pod is not None and pod.uid == move.uid else None

    async def _pods(self, namespace: str, params: Mapping[str, str]) -> list[Pod]:
        pages = self._session.list_pages(PODS.path(namespace), params=params)
        return [
            to_pod(msgspec.json.decode(item, type=PodObject))
            async for page in pages
            for item in page.items or ()
        ]

    async def _budgets(self, namespace: str) -> list[DisruptionBudget]:
        pages = self._session.list_pages(DISRUPTION_BUDGETS.path(namespace))
        return [
            to_budget(msgspec.json.decode(item, type=PodDisruptionBudgetObject))
            async for page in pages
            for item in page.items or ()
        ]

    async def _family(self, namespace: str, owner: Owner) -> tuple[Workload | None, list[Pod]]:
        """Return the Deployment above the owner, if any, and the pods beside the moved one."""
        key = workload_of(namespace, owner)
        body = await self._get(DEPLOYMENTS.path(*key)) if key is not None else None
        if body is None:
            pods = await self._pods(namespace, {})
            return None, [p for p in pods if p.owner is not None and p.owner.uid == owner.uid]
        deployment = msgspec.json.decode(body, type=DeploymentObject)
        selector = deployment.spec.selector
        labels = selector.match_labels if selector is not None else {}
        text = ",".join(f"{name}={value}" for name, value in sorted(labels.items()))
        pods = await self._pods(namespace, {"labelSelector": text})
        return self._workload(deployment, pods), pods

    def _workload(self, deployment: DeploymentObject, pods: Iterable[Pod]) -> Workload:
        meta, status = deployment.metadata, deployment.status
        labels = meta.labels
        surge = int(meta.annotations.get(SURGE_ANNOTATION) or 0)
        pool = self._pool(meta.namespace, labels.get(POOL_LABEL, ""))
        stale = status.observed_generation < meta.generation
        return Workload(
            name=meta.name,
            pool=pool.metadata.name if pool is not None else "",
            migration=_migration(pool, labels),
            desired=deployment.spec.replicas - surge,
            surge=surge,
            revisions=frozenset(p.owner.uid for p in pods if p.owner and not p.terminating),
            rolling=stale or status.updated_replicas != status.replicas,
            trouble=_trouble(status.conditions),
            surge_refused=self._why_no_surge(pool, labels),
        )

    def _pool(self, namespace: str, name: str) -> GPUInferencePool | None:
        record = self._view.pool((namespace, name))
        if record is None:
            return None
        return GPUInferencePool.read(msgspec.json.decode(record.body))

    def _why_no_surge(self, pool: GPUInferencePool | None, labels: Mapping[str, str]) -> str:
        if pool is None:
            return ""
        name = pool.metadata.name
        if pool.spec.actuation != "Auto":
            return f"actuation of pool {name} is {pool.spec.actuation}; nothing of it is written"
        accelerator = next(
            (
                option
                for role in pool.spec.roles
                if role.name == labels.get(ROLE_LABEL)
                for option in role.accelerators
                if option.class_ == labels.get(ACCELERATOR_CLASS_LABEL)
            ),
            None,
        )
        if accelerator is None:
            return f"pool {name} no longer has this role or accelerator class"
        limit = pool.spec.max_gpus
        pods = self._view.pods.of((pool.metadata.namespace, name))
        held = sum(pod.requests.get(NVIDIA_GPU, 0) for pod in pods)
        if limit is not None and held + accelerator.gpus_per_replica > limit:
            return f"pool {name} holds {held} of {limit} accelerators: no room to start one more"
        return ""

    async def _get(self, path: str) -> bytes | None:
        try:
            return await self._session.request("GET", path)
        except NotFoundError:
            return None


async def _all(reads: Iterable[Awaitable[T]]) -> list[T]:
    return list(await asyncio.gather(*reads))


def _concerned(record: PlanRecord) -> tuple[Move, ...]:
    """Return the moves that the next decision may be about."""
    pairs = record.pairs()
    if record.progress.phase != "Executing":
        return tuple(move for move, _ in pairs)
    return tuple(
        move
        for move, progress in pairs
        if progress.phase not in _SETTLED or progress.phase == "Failed" or move.kind == "Place"
    )


def _migration(pool: GPUInferencePool | None, labels: Mapping[str, str]) -> MigrationStrategy:
    for role in pool.spec.roles if pool is not None else ():
        for accelerator in role.accelerators:
            named = (role.name, accelerator.class_)
            if named == (labels.get(ROLE_LABEL), labels.get(ACCELERATOR_CLASS_LABEL)):
                return role.migration_on(accelerator)
    return "SurgeFirst"


def _trouble(conditions: Iterable[Condition]) -> str:
    failures = (c for c in conditions if c.type == _REPLICA_FAILURE and c.status == "True")
    return next((failure.message for failure in failures), "")
