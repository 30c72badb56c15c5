"""What is next for one move that has begun."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from moorage_policies.plans import notes
from moorage_policies.plans.checks import (
    Problem,
    find_shortage,
    is_marked,
    siblings_of,
    why_budget_closed,
    why_nobody_gains,
    why_protected,
    why_rolling,
)
from moorage_policies.plans.observation import (
    Action,
    Evict,
    Mark,
    Observation,
    PlanParams,
    Workload,
)
from moorage_policies.plans.records import (
    SETTLED,
    Move,
    MovePhase,
    MoveProgress,
    PlanRecord,
)
from moorage_policies.types import Decision, Pod

EvictionAnswer = Literal["evicted", "gone", "budget", "several-budgets", "busy"]


@dataclass(frozen=True, slots=True)
class Turn:
    """One move at one moment.

    Args:
        record: its plan.
        move: the move.
        progress: how far it is.
        seen: the cluster.
        params: limits.
        now_s: Unix seconds.
    """

    record: PlanRecord
    move: Move
    progress: MoveProgress
    seen: Observation
    params: PlanParams
    now_s: float

    @property
    def pod(self) -> Pod | None:
        """Return the pod that the move is about, ``None`` when it is gone."""
        return self.seen.pods.get(self.move.uid)

    @property
    def newcomers(self) -> tuple[Pod, ...]:
        """Return the owner's pods that appeared since the move began."""
        known = set(self.progress.siblings)
        pods = siblings_of(self.move, self.seen.pods.values())
        return tuple(pod for pod in pods if pod.uid not in known)

    @property
    def replacement(self) -> Pod | None:
        """Return the newcomer on the target, ``None`` while there is none."""
        there = [pod for pod in self.newcomers if pod.node == self.move.target]
        recorded = [pod for pod in there if pod.uid == self.progress.replacement_uid]
        taken = {
            p.replacement_uid
            for p in self.record.progress.moves
            if p.index != self.move.index and p.replacement_uid
        }
        others = sorted((p for p in there if p.uid not in taken), key=lambda pod: pod.uid)
        return next(iter((*recorded, *others)), None)

    @property
    def awaits_room(self) -> bool:
        """Return whether an evicted pod's replacement can come only when others have left."""
        move, node = self.move, self.seen.nodes.get(self.move.target)
        waits = next((pod for pod in self.newcomers if pod.node is None), None)
        if self.progress.phase != "Binding" or move.kind != "Move" or not waits or not node:
            return False
        leaves = any(m.source == move.target and p.phase not in SETTLED for m, p in self._others())
        return leaves and bool(find_shortage(waits, node, self.seen))

    def overdue(self, limit_s: float) -> bool:
        """Return whether the move has been in its phase for longer than that.

        Whoever waits for room is late only when the last of those has left who sat there.
        """
        since_s = self.progress.phase_s
        if since_s is None:
            return False
        if self.progress.phase == "Binding":
            since_s = max([since_s, *self._left_s()])
        return self.now_s - since_s >= limit_s

    def _left_s(self) -> Iterator[float]:
        """Yield when each pod left that the plan takes from the target; now, if it has yet to."""
        for move, progress in self._others():
            if move.source != self.move.target:
                continue
            if progress.phase == "Binding" and progress.phase_s is not None:
                yield progress.phase_s
            else:
                yield self.now_s if progress.finished_s is None else progress.finished_s

    def _others(self) -> Iterator[tuple[Move, MoveProgress]]:
        return (pair for pair in self.record.pairs() if pair[0].index != self.move.index)

    def fail(self, reason: str, message: str) -> Decision[Action]:
        """Decide that the move failed."""
        failed = notes.fail(self.progress, Problem(reason, message), self.now_s)
        return notes.write_move(self.record.progress, failed, message)

    def done(self, message: str = "") -> Decision[Action]:
        """Decide that the move is done."""
        done = notes.settle(self.progress, "Done", self.now_s, message=message)
        return notes.write_move(self.record.progress, done, message or f"{self.move.key} is done")

    def hold(self, problem: Problem, limit_s: float) -> Decision[Action]:
        """Wait for what may pass, but no longer than the limit."""
        if self.overdue(limit_s):
            return self.fail(problem.reason, f"{problem.message}; waited {limit_s:g} s")
        poll_s = self.params.poll_s
        return notes.hold_move(self.record.progress, self.progress, problem, poll_s)

    def enter(self, phase: MovePhase, replacement: Pod | None = None) -> Decision[Action]:
        """Decide to enter the next phase."""
        entered = notes.enter(self.progress, phase, self.now_s)
        if replacement is not None:
            entered = notes.with_replacement(entered, replacement)
        return notes.write_move(self.record.progress, entered, f"{self.move.key}: {phase}")


