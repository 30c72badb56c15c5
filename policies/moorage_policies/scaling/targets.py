"""What a tick decides: counts for all roles at once, why, and what was rejected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["hold", "out", "in", "swap"]


@dataclass(frozen=True, slots=True)
class RoleTarget:
    """What one role should have.

    Args:
        role: its name.
        before: replicas that it was asked to have.
        replicas: replicas that it should have.
        need: replicas that its own load asks for, ``None`` when nothing of its own is measured.
        reason: why, in one sentence.
        resting: how many of the replicas should be out of the Service.
    """

    role: str
    before: int
    replicas: int
    need: int | None
    reason: str
    resting: int = 0


@dataclass(frozen=True, slots=True)
class Alternative:
    """Counts that were looked at and not taken.

    Args:
        name: what would have asked for them.
        counts: replicas by place of the role.
        why_not: why they were rejected.
    """

    name: str
    counts: tuple[int, ...]
    why_not: str


@dataclass(frozen=True, slots=True)
class Targets:
    """One joint decision over all scaled roles of a pool."""

    roles: tuple[RoleTarget, ...]
    rejected: tuple[Alternative, ...] = ()
    is_blind: bool = False
    limit: str = ""
    """What kept the counts below the need, empty when nothing did."""

    @property
    def counts(self) -> tuple[int, ...]:
        """Return replicas by place of the role."""
        return tuple(target.replicas for target in self.roles)

    @property
    def verdict(self) -> Verdict:
        """Return which way the counts go; a swap grows one role and shrinks another."""
        grows = any(target.replicas > target.before for target in self.roles)
        shrinks = any(target.replicas < target.before for target in self.roles)
        if grows and shrinks:
            return "swap"
        return "out" if grows else "in" if shrinks else "hold"
