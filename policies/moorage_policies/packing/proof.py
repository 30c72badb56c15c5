"""What can be proven about an answer: a bound per stage, tightened from the top down."""

from __future__ import annotations

from collections.abc import Callable

from moorage_policies.packing.bounds import stage_bounds
from moorage_policies.packing.instance import Instance
from moorage_policies.packing.patterns import Groups, group, pattern_bound
from moorage_policies.packing.search import Answer

ROUND_WORK = 0.002
ROUNDS_AT_MOST = 600
PODS_AT_MOST = 1500


class Prover:
    """Bounds the stages of one instance and remembers what was proven."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._known: dict[tuple[int, tuple[int, ...]], int] = {}
        self._quick: dict[tuple[int, ...], tuple[int, ...]] = {}
        self._groups: Groups | None = None
        self._grouped = False
        self._too_large = False  # the linear program did not end in the time it was given
        self._stages = len(instance.tiers) * (1 if instance.same_tier_eviction else 2)

    def learn(self, counts: tuple[int, ...], stage: int, bound: int) -> None:
        """Take note of a bound that somebody else proved, given the counts above the stage."""
        key = (stage, counts[:stage])
        self._known[key] = min(bound, self._known.get(key, bound))

    def bounds(
        self,
        answer: Answer,
        *,
        deep: bool,
        left: Callable[[], float],
        spend: Callable[[float], None],
    ) -> tuple[int, ...]:
        """Return the best known bound per stage, given the counts of the stages above it.

        Args:
            answer: whose counts are meant.
            deep: whether to spend time on patterns for the first stage that is not proven.
            left: how much time or work there is.
            spend: told what was used.
        """
        counts = tuple(int(count) for count in answer.score[: self._stages])
        if counts not in self._quick:
            self._quick[counts] = stage_bounds(self._instance, counts)
        quick = self._quick[counts]
        best = [
            min(bound, self._known.get((stage, counts[:stage]), bound))
            for stage, bound in enumerate(quick)
        ]
        for stage in range(self._stages):
            if best[stage] <= counts[stage]:
                continue
            if deep:
                best[stage] = min(best[stage], self._pattern(answer, counts, stage, left, spend))
            if best[stage] > counts[stage]:
                break
        return tuple(best)

    def _pattern(
        self,
        answer: Answer,
        counts: tuple[int, ...],
        stage: int,
        left: Callable[[], float],
        spend: Callable[[float], None],
    ) -> int:
        key = (stage, counts[: stage + 1])
        if key in self._known:
            return self._known[key]
        groups = self._group()
        if groups is None or self._too_large:
            return int(1e9)
        rounds = 0

        def go_on() -> bool:
            nonlocal rounds
            rounds += 1
            spend(ROUND_WORK)
            self._too_large = left() <= 0 or rounds > ROUNDS_AT_MOST
            return not self._too_large

        bound = pattern_bound(groups, answer.placement, counts, stage, go_on=go_on).bound
        self._known[key] = bound
        self.learn(counts, stage, bound)
        return bound

    def _group(self) -> Groups | None:
        if not self._grouped and len(self._instance.pods) <= PODS_AT_MOST:
            self._groups = group(self._instance)
        self._grouped = True
        return self._groups
