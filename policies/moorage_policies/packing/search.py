"""Ready an instance for the search kernel, and run the kernel on all nodes or on some of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from moorage_policies.packing.annealing import Problem, Schedule, State, anneal
from moorage_policies.packing.instance import Instance
from moorage_policies.packing.objective import KEPT, stages
from moorage_policies.types import BoolArray, FloatArray, IntArray

TIER_RATIO = 8.0  # weight of a pod against one of the next tier below
KEPT_RATIO = 3.0  # extra weight of a running pod where equals are never evicted
SCARCE_RATIO = 0.6  # of the scarcest resource: what is asked for against what there is
SLICE_STEPS = 50_000
SPARE_PLACES = 64  # how many more pods than today the fullest node may be given in a search


@dataclass(frozen=True, slots=True)
class Answer:
    """A placement and its score: placed counts, then negated costs."""

    placement: IntArray
    score: IntArray

    def beats(self, other: Answer) -> bool:
        """Return whether this score is strictly better, compared from the left."""
        return tuple(self.score) > tuple(other.score)


def build_problem(instance: Instance, *, cost_weight: float) -> Problem:
    """Return the kernel's view of an instance; ``cost_weight`` is what one unit of cost weighs.

    One placed pod of the least important tier weighs 1.
    """
    tiers = len(instance.tiers)
    lift = (tiers - 1 - instance.tier).astype(np.float64)
    weight = TIER_RATIO**lift
    if not instance.same_tier_eviction:
        weight = weight * np.where(instance.running, 1.0 + KEPT_RATIO, 1.0)
    cost_lift = cost_weight * (1.0 + lift / max(1, tiers))
    ties = _ties(instance)
    return Problem(
        requests=instance.requests,
        pods=np.column_stack([*_pod_columns(instance), *ties.ranges]).astype(np.int64),
        weights=np.column_stack(
            [weight, cost_lift * instance.move_cost, cost_lift * instance.evict_cost]
        ),
        scale=_scale(instance),
        eligible=instance.eligible,
        tie_list=ties.listed,
        limit_slots=ties.slots,
        tie_room=ties.room,
    )


def score_of(instance: Instance, placement: IntArray) -> IntArray:
    """Return the exact score as the kernel counts it, shape ``(slots,)``."""
    placed = placement >= 0
    counts = [int((placed & mask).sum()) for _, _, mask in stages(instance)]
    left = instance.running & (placement != instance.current)
    cost = np.where(placed, instance.move_cost, instance.evict_cost) * left
    totals = np.zeros(len(instance.tiers), dtype=np.int64)
    np.add.at(totals, instance.tier, cost)
    return np.concatenate([np.array(counts, dtype=np.int64), -totals])


def search(
    instance: Instance,
    problem: Problem,
    start: Answer,
    schedule: Schedule,
    *,
    seed: int,
    frozen: BoolArray | None = None,
    rows: IntArray | None = None,
    pool: IntArray | None = None,
    go_on: Callable[[], bool] = lambda: True,
) -> Answer:
    """Return the best answer found from ``start``, at least as good as it.

    Args:
        instance: the problem.
        problem: its kernel view.
        start: where the search begins.
        schedule: steps and temperatures.
        seed: same seed, same answer.
        frozen: pods that must stay as they are in ``start``.
        rows: the nodes that may change; all when ``None``.
        pool: the unplaced pods that may be placed; all when ``None``.
        go_on: asked between slices of the schedule, so that a long one ends in time.
    """
    rows = np.arange(len(instance.nodes)) if rows is None else rows
    state = _state(instance, problem, start, frozen, pool)
    in_scope = np.zeros(len(instance.nodes), dtype=np.bool_)
    in_scope[rows] = True
    best, best_score = start.placement.copy(), start.score.copy()
    noise = np.array([(seed * 0x9E3779B97F4A7C1 + 0x2545F491) % (2**62) + 1], dtype=np.int64)
    for part in _slices(schedule) if len(rows) and instance.pods else ():
        anneal(problem, state, part, rows, in_scope, noise, best, best_score)
        if not go_on():
            break
    return Answer(best, best_score)


def _slices(schedule: Schedule) -> Iterator[Schedule]:
    """Yield the schedule in parts that cool on from each other."""
    parts = max(1, schedule.steps // SLICE_STEPS)
    ratio = (schedule.cold / schedule.hot) ** (1 / parts)
    for part in range(parts):
        hot = schedule.hot * ratio**part
        yield schedule._replace(steps=schedule.steps // parts, hot=hot, cold=hot * ratio)


def _state(
    instance: Instance,
    problem: Problem,
    start: Answer,
    frozen: BoolArray | None,
    pool: IntArray | None,
) -> State:
    placement = start.placement.copy()
    pods, nodes = len(instance.pods), len(instance.nodes)
    free_to_move = np.ones(pods, dtype=np.bool_) if frozen is None else ~frozen
    load = np.bincount(placement[placement >= 0], minlength=nodes)
    width = min(pods, int(load.max(initial=0)) + SPARE_PLACES) + 1
    on_node = np.full((nodes, width), -1, dtype=np.int64)
    count = np.zeros(nodes, dtype=np.int64)
    places = np.zeros(pods, dtype=np.int64)
    chosen = free_to_move & (placement >= 0)
    order = np.flatnonzero(chosen)
    order = order[np.argsort(placement[order], kind="stable")]
    nodes_of = placement[order]
    starts = np.searchsorted(nodes_of, np.arange(nodes))
    places[order] = np.arange(len(order)) - starts[nodes_of]
    on_node[nodes_of, places[order]] = order
    count[:] = np.bincount(nodes_of, minlength=nodes)
    waiting = np.flatnonzero(free_to_move & (placement < 0)) if pool is None else pool
    pool_array = np.zeros(pods + 1, dtype=np.int64)
    pool_array[: len(waiting)] = waiting
    pool_array[pods] = len(waiting)
    places[waiting] = np.arange(len(waiting))
    return State(
        placement=placement,
        free=instance.free(placement),
        on_node=on_node,
        load=count,
        places=places,
        pool=pool_array,
        tie_count=_tie_counts(instance, problem, placement),
        score=start.score.copy(),
    )


def _scale(instance: Instance) -> FloatArray:
    """Return what makes requests comparable, 0 for resources that are not scarce.

    Pod slots or memory that are never short would drown the room that counts.
    """
    if not instance.pods:
        return np.ones(len(instance.resources))
    asked = instance.requests.sum(axis=0) / np.maximum(instance.capacity.sum(axis=0), 1)
    scarce = (asked >= SCARCE_RATIO * asked.max()) & (asked > 0)
    scale = np.where(scarce, 1.0 / np.maximum(instance.requests.mean(axis=0), 1e-9), 0.0)
    return scale if scarce.any() else np.ones(len(instance.resources))


def _pod_columns(instance: Instance) -> list[IntArray]:
    """Return the pod table's columns up to the ties, in the kernel's order."""
    pods = len(instance.pods)
    kept = np.full(pods, -1, dtype=np.int64)
    placed = np.zeros(pods, dtype=np.int64)
    listed = stages(instance)
    for slot, (what, _, mask) in enumerate(listed):
        (kept if what == KEPT else placed)[mask] = slot
    return [
        instance.current,
        instance.movable.astype(np.int64),
        instance.evictable.astype(np.int64),
        instance.kind,
        kept,
        placed,
        len(listed) + instance.tier,
        instance.move_cost,
        instance.evict_cost,
    ]


@dataclass(frozen=True, slots=True)
class _Ties:
    ranges: tuple[IntArray, ...]  # limits from, to, budgets from, to; each of shape (pods,)
    listed: IntArray
    slots: IntArray
    room: IntArray


def _ties(instance: Instance) -> _Ties:
    pods = len(instance.pods)
    limit_starts, limits = _rows_of(pods, [limit.members for limit in instance.limits])
    budget_starts, budgets = _rows_of(pods, [budget.members for budget in instance.budgets])
    slots = np.full((len(instance.limits), len(instance.nodes)), -1, dtype=np.int64)
    offset = 0
    for row, limit in enumerate(instance.limits):
        slots[row] = np.where(limit.domain >= 0, limit.domain + offset, -1)
        offset += len(limit.room)
    allowed = np.array([budget.allowed for budget in instance.budgets], dtype=np.int64)
    budget_starts = budget_starts + len(limits)
    return _Ties(
        ranges=(limit_starts[:-1], limit_starts[1:], budget_starts[:-1], budget_starts[1:]),
        listed=np.concatenate([limits, budgets + offset]).astype(np.int64),
        slots=slots,
        room=np.concatenate([*(limit.room for limit in instance.limits), allowed]),
    )


def _rows_of(pods: int, sets: Sequence[IntArray]) -> tuple[IntArray, IntArray]:
    """Return, per pod, which sets hold it: starts, shape ``(pods + 1,)``, and set numbers."""
    pairs = sorted((int(pod), number) for number, members in enumerate(sets) for pod in members)
    counts = np.bincount(np.array([pod for pod, _ in pairs], dtype=np.int64), minlength=pods)
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return starts, np.array([number for _, number in pairs], dtype=np.int64)


def _tie_counts(instance: Instance, problem: Problem, placement: IntArray) -> IntArray:
    counts = np.zeros(len(problem.tie_room), dtype=np.int64)
    for row, limit in enumerate(instance.limits):
        nodes = placement[limit.members]
        slots = problem.limit_slots[row, nodes[nodes >= 0]]
        np.add.at(counts, slots[slots >= 0], 1)
    left = instance.running & (placement != instance.current)
    offset = len(counts) - len(instance.budgets)
    for row, budget in enumerate(instance.budgets):
        counts[offset + row] = int(left[budget.members].sum())
    return counts
