"""The planner without a cluster: facts told by hand, a scripted solver, what it writes recorded."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import pytest

from moorage_crds.plan import PlacementPlan
from moorage_crds.plan_records import to_plan_record
from moorage_crds.policy import PolicySpec
from moorage_crds.snapshot_file import decode
from moorage_extender.config import Settings
from moorage_extender.context import Context
from moorage_extender.planner.answers import Answers, Said
from moorage_extender.planner.service import Planner
from moorage_policies.errors import UnavailableError
from moorage_policies.planning.answer import Answer, PlanDraft, Proof, Word
from moorage_policies.plans import Move, PlanProgress, PlanRecord
from moorage_policies.state import NodesListed, PodChanged, PodsListed
from moorage_policies.testing import make_node, make_pod
from moorage_policies.types import Pod

OURS = "moorage-scheduler"
UID = "pod-default-w"


class Clock:
    def __init__(self, now_s: float) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s


@dataclass
class ScriptedLink:
    """A solver that answers what it is told to."""

    answers: list[Answer | Exception] = field(default_factory=list)
    asked: list[bytes] = field(default_factory=list)
    warm: bool = True

    async def ask(
        self,
        snapshot: Sequence[bytes],
        *,
        deadline_s: float,  # noqa: ARG002 - the link's signature
        on_answer: Callable[[Answer], Awaitable[None]],
    ) -> Answer:
        self.asked.append(b"".join(snapshot))
        given = self.answers.pop(0)
        if isinstance(given, Exception):
            raise given
        await on_answer(given)
        return given

    async def is_warm(self) -> bool:
        return self.warm


@dataclass
class Recorder:
    """Keeps what the planner writes."""

    plans: list[dict[str, Any]] = field(default_factory=list)
    expired: list[str] = field(default_factory=list)
    told: list[tuple[str, Said]] = field(default_factory=list)
    rung: list[str] = field(default_factory=list)
    hushed: int = 0

    async def write_plan(self, manifest: dict[str, Any]) -> None:
        self.plans.append(manifest)

    async def expire_plan(self, name: str) -> None:
        self.expired.append(name)

    async def tell_pod(self, pod: Pod, said: Said) -> None:
        self.told.append((pod.uid, said))

    async def hush(self) -> None:
        self.hushed += 1

    async def ring(self, pod: Pod, node: str) -> None:  # noqa: ARG002 - the voice's signature
        self.rung.append(pod.uid)

    def report(self, event: str, /, **facts: object) -> None:
        """Take no note: reports are for people."""


class Pier:
    """A planner with everything around it, and a clock."""

    def __init__(self, **settings: Any) -> None:
        self.clock, self.wall = Clock(100.0), Clock(1e9)
        self.ctx = Context(Settings(**settings), clock=self.clock, wall_clock=self.wall)
        self.link, self.voice = ScriptedLink(), Recorder()
        self.leads = True
        self.planner = Planner(self.ctx, self.link, self.voice, lambda: self.leads, self.voice)

    def told(self, *pods: Pod) -> None:
        self.ctx.state.apply(NodesListed((make_node("a", gpus=4), make_node("b", gpus=4))))
        self.ctx.state.apply(PodsListed(pods))

    async def pass_s(self, seconds: float) -> None:
        """Let the clock run, with looks in between."""
        for _ in range(round(seconds / 0.25)):
            self.clock.now_s += 0.25
            self.wall.now_s += 0.25
            await self.planner.look()
            await self.planner.settle()

    def ends(self, phase: str, reason: str = "") -> None:
        """Let the watch show the newest plan as ended."""
        plan = PlacementPlan.read(self.voice.plans[-1])
        record = to_plan_record(plan)
        self.ctx.kept_room.plans[record.plan.name] = PlanRecord(
            record.plan,
            PlanProgress(phase, reason=reason),  # type: ignore[arg-type]
        )


def waiting(name: str = "w", **fields: Any) -> Pod:
    return make_pod(name, gpus=4, scheduler=OURS, unschedulable=True, **fields)


MOVE = Move(0, 0, "Move", "pod-default-p", "default", "p", source="a", target="b", gpus=2)
PLACE = Move(1, 1, "Place", UID, "default", "w", target="a", gpus=4)
RUNNING = make_pod("p", gpus=2, node="a", scheduler=OURS)


def says(word: Word, *moves: Move, message: str = "because") -> Answer:
    drafts = (PlanDraft(moves, (UID,), "moves 1 pod"),) if moves else ()
    return Answer(drafts, Proof("Optimal"), {UID: word}, {UID: message})


@pytest.fixture
def pier() -> Pier:
    pier = Pier()
    pier.told(RUNNING, waiting())
    return pier


async def test_a_plan_is_written_once_and_told(pier: Pier) -> None:
    pier.link.answers = [says("Planned", MOVE, PLACE)]
    await pier.pass_s(20)
    [manifest] = pier.voice.plans
    assert PlacementPlan.read(manifest).spec.mode == "Auto"
    [(uid, said)] = pier.voice.told
    assert uid == UID
    assert said.message.startswith(f"plan {manifest['metadata']['name']} ")
    assert pier.ctx.answers.word_for(waiting()) == "serving"
    assert decode(pier.link.asked[0]).facts.wanted == (UID,)
    assert b"".join(pier.ctx.last_snapshot) == pier.link.asked[0]


async def test_nothing_is_planned_by_those_that_do_not_lead(pier: Pier) -> None:
    pier.leads = False
    await pier.pass_s(20)
    assert pier.link.asked == []
    assert pier.ctx.answers.word_for(waiting()) == "declined"


async def test_with_actuation_off_nothing_is_planned(pier: Pier) -> None:
    pier.ctx.policy.spec = PolicySpec(actuation="Off")
    await pier.pass_s(20)
    assert pier.link.asked == []


async def test_a_recommendation_waits_and_is_replaced_when_facts_change(pier: Pier) -> None:
    pier.ctx.policy.spec = PolicySpec(actuation="Recommend")
    pier.link.answers = [says("Planned", MOVE, PLACE)]
    await pier.pass_s(3)
    [manifest] = pier.voice.plans
    assert manifest["spec"]["mode"] == "Recommend"
    assert "approve" in pier.voice.told[0][1].message
    assert pier.ctx.answers.word_for(waiting()) == "declined"  # in-tree preemption is not held
    record = to_plan_record(PlacementPlan.read(manifest))
    pier.ctx.kept_room.plans[record.plan.name] = record

    pier.link.answers = [says("Planned", MOVE, PLACE)]  # the same again: it stays
    pier.ctx.state.apply(PodChanged(make_pod("x", gpus=0, node="b")))
    await pier.pass_s(10)
    assert (len(pier.link.asked), len(pier.voice.plans), pier.voice.expired) == (2, 1, [])

    pier.link.answers = [says("Planned", PLACE)]
    pier.ctx.state.apply(PodChanged(make_pod("y", gpus=0, node="b")))
    await pier.pass_s(20)
    assert pier.voice.expired == [record.plan.name]
    assert len(pier.voice.plans) == 2


async def test_a_plan_that_came_to_nothing_is_not_repeated_at_once(pier: Pier) -> None:
    pier.link.answers = [says("Planned", MOVE, PLACE) for _ in range(50)]
    written_s = []
    for _ in range(40):
        before = len(pier.voice.plans)
        await pier.pass_s(1)
        if len(pier.voice.plans) > before:
            written_s.append(pier.clock.now_s)
            pier.ends("Aborted", "BudgetClosed")
        pier.ctx.state.apply(PodChanged(make_pod("x", gpus=0, node="b", started_s=pier.clock())))
    pauses = [b - a for a, b in pairwise(written_s)]
    assert len(pauses) >= 2
    assert pauses[0] >= 5
    assert pauses == sorted(pauses)
    assert any("BudgetClosed" in said.message for _, said in pier.voice.told)


async def test_a_solver_that_fails_lets_preemption_pass_and_is_asked_again(pier: Pier) -> None:
    pier.link.answers = [UnavailableError("it died"), says("Planned", MOVE, PLACE)]
    pier.link.warm = True
    await pier.pass_s(1.5)
    pier.link.warm = False
    await pier.pass_s(3)
    assert pier.ctx.answers.word_for(waiting()) == "declined"
    assert pier.voice.plans == []
    pier.link.warm = True
    await pier.pass_s(20)
    assert len(pier.voice.plans) == 1


async def test_facts_that_changed_while_solving_write_no_plan(pier: Pier) -> None:
    gone = Move(0, 0, "Move", "someone-gone", "default", "g", source="a", target="b")
    pier.link.answers = [says("Planned", gone, PLACE)]
    await pier.pass_s(3)
    assert pier.voice.plans == []


async def test_a_preemption_held_back_in_vain_is_let_go_by_the_bell(pier: Pier) -> None:
    assert pier.ctx.answers.word_for(waiting()) == "declined"
    await pier.pass_s(0.25)
    assert pier.ctx.answers.word_for(waiting()) == "silent"
    pier.ctx.answers.note_veto(UID)
    pier.link.answers = [says("Infeasible")]
    await pier.pass_s(3)
    assert pier.ctx.answers.word_for(waiting()) == "declined"
    rung = len(pier.voice.rung)
    assert rung >= 1
    await pier.pass_s(10)
    assert len(pier.voice.rung) > rung, "a bell may be missed: it rings until the scheduler asks"
    pier.ctx.answers.note_asked(UID)
    rung = len(pier.voice.rung)
    await pier.pass_s(60)
    assert len(pier.voice.rung) == rung


async def test_pods_that_have_room_are_woken_ever_more_seldom(pier: Pier) -> None:
    pier.link.answers = [says("HasRoom")]
    await pier.pass_s(60)
    assert 4 <= len(pier.voice.rung) <= 8
    pier.told(RUNNING)
    await pier.pass_s(60)
    assert len(pier.voice.rung) <= 8


async def test_unsupported_pods_are_told_once_and_never_held_back(pier: Pier) -> None:
    pod = waiting(unsupported=("PersistentVolumeClaim",))
    pier.told(pod)
    await pier.pass_s(10)
    assert pier.link.asked == []
    [(uid, said)] = pier.voice.told
    assert (uid, said.word) == (UID, "Unsupported")
    assert "PersistentVolumeClaim" in said.message
    assert pier.ctx.answers.word_for(pod) == "declined"


async def test_a_planner_that_takes_over_tells_of_the_plan_and_makes_no_other(pier: Pier) -> None:
    pier.link.answers = [says("Planned", MOVE, PLACE)]
    await pier.pass_s(3)
    [manifest] = pier.voice.plans
    record = to_plan_record(PlacementPlan.read(manifest))
    record = replace(record, plan=replace(record.plan, created_s=pier.wall.now_s))

    heir = Pier()
    heir.told(RUNNING, waiting())
    heir.ctx.kept_room.plans[record.plan.name] = record
    await heir.pass_s(3)
    assert heir.voice.plans == []
    assert heir.voice.hushed == 1
    assert heir.voice.told == [(UID, Said("Planned", f"plan {record.plan.name} makes room"))]


def test_a_pod_held_back_is_woken_even_before_the_scheduler_told_of_its_failure() -> None:
    answers = Answers()
    answers.enabled = True
    answers.note_veto("held")
    answers.keep_only(waiting=(), pending=("held", "other"))
    assert answers.released() == ()
    answers.enabled = False
    assert answers.released() == ("held",)
    answers.keep_only(waiting=(), pending=("other",))
    assert answers.released() == ()