def advance(turn: Turn) -> Decision[Action]:
    """Return what is next for a move that has begun."""
    return _next_of(turn)(turn)


def after_eviction(
    move: MoveProgress, answer: EvictionAnswer, message: str, now_s: float
) -> MoveProgress:
    """Return the move's progress after the Eviction API answered."""
    if answer == "several-budgets":
        return notes.fail(move, Problem("SeveralBudgets", message), now_s)
    if answer in ("budget", "busy"):
        reason = "BudgetClosed" if answer == "budget" else "ServerBusy"
        return replace(move, reason=reason, message=message)
    return move


def _next_of(turn: Turn) -> Callable[[Turn], Decision[Action]]:
    match turn.progress.phase:
        case "Surging":
            return _surge
        case "Evicting":
            return _watch_scale_back if turn.move.surges else _evict
        case _:
            return _place if turn.move.kind == "Place" else _await_replacement


def _surge(turn: Turn) -> Decision[Action]:  # noqa: PLR0911 - one guard after the other
    """Raised by one: wait for the replacement, then have exactly the old pod go."""
    old, workload = turn.pod, _workload(turn)
    if workload is None:
        return turn.fail("OwnerGone", f"the workload of {turn.move.key} is gone")
    if old is None or old.terminating:
        return turn.done(f"{turn.move.key} went by itself")
    if turn.move.target not in turn.seen.nodes:
        return turn.fail("TargetGone", f"node {turn.move.target} is gone")
    new = turn.replacement
    if new is None:
        return _await_newcomer(turn, workload)
    if new.uid != turn.progress.replacement_uid:
        named = notes.with_replacement(turn.progress, new)
        return notes.write_move(turn.record.progress, named, f"{new.key} takes the place")
    if not new.ready:
        problem = Problem("ReplacementStarting", f"{new.key} is not ready yet")
        return turn.hold(problem, turn.params.surge_deadline_s)
    blocker = (
        why_protected(old, turn.params)
        or why_nobody_gains(turn.move, turn.record, turn.seen, turn.params)
        or why_rolling(turn.move, workload)
        or _why_inexact(turn, new)
        or why_budget_closed(old, turn.seen.budgets)
    )
    if blocker is not None and not blocker.passes:
        return turn.fail(*blocker[:2])
    if blocker is not None:
        return turn.hold(blocker, turn.params.surge_deadline_s)
    if not is_marked(old):
        return Decision(Mark(old.uid, old.namespace, old.name), f"{old.key} is to go")
    return turn.enter("Evicting", new)


def _why_inexact(turn: Turn, new: Pod) -> Problem | None:
    """Return which sibling a scale-back would take instead of the marked pod.

    A ReplicaSet gives up unassigned, pending and unready pods before it looks at deletion cost.
    """
    for pod in siblings_of(turn.move, turn.seen.pods.values()):
        if pod.uid != new.uid and (pod.node is None or not pod.ready):
            message = f"{pod.key} is not ready and would go instead of {turn.move.key}"
            return Problem("SiblingNotReady", message, passes=True)
        if pod.uid != new.uid and is_marked(pod):
            message = f"{pod.key} is marked to go as well"
            return Problem("SiblingMarked", message, passes=True)
    return None


def _await_newcomer(turn: Turn, workload: Workload) -> Decision[Action]:
    if workload.trouble:
        reason = "QuotaExceeded" if "exceeded quota" in workload.trouble else "PodsRefused"
        return turn.fail(reason, workload.trouble)
    if turn.seen.nodes[turn.move.target].unschedulable:
        return turn.fail("TargetRefuses", f"node {turn.move.target} is cordoned")
    waiting = [pod for pod in turn.newcomers if pod.node is None]
    strays = [pod for pod in turn.newcomers if pod.node not in (None, turn.move.target)]
    if strays and not waiting:
        stray = strays[0]
        message = f"{stray.key} went to {stray.node} instead of {turn.move.target}"
        return turn.fail("LandedElsewhere", message)
    live = len(siblings_of(turn.move, turn.seen.pods.values())) + 1
    if workload.surge and not turn.newcomers and live >= workload.desired + workload.surge:
        message = f"{workload.name} was scaled in: it starts no pod beside its {live}"
        return turn.fail("OwnerScaledIn", message)
    message = f"no replacement sits on {turn.move.target} yet"
    problem = Problem("ReplacementPending", message)
    return turn.hold(problem, turn.params.bind_deadline_s)


