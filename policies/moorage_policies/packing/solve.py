"""The anytime solver: search, prove, then disturb less, all under one deadline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from moorage_policies.errors import BadInputError, BrokenPromiseError
from moorage_policies.packing.annealing import Schedule
from moorage_policies.packing.certificate import Certificate, certify
from moorage_policies.packing.check import find_violations, is_not_below
from moorage_policies.packing.effort import STEP_WORK, Effort
from moorage_policies.packing.exact import Limits, optimise
from moorage_policies.packing.greedy import place_pending
from moorage_policies.packing.instance import Instance
from moorage_policies.packing.model import Freedom
from moorage_policies.packing.neighbourhood import (
    RunAll,
    choose_displaced,
    choose_for_waiting,
    resolve_nodes,
    search_blocks,
    split_nodes,
)
from moorage_policies.packing.objective import cost_vector, placed_vector
from moorage_policies.packing.proof import Prover
from moorage_policies.packing.search import Answer, build_problem, score_of, search
from moorage_policies.ports import Clock
from moorage_policies.types import IntArray

FIRST_STEPS = 60_000
BLOCK_NODES = 64
LEAST_STEPS_PER_NODE = 1_000
STEPS_AT_MOST = 10**9
LONG_RATIO = 0.45  # of the steps that are left for placing, for one cooling
EXACT_BOOLEANS = 1_500  # above it, CP-SAT on the whole model finds nothing in time
EXACT_SHARE = 0.5  # of what is left, for one run of the whole model
PROOF_SHARE = 0.1  # of the deadline, for the bound of one stage
PROOF_SHARE_UNDECIDED = 0.5  # the same while nothing better than today is known
HOT, COLD, ROOM_WEIGHT = 0.4, 0.02, 0.3
COST_WEIGHTS = (0.05, 0.02, 0.0)
POLISH_WEIGHTS = (0.1, 0.3)
POLISH_HOT = 0.2
POLISH_STEPS = 200_000
POLISH_RATIO = 0.2  # of the steps that are left, for one cooling


@dataclass(frozen=True, slots=True)
class Params:
    """How hard to try.

    Attributes:
        deadline_s: seconds by the clock, or units of work (about a second of one core) without one.
        seed: same seed, one worker and no clock give the same answer.
        workers: how many tasks ``run_all`` runs at once, and CP-SAT's workers.
        search_share: of the deadline, after which placing gives way to disturbing less.
        polish: whether to spend time on fewer moves once placing is settled.
    """

    deadline_s: float = 1.0
    seed: int = 0
    workers: int = 1
    search_share: float = 0.6
    polish: bool = True


@dataclass(frozen=True, slots=True)
class Solution:
    """A placement (node row per pod, -1 for none) with its certificate and vectors by tier."""

    placement: IntArray
    vector: tuple[int, ...]
    today: tuple[int, ...]
    certificate: Certificate


def run_in_turn(tasks: Sequence[Callable[[], Answer]]) -> Sequence[Answer]:
    """Return the results of the tasks, run one after the other."""
    return [task() for task in tasks]


def warm_up() -> None:
    """Compile or load the kernels and the solver, so that the first deadline is not spent on it."""
    from moorage_policies.packing.instance import make_instance

    tiny = make_instance(
        capacity=np.array([[4, 4], [4, 4]]),
        requests=np.array([[2, 2], [2, 2], [3, 3], [1, 1]]),
        priority=np.array([1, 1, 2, 1]),
        current=np.array([0, 1, -1, -1]),
    )
    solve(tiny, Params(deadline_s=0.05))


def solve(
    instance: Instance,
    params: Params,
    *,
    clock: Clock | None = None,
    run_all: RunAll[Answer] = run_in_turn,
    on_incumbent: Callable[[IntArray], None] | None = None,
) -> Solution:
    """Return the best placement found by the deadline, checked, never below today's.

    Args:
        instance: the problem.
        params: deadline, seed, workers.
        clock: counts the deadline in seconds; without one, work is counted and the answer depends
            on the input only.
        run_all: runs search tasks, in parallel where the caller has threads to give.
        on_incumbent: hears every better placement, checked, as soon as it is known.
    """
    broken = find_violations(instance, instance.current)
    if broken:
        raise BadInputError(f"today's placement breaks a rule: {broken[0]}", field="current")
    run = _Run(instance, params, Effort(params.deadline_s, clock), run_all, on_incumbent)
    answer = run.all_phases()
    bounds = run.bounds(deep=False)
    return Solution(
        placement=answer.placement,
        vector=placed_vector(instance, answer.placement),
        today=placed_vector(instance, instance.current),
        certificate=certify(
            instance,
            answer.placement,
            bounds,
            cost=cost_vector(instance, answer.placement),
            cost_proven=run.cost_proven,
            seed=params.seed,
            workers=params.workers,
            work=run.effort.work,
        ),
    )


class _Run:
    """One solve in progress: the best answer so far and what is known about it."""

    def __init__(
        self,
        instance: Instance,
        params: Params,
        effort: Effort,
        run_all: RunAll[Answer],
        on_incumbent: Callable[[IntArray], None] | None,
    ) -> None:
        self._instance = instance
        self._params = params
        self._run_all = run_all
        self._on_incumbent = on_incumbent
        self._noise = np.random.default_rng(params.seed)
        self._prover = Prover(instance)
        self._frozen = instance.entangled()
        self._tied = bool(self._frozen.any())
        self._problems = {
            weight: build_problem(instance, cost_weight=weight)
            for weight in {*COST_WEIGHTS, *POLISH_WEIGHTS}
        }
        self.effort = effort
        self.cost_proven = False
        self._best = Answer(instance.current.copy(), score_of(instance, instance.current))
        self._today = self._best

    def all_phases(self) -> Answer:
        """Return the best answer after placing, proving and polishing."""
        waiting = bool((self._instance.current < 0).any())
        if not waiting:
            self.cost_proven = True
            return self._best
        self._offer(
            place_pending(self._instance, self._best, go_on=lambda: self.effort.left(0.3) > 0)
        )
        self._place()
        if self._params.polish and self._best is not self._today:
            self._polish()
        return self._best

    def bounds(self, *, deep: bool) -> tuple[int, ...]:
        """Return the bound of every placing stage for the best answer."""
        share = PROOF_SHARE if self._is_decided() else PROOF_SHARE_UNDECIDED
        until = self.effort.elapsed() + share * self._params.deadline_s
        return self._prover.bounds(
            self._best,
            deep=deep,
            left=lambda: min(until - self.effort.elapsed(), self.effort.left()),
            spend=self.effort.spend,
        )

    def _is_proven(self, *, deep: bool) -> bool:
        bounds = self.bounds(deep=deep)
        return bounds <= tuple(self._best.score[: len(bounds)])

    def _is_decided(self) -> bool:
        """Return whether the answer already places more than today's."""
        placing = len(self._best.score) - len(self._instance.tiers)
        return tuple(self._best.score[:placing]) > tuple(self._today.score[:placing])

    def _offer(self, answer: Answer) -> bool:
        """Keep an answer if it is better and sound."""
        if not answer.beats(self._best):
            return False
        broken = find_violations(self._instance, answer.placement)
        if broken or not is_not_below(self._instance, answer.placement):
            raise BrokenPromiseError(f"the search broke a rule: {broken or 'below today'}")
        self._best = answer
        if self._on_incumbent is not None:
            self._on_incumbent(answer.placement)
        return True

    def _place(self) -> None:
        """Search until everything is proven, or placing has used its share of the deadline."""
        attempt = 0
        while not self._is_proven(deep=attempt > 0):
            share = self._params.search_share if self._is_decided() else 1.0
            if self.effort.left(share) <= 0:
                return
            gained = self._search(attempt, share)
            if self._tied or (not gained and attempt > 0):
                self._solve_part(attempt, share)
            attempt += 1
            if attempt == 2 and self._solve_whole():  # noqa: PLR2004
                return

    def _search(self, attempt: int, share: float) -> bool:
        weight = COST_WEIGHTS[attempt % len(COST_WEIGHTS)]
        # One long cooling finds more than many short ones: short only until there is an answer.
        available = self.effort.steps(STEPS_AT_MOST, share)
        wanted = max(FIRST_STEPS * 2**attempt, int(LONG_RATIO * available) if attempt > 1 else 0)
        if len(self._instance.nodes) > 2 * BLOCK_NODES:
            return self._search_in_blocks(weight, HOT, wanted * self._params.workers, share)
        return self._search_everywhere(weight, HOT, min(wanted, available))

    def _search_everywhere(self, weight: float, hot: float, steps: int) -> bool:
        if steps == 0:
            return False
        problem, start = self._problems[weight], self._best
        schedule = Schedule(steps, hot, COLD, ROOM_WEIGHT)
        seeds = self._noise.integers(1, 2**40, size=self._params.workers)

        def task(seed: int) -> Callable[[], Answer]:
            return lambda: search(
                self._instance,
                problem,
                start,
                schedule,
                seed=seed,
                frozen=self._frozen,
                go_on=self._in_time,
            )

        began = self.effort.elapsed()
        answers = self._run_all([task(int(seed)) for seed in seeds])
        self.effort.spend(steps * len(seeds) * STEP_WORK)
        self.effort.learn(steps, self.effort.elapsed() - began)
        return sum(self._offer(answer) for answer in answers) > 0

    def _in_time(self) -> bool:
        return self.effort.left() > 0

    def _search_in_blocks(self, weight: float, hot: float, wanted: int, share: float) -> bool:
        """Search random disjoint blocks of nodes, ``wanted`` proposals in all."""
        blocks = split_nodes(len(self._instance.nodes), BLOCK_NODES, self._noise)
        rounds = -(-len(blocks) // self._params.workers)
        least = LEAST_STEPS_PER_NODE * BLOCK_NODES
        steps = self.effort.steps(max(wanted // len(blocks), least) * rounds, share) // rounds
        if steps == 0:
            return False
        began = self.effort.elapsed()
        answer = self._by_blocks(weight, Schedule(steps, hot, COLD, ROOM_WEIGHT), blocks)
        self.effort.spend(steps * len(blocks) * STEP_WORK)
        self.effort.learn(steps * rounds, self.effort.elapsed() - began)
        return self._offer(answer)

    def _by_blocks(self, weight: float, schedule: Schedule, blocks: Sequence[IntArray]) -> Answer:
        """Search all blocks at once, or in turn where limits or budgets reach across blocks."""
        across = bool(self._instance.limits or self._instance.budgets)
        groups = [[block] for block in blocks] if across else [list(blocks)]
        answer = self._best
        for group in groups:
            answer = search_blocks(
                self._instance,
                self._problems[weight],
                answer,
                schedule,
                blocks=group,
                frozen=self._frozen,
                noise=self._noise,
                run_all=self._run_all,
                go_on=self._in_time,
            )
        return answer

    def _limits(self, share: float, part: float) -> Limits:
        left = max(0.0, self.effort.left(share)) * part
        return Limits(
            work=left if not self.effort.is_timed else 1e9,
            seconds=left if self.effort.is_timed else None,
            workers=self._params.workers,
            seed=self._params.seed,
        )

    def _solve_part(self, attempt: int, share: float) -> None:
        """Re-solve a few nodes exactly around pods that are still waiting."""
        size = 3 + attempt % 4
        nodes, pods = choose_for_waiting(self._instance, self._best, size, self._noise)
        limits = self._limits(share, 0.2)
        answer, work = resolve_nodes(
            self._instance, self._best, nodes, limits, stages_proven=0, pods=pods
        )
        self.effort.spend(work)
        self._offer(answer)

    def _booleans(self) -> int:
        return len(self._instance.pods) * len(self._instance.nodes)

    def _solve_whole(self) -> bool:
        """Run the whole model where it is small; return whether every stage was proven."""
        if self._booleans() > EXACT_BOOLEANS:
            return False
        proven = self._proven_stages()
        solved = optimise(
            self._instance,
            Freedom.full(self._instance, self._best.placement),
            self._limits(1.0, EXACT_SHARE),
            stages_proven=proven,
        )
        self.effort.spend(solved.work)
        self._offer(Answer(solved.placement, score_of(self._instance, solved.placement)))
        self._note(solved.proven, solved.bound)
        return solved.proven == len(self._best.score)

    def _note(self, proven: int, bound: int | None) -> None:
        """Hand what CP-SAT proved over to the prover."""
        placing = len(self._best.score) - len(self._instance.tiers)
        counts = tuple(int(count) for count in self._best.score[:placing])
        for stage in range(min(proven, placing)):
            self._prover.learn(counts, stage, counts[stage])
        if bound is not None and proven < placing:
            self._prover.learn(counts, proven, bound)
        self.cost_proven = proven == len(self._best.score)

    def _proven_stages(self) -> int:
        bounds = self.bounds(deep=False)
        for stage, bound in enumerate(bounds):
            if bound > int(self._best.score[stage]):
                return stage
        return len(bounds)

    def _polish(self) -> None:
        """Disturb less: anneal with dear moves, then bring pods home by exact neighbourhoods."""
        attempt = 0
        while self.effort.left() > 0 and not self.cost_proven:
            if attempt == 2 and self._solve_whole():  # noqa: PLR2004
                return
            weight = POLISH_WEIGHTS[attempt % len(POLISH_WEIGHTS)]
            available = self.effort.steps(STEPS_AT_MOST)
            wanted = max(POLISH_STEPS, int(POLISH_RATIO * available))
            if len(self._instance.nodes) > 2 * BLOCK_NODES:
                self._search_in_blocks(weight, POLISH_HOT, wanted * self._params.workers, 1.0)
            else:
                self._search_everywhere(weight, POLISH_HOT, min(wanted, available))
            self._bring_home(attempt)
            attempt += 1

    def _bring_home(self, attempt: int) -> None:
        size = 2 + attempt % 4
        nodes = choose_displaced(self._instance, self._best, size, self._noise)
        placing = len(self._best.score) - len(self._instance.tiers)
        limits = self._limits(1.0, 0.2)
        answer, work = resolve_nodes(
            self._instance, self._best, nodes, limits, stages_proven=placing
        )
        self.effort.spend(work + ROUND_COST)
        self._offer(answer)


ROUND_COST = 0.005  # work that building a small model stands for
