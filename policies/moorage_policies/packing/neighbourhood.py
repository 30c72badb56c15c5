"""Large-neighbourhood search: set some nodes free, solve them again, keep what is better."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from moorage_policies.packing.annealing import Problem, Schedule
from moorage_policies.packing.exact import Limits, optimise
from moorage_policies.packing.instance import Instance
from moorage_policies.packing.model import Freedom
from moorage_policies.packing.search import Answer, score_of, search
from moorage_policies.types import BoolArray, IntArray

T = TypeVar("T")
RunAll = Callable[[Sequence[Callable[[], T]]], Sequence[T]]

WAITING_AT_MOST = 12  # unplaced pods that join one CP-SAT neighbourhood


def split_nodes(nodes: int, block: int, noise: np.random.Generator) -> list[IntArray]:
    """Return the nodes in random disjoint blocks of about ``block``."""
    order = noise.permutation(nodes)
    parts = max(1, round(nodes / block))
    return [np.sort(part) for part in np.array_split(order, parts)]


def search_blocks(
    instance: Instance,
    problem: Problem,
    start: Answer,
    schedule: Schedule,
    *,
    blocks: Sequence[IntArray],
    frozen: BoolArray,
    noise: np.random.Generator,
    run_all: RunAll[Answer],
    go_on: Callable[[], bool],
) -> Answer:
    """Return ``start`` improved in every block of nodes, all blocks searched at once."""
    waiting = noise.permutation(np.flatnonzero((start.placement < 0) & ~frozen))
    pools = np.array_split(waiting, len(blocks))
    seeds = noise.integers(1, 2**40, size=len(blocks))

    def task(rows: IntArray, pool: IntArray, seed: int) -> Callable[[], Answer]:
        return lambda: search(
            instance,
            problem,
            start,
            schedule,
            seed=seed,
            frozen=frozen,
            rows=rows,
            pool=pool,
            go_on=go_on,
        )

    tasks = [task(b, np.sort(p), int(s)) for b, p, s in zip(blocks, pools, seeds, strict=True)]
    merged = start.placement.copy()
    for answer in run_all(tasks):
        changed = answer.placement != start.placement
        merged[changed] = answer.placement[changed]
    return Answer(merged, score_of(instance, merged))


def resolve_nodes(
    instance: Instance,
    start: Answer,
    nodes: IntArray,
    limits: Limits,
    *,
    stages_proven: int,
    pods: IntArray | None = None,
) -> tuple[Answer, float]:
    """Return ``start`` with the pods of some nodes placed anew by CP-SAT, and the work it took.

    Args:
        instance: the problem.
        start: the answer to improve.
        nodes: the nodes set free, with all pods on them.
        limits: of the solver run.
        stages_proven: leading stages that need no improving.
        pods: unplaced pods to try as well; the gang of each comes along.
    """
    mask = np.zeros(len(instance.nodes), dtype=np.bool_)
    mask[nodes] = True
    free = (start.placement >= 0) & mask[np.maximum(start.placement, 0)]
    if pods is not None:
        free[pods] = True
        for gang in instance.gangs:
            if free[gang.members].any() and (start.placement[gang.members] < 0).all():
                free[gang.members] = True
    freedom = Freedom(start.placement, np.flatnonzero(free), mask)
    solved = optimise(instance, freedom, limits, stages_proven=stages_proven)
    return Answer(solved.placement, score_of(instance, solved.placement)), solved.work


def choose_displaced(
    instance: Instance, answer: Answer, size: int, noise: np.random.Generator
) -> IntArray:
    """Return nodes around a pod that is not where it runs today, to bring it home."""
    away = np.flatnonzero((answer.placement != instance.current) & instance.running)
    nodes: list[int] = []
    for pod in noise.permutation(away).tolist():
        for node in (int(instance.current[pod]), int(answer.placement[pod])):
            if node >= 0 and node not in nodes:
                nodes.append(node)
        if len(nodes) >= size:
            break
    others = [n for n in noise.permutation(len(instance.nodes)).tolist() if n not in nodes]
    return np.array((nodes + others)[:size], dtype=np.int64)


def choose_for_waiting(
    instance: Instance, answer: Answer, size: int, noise: np.random.Generator
) -> tuple[IntArray, IntArray]:
    """Return nodes with room and the most important unplaced pods that they accept."""
    waiting = np.flatnonzero(answer.placement < 0)
    waiting = noise.permutation(waiting)
    waiting = waiting[np.argsort(instance.tier[waiting], kind="stable")][:WAITING_AT_MOST]
    free = instance.free(answer.placement) / np.maximum(instance.capacity.mean(axis=0), 1.0)
    accepted = np.zeros(len(instance.nodes), dtype=np.bool_)
    for pod in waiting.tolist():
        accepted |= instance.accepts(pod)
    appeal = free.sum(axis=1) + noise.random(len(free)) * 0.5 + accepted
    return np.argsort(-appeal, kind="stable")[:size], waiting
