"""What the executor does next with a plan, from its status and fresh facts alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from moorage_policies.plans import notes
from moorage_policies.plans.budgets import cool_down_left_s, why_over_budget
from moorage_policies.plans.checks import (
    Problem,
    is_marked,
    siblings_of,
    why_immovable,
    why_settling,
    why_target_refuses,
)
from moorage_policies.plans.moving import Turn, advance
from moorage_policies.plans.observation import (
    Action,
    Observation,
    PlanParams,
    Unmark,
    Wait,
)
from moorage_policies.plans.partners import (
    failures_of,
    find_first_loss,
    is_whole,
    partners_of,
)
from moorage_policies.plans.records import (
    SETTLED,
    UNDER_WAY,
    Move,
    MoveProgress,
    PlanRecord,
)
from moorage_policies.types import Decision

MAX_SIBLINGS = 256
_PATIENT_LOOK_S = 5.0


def decide(
    record: PlanRecord, seen: Observation, params: PlanParams, now_s: float
) -> Decision[Action]:
    """Return the one thing to do next, and why.

    Everything that changes the cluster is written down before it is done, so that whoever comes
    next, also after a crash, finds it in the status. An action that may have been done already is
    either fenced by the pod's UID or harmless when repeated.

    Args:
        record: the plan and its status as stored.
        seen: the cluster, read after the status.
        params: limits.
        now_s: Unix seconds.
    """
    if record.progress.has_ended:
        return notes.wait("the plan has ended", None)
    if record.progress.phase == "Executing":
        return _execute(record, seen, params, now_s)
    return _prepare(record, seen, params, now_s)


def _prepare(  # noqa: PLR0911 - one guard after the other
    record: PlanRecord, seen: Observation, params: PlanParams, now_s: float
) -> Decision[Action]:
    """Nothing has begun yet: the plan may be ended without leaving a trace."""
    plan, progress = record.plan, record.progress
    if progress.phase is None:
        moves = tuple(MoveProgress(move.index) for move in plan.moves)
        return notes.write(
            notes.turn(replace(progress, moves=moves), "Proposed", now_s), "proposed"
        )
    if not plan.moves:
        return notes.write(
            notes.end(progress, "Completed", now_s, "NothingToDo", "the plan has no moves"),
            "the plan has no moves",
        )
    if plan.mode == "Off":
        message = "mode is Off; set it to Auto in a new plan to run it"
        return notes.write(notes.end(progress, "Aborted", now_s, "SwitchedOff", message), message)
    left_s = plan.created_s + plan.ttl_s - now_s
    if left_s <= 0:
        message = f"not started within {plan.ttl_s:g} s; the cluster has changed since"
        return notes.write(notes.end(progress, "Superseded", now_s, "Expired", message), message)
    if plan.mode == "Recommend":
        problem = Problem("AwaitingApproval", f"run `moorage plan approve {plan.name}`")
        return notes.hold_plan(progress, problem, left_s)
    if progress.phase == "Proposed":
        return notes.write(notes.turn(progress, "Approved", now_s), "approved")
    return _start(record, seen, params, now_s)


def _start(
    record: PlanRecord, seen: Observation, params: PlanParams, now_s: float
) -> Decision[Action]:
    """Approved: wait, look again, and begin if every assumption still holds."""
    progress = record.progress
    settled_s = now_s - (progress.since_s or 0.0)
    if settled_s < params.settle_s:
        return notes.wait("settling", params.settle_s - settled_s)
    if seen.rivals:
        names = ", ".join(seen.rivals)
        problem = Problem("WaitsForPlan", f"plans that change the same nodes go first: {names}")
        return notes.hold_plan(progress, problem, params.poll_s)
    over = why_over_budget(record, seen, params, now_s)
    if over is not None:
        return notes.hold_plan(progress, over, _PATIENT_LOOK_S)
    broken = _find_broken(record, seen, params)
    if broken:
        index, why = next(iter(broken.items()))
        text = f"move {index}: {why.message}"
        dropped = broken | partners_of(record, broken)
        if is_whole(record, broken) or not _is_any_left(record, dropped):
            ended = notes.end(progress, "Superseded", now_s, why.reason, text)
            return notes.write(ended, text)
        return notes.write(notes.drop(progress, dropped, now_s), text)
    begun = replace(notes.turn(progress, "Executing", now_s), started_s=now_s)
    return notes.write(replace(begun, step=_first_step(record)), "every assumption holds")


def _execute(
    record: PlanRecord, seen: Observation, params: PlanParams, now_s: float
) -> Decision[Action]:
    failed = failures_of(record)
    if failed and is_whole(record, failed):
        index, why = next(iter(failed.items()))
        return _wind_down(record, seen, params, now_s, why.reason, f"move {index}: {why.message}")
    if record.plan.mode != "Auto":
        return _wind_down(record, seen, params, now_s, "SwitchedOff", "mode is not Auto any more")
    if failed and (let_go := _let_go(record, seen, failed, now_s)) is not None:
        return let_go
    begun = [Turn(record, move, progress, seen, params, now_s) for move, progress in _busy(record)]
    decisions = [*map(advance, begun), *_begin(record, seen, params, now_s)]
    for decision in decisions:
        if not isinstance(decision.value, Wait):
            return decision
    # whoever waits for room that a later step frees must not keep that step from beginning
    later = [move.step for move, p in record.pairs() if p.phase == "Waiting"]
    stalled = begun and all(turn.awaits_room for turn in begun) and _is_step_begun(record)
    if decisions and not (stalled and later):
        return min(decisions, key=_wait_s)
    return _next_step(record, later, now_s)


def _wait_s(decision: Decision[Action]) -> float:
    assert isinstance(decision.value, Wait)
    return float("inf") if decision.value.for_s is None else decision.value.for_s


def _busy(record: PlanRecord) -> list[tuple[Move, MoveProgress]]:
    return [(move, progress) for move, progress in record.pairs() if progress.phase in UNDER_WAY]


def _is_step_begun(record: PlanRecord) -> bool:
    """Return whether every move of the step has begun."""
    step = record.progress.step
    return all(p.phase != "Waiting" for move, p in record.pairs() if move.step == step)


def _begin(
    record: PlanRecord, seen: Observation, params: PlanParams, now_s: float
) -> Iterator[Decision[Action]]:
    """Begin the next move of the step, if one more may be under way."""
    # an evicted pod whose target is still to be freed takes no place: it would wait for itself
    turns = (Turn(record, move, p, seen, params, now_s) for move, p in _busy(record))
    busy = [turn.move for turn in turns if turn.move.disrupts and not turn.awaits_room]
    for move, progress in record.pairs():
        if move.step != record.progress.step or progress.phase != "Waiting":
            continue
        if move.disrupts and not _may_join(move, busy, params):
            continue
        yield _begin_one(Turn(record, move, progress, seen, params, now_s))
        if move.disrupts:
            busy.append(move)


def _may_join(move: Move, busy: list[Move], params: PlanParams) -> bool:
    """Return whether the move may run beside these; those of one workload never run together."""
    owners = {other.owner.uid for other in busy if other.owner is not None}
    is_alone = move.owner is None or move.owner.uid not in owners
    return is_alone and len(busy) < params.max_parallel_moves


def _begin_one(turn: Turn) -> Decision[Action]:
    move, record, seen, params = turn.move, turn.record, turn.seen, turn.params
    pause_s = cool_down_left_s(move, record, seen, params, turn.now_s)
    if pause_s > 0:
        problem = Problem("OwnerCoolsDown", f"the workload of {move.key} was moved just now")
        return notes.hold_move(record.progress, turn.progress, problem, pause_s)
    problem_now = _why_broken(move, record, seen, params) or why_settling(move, seen)
    if problem_now is not None and not problem_now.passes:
        return turn.fail(*problem_now[:2])
    if problem_now is not None:
        if turn.now_s - _idle_since_s(record) >= params.evict_deadline_s:
            return turn.fail(*problem_now[:2])
        return notes.hold_move(record.progress, turn.progress, problem_now, params.poll_s)
    if move.kind == "Place":
        return turn.enter("Binding")
    siblings = siblings_of(move, seen.pods.values())
    there_first = sorted(siblings, key=lambda pod: (pod.node != move.target, pod.uid))
    known = tuple(pod.uid for pod in there_first[:MAX_SIBLINGS])
    begun = notes.enter(turn.progress, "Surging" if move.surges else "Evicting", turn.now_s)
    return notes.write_move(
        record.progress, replace(begun, siblings=known), f"{move.key}: {begun.phase}"
    )


def _why_broken(
    move: Move, record: PlanRecord, seen: Observation, params: PlanParams
) -> Problem | None:
    """Return which assumption of the move does not hold."""
    if move.kind == "Place":
        pod = seen.pods.get(move.uid)
        if pod is None or pod.terminating:
            return Problem("PodGone", f"pod {move.key} with UID {move.uid} is gone; plan again")
        if pod.node is not None:
            return None  # it found a place: there is nothing left to keep for it
        if move.target not in seen.nodes:
            return Problem("TargetGone", f"node {move.target} is gone; plan again")
        return None
    # whom a move follows has yet to run: the pod that it is about does not exist before
    is_early = move.follows is not None and record.progress.phase != "Executing"
    problem = None if is_early else why_immovable(move, record, seen, params)
    if problem is None and move.target:
        in_turn = move.step <= record.progress.step and record.progress.phase == "Executing"
        refused = why_target_refuses(move, record, seen)
        # room that an earlier step frees is not there yet
        if refused is not None and (in_turn or refused.reason != "TargetTaken"):
            return refused
    return problem


def _idle_since_s(record: PlanRecord) -> float:
    """Return when the plan last got anywhere."""
    moments = [m.finished_s for m in record.progress.moves if m.finished_s is not None]
    return max([record.progress.since_s or 0.0, *moments])


def _first_step(record: PlanRecord) -> int:
    return min(move.step for move in record.plan.moves)


def _next_step(record: PlanRecord, left: list[int], now_s: float) -> Decision[Action]:
    """Nothing of the step can go on: go to the next, or end."""
    progress = record.progress
    if left:
        step = min(left)
        return notes.write(replace(progress, step=step), f"step {step} begins")
    loss = find_first_loss(record)
    if loss is None:
        ended = notes.end(progress, "Completed", now_s, "Completed", "every move is done")
        return notes.write(ended, "every move is done")
    done, (index, why) = sum(m.phase == "Done" for m in progress.moves), loss
    message = f"{done} of {len(progress.moves)} moves are done; move {index}: {why.message}"
    if not done:
        return notes.write(notes.end(progress, "Aborted", now_s, why.reason, message), message)
    return notes.write(notes.end(progress, "Completed", now_s, "PartlyDone", message), message)


def _find_broken(record: PlanRecord, seen: Observation, params: PlanParams) -> dict[int, Problem]:
    """Return the moves that cannot be made any more, and why."""
    found = {}
    for move, progress in record.pairs():
        problem = None if progress.phase in SETTLED else _why_broken(move, record, seen, params)
        if problem is not None and not problem.passes:
            found[move.index] = problem
    return found


def _is_any_left(record: PlanRecord, dropped: Mapping[int, Problem]) -> bool:
    return any(m.index not in dropped and p.phase not in SETTLED for m, p in record.pairs())


def _let_go(
    record: PlanRecord, seen: Observation, failed: Mapping[int, Problem], now_s: float
) -> Decision[Action] | None:
    """Undo what failed and leave out what counts on it; the rest of the plan goes on."""
    for move in record.plan.moves:
        pod = seen.pods.get(move.uid)
        stays = move.index in failed and move.surges and pod is not None and not pod.terminating
        if stays and pod is not None and is_marked(pod):
            return Decision(Unmark(pod.uid, pod.namespace, pod.name), f"{pod.key} stays")
    dropped = partners_of(record, failed)
    if not dropped:
        return None
    return notes.write(
        notes.drop(record.progress, dropped, now_s), "moves that make no sense alone are left out"
    )


def _wind_down(
    record: PlanRecord,
    seen: Observation,
    params: PlanParams,
    now_s: float,
    reason: str,
    message: str,
) -> Decision[Action]:
    """Stop: undo what can be undone, let end what cannot, and give the surge back."""
    waits = False
    for move, progress in record.pairs():
        pod = seen.pods.get(move.uid)
        alive = pod is not None and not pod.terminating
        never_went = move.surges and progress.phase in ("Surging", "Failed", "Skipped")
        if pod is not None and alive and never_went and is_marked(pod):
            return Decision(Unmark(pod.uid, pod.namespace, pod.name), f"{pod.key} stays")
        if progress.phase not in UNDER_WAY:
            continue
        if progress.phase == "Evicting" and (move.surges or not alive):
            turn = Turn(record, move, progress, seen, params, now_s)
            decision = advance(turn) if pod is not None else turn.done()
            if not isinstance(decision.value, Wait):
                return decision
            waits = True
            continue
        skipped = notes.settle(progress, "Skipped", now_s, "PlanEnded", message)
        return notes.write_move(record.progress, skipped, f"{move.key} is left as it is")
    if waits:
        return notes.wait("what was asked to go has to be gone first", params.poll_s)
    return notes.write(notes.end(record.progress, "Aborted", now_s, reason, message), message)
