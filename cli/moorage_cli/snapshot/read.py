"""Reads from a live cluster what the planner goes by."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from moorage_cluster.errors import NotFoundError
from moorage_cluster.session import ApiSession
from moorage_crds.convert import to_budget, to_node, to_pod
from moorage_crds.names import DISRUPTION_BUDGETS, NODES, PLANS, PODS, POLICIES, POOLS
from moorage_crds.objects import NodeObject, PodDisruptionBudgetObject, PodObject
from moorage_crds.plan import PlacementPlan
from moorage_crds.plan_records import to_plan_record
from moorage_crds.planning import migrations_of, read_migrations, to_planning_params
from moorage_crds.policy import POLICY_NAME, PlacementPolicy, PolicySpec
from moorage_crds.pool import GPUInferencePool
from moorage_crds.snapshot_file import PlannerSnapshot
from moorage_policies.planning.facts import Facts
from moorage_policies.plans import PlanRecord
from moorage_policies.types import DisruptionBudget, Node, Pod

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Seen:
    """A cluster as one look shows it.

    Args:
        at_s: Unix seconds.
        nodes: all nodes.
        pods: all live pods.
        budgets: disruption budgets.
        plans: all plans.
        policy: the policy, the built-in one when there is none.
    """

    at_s: float
    nodes: tuple[Node, ...]
    pods: tuple[Pod, ...]
    budgets: tuple[DisruptionBudget, ...]
    plans: tuple[PlanRecord, ...]
    policy: PolicySpec


async def read_snapshot(session: ApiSession) -> PlannerSnapshot:
    """Return what a planner would see now."""
    seen, pools = await asyncio.gather(read_cluster(session), _pools(session))
    migrations = {key: way for pool in pools for key, way in read_migrations(pool).items()}
    facts = Facts(
        at_s=seen.at_s,
        generation=0,
        nodes=seen.nodes,
        pods=seen.pods,
        budgets=seen.budgets,
        plans=seen.plans,
        migrations=migrations_of(seen.pods, migrations),
    )
    return PlannerSnapshot(facts, to_planning_params(seen.policy))


async def read_cluster(session: ApiSession) -> Seen:
    """Return the cluster; resources of ours that are not installed count as empty."""
    nodes, pods, budgets, plans, policy = await asyncio.gather(
        _all(session, NODES.path(), NodeObject),
        _all(session, PODS.path(), PodObject),
        _all(session, DISRUPTION_BUDGETS.path(), PodDisruptionBudgetObject),
        _bodies(session, PLANS.path()),
        _policy(session),
    )
    live = (to_pod(pod) for pod in pods)
    return Seen(
        at_s=time.time(),
        nodes=tuple(to_node(node) for node in nodes),
        pods=tuple(pod for pod in live if pod.phase not in ("Succeeded", "Failed")),
        budgets=tuple(to_budget(budget) for budget in budgets),
        plans=tuple(to_plan_record(PlacementPlan.read(body)) for body in plans),
        policy=policy,
    )


async def _pools(session: ApiSession) -> list[GPUInferencePool]:
    return [GPUInferencePool.read(body) for body in await _bodies(session, POOLS.path())]


async def _policy(session: ApiSession) -> PolicySpec:
    try:
        body = await session.get_json(POLICIES.path("", POLICY_NAME))
    except NotFoundError:
        return PolicySpec()
    return PlacementPolicy.read(body).spec


async def _bodies(session: ApiSession, path: str) -> list[dict[str, object]]:
    try:
        return await _all(session, path, dict[str, object])
    except NotFoundError:
        return []


async def _all(session: ApiSession, path: str, kind: type[T]) -> list[T]:
    return [item async for item in _items(session, path, kind)]


async def _items(session: ApiSession, path: str, kind: type[T]) -> AsyncIterator[T]:
    async for page in session.list_pages(path):
        for item in page.items or ():
            yield msgspec.json.decode(item, type=kind)
