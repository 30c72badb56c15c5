"""Looks now and then whether free accelerators lie scattered, and writes plans against it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Any, Literal

import msgspec

from moorage_cluster.errors import ApiError, NotFoundError
from moorage_cluster.session import ApiSession
from moorage_crds.disruption import Defragmentation
from moorage_crds.names import PLANS, POLICIES
from moorage_crds.outlook_manifests import write_defragmentation
from moorage_crds.plan_records import to_timestamp
from moorage_crds.policy import POLICY_NAME, PolicySpec
from moorage_operator.defragmentation.facts import ClusterFacts, Question
from moorage_operator.defragmentation.opening import is_open_now, refuse_what_never_opens
from moorage_operator.defragmentation.searching import Outcome
from moorage_operator.errors import NotLeadingError
from moorage_operator.services.plan_book import read_plan
from moorage_operator.services.plan_facts import PlanFacts
from moorage_operator.services.view import ClusterView
from moorage_policies.errors import BadInputError, UnavailableError
from moorage_policies.ports import Reporter
from moorage_policies.rescheduling.proposals import Proposal
from moorage_policies.rescheduling.staleness import drop_stale
from moorage_policies.rescheduling.triggers import Moment, TriggerParams, decide_start, why_rest
from moorage_policies.types import NVIDIA_GPU

CONDITION = "DefragmentationReady"
MANAGER = "moorage-defragmentation"
PLAN_PREFIX = "defragment-"
_APPLY = "application/apply-patch+yaml"
_DIGEST = 10

Ask = Callable[..., Awaitable[Outcome]]


class DefragmentationService:
    """Makes plans while this process leads; the executor carries them out.

    Args:
        session: the session.
        view: plans as last heard of.
        plan_facts: reads the policy.
        facts: reads the cluster.
        ask: searches, in a process of its own.
        leads: whether this process holds the Lease; asked before every write.
        count: told the verb and the kind of every write.
        now_s: Unix seconds.
        reporter: hears of every decision that changed.
    """

    def __init__(
        self,
        session: ApiSession,
        view: ClusterView,
        plan_facts: PlanFacts,
        facts: ClusterFacts,
        ask: Ask,
        leads: Callable[[], bool],
        count: Callable[[str, str], None],
        now_s: Callable[[], float],
        reporter: Reporter,
    ) -> None:
        self._session = session
        self._view = view
        self._plan_facts = plan_facts
        self._facts = facts
        self._ask = ask
        self._leads = leads
        self._count = count
        self._now_s = now_s
        self._reporter = reporter
        self._told: tuple[str, str] | None = None
        self._last_reason = ""

    async def run(self, every_s: float) -> None:
        """Look until cancelled; what fails is tried again at the next look."""
        while True:
            try:
                await self.tick()
            except (ApiError, UnavailableError, NotLeadingError, BadInputError) as error:
                self._note(f"failed: {error}")
            await asyncio.sleep(every_s)

    async def tick(self) -> None:
        """Look once, and write a plan if it is time and something is worth its price.

        Raises:
            UnavailableError: something did not answer.
        """
        policy = await self._plan_facts.policy()
        asked = policy.defragmentation
        if asked is None or "Off" in (asked.actuation, policy.actuation):
            return
        try:
            refuse_what_never_opens(asked, self._now_s())
        except BadInputError as error:
            await self._tell("False", "BadInput", str(error))
            return
        await self._tell("True", "Ready", "windows and schedules can be used")
        params = trigger_of(asked)
        moment = self._moment(asked)
        resting = why_rest(params, moment)
        if resting:
            self._note(resting)
            return
        await self._look_and_plan(policy, asked, params, moment)

    async def _look_and_plan(
        self, policy: PolicySpec, asked: Defragmentation, params: TriggerParams, moment: Moment
    ) -> None:
        question = await self._facts.gather(policy, self._now_s())
        seen = await self._ask(question, is_look=True)
        waiting = sum(
            pod.unschedulable and pod.node is None and pod.requests.get(NVIDIA_GPU, 0) > 0
            for pod in question.facts.pods
        )
        decision = decide_start(
            params,
            Moment(
                now_s=moment.now_s,
                is_open=moment.is_open,
                last_end_s=moment.last_end_s,
                waiting=waiting,
                picture=seen.picture,
            ),
        )
        self._note(decision.reason)
        if not decision.value:
            return
        found = (await self._ask(question, is_look=False)).proposal
        if found is None or not found.moves:
            self._note(f"{decision.reason}; {found.reason if found else 'no answer'}")
            return
        await self._write(policy, asked, found, decision.reason)

    def _moment(self, asked: Defragmentation) -> Moment:
        records = [
            stored
            for stored in self._view.plans.stored()
            if stored.plan.spec.trigger == "Defragment"
        ]
        unfinished = next((s.name for s in records if not s.record.progress.has_ended), "")
        ends = [s.record.progress.finished_s for s in records]
        now_s = self._now_s()
        return Moment(
            now_s=now_s,
            is_open=is_open_now(asked, now_s),
            unfinished=unfinished,
            last_end_s=max((end for end in ends if end is not None), default=None),
        )

    async def _write(
        self, policy: PolicySpec, asked: Defragmentation, found: Proposal, why: str
    ) -> None:
        """Store the plan, unless the cluster has changed too much since it was looked at."""
        fresh: Question = await self._facts.gather(policy, self._now_s())
        left = drop_stale(found.moves, fresh.facts.nodes, fresh.facts.pods)
        if left.dropped:
            self._note(f"{len(left.dropped)} of {len(found.moves)} moves are stale already")
            return
        both = (asked.actuation, policy.actuation)
        mode: Literal["Recommend", "Auto"] = "Auto" if both == ("Auto", "Auto") else "Recommend"
        text = f"{self._now_s():.6f} {[move.uid for move in found.moves]}"
        name = PLAN_PREFIX + sha256(text.encode()).hexdigest()[:_DIGEST]
        if not self._leads():
            raise NotLeadingError
        self._count("create", PLANS.kind)
        body: dict[str, Any] = write_defragmentation(name, found, mode=mode, why=why)
        stored = read_plan(await self._session.request("POST", PLANS.path(), body=body))
        self._view.plans.put(stored)
        self._reporter.report("defragmentation.plan", plan=name, mode=mode, why=found.reason)

    async def _tell(self, status: str, reason: str, message: str) -> None:
        """Write the policy's condition where it says something else."""
        if self._told == (reason, message):
            return
        if not self._leads():
            raise NotLeadingError
        self._count("apply-status", POLICIES.kind)
        condition = {
            "type": CONDITION,
            "status": status,
            "reason": reason,
            "message": message,
            "lastTransitionTime": to_timestamp(self._now_s()),
        }
        body = {
            "apiVersion": POLICIES.api_version,
            "kind": POLICIES.kind,
            "metadata": {"name": POLICY_NAME},
            "status": {"conditions": [condition]},
        }
        try:
            await self._session.request(
                "PATCH",
                POLICIES.path("", POLICY_NAME, "status"),
                params={"fieldManager": MANAGER, "force": "true"},
                body=msgspec.json.encode(body),
                content_type=_APPLY,
            )
        except NotFoundError:
            return
        self._told = (reason, message)

    def _note(self, reason: str) -> None:
        if reason != self._last_reason:
            self._reporter.report("defragmentation.decision", why=reason)
            self._last_reason = reason


def trigger_of(asked: Defragmentation) -> TriggerParams:
    """Return when plans are made."""
    return TriggerParams(
        trigger=asked.trigger,
        threshold_percent=asked.threshold_percent or 0,
        cool_down_s=float(asked.cool_down_seconds),
    )
