"""Small changes of progress: phases, reasons, ends; each returns new progress."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from moorage_policies.plans.checks import Problem
from moorage_policies.plans.observation import Action, Record, Wait
from moorage_policies.plans.records import MovePhase, MoveProgress, PlanPhase, PlanProgress
from moorage_policies.types import Decision, Pod


def enter(move: MoveProgress, phase: MovePhase, now_s: float) -> MoveProgress:
    """Return the move in a phase that it was not in before."""
    return replace(
        move,
        phase=phase,
        phase_s=now_s,
        started_s=now_s if move.started_s is None else move.started_s,
        reason="",
        message="",
    )


def settle(
    move: MoveProgress, phase: MovePhase, now_s: float, reason: str = "", message: str = ""
) -> MoveProgress:
    """Return the move at its end."""
    return replace(
        move, phase=phase, phase_s=now_s, finished_s=now_s, reason=reason, message=message
    )


def fail(move: MoveProgress, problem: Problem, now_s: float) -> MoveProgress:
    """Return the move as failed for this reason."""
    return settle(move, "Failed", now_s, problem.reason, problem.message)


def with_replacement(move: MoveProgress, pod: Pod) -> MoveProgress:
    """Return the move with the pod that took the kept place."""
    return replace(move, replacement_name=pod.name, replacement_uid=pod.uid)


def turn(
    progress: PlanProgress, phase: PlanPhase, now_s: float, reason: str = "", message: str = ""
) -> PlanProgress:
    """Return the plan in a phase that it was not in before."""
    return replace(progress, phase=phase, since_s=now_s, reason=reason, message=message)


def end(
    progress: PlanProgress, phase: PlanPhase, now_s: float, reason: str, message: str
) -> PlanProgress:
    """Return the plan at its end, with every move that never began left out."""
    moves = tuple(
        settle(m, "Skipped", now_s, "PlanEnded") if m.phase == "Waiting" else m
        for m in progress.moves
    )
    ended = turn(progress, phase, now_s, reason, message)
    return replace(ended, moves=moves, finished_s=now_s)


def drop(progress: PlanProgress, dropped: Mapping[int, Problem], now_s: float) -> PlanProgress:
    """Return the plan without these moves, none of which has begun."""
    moves = tuple(
        settle(m, "Skipped", now_s, *dropped[m.index][:2]) if m.index in dropped else m
        for m in progress.moves
    )
    return replace(progress, moves=moves)


def write(progress: PlanProgress, why: str) -> Decision[Action]:
    """Decide to write progress down."""
    return Decision(Record(progress), why)


def write_move(progress: PlanProgress, move: MoveProgress, why: str) -> Decision[Action]:
    """Decide to write one move's progress down."""
    return write(progress.with_move(move), why)


def wait(why: str, for_s: float | None) -> Decision[Action]:
    """Decide to wait."""
    return Decision(Wait(for_s), why)


def hold_plan(progress: PlanProgress, problem: Problem, for_s: float | None) -> Decision[Action]:
    """Wait, with the reason in the status; it is written only when the reason is new."""
    if progress.reason == problem.reason:
        return wait(problem.message, for_s)
    held = replace(progress, reason=problem.reason, message=problem.message)
    return write(held, problem.message)


def hold_move(
    progress: PlanProgress, move: MoveProgress, problem: Problem, for_s: float
) -> Decision[Action]:
    """Wait, with the reason in the move's status; it is written only when the reason is new."""
    if move.reason == problem.reason:
        return wait(problem.message, for_s)
    held = replace(move, reason=problem.reason, message=problem.message)
    return write_move(progress, held, problem.message)
