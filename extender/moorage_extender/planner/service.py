"""The planner's life: gather pods that fit nowhere, have them solved, write plans, wake pods."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Final, Literal, Protocol

from moorage_crds.plan_manifests import write_plan
from moorage_crds.planning import to_planning_params
from moorage_crds.snapshot_file import PlannerSnapshot
from moorage_extender.context import Context
from moorage_extender.planner.answers import Said
from moorage_extender.planner.ledger import PREFIX, PlanLedger, Shape, shape_of
from moorage_extender.planner.view import encode, see
from moorage_extender.planner.voice import Voice
from moorage_extender.planner.waking import Waking
from moorage_policies.errors import MoorageError, UnavailableError
from moorage_policies.planning.answer import Answer, PlanDraft, Word
from moorage_policies.planning.batch import Batch, BatchParams, observe, solved
from moorage_policies.planning.facts import Facts, PlanningParams
from moorage_policies.planning.waiting import Waiting, find_waiting
from moorage_policies.ports import Reporter
from moorage_policies.state import Snapshot
from moorage_policies.types import Pod

TICK_S: Final = 0.1
PODS_A_TICK: Final = 500
"""Pending pods that one tick is paid for: where thousands wait, looks are rarer."""
WARM_EVERY_S: Final = 2.0
PATIENCE: Final = 3.0
"""How many times its effort a search may take by the clock before it is cut off."""
SPARE_S: Final = 10.0
"""Seconds on top of it, in which reasons are looked for."""
NEVER: Final = -1


class Link(Protocol):
    """The way to a solver; ``SolverLink`` is one."""

    async def ask(
        self,
        snapshot: Sequence[bytes],
        *,
        deadline_s: float,
        on_answer: Callable[[Answer], Awaitable[None]],
    ) -> Answer:
        """Return the final answer."""
        ...

    async def is_warm(self) -> bool:
        """Return whether a question would be heard now."""
        ...


@dataclass(slots=True)
class Planner:
    """Plans for pods that fit nowhere, while this process leads.

    Args:
        ctx: the extender's state and tools.
        link: the way to the solver.
        voice: what is written to the cluster.
        leads: whether this process plans now.
        reporter: hears what is decided.
    """

    ctx: Context
    link: Link
    voice: Voice
    leads: Callable[[], bool]
    reporter: Reporter
    _batch: Batch = field(default_factory=Batch)
    _solving: asyncio.Task[None] | None = None
    _asked_s: float = float("-inf")
    _has_taken_over: bool = False
    _ledger: PlanLedger = field(init=False)
    _waking: Waking = field(init=False)

    def __post_init__(self) -> None:
        ctx = self.ctx
        self._ledger = PlanLedger({}, ctx.clock, ctx.wall_clock)
        self._waking = Waking(self.voice, ctx.clock)

    async def run(self) -> None:
        """Plan until cancelled; a failure ends one look, never the planner."""
        while True:
            pending = len(self.ctx.state.snapshot().pending)
            await asyncio.sleep(TICK_S * (1 + pending // PODS_A_TICK))
            try:
                await self.look()
            except MoorageError as error:
                self._note_failure(error)
                await asyncio.sleep(1.0)

    async def look(self) -> None:
        """Look once: take note of who waits, and start a search when one is due."""
        ctx = self.ctx
        is_off = ctx.policy.spec.actuation == "Off"
        if not self.leads() or is_off or ctx.why_not_ready():
            ctx.answers.enabled = False
            self._batch, self._asked_s = Batch(), float("-inf")
            self._has_taken_over = False
            return
        await self._greet_solver()
        for uid in self._ledger.follow(ctx.kept_room.plans):
            ctx.answers.forget(uid)
        snapshot = ctx.state.snapshot()
        waiting = self._find(snapshot)
        await self._take_over(snapshot)
        await self._refuse(snapshot, waiting)
        await self._wake(snapshot)
        self._batch, due = observe(
            self._batch,
            [pod.uid for pod in waiting.pods],
            generation=snapshot.generation,
            world=self._world(snapshot),
            now_s=ctx.clock(),
            params=self._batch_params(),
        )
        if due and not self._is_solving() and ctx.answers.enabled:
            self._solving = asyncio.create_task(self._solve(snapshot, waiting))

    async def settle(self) -> None:
        """Return when the search that runs, if any, is done."""
        if self._solving is not None:
            await self._solving

    def _is_solving(self) -> bool:
        return self._solving is not None and not self._solving.done()

    async def _greet_solver(self) -> None:
        """See now and then whether the solver would answer; one that solves is not disturbed."""
        now_s = self.ctx.clock()
        if not self._is_solving() and now_s - self._asked_s >= WARM_EVERY_S:
            self._asked_s = now_s
            self.ctx.answers.enabled = await self.link.is_warm()

    def _find(self, snapshot: Snapshot) -> Waiting:
        served = self._ledger.served()
        schedulers = self._params().limits.schedulers
        pending = snapshot.pending
        alive = chain(pending.values(), chain.from_iterable(snapshot.node_pods))
        waiting = find_waiting(pending.values(), alive, schedulers, served)
        known = {pod.uid for pod in waiting.pods} | waiting.refused.keys() | served
        self.ctx.answers.keep_only(known, pending)
        return waiting

    def _world(self, snapshot: Snapshot) -> tuple[object, ...]:
        """Return what makes earlier answers void when it changes."""
        open_nodes = sum(not node.unschedulable for node in snapshot.nodes)
        digest = hashlib.blake2b(snapshot.allocatable.tobytes(), digest_size=8).digest()
        closed = frozenset(
            (budget.namespace, budget.name)
            for budget in self.ctx.budgets.current()
            if budget.disruptions_allowed < 1
        )
        return (digest, open_nodes, closed, self._ledger.ended, self.ctx.policy.version)

    def _batch_params(self) -> BatchParams:
        settings, autoscaler = self.ctx.settings, self.ctx.policy.spec.node_autoscaler
        return BatchParams(
            debounce_s=settings.plan_debounce_s,
            longest_s=settings.plan_longest_wait_s,
            delay_s=autoscaler.delay_seconds if autoscaler is not None else 0.0,
        )

    def _params(self) -> PlanningParams:
        return to_planning_params(self.ctx.policy.spec)

    async def _take_over(self, snapshot: Snapshot) -> None:
        """Do what a planner that died left undone: its bells, its word to pods with a plan."""
        if not self._has_taken_over:
            await self.voice.hush()
            self._has_taken_over = True
        for name, uid in self._ledger.inherited():
            if uid in snapshot.pending and self.ctx.answers.find(uid) is None:
                await self._say(snapshot.pending[uid], Said("Planned", f"plan {name} makes room"))

    async def _refuse(self, snapshot: Snapshot, waiting: Waiting) -> None:
        for uid, why in waiting.refused.items():
            said = Said("Unsupported", f"no plan is made for this pod: {why}")
            await self._say(snapshot.pending[uid], said)

    async def _solve(self, snapshot: Snapshot, waiting: Waiting) -> None:
        """Search once; what goes wrong is counted, and the pods are tried again later."""
        ctx, began_s = self.ctx, self.ctx.clock()
        outcome = "answered"
        try:
            await self._ask(snapshot, waiting)
        except UnavailableError as error:
            outcome = "unavailable"
            self._asked_s = float("-inf")
            self._note_failure(error)
        except MoorageError as error:
            outcome = "failed"
            self._note_failure(error)
        ctx.metrics.planner_seconds.labels(outcome).observe(ctx.clock() - began_s)
        self._batch = solved(
            self._batch,
            [pod.uid for pod in waiting.pods],
            generation=snapshot.generation if outcome == "answered" else NEVER,
            now_s=ctx.clock(),
            params=self._batch_params(),
        )

    async def _ask(self, snapshot: Snapshot, waiting: Waiting) -> None:
        params = self._params()
        facts = await see(self.ctx, snapshot, [pod.uid for pod in waiting.pods])
        self.ctx.last_snapshot = await encode(PlannerSnapshot(facts, params))

        async def write(answer: Answer) -> None:
            await self._write_plans(answer, facts)
            await self._tell(answer, is_final=False)

        answer = await self.link.ask(
            self.ctx.last_snapshot,
            deadline_s=PATIENCE * params.work_s + SPARE_S,
            on_answer=write,
        )
        await self._tell(answer, is_final=True)

    async def _write_plans(self, answer: Answer, facts: Facts) -> None:
        snapshot = self.ctx.state.snapshot()
        drafts = [
            draft
            for draft in answer.drafts
            if _still_holds(draft, snapshot) and not self._ledger.is_resting(draft)
        ]
        kept = await self._supersede(drafts)
        for draft in drafts:
            if shape_of(draft.moves) not in kept:
                await self._write_plan(draft, answer, facts)

    async def _supersede(self, drafts: Sequence[PlanDraft]) -> set[Shape]:
        """End proposals that would be made differently now; return the shapes of the others."""
        wanted = {shape_of(draft.moves) for draft in drafts}
        kept = set()
        for record in tuple(self._ledger.proposed()):
            shape = shape_of(record.plan.moves)
            if shape in wanted:
                kept.add(shape)
            else:
                await self.voice.expire_plan(record.plan.name)
        return kept

    async def _write_plan(self, draft: PlanDraft, answer: Answer, facts: Facts) -> None:
        name, mode = _name(draft, facts.at_s), self._mode()
        manifest = write_plan(name, draft, answer.proof, mode=mode, generation=facts.generation)
        await self.voice.write_plan(manifest)
        if mode == "Auto":
            self._ledger.note(name, draft)
        self.ctx.metrics.planner_plans.inc()
        verdict = answer.proof.verdict
        self.reporter.report("planner.plan", plan=name, why=draft.reason, verdict=verdict)

    def _mode(self) -> Literal["Recommend", "Auto"]:
        return "Auto" if self.ctx.policy.spec.actuation == "Auto" else "Recommend"

    async def _tell(self, answer: Answer, *, is_final: bool) -> None:
        """Say what was found out; while reasons are looked for, nothing is said of their pods."""
        pending = self.ctx.state.snapshot().pending
        for uid, word in answer.words.items():
            if uid in pending and (is_final or word != "Unknown"):
                await self._say(pending[uid], self._said(uid, word, answer.messages.get(uid, "")))

    def _said(self, uid: str, word: Word, message: str) -> Said:
        if word != "Planned":
            return Said(word, message)
        name = self._ledger.name_for(uid)
        if name:
            return Said("Planned", f"plan {name} {message}")
        if self._mode() == "Recommend":
            return Said("Unknown", f"a plan {message}; it waits for `moorage plan approve`")
        why = self._ledger.why_resting(uid)
        ended = f" ({why})" if why else ""
        return Said("Unknown", f"the last plan came to nothing{ended}; another is made later")

    async def _say(self, pod: Pod, said: Said) -> None:
        if self.ctx.answers.say(pod.uid, said):
            await self.voice.tell_pod(pod, said)

    async def _wake(self, snapshot: Snapshot) -> None:
        """Have pods tried again that have their room, or whose preemption is not held back now."""
        ctx = self.ctx
        released = ctx.answers.released()
        has_room = (uid for uid, said in ctx.answers.all().items() if said.word == "HasRoom")
        offered = (
            slot.move.uid
            for slot in ctx.kept_room.slots(snapshot)
            if slot.move.kind == "Place" and slot.is_offered
        )
        sleepers = {
            uid: snapshot.pending[uid]
            for uid in (*released, *has_room, *offered)
            if uid in snapshot.pending and snapshot.pending[uid].nominated_node is None
        }
        rung = await self._waking.wake(sleepers, snapshot, urgent=released)
        ctx.metrics.planner_bells.inc(rung)

    def _note_failure(self, error: MoorageError) -> None:
        self.ctx.metrics.planner_failures.inc()
        self.reporter.report("planner.failed", error=str(error))


def _still_holds(draft: PlanDraft, snapshot: Snapshot) -> bool:
    """Return whether every pod and node of the draft is as the draft says."""
    for move in draft.moves:
        if move.target and move.target not in snapshot.node_index:
            return False
        if move.kind == "Place":
            if move.uid not in snapshot.pending:
                return False
            continue
        row = snapshot.node_index.get(move.source)
        if row is None or all(pod.uid != move.uid for pod in snapshot.pods_on(row)):
            return False
    return True


def _name(draft: PlanDraft, at_s: float) -> str:
    text = f"{at_s} {sorted(shape_of(draft.moves))}"
    return PREFIX + hashlib.blake2b(text.encode(), digest_size=5).hexdigest()
