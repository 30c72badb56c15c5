"""What the planner answers: plans with their proof, and a word for every pod that waits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from moorage_policies.plans.records import Move

Verdict = Literal["Optimal", "Feasible", "Infeasible", "Unknown"]
Word = Literal["Planned", "HasRoom", "Outranked", "Infeasible", "Unknown", "Unsupported"]


@dataclass(frozen=True, slots=True)
class TierResult:
    """What is reached for one priority.

    Args:
        priority: the priority.
        today: pods that run today.
        placed: pods that run after the plan.
        bound: pods that could run at most, as far as proven.
        cost: cost of the tier's moves and evictions.
    """

    priority: int
    today: int
    placed: int
    bound: int | None = None
    cost: int = 0


@dataclass(frozen=True, slots=True)
class Proof:
    """What is known about the answer, and how to compute it again.

    Args:
        verdict: Optimal and Infeasible are proven, within the modelled constraints.
        tiers: what is reached by priority, highest first.
        cost_proven: whether moves and evictions are at their least as well.
        seed: seed of the search.
        workers: solver workers.
        work: effort, in seconds of one core, about.
        complete: whether the search ended by itself; replay is exact then, with one worker.
    """

    verdict: Verdict
    tiers: tuple[TierResult, ...] = ()
    cost_proven: bool = False
    seed: int = 0
    workers: int = 1
    work: float = 0.0
    complete: bool = True


@dataclass(frozen=True, slots=True)
class PlanDraft:
    """One plan to be written: moves on nodes that no other draft touches.

    Args:
        moves: the moves with their steps.
        serves: UIDs of the pods that it places.
        reason: what it is for, in one sentence.
    """

    moves: tuple[Move, ...]
    serves: tuple[str, ...]
    reason: str

    @property
    def disturbed(self) -> int:
        """Return how many running pods it moves or evicts."""
        return sum(move.disrupts for move in self.moves)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one look.

    Args:
        drafts: plans to write.
        proof: what is known about them.
        words: what is to be said of each waiting pod, by UID.
        messages: the same for people, by UID.
    """

    drafts: tuple[PlanDraft, ...]
    proof: Proof
    words: Mapping[str, Word] = field(default_factory=dict)
    messages: Mapping[str, str] = field(default_factory=dict)
