"""Plans and how far they got, as the executor's decisions see them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from moorage_policies.types import NVIDIA_GPU, Owner, Pod

MoveKind = Literal["Place", "Move", "Evict"]
Strategy = Literal["SurgeFirst", "EvictFirst"]
Mode = Literal["Off", "Recommend", "Auto"]
PlanPhase = Literal["Proposed", "Approved", "Executing", "Completed", "Aborted", "Superseded"]
MovePhase = Literal["Waiting", "Surging", "Evicting", "Binding", "Done", "Failed", "Skipped"]

ENDED: frozenset[PlanPhase] = frozenset({"Completed", "Aborted", "Superseded"})
"""Phases after which a plan never changes again."""
SETTLED: frozenset[MovePhase] = frozenset({"Done", "Failed", "Skipped"})
"""Phases after which a move never changes again."""
UNDER_WAY: frozenset[MovePhase] = frozenset({"Surging", "Evicting", "Binding"})
"""Phases of a move that has begun."""


@dataclass(frozen=True, slots=True)
class Move:
    """What a plan does with one pod.

    Args:
        index: number of the move in its plan.
        step: moves of one step may run together; steps run one after the other.
        kind: Place, Move or Evict.
        uid: UID of the pod.
        namespace: namespace of the pod.
        name: name of the pod.
        owner: its controller.
        source: node that it leaves, empty for Place.
        target: node that it, or its replacement, goes to; empty for Evict.
        strategy: whether the replacement is ready before the pod goes; for Move only.
        priority: its priority.
        gpus: accelerators that it takes.
        follows: number of the move whose replacement this one moves on: its target only keeps the
            pod for a while, until there is room where it belongs.
        group: moves of one group make sense only together, and without all others; ``None``: the
            plan makes sense only as a whole.
    """

    index: int
    step: int
    kind: MoveKind
    uid: str
    namespace: str
    name: str
    owner: Owner | None = None
    source: str = ""
    target: str = ""
    strategy: Strategy = "SurgeFirst"
    priority: int = 0
    gpus: int = 0
    follows: int | None = None
    group: int | None = None

    @property
    def key(self) -> str:
        """Return ``namespace/name`` of the pod."""
        return f"{self.namespace}/{self.name}"

    @property
    def surges(self) -> bool:
        """Return whether the owner is raised by one for it."""
        return self.kind == "Move" and self.strategy == "SurgeFirst"

    @property
    def disrupts(self) -> bool:
        """Return whether a running pod ends for it."""
        return self.kind != "Place"

    def takes(self, pod: Pod) -> bool:
        """Return whether the pod may take the place that the move keeps.

        A replacement has the same controller and shape; a pod to place is that very pod.
        """
        if self.kind == "Place":
            return pod.uid == self.uid
        if self.kind == "Evict" or self.owner is None or pod.owner is None or pod.uid == self.uid:
            return False
        same_shape = pod.requests.get(NVIDIA_GPU, 0) == self.gpus
        return pod.owner.uid == self.owner.uid and same_shape


@dataclass(frozen=True, slots=True)
class Plan:
    """What a plan says; it never changes, but for its mode.

    Args:
        name: its name.
        uid: its UID.
        moves: its moves by index.
        mode: Auto runs, Recommend waits for approval, Off ends.
        created_s: Unix seconds.
        ttl_s: seconds after which it is superseded if it has not started.
    """

    name: str
    uid: str = ""
    moves: tuple[Move, ...] = ()
    mode: Mode = "Auto"
    created_s: float = 0.0
    ttl_s: float = 600.0

    @property
    def nodes(self) -> frozenset[str]:
        """Return every node that the plan changes."""
        named = (node for move in self.moves for node in (move.source, move.target))
        return frozenset(filter(None, named))

    @property
    def owners(self) -> frozenset[str]:
        """Return the UIDs of the controllers whose pods it moves."""
        return frozenset(move.owner.uid for move in self.moves if move.owner is not None)


@dataclass(frozen=True, slots=True)
class MoveProgress:
    """How far one move got.

    Args:
        index: number of the move.
        phase: its phase.
        replacement_name: pod that took the kept place.
        replacement_uid: UID of that pod.
        siblings: UIDs of the owner's pods that sat on the target before the move began, so that
            none of them is taken for the replacement.
        started_s: Unix seconds, ``None`` before it began.
        phase_s: when it entered its phase, Unix seconds.
        finished_s: Unix seconds, ``None`` until it is settled.
        reason: why it waits or failed, one word; empty when all is well.
        message: the same for people.
    """

    index: int
    phase: MovePhase = "Waiting"
    replacement_name: str = ""
    replacement_uid: str = ""
    siblings: tuple[str, ...] = ()
    started_s: float | None = None
    phase_s: float | None = None
    finished_s: float | None = None
    reason: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class PlanProgress:
    """How far a plan got: all that is needed to go on.

    Args:
        phase: its phase, ``None`` before anybody looked at it.
        step: step under way.
        moves: progress of every move, by index.
        since_s: when it entered its phase, Unix seconds.
        started_s: when its first move began, Unix seconds.
        finished_s: when it ended, Unix seconds.
        reason: why it waits or ended, one word.
        message: the same for people.
    """

    phase: PlanPhase | None = None
    step: int = 0
    moves: tuple[MoveProgress, ...] = ()
    since_s: float | None = None
    started_s: float | None = None
    finished_s: float | None = None
    reason: str = ""
    message: str = ""

    @property
    def has_ended(self) -> bool:
        """Return whether nothing more happens."""
        return self.phase in ENDED

    def with_move(self, changed: MoveProgress) -> PlanProgress:
        """Return the progress with one move's replaced."""
        moves = tuple(changed if m.index == changed.index else m for m in self.moves)
        return replace(self, moves=moves)


@dataclass(frozen=True, slots=True)
class PlanRecord:
    """A plan and its progress."""

    plan: Plan
    progress: PlanProgress = field(default_factory=PlanProgress)

    def pairs(self) -> tuple[tuple[Move, MoveProgress], ...]:
        """Return each move with its progress; one that nobody wrote of yet waits.

        A move that follows another is about that one's replacement once it is there.
        """
        known = {m.index: m for m in self.progress.moves}
        return tuple(
            (_continued(m, known), known.get(m.index, MoveProgress(m.index)))
            for m in self.plan.moves
        )


def _continued(move: Move, known: Mapping[int, MoveProgress]) -> Move:
    """Return the move about the pod that it moves on, as soon as that pod is known."""
    before = known.get(move.follows) if move.follows is not None else None
    if before is None or not before.replacement_uid:
        return move
    return replace(move, uid=before.replacement_uid, name=before.replacement_name)


def join_stages(moves: Iterable[Move]) -> tuple[Move, ...]:
    """Return the moves from where each pod is to where it ends, without stops on the way."""
    listed = tuple(moves)
    onward = {move.follows: move for move in listed if move.follows is not None}

    def end_of(move: Move) -> str:
        return end_of(onward[move.index]) if move.index in onward else move.target

    return tuple(replace(m, target=end_of(m)) for m in listed if m.follows is None)
