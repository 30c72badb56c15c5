"""Why a set of pods cannot be placed: the smallest changes after which it could.

Every relaxation is one of fixed kinds, is verified by solving the changed instance, and is minimal:
singles are tried first, and pairs only of relaxations that do not help alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, Literal

import numpy as np

from moorage_policies.packing.instance import Instance
from moorage_policies.packing.solve import Params, Solution, solve
from moorage_policies.ports import Clock
from moorage_policies.types import CPU, MEMORY, PODS, IntArray

Kind = Literal["AddNode", "LiftTie", "LiftNodeRules", "RaiseBudget", "ReleaseProtected"]
PlacementVerdict = Literal["Placeable", "Infeasible", "Unknown"]

BUDGET_STEPS = (1, 2, 4, 8)
PAIRS_AT_MOST = 40


@dataclass(frozen=True, slots=True)
class Relaxation:
    """One change of the problem: its kind, what it says to a person, and the change itself."""

    kind: Kind
    text: str
    apply: Callable[[Instance], Instance]


@dataclass(frozen=True, slots=True)
class Explanation:
    """Whether a pod set can be placed, and minimal sets of relaxations after which it can.

    ``Infeasible`` is proven within the modelled constraints; ``Unknown`` means that time ran out.
    """

    verdict: PlacementVerdict
    relaxations: tuple[tuple[Relaxation, ...], ...]


def explain(
    instance: Instance,
    wanted: IntArray,
    params: Params,
    *,
    trial: Params | None = None,
    clock: Clock | None = None,
) -> Explanation:
    """Return whether all ``wanted`` pods can be placed together, and what would let them in.

    Other waiting pods are left out of the question. Running pods give way as far as the objective
    lets them: lower priorities only, and moves before evictions.

    Args:
        instance: the problem.
        wanted: rows of pending pods, shape ``(wanted,)``.
        params: effort of the question itself.
        trial: effort of each trial of a relaxation; by default the same.
        clock: see ``solve``.
    """
    alone, rows = _only(instance, wanted)
    question = replace(params, polish=False)
    solution = solve(alone, question, clock=clock)
    if _all_placed(solution, rows):
        return Explanation("Placeable", ())
    question = replace(trial or params, polish=False)
    verdict: PlacementVerdict = "Infeasible" if solution.certificate.is_proven else "Unknown"

    def helps(relaxations: Sequence[Relaxation]) -> bool:
        changed = alone
        for relaxation in relaxations:
            changed = relaxation.apply(changed)
        return _all_placed(solve(changed, question, clock=clock), rows)

    candidates = list(_candidates(alone, rows))
    singles = _smallest(candidates, helps)
    found: tuple[tuple[Relaxation, ...], ...] = tuple((single,) for single in singles)
    if not found:
        found = _pairs(candidates, helps)
    return Explanation(verdict, found)


def _only(instance: Instance, wanted: IntArray) -> tuple[Instance, IntArray]:
    """Return the instance without the waiting pods that nobody asks about."""
    asked = np.zeros(len(instance.pods), dtype=np.bool_)
    asked[wanted] = True
    for gang in instance.gangs:
        if asked[gang.members].any():
            asked[gang.members] = True
    keep = np.flatnonzero(asked | instance.running)
    new_row = np.full(len(instance.pods), -1, dtype=np.int64)
    new_row[keep] = np.arange(len(keep))

    def rows(members: IntArray) -> IntArray:
        mapped = new_row[members]
        return mapped[mapped >= 0]

    smaller = replace(
        instance,
        pods=tuple(instance.pods[row] for row in keep),
        gangs=tuple(
            replace(gang, members=rows(gang.members))
            for gang in instance.gangs
            if len(rows(gang.members))
        ),
        limits=tuple(replace(limit, members=rows(limit.members)) for limit in instance.limits),
        conflicts=tuple(
            replace(c, left=rows(c.left), right=rows(c.right)) for c in instance.conflicts
        ),
        spreads=tuple(
            replace(s, subjects=rows(s.subjects), members=rows(s.members)) for s in instance.spreads
        ),
        attractions=tuple(
            replace(a, subjects=rows(a.subjects), targets=rows(a.targets))
            for a in instance.attractions
        ),
        budgets=tuple(replace(b, members=rows(b.members)) for b in instance.budgets),
        requests=instance.requests[keep],
        priority=instance.priority[keep],
        current=instance.current[keep],
        movable=instance.movable[keep],
        evictable=instance.evictable[keep],
        move_cost=instance.move_cost[keep],
        evict_cost=instance.evict_cost[keep],
        kind=instance.kind[keep],
    )
    return smaller, rows(wanted)


def _all_placed(solution: Solution, rows: IntArray) -> bool:
    return bool((solution.placement[rows] >= 0).all())


def _smallest(
    candidates: Sequence[Relaxation], helps: Callable[[Sequence[Relaxation]], bool]
) -> list[Relaxation]:
    """Return the single relaxations that help; of budgets of one name only the smallest raise."""
    found: list[Relaxation] = []
    settled: set[str] = set()
    for candidate in candidates:
        subject = candidate.text.partition(" by ")[0]
        if subject not in settled and helps([candidate]):
            found.append(candidate)
            settled.add(subject)
    return found


def _pairs(
    candidates: Sequence[Relaxation], helps: Callable[[Sequence[Relaxation]], bool]
) -> tuple[tuple[Relaxation, ...], ...]:
    """Return the first pair of each two kinds that helps though neither does alone."""
    found: list[tuple[Relaxation, ...]] = []
    settled: set[tuple[str, str]] = set()
    for left, right in list(combinations(candidates, 2))[:PAIRS_AT_MOST]:
        subjects = (left.text.partition(" by ")[0], right.text.partition(" by ")[0])
        if subjects[0] == subjects[1] or subjects in settled:
            continue
        if helps([left, right]):
            found.append((left, right))
            settled.add(subjects)
    return tuple(found)


def _candidates(instance: Instance, rows: IntArray) -> Iterator[Relaxation]:
    yield from _lifted_ties(instance, rows)
    yield from _raised_budgets(instance)
    yield from _released(instance, rows)
    yield _lifted_node_rules(rows)
    yield from _added_nodes(instance, rows)


def _lifted_ties(instance: Instance, rows: IntArray) -> Iterator[Relaxation]:
    fields: tuple[tuple[str, str, tuple[str, ...]], ...] = (
        ("limits", "anti-affinity over", ("members",)),
        ("conflicts", "anti-affinity over", ("left", "right")),
        ("spreads", "topology spread over", ("subjects",)),
        ("attractions", "affinity over", ("subjects",)),
    )
    for field_name, what, members in fields:
        for index, tie in enumerate(getattr(instance, field_name)):
            if any(np.isin(rows, getattr(tie, name)).any() for name in members):
                yield Relaxation(
                    "LiftTie",
                    f"lift the {what} {tie.name} (constraint {index})",
                    _without(field_name, index),
                )
    for index, gang in enumerate(instance.gangs):
        if gang.domain is not None and np.isin(rows, gang.members).any():
            yield Relaxation(
                "LiftTie",
                f"lift the required topology of gang {gang.name}",
                _without_domain(index),
            )


def _without(field_name: str, index: int) -> Callable[[Instance], Instance]:
    def apply(instance: Instance) -> Instance:
        ties = list(getattr(instance, field_name))
        # An empty tie keeps the places of those behind it, so that two can be lifted.
        ties[index] = _emptied(ties[index])
        changed: dict[str, Any] = {field_name: tuple(ties)}
        return replace(instance, **changed)

    return apply


def _emptied(tie: Any) -> Any:  # noqa: ANN401
    nobody = np.zeros(0, dtype=np.int64)
    names = ("members", "left", "right", "subjects", "targets")
    return replace(tie, **{name: nobody for name in names if hasattr(tie, name)})


def _without_domain(index: int) -> Callable[[Instance], Instance]:
    def apply(instance: Instance) -> Instance:
        gangs = list(instance.gangs)
        gangs[index] = replace(gangs[index], domain=None)
        return replace(instance, gangs=tuple(gangs))

    return apply


def _raised_budgets(instance: Instance) -> Iterator[Relaxation]:
    for index, budget in enumerate(instance.budgets):
        for more in BUDGET_STEPS:
            if budget.allowed + more <= len(budget.members):
                yield Relaxation(
                    "RaiseBudget",
                    f"raise what disruption budget {budget.name} allows by {more}",
                    _raise(index, more),
                )


def _raise(index: int, more: int) -> Callable[[Instance], Instance]:
    def apply(instance: Instance) -> Instance:
        budgets = list(instance.budgets)
        budgets[index] = replace(budgets[index], allowed=budgets[index].allowed + more)
        return replace(instance, budgets=tuple(budgets))

    return apply


def _released(instance: Instance, rows: IntArray) -> Iterator[Relaxation]:
    """Yield one release per priority below the wanted pods that has protected running pods."""
    top = int(instance.priority[rows].max(initial=0))
    protected = instance.running & (~instance.movable | ~instance.evictable)
    for priority in sorted({int(p) for p in instance.priority[protected] if p < top}):
        yield Relaxation(
            "ReleaseProtected",
            f"let protected pods of priority {priority} be moved or evicted",
            _release(priority),
        )


def _release(priority: int) -> Callable[[Instance], Instance]:
    def apply(instance: Instance) -> Instance:
        chosen = instance.running & (instance.priority == priority)
        return replace(
            instance, movable=instance.movable | chosen, evictable=instance.evictable | chosen
        )

    return apply


def _lifted_node_rules(rows: IntArray) -> Relaxation:
    def apply(instance: Instance) -> Instance:
        anywhere = np.ones((1, len(instance.nodes)), dtype=np.bool_)
        kind = instance.kind.copy()
        kind[rows] = len(instance.eligible)
        return replace(instance, eligible=np.vstack([instance.eligible, anywhere]), kind=kind)

    return Relaxation(
        "LiftNodeRules", "lift the node selector, affinity and taints for these pods", apply
    )


def _added_nodes(instance: Instance, rows: IntArray) -> Iterator[Relaxation]:
    """Yield one empty node per node class, with just the room that the wanted pods ask for."""
    classes = instance.node_class or ("",) * len(instance.nodes)
    room = instance.requests[rows].sum(axis=0)
    for name in dict.fromkeys(classes):
        like = classes.index(name)
        amounts = zip(instance.resources, room.tolist(), strict=True)
        asks = ", ".join(_spoken(resource, amount) for resource, amount in amounts if amount)
        called = f" of class {name}" if name else ""
        yield Relaxation("AddNode", f"add one node{called} with {asks} free", _add(like, room))


def _spoken(resource: str, amount: int) -> str:
    """Return an amount as people write it."""
    if resource == CPU:
        return f"{amount / 1000:g} CPU"
    if resource == MEMORY:
        return f"{amount / 2**30:.3g} GiB of memory"
    if resource == PODS:
        return f"room for {amount} {'pod' if amount == 1 else 'pods'}"
    return f"{amount} {resource}"


def _add(like: int, room: IntArray) -> Callable[[Instance], Instance]:
    """Return a change that adds a node accepted like node ``like``, alone in its domains."""

    def alone(domain: IntArray) -> IntArray:
        return np.append(domain, -1 if domain[like] < 0 else int(domain.max()) + 1)

    def apply(instance: Instance) -> Instance:
        return replace(
            instance,
            nodes=(*instance.nodes, "one-more-node"),
            node_class=(*instance.node_class, "") if instance.node_class else (),
            capacity=np.vstack([instance.capacity, room]),
            eligible=np.column_stack([instance.eligible, instance.eligible[:, like]]),
            gangs=tuple(
                g if g.domain is None else replace(g, domain=alone(g.domain))
                for g in instance.gangs
            ),
            limits=tuple(
                replace(x, domain=alone(x.domain), room=np.append(x.room, 1))
                for x in instance.limits
            ),
            conflicts=tuple(replace(x, domain=alone(x.domain)) for x in instance.conflicts),
            spreads=tuple(
                replace(x, domain=np.append(x.domain, x.domain[like])) for x in instance.spreads
            ),
            attractions=tuple(
                replace(x, domain=np.append(x.domain, x.domain[like])) for x in instance.attractions
            ),
        )

    return apply