def _watch_scale_back(turn: Turn) -> Decision[Action]:
    """The scale-back is ordered: exactly the old pod must go."""
    old, workload = turn.pod, _workload(turn)
    if old is None:
        return turn.done()
    if workload is not None and not old.terminating and workload.surge == 0:
        live = len(siblings_of(turn.move, turn.seen.pods.values())) + 1
        if live <= workload.desired:
            message = f"another pod of {workload.name} went instead of {turn.move.key}"
            return turn.fail("AnotherPodWent", message)
    problem = Problem("PodLeaving", f"{turn.move.key} is asked to go")
    return turn.hold(problem, turn.params.evict_deadline_s)


def _evict(turn: Turn) -> Decision[Action]:  # noqa: PLR0911 - one guard after the other
    """No replacement first: ask the Eviction API until the pod goes."""
    old, move = turn.pod, turn.move
    if old is None:
        return turn.done() if move.kind == "Evict" else turn.enter("Binding")
    if old.terminating:
        problem = Problem("PodLeaving", f"{move.key} is shutting down")
        return turn.hold(problem, turn.params.evict_deadline_s)
    if move.kind == "Move" and move.target not in turn.seen.nodes:
        return turn.fail("TargetGone", f"node {move.target} is gone")
    broken = why_protected(old, turn.params) or why_nobody_gains(
        move, turn.record, turn.seen, turn.params
    )
    if broken is not None:
        return turn.fail(*broken[:2])
    closed = why_budget_closed(old, turn.seen.budgets)
    if closed is not None:
        return turn.hold(closed, turn.params.evict_deadline_s)
    if turn.overdue(turn.params.evict_deadline_s):
        return turn.fail("NotEvictedInTime", turn.progress.message or f"{move.key} is still there")
    return Decision(Evict(old.uid, old.namespace, old.name, turn.progress), f"{old.key} has to go")


def _await_replacement(turn: Turn) -> Decision[Action]:  # noqa: PLR0911 - one guard each
    """Evicted: the controller makes a new pod, which belongs on the target."""
    new, move = turn.replacement, turn.move
    if move.target not in turn.seen.nodes:
        return turn.fail("TargetGone", f"node {move.target} is gone")
    if new is not None and new.uid != turn.progress.replacement_uid:
        named = notes.with_replacement(turn.progress, new)
        return notes.write_move(turn.record.progress, named, f"{new.key} takes the place")
    if new is not None and new.ready:
        return turn.done()
    if new is not None:
        problem = Problem("ReplacementStarting", f"{new.key} is not ready yet")
        return turn.hold(problem, turn.params.surge_deadline_s)
    strays = [pod for pod in turn.newcomers if pod.node is not None]
    if strays and all(pod.node is not None for pod in turn.newcomers):
        stray = strays[0]
        message = f"{stray.key} went to {stray.node} instead of {move.target}"
        return turn.fail("LandedElsewhere", message)
    if turn.awaits_room:
        problem = Problem("RoomNotFreed", f"a later step frees room on {move.target}")
        return notes.hold_move(turn.record.progress, turn.progress, problem, turn.params.poll_s)
    problem = Problem("ReplacementPending", f"no replacement sits on {move.target} yet")
    return turn.hold(problem, turn.params.bind_deadline_s)


def _place(turn: Turn) -> Decision[Action]:
    """The room is there: the scheduler takes the pod to its place."""
    pod, move = turn.pod, turn.move
    if pod is None or pod.terminating:
        return turn.fail("PodGone", f"{move.key} is gone")
    if pod.node == move.target:
        return turn.done()
    if pod.node is not None:
        return turn.done(f"{move.key} went to {pod.node} instead of {move.target}")
    if move.target not in turn.seen.nodes:
        return turn.fail("TargetGone", f"node {move.target} is gone")
    problem = Problem("PodPending", f"{move.key} is not on {move.target} yet")
    return turn.hold(problem, turn.params.bind_deadline_s)


def _workload(turn: Turn) -> Workload | None:
    owner = turn.move.owner
    return turn.seen.workloads.get(owner.uid) if owner is not None else None
