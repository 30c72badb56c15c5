"""The manifest of a plan that the planner made."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from moorage_crds.names import PLANS
from moorage_crds.plan import MAX_TIERS
from moorage_policies.planning.answer import PlanDraft, Proof, TierResult
from moorage_policies.plans.records import Move

_LONGEST_MESSAGE = 4096


def write_plan(
    name: str,
    draft: PlanDraft,
    proof: Proof,
    *,
    mode: Literal["Recommend", "Auto"],
    generation: int,
    trigger: str = "Unschedulable",
) -> dict[str, Any]:
    """Return the plan as a manifest.

    Args:
        name: name of the plan.
        draft: its moves.
        proof: what is known about it.
        mode: whether it waits for approval.
        generation: generation of the facts that it rests on.
        trigger: what asked for it.
    """
    return {
        "apiVersion": PLANS.api_version,
        "kind": PLANS.kind,
        "metadata": {"name": name},
        "spec": {
            "trigger": trigger,
            "mode": mode,
            "moves": [_write_move(move, draft.reason) for move in draft.moves],
            "certificate": _write_certificate(proof, draft.reason, generation),
        },
    }


def _write_move(move: Move, reason: str) -> dict[str, Any]:
    body: dict[str, Any] = {
        "index": move.index,
        "step": move.step,
        "kind": move.kind,
        "pod": {"namespace": move.namespace, "name": move.name, "uid": move.uid},
        "priority": move.priority,
        "gpus": move.gpus,
        "reason": reason[:_LONGEST_MESSAGE],
    }
    if move.owner is not None:
        owner = move.owner
        body["owner"] = {"kind": owner.kind, "name": owner.name, "uid": owner.uid}
    if move.source:
        body["from"] = move.source
    if move.target:
        body["to"] = move.target
    if move.group is not None:
        body["group"] = move.group
    if move.kind == "Move":
        body["strategy"] = move.strategy
    if move.follows is not None:
        body["follows"] = move.follows
    return body


def _write_certificate(proof: Proof, reason: str, generation: int) -> dict[str, Any]:
    cost = str(sum(tier.cost for tier in proof.tiers))
    known = {"bound": cost, "gap": "0"} if proof.cost_proven else {}
    return {
        "status": proof.verdict,
        "tiers": list(_write_tiers(proof.tiers)),
        "objective": cost,
        **known,
        "seed": proof.seed,
        "workers": proof.workers,
        "steps": round(proof.work * 1_000_000),
        "deterministicTime": f"{proof.work:.6f}",
        "generation": generation,
        "reason": reason[:_LONGEST_MESSAGE],
    }


def _write_tiers(tiers: tuple[TierResult, ...]) -> Iterator[dict[str, Any]]:
    for tier in tiers[:MAX_TIERS]:
        body: dict[str, Any] = {"priority": tier.priority, "placed": tier.placed}
        if tier.bound is not None:
            body["bound"] = tier.bound
        yield {**body, "cost": str(tier.cost)}
