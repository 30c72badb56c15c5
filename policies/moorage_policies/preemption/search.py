"""The least harmful set of pods of one node whose eviction lets a pod in: branch and bound."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

LOWEST_PRIORITY = -(2**31)


class Harm(NamedTuple):
    """How bad a set of victims is; compared field by field, smaller is better.

    Every field only grows when a victim is added, which is what makes pruning exact.

    Args:
        budget_violations: evictions beyond what disruption budgets allow.
        highest_priority: priority of the most important victim, ``LOWEST_PRIORITY - 1`` for none.
        priority_sum: priorities counted from ``LOWEST_PRIORITY``, as kube-scheduler sums them.
        victims: how many.
        restart_cost: GPU-seconds thrown away.
    """

    budget_violations: int = 0
    highest_priority: int = LOWEST_PRIORITY - 1
    priority_sum: int = 0
    victims: int = 0
    restart_cost: float = 0.0


@dataclass(frozen=True, slots=True)
class Movable:
    """One pod that may be evicted.

    Args:
        index: its place in the caller's list.
        priority: its priority; ``None`` for a pod that goes anyway and harms nobody.
        frees: what its going frees of each needed resource.
        budgets: positions of the budgets that its eviction uses.
        cost: its restart cost.
        kind: pods that differ in ``cost`` alone have the same kind.
    """

    index: int
    priority: int | None
    frees: tuple[int, ...]
    budgets: tuple[int, ...]
    cost: float
    kind: int


@dataclass(slots=True)
class Limits:
    """What limits a search.

    Args:
        allowed: evictions left per budget.
        strict: whether a set that exceeds a budget is out of the question.
        max_victims: most victims of a set.
        steps: branches left to look at; counted down.
    """

    allowed: Sequence[int]
    strict: bool
    max_victims: int
    steps: int


class VictimSearch:
    """Finds the set of least harm that frees ``need`` and passes ``accepts``.

    Args:
        movables: pods that may go.
        need: what must become free of each needed resource; entries are positive.
        limits: what bounds the search.
        accepts: last word on a set that frees enough (rules about neighbours).
        below: only sets that harm less than this are of interest; ``None`` takes any.
    """

    def __init__(
        self,
        movables: Sequence[Movable],
        need: tuple[int, ...],
        limits: Limits,
        accepts: Callable[[Sequence[int]], bool],
        below: Harm | None,
    ) -> None:
        self._movables = sorted(movables, key=self._order)
        self._need = need
        self._limits = limits
        self._accepts = accepts
        self._bound = below
        self._taken: list[Movable] = []
        self._used = [0] * len(limits.allowed)
        self._best: tuple[int, ...] | None = None
        self._tails = self._prepare_tails()

    @staticmethod
    def _order(movable: Movable) -> tuple[int, bool, int, float, int]:
        m = movable  # the cheapest of a kind first: leaving it out leaves out its whole kind
        return (_rank(m), bool(m.budgets), m.kind, m.cost, m.index)

    def run(self) -> tuple[Harm, tuple[int, ...]] | None:
        """Return the least harm and the indices of its victims; ``None`` when nothing was found.

        The answer is the best there is unless ``limits.steps`` ran out.
        """
        self._descend(0, self._need, Harm())
        if self._best is None or self._bound is None:
            return None
        return self._bound, self._best

    def _descend(self, at: int, need: tuple[int, ...], harm: Harm) -> None:
        if self._bound is not None and harm >= self._bound:
            return
        indices = tuple(movable.index for movable in self._taken)
        if not any(need) and self._accepts(indices):
            self._bound, self._best = harm, indices
            return
        while at < len(self._movables) and self._promises(at, need, harm):
            self._limits.steps -= 1
            if self._limits.steps < 0:
                return
            movable = self._movables[at]
            more = self._add(harm, movable)
            if more is not None:
                left = tuple(max(0, n - f) for n, f in zip(need, movable.frees, strict=True))
                self._count(movable, +1)
                self._descend(at + 1, left, more)
                self._count(movable, -1)
            at = self._tails[at].next_kind  # without it, and so without its dearer twins

    def _promises(self, at: int, need: tuple[int, ...], harm: Harm) -> bool:
        """Return whether what is left of the list can still end in a set worth having."""
        tail, room = self._tails[at], self._limits.max_victims - len(self._taken)
        if any(n > s for n, s in zip(need, tail.sums, strict=True)):
            return False
        more = max((-(-n // m) for n, m in zip(need, tail.largest, strict=True) if n), default=1)
        if more > room:
            return False
        if self._bound is None:
            return True
        at_least = harm._replace(
            highest_priority=max(harm.highest_priority, tail.least_priority),
            priority_sum=harm.priority_sum + more * max(0, tail.least_priority - LOWEST_PRIORITY),
            victims=harm.victims + more * (tail.least_priority >= LOWEST_PRIORITY),
            restart_cost=harm.restart_cost + more * tail.least_cost,
        )
        return at_least < self._bound

    def _add(self, harm: Harm, movable: Movable) -> Harm | None:
        """Return the harm with one more victim, ``None`` when it must not be added."""
        allowed = self._limits.allowed
        excess = sum(self._used[position] >= allowed[position] for position in movable.budgets)
        if excess and self._limits.strict:
            return None
        if movable.priority is None:
            return harm
        return Harm(
            harm.budget_violations + excess,
            max(harm.highest_priority, movable.priority),
            harm.priority_sum + movable.priority - LOWEST_PRIORITY,
            harm.victims + 1,
            harm.restart_cost + movable.cost,
        )

    def _count(self, movable: Movable, change: int) -> None:
        if change > 0:
            self._taken.append(movable)
        else:
            self._taken.pop()
        for position in movable.budgets:
            self._used[position] += change

    def _prepare_tails(self) -> list[_Tail]:
        nothing = (0,) * len(self._need)
        tails = [_Tail(nothing, nothing, 2**31, math.inf, len(self._movables))]
        for at in range(len(self._movables) - 1, -1, -1):
            m, tail = self._movables[at], tails[-1]
            twins = at + 1 < len(self._movables) and self._movables[at + 1].kind == m.kind
            tails.append(
                _Tail(
                    tuple(s + f for s, f in zip(tail.sums, m.frees, strict=True)),
                    tuple(map(max, tail.largest, m.frees)),
                    min(tail.least_priority, _rank(m)),
                    min(tail.least_cost, m.cost),
                    tail.next_kind if twins else at + 1,
                )
            )
        return tails[::-1]


class _Tail(NamedTuple):
    """What the movables from one place to the end of the list can give at best.

    ``sums`` and ``largest`` of each needed resource, the least priority and the least restart cost
    of one of them, and where the next kind begins.
    """

    sums: tuple[int, ...]
    largest: tuple[int, ...]
    least_priority: int
    least_cost: float
    next_kind: int


def _rank(movable: Movable) -> int:
    """Return the priority, or less than any for a pod that goes anyway."""
    return LOWEST_PRIORITY - 1 if movable.priority is None else movable.priority
