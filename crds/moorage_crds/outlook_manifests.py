"""The manifest of a plan against fragmentation: moves with gain and cost, before and after."""

from __future__ import annotations

from typing import Any, Literal

from moorage_crds.plan_manifests import write_plan
from moorage_policies.planning.answer import PlanDraft, Proof
from moorage_policies.rescheduling.proposals import Proposal

MAX_NODES = 512


def write_defragmentation(
    name: str, proposal: Proposal, *, mode: Literal["Recommend", "Auto"], why: str
) -> dict[str, Any]:
    """Return the plan that carries a proposal out.

    Args:
        name: name of the plan.
        proposal: its moves.
        mode: whether it waits for approval.
        why: what asked for it.
    """
    reason = f"{why}: {proposal.reason}"
    proof = Proof(
        "Optimal" if proposal.proven else "Feasible", seed=proposal.seed, work=proposal.work
    )
    draft = PlanDraft(proposal.moves, (), reason)
    manifest = write_plan(name, draft, proof, mode=mode, generation=0, trigger="Defragment")
    spec = manifest["spec"]
    cost_s = sum(gain.cost_s for gain in proposal.gains)
    for move, gain in zip(spec["moves"], proposal.gains, strict=True):
        move["gain"] = _decimal(gain.gpus)
        move["costSeconds"] = _decimal(gain.cost_s)
        move["reason"] = f"wins {gain.gpus:g} GPUs in wanted pieces for about {gain.cost_s:.0f} s"
    spec["certificate"]["objective"] = _decimal(cost_s)
    spec["outlook"] = {
        "fragmentRateBefore": _decimal(proposal.rate_before),
        "fragmentRateAfter": _decimal(proposal.rate_after),
        "gain": _decimal(proposal.gain),
        "bound": _decimal(proposal.bound),
        "costSeconds": _decimal(cost_s),
        "nodes": [
            {
                "name": node.name,
                "devices": node.devices,
                "freeBefore": node.before,
                "freeAfter": node.after,
            }
            for node in proposal.nodes[:MAX_NODES]
        ],
    }
    return manifest


def _decimal(value: float) -> str:
    return f"{value:.4f}".rstrip("0").rstrip(".") or "0"
