"""From a cluster to moves that bring its free accelerators together, each with gain and cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from moorage_policies.packing.instance import Instance as Packing
from moorage_policies.packing.instance import Limit
from moorage_policies.planning.facts import Facts, PlanningParams
from moorage_policies.planning.problem import (
    MOVES_LIMIT,
    OWNER_LIMIT,
    PLAN_LIMIT,
    Problem,
    build_problem,
)
from moorage_policies.plans.order import order_moves
from moorage_policies.plans.records import Move
from moorage_policies.ports import Clock
from moorage_policies.preemption.protection import budgets_of
from moorage_policies.rescheduling.groups import group_moves
from moorage_policies.rescheduling.instance import NO_OWNER, Hole, Instance, make_instance
from moorage_policies.rescheduling.objective import fragment_rate, worth_of
from moorage_policies.rescheduling.proposals import (
    DefragmentParams,
    Gain,
    NodeChange,
    Picture,
    Proposal,
    Want,
)
from moorage_policies.rescheduling.solve import Params, RunAll, Solution, solve
from moorage_policies.types import NVIDIA_GPU, FloatArray, IntArray, Node, Pod

GUIDE_SHARE = 0.05
"""Weight of whole nodes where domains are wanted: they show the way."""
EVICT_FIRST_FACTOR = 2.0
PRIORITY_STEP = 1000.0
USUAL_RESTART_S = 60.0
JUST_ENOUGH = 0.005
"""What is taken off a price, so that a move that wins exactly what it must is made."""


@dataclass(frozen=True, slots=True)
class Scene:
    """The problem, and what its rows stand for."""

    instance: Instance
    pods: tuple[Pod, ...]
    nodes: tuple[Node, ...]
    problem: Problem


def look(facts: Facts, planning: PlanningParams, params: DefragmentParams) -> Picture:
    """Return how scattered the free room is now."""
    scene = build_scene(facts, planning, params)
    instance = scene.instance
    free = np.maximum(instance.free(instance.home), 0)
    column = instance.resources.index(NVIDIA_GPU) if NVIDIA_GPU in instance.resources else -1
    gpus = free[:, column] if column >= 0 else np.zeros(len(free), dtype=np.int64)
    lacking = []
    for want in params.wants:
        hole = _hole(want, scene.nodes, instance.resources)
        if hole is None or hole.cells is None:
            continue
        asked = hole.requests > 0
        fits = (free[:, asked] >= hole.requests[asked]).all(axis=1) & hole.cells
        if not fits.any() and int(gpus[hole.cells].sum()) >= want.gpus:
            lacking.append(want.name)
    return Picture(fragment_rate(instance, instance.home), int(gpus.sum()), tuple(lacking))


def propose(
    facts: Facts,
    planning: PlanningParams,
    params: DefragmentParams,
    *,
    clock: Clock | None = None,
    run_all: RunAll | None = None,
) -> Proposal:
    """Return the moves that win most within their limits.

    Args:
        facts: the cluster.
        planning: who may be disturbed, and how much.
        params: what is wanted.
        clock: seconds; without one the answer depends on the arguments alone.
        run_all: runs tasks at the same time.
    """
    scene = build_scene(facts, planning, params)
    solution = solve(
        scene.instance,
        Params(deadline_s=params.deadline_s, seed=params.seed, workers=params.workers),
        clock=clock,
        run_all=run_all,
    )
    return _to_proposal(scene, solution, params)


def build_scene(facts: Facts, planning: PlanningParams, params: DefragmentParams) -> Scene:
    """Return the rescheduling problem of a cluster.

    Only ready GPU pods move that no tie but a limit binds; gangs, spreads and affinities hold their
    pods where they are. Nodes of running plans take no part.
    """
    problem = build_problem(replace(facts, wanted=()), planning)
    packing, pods = problem.translation.instance, problem.translation.pods
    mine = _movers(problem, facts, params)
    rest = np.setdiff1d(np.flatnonzero(packing.running), mine)
    capacity = packing.capacity.copy()
    np.subtract.at(capacity, packing.current[rest], packing.requests[rest])
    nodes = problem.translation.nodes
    busy = np.zeros(len(nodes), dtype=np.bool_)
    where = {node.name: row for row, node in enumerate(nodes)}
    movers = {pods[row].uid for row in mine.tolist()}
    for pod in facts.pods:
        counts = pod.requests.get(NVIDIA_GPU, 0) and pod.phase not in ("Succeeded", "Failed")
        if counts and pod.node in where and pod.uid not in movers:
            busy[where[pod.node]] = True
    owner, owner_room, most = _budgets(packing, mine)
    domain, host_worth, domain_worth = _worths(nodes, params)
    instance = make_instance(
        resources=packing.resources,
        hosts=packing.nodes,
        capacity=capacity,
        items=tuple(pods[row].key for row in mine),
        requests=packing.requests[mine],
        home=packing.current[mine],
        kind=packing.kind[mine],
        eligible=packing.eligible,
        price=np.array([_price(pods[row], problem, facts, params) for row in mine]),
        owner=owner,
        owner_room=owner_room,
        limits=_limits(packing, mine),
        holes=_holes(nodes, packing.resources, params),
        held=busy,
        host_worth=host_worth,
        domain=domain,
        domain_worth=domain_worth,
        max_moves=min(params.max_moves, most),
    )
    return Scene(instance, tuple(pods[row] for row in mine), nodes, problem)


def _movers(problem: Problem, facts: Facts, params: DefragmentParams) -> IntArray:
    packing, pods = problem.translation.instance, problem.translation.pods
    tied = packing.entangled()
    closed = [budget for budget in facts.budgets if budget.disruptions_allowed < 1]
    return np.array(
        [
            row
            for row, pod in enumerate(pods)
            if packing.current[row] >= 0
            and packing.movable[row]
            and not tied[row]
            and pod.requests.get(NVIDIA_GPU, 0)
            and pod.namespace not in params.exempt_namespaces
            and not budgets_of(pod, tuple(closed))
        ],
        dtype=np.int64,
    )


def _budgets(packing: Packing, mine: IntArray) -> tuple[IntArray, IntArray, int]:
    """Return the workload of each item with the moves it has left, and the moves of all.

    Disruption budgets do not count here: moves of one workload run one after the other, and the
    executor waits for each of them.
    """
    place = {int(row): at for at, row in enumerate(mine)}
    owner = np.full(len(mine), NO_OWNER, dtype=np.int64)
    rooms: list[int] = []
    most = 10**6
    for budget in packing.budgets:
        if budget.name in (PLAN_LIMIT, MOVES_LIMIT):
            most = min(most, budget.allowed)
        elif budget.name.startswith(OWNER_LIMIT):
            for row in budget.members.tolist():
                if row in place:
                    owner[place[row]] = len(rooms)
            rooms.append(budget.allowed)
    return owner, np.array(rooms, dtype=np.int64), most


def _limits(packing: Packing, mine: IntArray) -> tuple[Limit, ...]:
    place = {int(row): at for at, row in enumerate(mine)}
    found = []
    for limit in packing.limits:
        members = [row for row in limit.members.tolist() if row in place]
        fixed = [row for row in limit.members.tolist() if row not in place]
        room = limit.room.copy()
        for row in fixed:
            domain = int(limit.domain[packing.current[row]]) if packing.current[row] >= 0 else -1
            if domain >= 0:
                room[domain] -= 1
        if members:
            own = np.array([place[row] for row in members], dtype=np.int64)
            found.append(Limit(limit.name, own, limit.domain, room))
    return tuple(found)


def _holes(
    nodes: Sequence[Node], resources: Sequence[str], params: DefragmentParams
) -> tuple[Hole, ...]:
    if params.goal == "FragmentRate":
        total = sum(want.weight for want in params.wants) or 1.0
        found = (_hole(want, nodes, resources) for want in params.wants)
        return tuple(
            replace(hole, weight=round(want.gpus * want.weight / total, 3))
            for want, hole in zip(params.wants, found, strict=True)
            if hole is not None
        )
    scale = 1.0 if params.goal == "WholeNodes" else GUIDE_SHARE
    sizes = sorted({node.allocatable.get(NVIDIA_GPU, 0) for node in nodes} - {0})
    whole = []
    for size in sizes:
        selected = [_is_open(n) and n.allocatable.get(NVIDIA_GPU, 0) == size for n in nodes]
        asked = np.array([size if name == NVIDIA_GPU else 0 for name in resources], dtype=np.int64)
        if asked.any():
            cells = np.array(selected, dtype=np.bool_)
            whole.append(Hole(f"node-of-{size}", asked, round(size * scale, 3), cells))
    return tuple(whole)


def _hole(want: Want, nodes: Sequence[Node], resources: Sequence[str]) -> Hole | None:
    if NVIDIA_GPU not in resources:
        return None
    order = np.array([want.requests.get(name, 0) for name in resources], dtype=np.int64)
    cells = np.array(
        [_is_open(n) and want.node_selector.items() <= n.labels.items() for n in nodes]
    )
    gpu = resources.index(NVIDIA_GPU)
    if not order[gpu]:
        return None
    return Hole(want.name, order, want.weight, cells.astype(np.bool_), gpu)


def _is_open(node: Node) -> bool:
    return not node.unschedulable and bool(node.allocatable)


def _worths(
    nodes: Sequence[Node], params: DefragmentParams
) -> tuple[IntArray, FloatArray, FloatArray]:
    """Return the domain of each node, and what free nodes and domains are worth."""
    free_nodes = np.zeros(len(nodes))
    if params.goal != "TopologyDomains" or not params.topology_key:
        return np.zeros(len(nodes), dtype=np.int64), free_nodes, np.zeros(1)
    names = [node.labels.get(params.topology_key, f"alone {node.name}") for node in nodes]
    known = sorted(set(names))
    domain = np.array([known.index(name) for name in names], dtype=np.int64)
    worth = np.zeros(len(known))
    for node, name, row in zip(nodes, names, domain.tolist(), strict=True):
        if not name.startswith("alone ") and _is_open(node):
            worth[row] += node.allocatable.get(NVIDIA_GPU, 0)
    return domain, free_nodes, worth


def _price(pod: Pod, problem: Problem, facts: Facts, params: DefragmentParams) -> float:
    """Return what a move of the pod must win: more for slow, important and unguarded ones."""
    known = list(params.restart_s.values())
    usual = float(np.median(known)) if known else USUAL_RESTART_S
    factor = max(1.0, restart_of(pod, params) / max(usual, 1.0))
    factor *= 1.0 + max(0, min(pod.priority, 10**6)) / PRIORITY_STEP / 1000
    if problem.strategies.get(pod.uid) == "EvictFirst":
        factor *= EVICT_FIRST_FACTOR
    guards = budgets_of(pod, facts.budgets)
    if any(facts.budgets[at].disruptions_allowed == 1 for at in guards):
        factor *= 1.1
    return round(params.min_gain_gpus * factor, 3) - JUST_ENOUGH


def restart_of(pod: Pod, params: DefragmentParams) -> float:
    """Return the seconds until a replacement of the pod is ready; by its workload where unknown."""
    known = params.restart_s
    if pod.uid in known:
        return known[pod.uid]
    return float(np.median(list(known.values()))) if known else USUAL_RESTART_S


def _to_proposal(scene: Scene, solution: Solution, params: DefragmentParams) -> Proposal:
    instance, before = scene.instance, worth_of(scene.instance, scene.instance.home)
    rate = fragment_rate(instance, instance.home)
    bound = max(0.0, solution.bound - before)
    if not solution.moves:
        return Proposal(
            rate_before=rate,
            rate_after=rate,
            bound=bound,
            proven=solution.proven,
            work=solution.work,
            seed=params.seed,
            reason="no move wins what it costs",
        )
    moves = _moves(scene, solution)
    after = fragment_rate(instance, solution.places)
    gain = solution.worth - solution.worth_before
    return Proposal(
        moves=moves,
        gains=tuple(
            Gain(move.gain, restart_of(scene.pods[move.item], params)) for move in solution.moves
        ),
        rate_before=rate,
        rate_after=after,
        gain=gain,
        bound=bound,
        nodes=tuple(_changes(scene, solution)),
        proven=solution.proven,
        work=solution.work,
        seed=params.seed,
        reason=(
            f"{len(moves)} moves win {gain:g} GPUs in wanted pieces; "
            f"the fragment rate goes from {rate:.2f} to {after:.2f}"
        ),
    )


def _moves(scene: Scene, solution: Solution) -> tuple[Move, ...]:
    """Return the moves with the steps in which they may run, by index."""
    instance, listed = scene.instance, []
    groups = group_moves(instance, [move.item for move in solution.moves], solution.places)
    for index, priced in enumerate(solution.moves):
        pod = scene.pods[priced.item]
        listed.append(
            Move(
                index=index,
                step=index,
                kind="Move",
                uid=pod.uid,
                namespace=pod.namespace,
                name=pod.name,
                owner=pod.owner,
                source=instance.hosts[priced.source],
                target=instance.hosts[priced.target],
                strategy=scene.problem.strategies[pod.uid],
                priority=pod.priority,
                gpus=pod.requests.get(NVIDIA_GPU, 0),
                group=groups[index],
            )
        )
    room = instance.free(instance.home)
    free = {name: _amounts(instance, room[row]) for row, name in enumerate(instance.hosts)}
    needs = {
        scene.pods[m.item].uid: _amounts(instance, instance.requests[m.item])
        for m in solution.moves
    }
    ordered = order_moves(listed, free, needs, {})
    return tuple(sorted(ordered.value, key=lambda move: move.index))


def _amounts(instance: Instance, row: IntArray) -> Mapping[str, int]:
    return {name: int(amount) for name, amount in zip(instance.resources, row, strict=True)}


def _changes(scene: Scene, solution: Solution) -> list[NodeChange]:
    instance = scene.instance
    if NVIDIA_GPU not in instance.resources:
        return []
    column = instance.resources.index(NVIDIA_GPU)
    before = np.maximum(instance.free(instance.home)[:, column], 0)
    after = np.maximum(instance.free(solution.places)[:, column], 0)
    touched = sorted({cell for move in solution.moves for cell in (move.source, move.target)})
    return [
        NodeChange(
            instance.hosts[cell],
            scene.nodes[cell].allocatable.get(NVIDIA_GPU, 0),
            int(before[cell]),
            int(after[cell]),
        )
        for cell in touched
    ]
