"""Plans that the planner wrote: which hold, which came to nothing and are not repeated soon."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from moorage_policies.planning.answer import PlanDraft
from moorage_policies.planning.facts import is_active
from moorage_policies.plans.records import ENDED, Move, PlanRecord
from moorage_policies.ports import Clock

PREFIX: Final = "make-room-"
FIRST_REST_S: Final = 5.0
LONGEST_REST_S: Final = 300.0
UNSEEN_S: Final = 60.0
"""Seconds in which the watch has to show a plan that was written."""

Shape = frozenset[tuple[str, str, str]]


@dataclass(slots=True)
class Rest:
    """Pods whose last plan came to nothing, and until when they are left alone."""

    pause_s: float
    until_s: float = 0.0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Written:
    """A plan of ours that has not ended."""

    serves: frozenset[str]
    since_s: float


@dataclass(slots=True)
class PlanLedger:
    """Follows the planner's plans; a restart forgets only for how long pods were to rest.

    Args:
        plans: all plans as the watch shows them, by name.
        clock: monotonic seconds.
        wall_clock: Unix seconds.
        ended: plans that ended so far.
    """

    plans: Mapping[str, PlanRecord]
    clock: Clock
    wall_clock: Clock
    ended: int = 0
    _written: dict[str, Written] = field(default_factory=dict)
    _rests: dict[frozenset[str], Rest] = field(default_factory=dict)

    def note(self, name: str, draft: PlanDraft) -> None:
        """Take note of a plan that was written to be carried out."""
        self._written[name] = Written(frozenset(draft.serves), self.clock())

    def follow(self, plans: Mapping[str, PlanRecord]) -> tuple[str, ...]:
        """Look at all plans; return the pods whose plan ended since the last look."""
        self.plans = plans
        released: list[str] = []
        for name, written in list(self._written.items()):
            record = plans.get(name)
            if record is None and self.clock() - written.since_s < UNSEEN_S:
                continue
            if record is not None and is_active(record, self.wall_clock()):
                continue
            del self._written[name]
            self.ended += 1
            released += written.serves
            if record is None or record.progress.phase == "Completed":
                self._rests.pop(written.serves, None)
            else:
                self._rest(written.serves, record.progress.reason)
        return tuple(released)

    def served(self) -> frozenset[str]:
        """Return the pods that a plan serves, also one that the watch does not show yet."""
        now_s = self.wall_clock()
        told = (
            move.uid
            for record in self.plans.values()
            if is_active(record, now_s)
            for move in record.plan.moves
            if move.kind == "Place"
        )
        return frozenset(told).union(*(one.serves for one in self._written.values()))

    def name_for(self, uid: str) -> str:
        """Return the plan of ours that serves a pod, empty when none does."""
        return next((name for name, one in self._written.items() if uid in one.serves), "")

    def inherited(self) -> Iterator[tuple[str, str]]:
        """Yield each plan that an earlier planner wrote and that holds, and a pod it serves."""
        now_s = self.wall_clock()
        for name, record in self.plans.items():
            if not name.startswith(PREFIX) or name in self._written or not is_active(record, now_s):
                continue
            yield from ((name, move.uid) for move in record.plan.moves if move.kind == "Place")

    def is_resting(self, draft: PlanDraft) -> bool:
        """Return whether the same pods' last plan came to nothing just now."""
        rest = self._rests.get(frozenset(draft.serves))
        return rest is not None and self.clock() < rest.until_s

    def why_resting(self, uid: str) -> str:
        """Return why the pod's last plan came to nothing, empty when that is not known."""
        return next((rest.reason for uids, rest in self._rests.items() if uid in uids), "")

    def proposed(self) -> Iterator[PlanRecord]:
        """Yield our plans that wait for somebody's approval."""
        for record in self.plans.values():
            if (
                record.plan.name.startswith(PREFIX)
                and record.plan.mode == "Recommend"
                and record.progress.phase not in ENDED
                and record.progress.started_s is None
            ):
                yield record

    def _rest(self, serves: frozenset[str], reason: str) -> None:
        rest = self._rests.setdefault(serves, Rest(FIRST_REST_S / 2))
        rest.pause_s = min(LONGEST_REST_S, 2 * rest.pause_s)
        rest.until_s, rest.reason = self.clock() + rest.pause_s, reason


def shape_of(moves: Iterable[Move]) -> Shape:
    """Return what makes two plans the same: who goes where."""
    return frozenset((move.kind, move.uid, move.target) for move in moves)
