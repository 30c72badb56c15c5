"""Keeps our scheduler off nodes whose accelerators fail, and has their pods moved."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Literal

from moorage_cluster.errors import ApiError
from moorage_cluster.pace import Sleep
from moorage_crds.names import QUARANTINE
from moorage_crds.objects import Condition
from moorage_crds.policy import PolicySpec
from moorage_operator.errors import NotLeadingError
from moorage_operator.services.health_book import HealthBook, NodeState
from moorage_operator.services.health_moves import HealthMoves
from moorage_operator.services.health_writing import HealthWriter, Standing
from moorage_operator.services.plan_facts import PlanFacts
from moorage_operator.signals.driver_errors import DriverErrors, ErrorsByNode
from moorage_policies.errors import BadInputError
from moorage_policies.health import (
    SICK_CONDITIONS,
    HealthParams,
    NodeRecord,
    choose_quarantined,
    find_signs,
    look,
)
from moorage_policies.health.quarantine import describe
from moorage_policies.ports import Reporter
from moorage_policies.types import NVIDIA_GPU

RECOVERING = "Recovering"
RELEASED = "Released"
"""The way back has two steps, a look apart. A pod that was refused is tried again at the first,
maybe before the extender has heard of it; the second wakes it when the extender surely has."""
PERCENT = 100


class HealthService:
    """Looks at every node now and then; what it decides is a condition on the node.

    The condition is all that outlives the process: who is quarantined, since when, and when there
    was a sign last.

    Args:
        book: what nodes and kubelets said.
        errors: what drivers report.
        facts: the policy.
        moves: has pods moved.
        writer: writes conditions.
        now_s: Unix seconds.
        reporter: hears of nodes that change sides, and of failures.
        sleep: waits for a number of seconds.
    """

    def __init__(
        self,
        book: HealthBook,
        errors: DriverErrors,
        facts: PlanFacts,
        moves: HealthMoves,
        writer: HealthWriter,
        now_s: Callable[[], float],
        reporter: Reporter,
        *,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._sleep = sleep
        self._book = book
        self._errors = errors
        self._facts = facts
        self._moves = moves
        self._writer = writer
        self._now_s = now_s
        self._reporter = reporter
        self._records: dict[str, NodeRecord] = {}
        self._last_reason = ""

    def count(self, *, quarantined: bool) -> int:
        """Return how many sick nodes are quarantined, or are not."""
        return sum(
            record.is_sick and record.is_quarantined == quarantined
            for record in self._records.values()
        )

    async def run(self, every_s: float) -> None:
        """Look until cancelled; what fails is tried again at the next look."""
        while True:
            try:
                await self.tick()
            except (ApiError, NotLeadingError, BadInputError) as error:
                self._reporter.report("health.failed", error=str(error))
            await self._sleep(every_s)

    async def tick(self) -> None:
        """Look at every node once, and do what follows.

        Raises:
            ApiError: something could not be read or written; the next look goes on.
        """
        policy = await self._facts.policy()
        health, params = policy.gpu_health, health_params(policy)
        nodes = self._nodes_with_accelerators(params)
        if health.actuation == "Off":
            self._records = {}
        else:
            self._look(nodes, await self._errors.read(), params)
        chosen = self._choose(len(nodes), params) if health.actuation == "Auto" else frozenset()
        self._records = {
            name: replace(record, is_quarantined=name in chosen)
            for name, record in self._records.items()
        }
        for name, state in nodes.items():
            await self._tell(name, state, health.actuation, is_chosen=name in chosen)
        if health.move_pods:
            for name in sorted(chosen):
                reason = describe(self._records[name].signs) or RECOVERING
                await self._moves.clear(name, chosen, reason, policy)

    def _nodes_with_accelerators(self, params: HealthParams) -> Mapping[str, NodeState]:
        return {
            name: state
            for name, state in self._book.nodes().items()
            if state.condition is not None or state.reading.carries(params.resources)
        }

    def _look(
        self, nodes: Mapping[str, NodeState], errors: ErrorsByNode, params: HealthParams
    ) -> None:
        now_s = self._now_s()
        refusals = self._book.refusals(since_s=now_s - params.window_s)
        records = {}
        for name, state in nodes.items():
            known = self._records.get(name) or _remembered(state.condition, now_s)
            reading = replace(state.reading, errors=errors.get(name, ()))
            signs = find_signs(reading, refusals, params, now_s)
            records[name] = look(known, signs, params, now_s)
        self._records = records

    def _choose(self, nodes: int, params: HealthParams) -> frozenset[str]:
        decision = choose_quarantined(self._records, nodes, params)
        if decision.reason != self._last_reason:
            self._reporter.report("health.quarantine", reason=decision.reason, **decision.inputs)
            self._last_reason = decision.reason
        return decision.value

    async def _tell(self, name: str, state: NodeState, actuation: str, *, is_chosen: bool) -> None:
        record = self._records.get(name, NodeRecord())
        standing = _standing(record, actuation, is_chosen=is_chosen)
        if standing is None and (state.condition is None or state.condition.reason == "Healthy"):
            return
        standing = standing or Standing("Healthy", "", self._now_s())
        if standing.status == "False" and _is_out(state):
            standing = replace(standing, reason=RELEASED, status="Unknown")
        if standing.is_told_by(state.condition):
            return
        await self._writer.tell(name, standing, state.condition)
        self._reporter.report(
            "health.node",
            node=name,
            status=standing.status,
            reason=standing.reason,
            message=standing.message,
        )


def health_params(policy: PolicySpec) -> HealthParams:
    """Return the limits that the cluster's policy sets."""
    health = policy.gpu_health
    declared = {entry.type: entry.status for entry in health.conditions}
    return HealthParams(
        resources=frozenset(
            {NVIDIA_GPU, *(accelerator.resource for accelerator in policy.accelerator_classes)}
        ),
        conditions=declared or SICK_CONDITIONS,
        refusals=health.failures,
        window_s=health.window_seconds,
        grace_s=health.grace_seconds,
        recovery_s=health.quarantine_seconds,
        max_share_ratio=health.max_nodes_percent / PERCENT,
    )


def _remembered(condition: Condition | None, now_s: float) -> NodeRecord:
    """Return what the condition tells a process that has just begun to lead.

    Signs may have ended while nobody looked: then recovery begins now.
    """
    if condition is None or condition.type != QUARANTINE or condition.status != "True":
        return NodeRecord()
    beat, since = condition.last_heartbeat_time, condition.last_transition_time
    was_recovering = condition.reason == RECOVERING and beat is not None
    return NodeRecord(
        last_s=beat.timestamp() if was_recovering and beat else now_s,
        is_sick=True,
        is_quarantined=True,
        since_s=since.timestamp() if since else now_s,
    )


def _is_out(state: NodeState) -> bool:
    return state.condition is not None and state.condition.status == "True"


def _standing(record: NodeRecord, actuation: str, *, is_chosen: bool) -> Standing | None:
    """Return what is to be told of a node, ``None`` when there is nothing to tell."""
    if not record.is_sick:
        return None
    last_s = record.last_s
    if record.is_recovering:
        status: Literal["True", "False"] = "True" if is_chosen else "False"
        return Standing(RECOVERING, "no sign of failure for the moment", last_s, status)
    reason, message = record.signs[0].reason, describe(record.signs)
    if is_chosen:
        return Standing(reason, message, last_s, "True")
    if actuation == "Auto":
        return Standing("TooManyNodes", f"{message}; as many nodes are out as may be", last_s)
    return Standing("Recommended", f"{message}; gpuHealth only recommends", last_s)
