"""The planner's answer to the facts: search, drafts, and for whoever is left out the reason."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from moorage_policies.errors import BadInputError
from moorage_policies.packing.certificate import Certificate
from moorage_policies.packing.check import find_violations, is_not_below
from moorage_policies.packing.instance import UNPLACED, Instance
from moorage_policies.packing.objective import cost_vector, placed_vector
from moorage_policies.packing.relaxation import Explanation, explain
from moorage_policies.packing.solve import Params, solve
from moorage_policies.planning.answer import Answer, PlanDraft, Proof, TierResult, Word
from moorage_policies.planning.drafts import draft_plans
from moorage_policies.planning.facts import Facts, PlanningParams
from moorage_policies.planning.problem import Problem, build_problem
from moorage_policies.types import IntArray

Changes = Mapping[str, str | None]
"""Node of each pod that changes place, ``None`` for an eviction, by UID."""

MOST_EXPLAINED = 4
WITHIN = "proven within the modelled constraints"


@dataclass(frozen=True, slots=True)
class Found:
    """A placement and what is known about it."""

    placement: IntArray
    proof: Proof


def answer(
    facts: Facts,
    params: PlanningParams,
    *,
    on_better: Callable[[Changes], None] | None = None,
    on_answer: Callable[[Answer], None] | None = None,
    go_on: Callable[[], bool] = lambda: True,
    given: Changes | None = None,
) -> Answer:
    """Return plans for the pods that wait, and a word on each of them.

    Args:
        facts: the cluster.
        params: how plans are made.
        on_better: hears every better placement as soon as it is known.
        on_answer: hears the answer before the explanations, which may take longer than the search.
        go_on: whether there is time for one more explanation.
        given: a placement found earlier; it is checked, and nothing is searched.
    """
    problem = build_problem(facts, params)
    found = _take(problem, given) if given is not None else _search(problem, params, on_better)
    drafts = draft_plans(problem, found.placement, params)
    told = _words(problem, found, drafts)
    first = Answer(drafts, found.proof, *told)
    if on_answer is not None:
        on_answer(first)
    return _explained(first, problem, found, params, go_on) if given is None else first


def _search(
    problem: Problem, params: PlanningParams, on_better: Callable[[Changes], None] | None
) -> Found:
    instance = problem.translation.instance

    def hear(placement: IntArray) -> None:
        if on_better is not None:
            on_better(changes_of(instance, placement))

    effort = Params(deadline_s=params.work_s, seed=params.seed, workers=params.workers)
    solution = solve(instance, effort, on_incumbent=hear)
    return Found(solution.placement, _proof(instance, solution.placement, solution.certificate))


def changes_of(instance: Instance, placement: IntArray) -> Changes:
    """Return what a placement changes."""
    return {
        instance.pods[row]: instance.nodes[placement[row]] if placement[row] >= 0 else None
        for row in np.flatnonzero(placement != instance.current).tolist()
    }


def _take(problem: Problem, given: Changes) -> Found:
    """Return a placement that was found before its search was cut off."""
    instance = problem.translation.instance
    row_of = {node: row for row, node in enumerate(instance.nodes)}
    pod_row = {uid: row for row, uid in enumerate(instance.pods)}
    placement = instance.current.copy()
    for uid, node in given.items():
        if uid not in pod_row or (node is not None and node not in row_of):
            raise BadInputError("names a pod or node that is not there; plan again", field=uid)
        placement[pod_row[uid]] = UNPLACED if node is None else row_of[node]
    broken = find_violations(instance, placement)
    if broken or not is_not_below(instance, placement):
        raise BadInputError(f"breaks a rule: {broken or 'places less than today'}", field="given")
    return Found(placement, _proof(instance, placement, None))


def _proof(instance: Instance, placement: IntArray, known: Certificate | None) -> Proof:
    today = placed_vector(instance, instance.current)
    placed, cost = placed_vector(instance, placement), cost_vector(instance, placement)
    bounds = {tier.priority: tier.bound for tier in known.tiers} if known is not None else {}
    tiers = tuple(
        TierResult(priority, today[at], placed[at], bounds.get(priority), cost[at])
        for at, priority in enumerate(instance.tiers)
    )
    if known is None:
        return Proof("Feasible", tiers, complete=False)
    return Proof(
        verdict={"Optimal": "Optimal", "Unchanged": "Infeasible", "Feasible": "Feasible"}[  # type: ignore[arg-type]
            known.verdict
        ],
        tiers=tiers,
        cost_proven=known.cost_proven,
        seed=known.seed,
        workers=known.workers,
        work=known.work,
    )


def _words(
    problem: Problem, found: Found, drafts: tuple[PlanDraft, ...]
) -> tuple[dict[str, Word], dict[str, str]]:
    words: dict[str, Word] = {}
    messages: dict[str, str] = {}
    served = {uid: draft for draft in drafts for uid in draft.serves}
    translation = problem.translation
    for row, pod in enumerate(translation.pods):
        if pod.node is not None:
            continue
        if pod.uid in served:
            words[pod.uid] = "Planned"
            messages[pod.uid] = served[pod.uid].reason
        elif found.placement[row] >= 0:
            words[pod.uid] = "HasRoom"
            messages[pod.uid] = f"there is room on {translation.nodes[found.placement[row]].name}"
        else:
            words[pod.uid] = "Unknown"
            messages[pod.uid] = "no rearrangement was found that places this pod"
    for uid, why in problem.waiting.refused.items():
        words[uid], messages[uid] = "Unsupported", f"no plan is made for this pod: {why}"
    return words, messages


def _explained(
    first: Answer,
    problem: Problem,
    found: Found,
    params: PlanningParams,
    go_on: Callable[[], bool],
) -> Answer:
    """Return the answer with a reason for each pod that got no place."""
    words, messages = dict(first.words), dict(first.messages)
    for uids, explanation in _questions(problem, found, params, go_on):
        word, message = _tell(explanation, found)
        for uid in uids:
            words[uid], messages[uid] = word, message
    return Answer(first.drafts, first.proof, words, messages)


def _questions(
    problem: Problem, found: Found, params: PlanningParams, go_on: Callable[[], bool]
) -> list[tuple[list[str], Explanation]]:
    """Return an explanation for each kind of pod left out, gangs as a whole."""
    instance = problem.translation.instance
    left = [row for row in np.flatnonzero(found.placement < 0) if instance.current[row] < 0]
    gang_of = {int(row): gang.name for gang in instance.gangs for row in gang.members}
    gangs: dict[object, list[int]] = {}
    for row in (int(row) for row in left):
        shape = (int(instance.kind[row]), int(instance.priority[row]), *instance.requests[row])
        gangs.setdefault(gang_of.get(row, shape), []).append(row)
    effort = Params(deadline_s=params.work_s, seed=params.seed, polish=False)
    trial = Params(deadline_s=params.question_s, seed=params.seed, polish=False)
    explained = []
    for key, rows in list(gangs.items())[:MOST_EXPLAINED]:
        if not go_on():
            break
        wanted = np.array(rows if isinstance(key, str) else rows[:1], dtype=np.int64)
        explanation = explain(instance, wanted, effort, trial=trial)
        explained.append(([instance.pods[row] for row in rows], explanation))
    return explained


def _tell(explanation: Explanation, found: Found) -> tuple[Word, str]:
    if explanation.verdict == "Placeable":
        if found.proof.verdict == "Feasible":
            return "Unknown", "a rearrangement exists and was not found in time; it is tried again"
        return "Outranked", f"others of the same or higher priority take the room ({WITHIN})"
    ways = "; or ".join(
        " and ".join(one.text for one in together) for together in explanation.relaxations
    )
    helps = f": {ways}" if ways else ""
    if explanation.verdict == "Infeasible":
        return "Infeasible", f"no rearrangement can place this pod ({WITHIN}){helps}"
    return "Unknown", f"no rearrangement was found that places this pod{helps}"
