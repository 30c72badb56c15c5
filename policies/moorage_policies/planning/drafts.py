"""From a placement to plans: who goes where, in which order, split where nothing is shared."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from moorage_policies.errors import BadInputError
from moorage_policies.packing.check import find_violations
from moorage_policies.packing.instance import Instance
from moorage_policies.planning.answer import PlanDraft
from moorage_policies.planning.facts import PlanningParams
from moorage_policies.planning.problem import Problem
from moorage_policies.planning.stages import Stages
from moorage_policies.plans.order import order_moves
from moorage_policies.plans.records import Move, MoveKind, Strategy
from moorage_policies.types import NVIDIA_GPU, IntArray


def draft_plans(
    problem: Problem, placement: IntArray, params: PlanningParams
) -> tuple[PlanDraft, ...]:
    """Return the plans that lead to a placement, in no particular order.

    Changes that help nobody are dropped. Pods that have room without disturbing anybody need no
    plan, unless they are a gang, whose places are kept until all of it is there.

    Args:
        problem: the problem.
        placement: node row per pod, -1 for none, shape ``(pods,)``.
        params: how plans are made.
    """
    groups = _connected(problem.translation.instance, placement)
    useful = [group for group in groups if _is_useful(problem.translation.instance, group)]
    kept = _without_useless(problem.translation.instance, placement, useful)
    stages = Stages(problem, placement)
    drafts = []
    for group in kept:
        if _needs_plan(problem.translation.instance, group) and len(group) <= params.longest_plan:
            draft = _draft(problem, placement, group, stages, params)
            if draft is not None:
                stages.note(draft.moves)
                drafts.append(draft)
    return tuple(drafts)


def _connected(instance: Instance, placement: IntArray) -> list[list[int]]:
    """Return the changed pods in groups that share no node, no gang and no owner-wide tie."""
    changed = np.flatnonzero(placement != instance.current).tolist()
    places: defaultdict[object, list[int]] = defaultdict(list)
    for row in changed:
        for node in {int(instance.current[row]), int(placement[row])} - {-1}:
            places[node].append(row)
    for gang in instance.gangs:
        places[gang.name] = [int(row) for row in gang.members if int(row) in set(changed)]
    leader = {row: row for row in changed}

    def find(row: int) -> int:
        while leader[row] != row:
            leader[row] = leader[leader[row]]
            row = leader[row]
        return row

    for rows in places.values():
        for row in rows[1:]:
            leader[find(row)] = find(rows[0])
    groups: defaultdict[int, list[int]] = defaultdict(list)
    for row in changed:
        groups[find(row)].append(row)
    return list(groups.values())


def _is_useful(instance: Instance, group: Iterable[int]) -> bool:
    return any(instance.current[row] < 0 for row in group)


def _without_useless(
    instance: Instance, placement: IntArray, useful: list[list[int]]
) -> list[list[int]]:
    """Return the useful groups, or all changes as one if they do not stand alone."""
    trimmed = instance.current.copy()
    for group in useful:
        trimmed[group] = placement[group]
    if not find_violations(instance, trimmed):
        return useful
    return [np.flatnonzero(placement != instance.current).tolist()]


def _needs_plan(instance: Instance, group: Sequence[int]) -> bool:
    ganged = {int(row) for gang in instance.gangs for row in gang.members}
    return any(instance.current[row] >= 0 or row in ganged for row in group)


def _draft(
    problem: Problem,
    placement: IntArray,
    group: Sequence[int],
    stages: Stages,
    params: PlanningParams,
) -> PlanDraft | None:
    instance = problem.translation.instance
    order = {"Move": 0, "Evict": 1, "Place": 2}
    listed = sorted(
        group, key=lambda row: (order[_kind(instance, placement, row)], instance.pods[row])
    )
    moves = [_move(problem, placement, row, index) for index, row in enumerate(listed)]
    room = instance.free(instance.current)
    free = {node: _amounts(instance, room[at]) for at, node in enumerate(instance.nodes)}
    requests = {instance.pods[row]: _amounts(instance, instance.requests[row]) for row in listed}
    ordered = None
    for ways in (stages.ways(group), stages.ways_without(group)):
        try:
            ordered = order_moves(moves, free, requests, ways).value
        except BadInputError:
            return None  # no order frees room before it is used
        if len(ordered) <= params.longest_plan and stages.may_take(ordered):
            break
    assert ordered is not None
    served = tuple(move.uid for move in moves if move.kind == "Place")
    by_index = sorted(ordered, key=lambda move: move.index)
    return PlanDraft(tuple(by_index), served, _tell(by_index))


def _kind(instance: Instance, placement: IntArray, row: int) -> MoveKind:
    if instance.current[row] < 0:
        return "Place"
    return "Move" if placement[row] >= 0 else "Evict"


def _move(problem: Problem, placement: IntArray, row: int, index: int) -> Move:
    instance, pod = problem.translation.instance, problem.translation.pods[row]
    here, there = int(instance.current[row]), int(placement[row])
    strategy: Strategy = problem.strategies.get(pod.uid, "SurgeFirst")
    return Move(
        index=index,
        step=0,
        kind=_kind(instance, placement, row),
        uid=pod.uid,
        namespace=pod.namespace,
        name=pod.name,
        owner=pod.owner,
        source=instance.nodes[here] if here >= 0 else "",
        target=instance.nodes[there] if there >= 0 else "",
        strategy=strategy,
        priority=pod.priority,
        gpus=pod.requests.get(NVIDIA_GPU, 0),
    )


def _amounts(instance: Instance, row: IntArray) -> Mapping[str, int]:
    return {name: int(amount) for name, amount in zip(instance.resources, row, strict=True)}


def _tell(moves: Sequence[Move]) -> str:
    parts = []
    staged = sum(move.follows is not None for move in moves)
    for kind, verb in (("Move", "moves"), ("Evict", "evicts")):
        count = sum(move.kind == kind and move.follows is None for move in moves)
        if count:
            detour = f" ({staged} by way of another node)" if kind == "Move" and staged else ""
            parts.append(f"{verb} {count} {'pod' if count == 1 else 'pods'}{detour}")
    placed = [move for move in moves if move.kind == "Place"]
    names = ", ".join(move.key for move in placed[:3]) + (" and others" if len(placed) > 3 else "")  # noqa: PLR2004
    return f"{' and '.join(parts) or 'keeps room'} to place {names}"
