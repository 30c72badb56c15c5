"""Plans that bring the pods of a quarantined node elsewhere."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from math import inf
from typing import TypeVar

import msgspec

from moorage_cluster.session import ApiSession
from moorage_crds.convert import to_node, to_pod
from moorage_crds.names import NODES, PODS, QUARANTINE, ApiResource
from moorage_crds.objects import NodeObject, PodObject
from moorage_crds.policy import PolicySpec
from moorage_operator.services.health_writing import PLAN_PREFIX, HealthWriter
from moorage_operator.services.plan_book import PlanBook
from moorage_operator.services.plan_facts import PlanFacts
from moorage_policies.errors import BadInputError
from moorage_policies.health import Relocation, choose_targets
from moorage_policies.plans import PlanRecord, why_protected
from moorage_policies.ports import Reporter
from moorage_policies.types import NVIDIA_GPU, Node, Pod, Taint

MAX_MOVES = 64
_UNFINISHED = "status.phase!=Succeeded,status.phase!=Failed"

Item = TypeVar("Item", NodeObject, PodObject)
Fact = TypeVar("Fact", Node, Pod)


class HealthMoves:
    """Proposes plans; the plans service carries them out like any other.

    Args:
        session: the session.
        facts: limits of plans, and how pools let their replicas be moved.
        plans: the plans that there are.
        writer: writes plans.
        now_s: Unix seconds.
        retry_s: pause after a plan ended, or after nothing could be moved, seconds.
        reporter: hears of plans, and of pods that find no room.
    """

    def __init__(
        self,
        session: ApiSession,
        facts: PlanFacts,
        plans: PlanBook,
        writer: HealthWriter,
        now_s: Callable[[], float],
        retry_s: float,
        reporter: Reporter,
    ) -> None:
        self._session = session
        self._facts = facts
        self._plans = plans
        self._writer = writer
        self._now_s = now_s
        self._retry_s = retry_s
        self._reporter = reporter
        self._tried_s: dict[str, float] = {}

    async def clear(
        self, node: str, quarantined: Iterable[str], reason: str, policy: PolicySpec
    ) -> None:
        """Propose a plan for the pods of a node, unless one runs or ended a moment ago.

        Args:
            node: the node that its pods shall leave.
            quarantined: nodes that take nobody.
            reason: what is wrong with the node.
            policy: the cluster's policy.

        Raises:
            ApiError: the cluster could not be read, or the plan not written.
        """
        if policy.actuation == "Off" or not self._is_due(node):
            return
        self._tried_s[node] = self._now_s()
        pods = [pod async for pod in self._pods()]
        strategies = {pod.uid: self._facts.strategy_of(pod) for pod in pods if pod.node == node}
        moving = [pod for pod in pods if self._may_leave(pod, strategies.get(pod.uid), policy)]
        if not moving:
            return
        nodes = [node async for node in self._nodes(frozenset(quarantined))]
        decision = choose_targets(moving, nodes, pods)
        self._reporter.report("health.moves", node=node, reason=decision.reason)
        chosen = decision.value[:MAX_MOVES]
        if chosen:
            moves = [(found, strategies[found.pod.uid]) for found in chosen]
            await self._propose(node, moves, reason, policy)

    def _is_due(self, node: str) -> bool:
        ours = [record for record in self._plans.records() if _clears(record, node)]
        if any(not record.progress.has_ended for record in ours):
            return False
        ends_s = [record.progress.finished_s or -inf for record in ours]
        last_s = max(self._tried_s.get(node, -inf), *ends_s, -inf)
        return self._now_s() - last_s >= self._retry_s

    def _may_leave(self, pod: Pod, strategy: str | None, policy: PolicySpec) -> bool:
        """Return whether a pod may be moved; ``None`` is the strategy of pods on other nodes."""
        if strategy in (None, "Never") or pod.terminating or pod.unsupported:
            return False
        resources = (NVIDIA_GPU, *(known.resource for known in policy.accelerator_classes))
        if not any(pod.requests.get(name) for name in resources):
            return False
        return why_protected(pod, self._facts.params(policy)) is None

    async def _propose(
        self, node: str, moves: Sequence[tuple[Relocation, str]], reason: str, policy: PolicySpec
    ) -> None:
        stored = await self._writer.propose(
            node, moves, mode=policy.actuation, reason=f"node {node} is quarantined: {reason}"
        )
        self._plans.put(stored)
        self._reporter.report("health.plan", node=node, plan=stored.name, moves=len(moves))

    async def _nodes(self, quarantined: frozenset[str]) -> AsyncIterator[Node]:
        """Yield every node; one just quarantined may not say so in the list yet."""
        async for node in self._listed(NODES, NodeObject, to_node, {}):
            taints = (*node.taints, Taint(QUARANTINE)) if node.name in quarantined else node.taints
            yield replace(node, taints=taints)

    async def _pods(self) -> AsyncIterator[Pod]:
        async for pod in self._listed(PODS, PodObject, to_pod, {"fieldSelector": _UNFINISHED}):
            if pod.node is not None:
                yield pod

    async def _listed(
        self,
        resource: ApiResource,
        kind: type[Item],
        convert: Callable[[Item], Fact],
        params: Mapping[str, str],
    ) -> AsyncIterator[Fact]:
        async for page in self._session.list_pages(resource.path(), params=params):
            for raw in page.items or ():
                with suppress(BadInputError):  # the watches report what cannot be read
                    yield convert(msgspec.json.decode(raw, type=kind))


def _clears(record: PlanRecord, node: str) -> bool:
    plan = record.plan
    return plan.name.startswith(PLAN_PREFIX) and any(move.source == node for move in plan.moves)
