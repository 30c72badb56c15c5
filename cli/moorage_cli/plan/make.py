"""What the planner would do with a snapshot: verdict, moves and a picture, nothing is changed."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Group
from rich.table import Table
from rich.text import Text

from moorage_cli.plan.picture import render_picture
from moorage_cli.snapshot.read import read_snapshot
from moorage_cluster.session import ApiSession
from moorage_crds.plan_manifests import write_plan
from moorage_crds.snapshot_file import PlannerSnapshot, decode
from moorage_policies.errors import BadInputError
from moorage_policies.planning.answer import Answer, PlanDraft, Proof
from moorage_policies.planning.facts import Facts
from moorage_policies.planning.solving import answer

_PROVEN = "proven within the modelled constraints"
_VERDICTS = {
    "Optimal": f"optimal: no rearrangement places more, by priority ({_PROVEN})",
    "Infeasible": f"nothing to gain: no rearrangement places more than today ({_PROVEN})",
    "Feasible": "feasible: it works, and a better one may exist",
    "Unknown": "unknown",
}


def load_snapshot(file: Path | None, kubeconfig: Path | None) -> PlannerSnapshot:
    """Return the snapshot of a file, or of a live cluster.

    Raises:
        BadInputError: the file cannot be read as one, or both are given.
    """
    if file is not None and kubeconfig is not None:
        raise BadInputError("is given as well as --file; leave one of them out", field="kubeconfig")
    if file is None:
        return asyncio.run(_read_live(kubeconfig))
    return decode(file.read_bytes())


async def _read_live(kubeconfig: Path | None) -> PlannerSnapshot:
    async with await ApiSession.connect(kubeconfig, user_agent="moorage-plan") as session:
        return await read_snapshot(session)


def make_answer(snapshot: PlannerSnapshot, *, seed: int | None, work_s: float | None) -> Answer:
    """Return the planner's answer; the same snapshot gives the same answer with one worker."""
    params = snapshot.params
    if seed is not None:
        params = replace(params, seed=seed)
    if work_s is not None:
        params = replace(params, work_s=work_s)
    return answer(snapshot.facts, params)


def to_json(given: Answer, facts: Facts) -> str:
    """Return the answer for programs, plans in the form in which they would be written."""
    plans: list[Any] = [
        write_plan(f"plan-{at}", draft, given.proof, mode="Auto", generation=facts.generation)
        for at, draft in enumerate(given.drafts)
    ]
    body = {
        "verdict": given.proof.verdict,
        "proof": given.proof,
        "plans": plans,
        "words": given.words,
        "messages": given.messages,
    }
    return msgspec.json.format(msgspec.json.encode(body, order="deterministic")).decode()


def render_answer(given: Answer, facts: Facts) -> Group:
    """The answer for people."""
    parts: list[Any] = [Text(_VERDICTS[given.proof.verdict], "bold"), _tiers(given.proof)]
    if given.words:
        parts.append(_waiting(given, facts))
    for draft in given.drafts:
        parts += [Text(draft.reason), _moves(draft)]
    if given.drafts:
        parts.append(render_picture(facts, given.drafts))
    return Group(*parts)


def _tiers(proof: Proof) -> Table:
    table = Table()
    for title in ("priority", "run today", "run then", "at most", "cost"):
        table.add_column(title, justify="right")
    for tier in proof.tiers:
        bound = "" if tier.bound is None else str(tier.bound)
        row = (tier.priority, tier.today, tier.placed, bound, tier.cost)
        table.add_row(*map(str, row))
    return table


def _waiting(given: Answer, facts: Facts) -> Table:
    names = {pod.uid: pod.key for pod in facts.pods}
    table = Table()
    for title in ("waiting pod", "answer", "why"):
        table.add_column(title, overflow="fold")
    for uid, word in sorted(given.words.items(), key=lambda item: names.get(item[0], "")):
        table.add_row(names.get(uid, uid), word, Text(given.messages.get(uid, "")))
    return table


def _moves(draft: PlanDraft) -> Table:
    table = Table()
    for title in ("step", "move", "pod", "from", "to", "GPUs"):
        table.add_column(title, overflow="fold")
    for move in sorted(draft.moves, key=lambda move: (move.step, move.index)):
        kind = f"{move.kind} ({move.strategy})" if move.kind == "Move" else move.kind
        row = (str(move.step), kind, move.key, move.source, move.target, str(move.gpus))
        table.add_row(*row)
    return table
