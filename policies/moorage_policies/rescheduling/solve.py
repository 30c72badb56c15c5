"""Rescheduling under a deadline: search, bound, choose patterns, polish, prune, check."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from moorage_policies.errors import BrokenPromiseError
from moorage_policies.packing.effort import Effort
from moorage_policies.ports import Clock
from moorage_policies.rescheduling.bounds import Bound, Relaxation, bound_worth, relax
from moorage_policies.rescheduling.check import find_violations
from moorage_policies.rescheduling.drain import drain_cells
from moorage_policies.rescheduling.exact import Limits, Watch, choose_patterns
from moorage_policies.rescheduling.instance import Hole, Instance, make_instance
from moorage_policies.rescheduling.objective import net_worth_of, worth_of
from moorage_policies.rescheduling.patterns import Ratings, rate_changes
from moorage_policies.rescheduling.realise import flow_of, realise
from moorage_policies.rescheduling.search import Heat, Search, order_of
from moorage_policies.types import IntArray

Task = Callable[[], None]
RunAll = Callable[[Sequence[Task]], object]

SLICE_STEPS = 20_000
STEP_WORK = 1.2e-6  # CPU seconds of one proposal, about
ROUND_WORK = 1.2e-5  # of one round of the bound for one host
OPENING_SHARE, OPENING_S = 0.15, 0.15  # of the deadline, at most, before anything is proven
CHOOSING_UNTIL = 0.92  # share of the deadline until which patterns are chosen
CHOOSING_LEAST_S = 0.15
FIRST_PATTERNS, MORE_PATTERNS = 1600, 1.5
BOUND_ROUNDS = 100
DRAIN_WORK = 3e-4  # of draining once, for one host
DRAIN_TRIES, DRAIN_CHANCE, DRAINING_UNTIL = 8, 0.02, 0.1
WHOLE = 1e-6
WARM = Heat(hot=0.2, cold=0.02)
POLISH_SHARE = 0.1
HOT = Heat(hot=0.6, cold=0.02)
COOL = Heat(hot=0.06, cold=0.01, toll=0.15)


@dataclass(frozen=True, slots=True)
class Params:
    """How long and how hard to search.

    Args:
        deadline_s: seconds of the clock; without a clock units of work, about a CPU second each.
        seed: of all random choices.
        workers: searches and solver workers at a time.
        exact: whether patterns are chosen by CP-SAT.
    """

    deadline_s: float = 5.0
    seed: int = 0
    workers: int = 1
    exact: bool = True


@dataclass(frozen=True, slots=True)
class PricedMove:
    """One move in its turn.

    Args:
        item: row of the item.
        source: cell that it leaves.
        target: cell that it goes to.
        gain: worth that is lost if this move alone is left out.
        price: what it had to be worth at least.
    """

    item: int
    source: int
    target: int
    gain: float
    price: float


@dataclass(frozen=True, slots=True)
class Solution:
    """Moves in an order in which each finds room, and how good they are.

    Args:
        moves: the moves.
        places: where all items are in the end.
        worth_before: worth today.
        worth: worth in the end, prices not taken off.
        bound: most that any moves could be worth, prices taken off.
        proven: whether nothing better exists.
        work: deterministic measure of the effort.
    """

    moves: tuple[PricedMove, ...]
    places: IntArray
    worth_before: float
    worth: float
    bound: float
    proven: bool
    work: float

    @property
    def gap(self) -> float:
        """Return how much more worth might be possible for all that is proven."""
        return max(0.0, self.bound - self.worth + sum(move.price for move in self.moves))


def solve(
    instance: Instance,
    params: Params,
    *,
    clock: Clock | None = None,
    run_all: RunAll | None = None,
    watch: Watch | None = None,
) -> Solution:
    """Return the best moves found before the deadline.

    Args:
        instance: the problem.
        params: deadline, seed, workers.
        clock: seconds; without one the answer depends on the input and the seed alone.
        run_all: runs tasks at the same time; without it one after the other.
        watch: stops CP-SAT by the clock where that is not the wall's.

    Raises:
        BrokenPromiseError: the moves fail the independent check: a bug.
    """
    effort = Effort(params.deadline_s, clock)
    return _Solver(instance, params, effort, run_all or _in_turn, watch).solve()


def warm_up() -> None:
    """Compile the kernels and load the solver, so that the first deadline is kept."""
    requests = np.array([[1], [1], [2]])
    tiny = make_instance(
        capacity=np.array([[3], [3], [4], [4]]),
        cell_host=np.array([0, 0, 1, 1]),
        requests=requests,
        home=np.array([0, 1, 2]),
        wide=np.array([False, False, True]),
        holes=(Hole("three", np.array([3])),),
        max_moves=2,
    )
    solve(tiny, Params(deadline_s=0.4))
    relaxed = relax(tiny)
    if relaxed is not None:  # what is proven at once never gets there
        rate_changes(relaxed, tiny.first_cell, tiny.cell_host, bound_worth(tiny, rounds=1))


def _in_turn(tasks: Sequence[Task]) -> None:
    for task in tasks:
        task()


class _Solver:
    def __init__(
        self,
        instance: Instance,
        params: Params,
        effort: Effort,
        run_all: RunAll,
        watch: Watch | None = None,
    ) -> None:
        self.instance = instance
        self.params = params
        self.effort = effort
        self.run_all = run_all
        self.watch = watch
        self.searches = [
            Search(instance, params.seed * 97 + worker + 1) for worker in range(params.workers)
        ]
        self.bound = Bound(np.inf)
        self.best = instance.home
        self.best_net = net_worth_of(instance, instance.home)

    def solve(self) -> Solution:
        """Return the answer after all stages."""
        instance = self.instance
        if instance.max_moves and instance.movable.any() and instance.holes:
            self.drain()
            self.anneal(WARM, min(OPENING_SHARE, OPENING_S / self.params.deadline_s))
            self.bound = bound_worth(instance, rounds=BOUND_ROUNDS, target=self.best_net)
            self.effort.spend(ROUND_WORK * BOUND_ROUNDS * len(instance.hosts))
            if self.params.exact and not self.is_proven():
                self.choose()
            self.polish()
        else:
            self.bound = Bound(self.best_net)  # nothing can change
        return self.finish()

    def drain(self) -> None:
        """Drain cell after cell, and again with more chance in the order while it helps."""
        self.offer(drain_cells(self.instance))
        self.effort.spend(DRAIN_WORK * len(self.instance.hosts))
        noise = np.random.default_rng(self.params.seed)
        tries = 0
        while tries < DRAIN_TRIES and self.effort.left(DRAINING_UNTIL) > 0:
            tries += 1
            self.offer(drain_cells(self.instance, noise=noise, strength=DRAIN_CHANCE * tries))
            self.effort.spend(DRAIN_WORK * len(self.instance.hosts))

    def polish(self) -> None:
        """Search near the best, and from the start every second time, until the deadline."""
        turn = 0
        while not self.is_proven() and self.effort.left() > STEP_WORK * SLICE_STEPS:
            turn += 1
            near = turn % 2 == 1
            for search in self.searches:
                search.restart(self.best if near else self.instance.home)
            share = self.effort.elapsed() / self.params.deadline_s
            self.anneal(COOL if near else HOT, min(1.0, share + POLISH_SHARE))

    def is_proven(self) -> bool:
        """Return whether the answer meets the bound, in steps that worth is counted in."""
        step = _worth_step(self.instance)
        reachable = self.bound.worth
        if step:
            reachable = np.floor(reachable / step + WHOLE) * step
        return bool(self.best_net >= reachable - WHOLE)

    def anneal(self, heat: Heat, until: float) -> None:
        """Search on all workers until this share of the deadline, cooling down once."""
        steps = int(self.effort.left(until) / STEP_WORK)
        slices = max(1, steps // SLICE_STEPS)
        span = (heat.cold / heat.hot) ** (1 / slices)
        for index in range(slices):
            hot = heat.hot * span**index
            step = replace(heat, hot=hot, cold=hot * span)
            self.run_all([self._slice(search, step) for search in self.searches])
            self.effort.spend(STEP_WORK * SLICE_STEPS)
            if self.effort.left(until) <= 0:
                break
        for search in self.searches:
            self.offer(search.best)

    @staticmethod
    def _slice(search: Search, heat: Heat) -> Task:
        return lambda: search.run(SLICE_STEPS, heat)

    def offer(self, places: IntArray) -> None:
        """Take places as the answer if they are better and can be reached move by move."""
        moved = int((places != self.instance.home).sum())
        static = self.searches[0].static
        if moved > self.instance.max_moves or order_of(self.instance, static, places)[1] < moved:
            return
        net = net_worth_of(self.instance, places)
        if net > self.best_net + WHOLE:
            self.best, self.best_net = places.copy(), net

    def choose(self) -> None:
        """Choose patterns by CP-SAT, from a larger menu each time while there is time.

        The answer so far is on every menu, so that nothing is lost. A pattern whose gap is more
        than what is left between answer and bound cannot be part of a better answer.
        """
        relaxed = relax(self.instance)
        if relaxed is None:
            return
        ratings = rate_changes(
            relaxed, self.instance.first_cell, self.instance.cell_host, self.bound
        )
        if ratings is None:
            return
        most = float(FIRST_PATTERNS)
        while not self.is_proven() and self.effort.left(CHOOSING_UNTIL) > CHOOSING_LEAST_S:
            if self.choose_from(relaxed, ratings, int(most)):
                return
            most *= MORE_PATTERNS

    def choose_from(self, relaxed: Relaxation, ratings: Ratings, most: int) -> bool:
        """Choose from so many patterns; return whether nothing better can come of more."""
        slack = self.bound.worth - self.best_net - _worth_step(self.instance)
        menu = ratings.cut(most, slack + WHOLE, flow_of(self.instance, relaxed, self.best))
        left_s = self.effort.left(CHOOSING_UNTIL)
        limits = Limits(
            seconds=left_s if self.effort.is_timed else None,
            work=left_s * self.params.workers,
            workers=self.params.workers,
            seed=self.params.seed,
            is_over=self.is_choice_over,
            watch=self.watch,
        )
        pick = choose_patterns(
            relaxed, menu, self.instance.max_moves, len(self.instance.hosts), limits
        )
        self.effort.spend(pick.work + CHOOSING_LEAST_S if pick else left_s)
        if pick:
            self.offer(realise(self.instance, relaxed, pick.flow))
        return bool(pick and pick.is_best and menu.is_complete)

    def is_choice_over(self) -> bool:
        """Return whether CP-SAT has had its time."""
        return self.effort.left(CHOOSING_UNTIL) <= 0

    def finish(self) -> Solution:
        """Return the answer without moves that do not pay, checked and in order."""
        places = self.prune(self.best)
        order, _ = order_of(self.instance, self.searches[0].static, places)
        total = worth_of(self.instance, places)
        moves = tuple(
            PricedMove(
                int(item),
                int(self.instance.home[item]),
                int(places[item]),
                total - worth_of(self.instance, self._without(places, int(item))),
                float(self.instance.price[item]),
            )
            for item in order
        )
        broken = find_violations(self.instance, [(m.item, m.target) for m in moves])
        if broken:
            raise BrokenPromiseError(f"moves break their own rules: {broken[0]}")
        return Solution(
            moves=moves,
            places=places,
            worth_before=worth_of(self.instance, self.instance.home),
            worth=total,
            bound=self.bound.worth,
            proven=self.is_proven(),
            work=self.effort.work,
        )

    def prune(self, places: IntArray) -> IntArray:
        """Return the places without moves that could be left out at no loss."""
        current = places.copy()
        static = self.searches[0].static
        net = net_worth_of(self.instance, current)
        for item in np.flatnonzero(current != self.instance.home).tolist():
            trial = self._without(current, item)
            moved = int((trial != self.instance.home).sum())
            if net_worth_of(self.instance, trial) < net - WHOLE:
                continue
            full = self.instance.free(trial) < np.minimum(self.searches[0].static.start_free, 0)
            if not full.any() and order_of(self.instance, static, trial)[1] == moved:
                current, net = trial, net_worth_of(self.instance, trial)
        return current

    def _without(self, places: IntArray, item: int) -> IntArray:
        trial = places.copy()
        trial[item] = self.instance.home[item]
        return trial


def _worth_step(instance: Instance) -> float:
    """Return the step in which net worth is counted, 0 when there is none."""
    amounts = [
        np.array([hole.weight for hole in instance.holes]),
        instance.host_worth,
        instance.domain_worth,
        instance.price[instance.movable],
    ]
    values = np.concatenate(amounts) * 1000
    whole = np.rint(values)
    if np.abs(values - whole).max(initial=0.0) > WHOLE:
        return 0.0
    return float(np.gcd.reduce(whole.astype(np.int64))) / 1000
