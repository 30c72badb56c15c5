"""preempt: whom to evict, by our rules; an empty answer is a veto."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace

from moorage_extender import wire
from moorage_extender.context import Context
from moorage_extender.decisions import Record
from moorage_extender.verbs.calls import Reply
from moorage_policies.plans.slots import serves
from moorage_policies.preemption import PreemptionParams, Victims, choose_victims
from moorage_policies.types import Decision, Pod


@dataclass(frozen=True, slots=True)
class PodAndCandidates:
    """A pod that fits nowhere and the victims that kube-scheduler would take, by node."""

    pod: Pod
    candidates: Mapping[str, tuple[str, ...]]


class Preempt:
    """Answers on facts only: without fresh ones nobody is evicted.

    The scheduler deletes whomever the answer names, and a pod evicted on stale facts is not brought
    back; a pod that waits is tried again.
    """

    name = "preempt"

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._params = ctx.settings.preemption_params()

    def decode(self, body: bytes) -> PodAndCandidates:
        """Return the request."""
        args = wire.decode_request(body, wire.ExtenderPreemptionArgs)
        return PodAndCandidates(
            wire.decode_pod(wire.present(args.pod, "Pod")), wire.decode_victims(args)
        )

    def neutral(self, args: PodAndCandidates) -> bytes:  # noqa: ARG002 - every verb's signature
        """Evict nobody."""
        return wire.encode_victims({})

    async def decide(self, args: PodAndCandidates, deadline_s: float) -> Reply:  # noqa: ARG002
        """Return the victims; the search is bounded by its own step count, not by the clock.

        A preemption is held back while the planner may find something better.
        """
        ctx = self._ctx
        missing = ctx.why_not_ready()
        if missing:
            ctx.degraded(self.name, "stale")
            decision: Decision[Mapping[str, Victims]] = Decision({}, f"nobody evicted: {missing}")
            return self._reply(args, decision, "neutral")
        since_s, now_s = ctx.first_failures.since_s(args.pod.uid), ctx.wall_clock()
        ctx.answers.note_asked(args.pod.uid)
        word = "serving" if self._is_served(args.pod) else ctx.answers.word_for(args.pod)
        # in a thread: with hundreds of candidates it takes long enough to keep bindings waiting
        decision = await asyncio.to_thread(
            choose_victims,
            args.pod,
            args.candidates,
            ctx.state.snapshot(),
            ctx.budgets.current(),
            self._limits(),
            now_s,
            first_failed_s=since_s,
            planner=word,
        )
        if not decision.value and word != "declined":
            ctx.answers.note_veto(args.pod.uid)
        return self._reply(args, decision, "ok" if decision.value else "veto")

    def _limits(self) -> PreemptionParams:
        """Return the settings' limits with what the policy says."""
        told = self._ctx.policy.spec.preemption
        runtime_s = max(self._params.protection.min_runtime_s, float(told.min_runtime_seconds))
        protection = replace(self._params.protection, min_runtime_s=runtime_s)
        return replace(self._params, preemption_delay_s=told.delay_seconds, protection=protection)

    def _is_served(self, pod: Pod) -> bool:
        """Return whether a running plan makes room for the pod; evicting more would be waste."""
        return serves(pod, self._ctx.kept_room.slots(self._ctx.state.snapshot()))

    def _reply(
        self, args: PodAndCandidates, decision: Decision[Mapping[str, Victims]], outcome: str
    ) -> Reply:
        body = wire.encode_victims(decision.value)
        self._ctx.metrics.victims.inc(sum(len(one.uids) for one in decision.value.values()))
        if not decision.value:
            self._ctx.metrics.vetoes.inc()
        return Reply(body, outcome, lambda: self._record(args, decision))

    def _record(self, args: PodAndCandidates, decision: Decision[Mapping[str, Victims]]) -> Record:
        victims = {node: chosen.uids for node, chosen in decision.value.items()}
        return Record(
            pod=args.pod.key,
            uid=args.pod.uid,
            reason=decision.reason,
            node=next(iter(victims), ""),
            generation=self._ctx.state.snapshot().generation,
            candidates=len(args.candidates),
            victims=victims,
        )
