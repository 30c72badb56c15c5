"""Which pods make room for a pod that does not fit: fewest, least important, nobody protected."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from moorage_policies.preemption.weighing import Offer, PreemptionParams, Weighing
from moorage_policies.state import Snapshot
from moorage_policies.types import Decision, DisruptionBudget, Pod

PlannerWord = Literal["silent", "declined", "serving"]


class Victims(NamedTuple):
    """Pods of one node to evict.

    Args:
        uids: victims by falling priority; empty when the node needs none.
        pdb_violations: evictions beyond what disruption budgets allow.
    """

    uids: tuple[str, ...]
    pdb_violations: int


def choose_victims(
    pod: Pod,
    candidates: Mapping[str, tuple[str, ...]],
    snapshot: Snapshot,
    budgets: Sequence[DisruptionBudget],
    params: PreemptionParams,
    now_s: float,
    *,
    first_failed_s: float | None = None,
    planner: PlannerWord = "silent",
) -> Decision[Mapping[str, Victims]]:
    """Return whom to evict on which node; an empty mapping vetoes preemption for now.

    Victims have strictly lower priority, are never more than the scheduler proposed for the node,
    and harm least: budget violations, highest priority, sum of priorities, count, restart cost.
    The scheduler believes the answer blindly, so no rule is left to it.

    Args:
        pod: the pod that fits nowhere.
        candidates: UIDs that the scheduler would evict, by node name; an empty list says that the
            node needs no victim and is handed back as it came.
        snapshot: the cluster.
        budgets: disruption budgets as they stand.
        params: how to behave.
        now_s: Unix seconds.
        first_failed_s: when the pod first failed; ``None`` says that it fails right now.
        planner: ``silent`` while it still thinks, ``declined`` when it has no plan for the pod,
            ``serving`` while a plan makes room for it.
    """
    age_s = now_s - (now_s if first_failed_s is None else first_failed_s)
    facts: dict[str, object] = {
        "pod": pod.key,
        "generation": snapshot.generation,
        "candidates": len(candidates),
    }
    veto = _veto(pod, params, age_s, planner)
    if veto:
        return Decision({}, veto, facts)
    weighing = Weighing(pod, snapshot, budgets, params, now_s)
    offers = weighing.weigh(candidates)
    facts["dropped"] = {name: offer.dropped for name, offer in offers.items() if offer.dropped}
    kept = {name: offer for name, offer in offers.items() if not offer.dropped}
    roomy = [name for name, offer in offers.items() if offer.has_room]
    if roomy and age_s < params.trust_snapshot_s:
        return Decision({}, f"{roomy[0]} has room already: the next try needs no eviction", facts)
    if not kept:
        return Decision({}, f"nobody may make room: {_tally(offers)}", facts)
    best = min(kept, key=lambda name: (kept[name].harm, name))
    facts["harm"] = kept[best].harm._asdict()
    chosen = kept if params.keep == "all" else {best: kept[best]}
    answer = {
        name: Victims(offer.uids(), offer.harm.budget_violations) for name, offer in chosen.items()
    }
    return Decision(
        answer, f"{best} loses least of {len(kept)}, evicting {len(answer[best].uids)}", facts
    )


def _tally(offers: Mapping[str, Offer]) -> str:
    """Return the most frequent causes for which nodes were dropped."""
    causes = Counter(offer.dropped for offer in offers.values())
    return "; ".join(f"{cause} ({n} of {len(offers)})" for cause, n in causes.most_common(3))


def _veto(pod: Pod, params: PreemptionParams, age_s: float, planner: PlannerWord) -> str:
    """Return why nobody may be evicted for the pod now, empty when somebody may."""
    if pod.preemption == "Never":
        return "preemptionPolicy Never: the pod waits for room"
    if planner == "serving":
        return "a plan makes room for the pod"
    if planner == "silent" and age_s < params.preemption_delay_s:
        left_s = params.preemption_delay_s - age_s
        return f"the planner has {left_s:.1f} s left to find a way without evictions"
    return ""
