"""What moves of running replicas would make room for new ones, asked of the warm search."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from moorage_cluster.errors import ApiError
from moorage_crds.policy import PolicySpec
from moorage_operator.defragmentation.facts import Question
from moorage_operator.defragmentation.searching import Outcome
from moorage_operator.services.pool_pods import PoolKey
from moorage_policies.errors import BadInputError, UnavailableError
from moorage_policies.ports import Reporter
from moorage_policies.rescheduling.proposals import Want
from moorage_policies.scaling.reach import Shape, Shift

AGAIN_S = 60.0
"""Nobody asks for the same pool twice within this time."""
KEPT_S = 180.0
"""Moves that were found this long ago are forgotten; each is checked at every use anyway."""


class Policies(Protocol):
    """Reads the cluster's policy."""

    async def policy(self) -> PolicySpec:
        """Return it."""
        ...


class Facts(Protocol):
    """Reads the cluster for a search."""

    async def gather(
        self, policy: PolicySpec, now_s: float, wants: Sequence[Want] = ()
    ) -> Question:
        """Return what it looks at."""
        ...


class Asks(Protocol):
    """Searches, in a process of its own."""

    async def __call__(self, question: Question, *, is_look: bool) -> Outcome:
        """Return the answer."""
        ...


@dataclass(frozen=True, slots=True)
class _Found:
    shifts: tuple[Shift, ...]
    at_s: float


class MoveBook:
    """Remembers what the search said about pools; asks in the background, one pool at a time.

    A tick never waits for it: what was found is used by the ticks after it.

    Args:
        policies: whether plans are made at all.
        facts: reads the cluster.
        ask: the search.
        now_s: Unix seconds.
        reporter: hears of searches that failed.
    """

    def __init__(
        self,
        policies: Policies,
        facts: Facts,
        ask: Asks,
        now_s: Callable[[], float],
        reporter: Reporter,
    ) -> None:
        self._policies = policies
        self._facts = facts
        self._ask = ask
        self._now_s = now_s
        self._reporter = reporter
        self._found: dict[PoolKey, _Found] = {}
        self._asked_s: dict[PoolKey, float] = {}
        self._asking: asyncio.Task[None] | None = None

    def find(self, key: PoolKey) -> tuple[Shift, ...]:
        """Return the moves that would make room for the pool, empty while none are known."""
        found = self._found.get(key)
        if found is None or self._now_s() - found.at_s > KEPT_S:
            return ()
        return found.shifts

    def wonder(self, key: PoolKey, scattered: Sequence[Shape]) -> None:
        """Have a search look for room for a pool's largest replica, unless it just did."""
        busy = self._asking is not None and not self._asking.done()
        if not scattered or busy or self._now_s() - self._asked_s.get(key, 0.0) < AGAIN_S:
            return
        self._asked_s[key] = self._now_s()
        largest = max(scattered, key=lambda shape: sum(shape.pod.requests.values()))
        self._asking = asyncio.create_task(self._search(key, _to_want(key, largest)))

    async def settled(self) -> None:
        """Wait until nothing is asked."""
        if self._asking is not None:
            await self._asking

    async def close(self) -> None:
        """Ask no more."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait([self._asking])

    async def _search(self, key: PoolKey, want: Want) -> None:
        try:
            policy = await self._policies.policy()
            if policy.actuation == "Off":
                return
            question = await self._facts.gather(policy, self._now_s(), (want,))
            found = (await self._ask(question, is_look=False)).proposal
        except (ApiError, UnavailableError, BadInputError) as error:
            self._reporter.report("scaling.moves", pool="/".join(key), why=f"failed: {error}")
            return
        moves = sorted(found.moves, key=lambda m: (m.step, m.index)) if found else ()
        shifts = tuple(Shift(move.uid, move.source, move.target) for move in moves)
        self._found[key] = _Found(shifts, self._now_s())


def _to_want(key: PoolKey, shape: Shape) -> Want:
    selector = {**shape.accelerator.node_selector, **shape.pod.node_selector}
    return Want("/".join(key), dict(shape.pod.requests), selector)
