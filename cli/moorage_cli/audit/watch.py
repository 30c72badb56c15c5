"""Looks at a cluster again and again, and turns the looks into a history to be judged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from moorage_cli.snapshot.read import Seen
from moorage_policies.invariants import Act, AuditParams, Frame, Gang, History, Step
from moorage_policies.planning.gangs import marks_of
from moorage_policies.plans import PlanRecord
from moorage_policies.types import Pod


def to_history(looks: Sequence[Seen], *, gang_patience_s: float = 60.0) -> History:
    """Return what was seen as a history; the newest look's policy says what counts as broken.

    Evictions are those of pods that a plan names: whoever else drains a node is not judged.

    Args:
        looks: looks at the cluster, the oldest first, at least one.
        gang_patience_s: how long a gang may be partly bound.
    """
    latest = (*looks[1:], looks[-1])
    frames = tuple(
        _frame(number, seen, after)
        for number, (seen, after) in enumerate(zip(looks, latest, strict=True))
    )
    disruption = looks[-1].policy.disruption
    params = AuditParams(
        gang_patience_s=gang_patience_s,
        max_evictions=disruption.max_moves,
        window_s=disruption.window_seconds,
        protected_namespaces=frozenset(disruption.protected_namespaces),
        protected_priority=disruption.protected_priority,
        same_tier_eviction=looks[-1].policy.preemption.same_tier_eviction == "Allow",
    )
    return History(frames, tuple(_acts(frames)), params)


def _frame(revision: int, seen: Seen, after: Seen) -> Frame:
    """Return a look as a frame; a budget that opened before the next look counts as open."""
    opened = {(b.namespace, b.name): b.disruptions_allowed for b in after.budgets}
    return Frame(
        revision=revision,
        at_s=seen.at_s,
        nodes={node.name: node for node in seen.nodes},
        pods={pod.uid: pod for pod in seen.pods},
        budgets=tuple(
            replace(
                b,
                disruptions_allowed=max(
                    b.disruptions_allowed, opened.get((b.namespace, b.name), 0)
                ),
            )
            for b in seen.budgets
        ),
        gangs=tuple(_gangs(seen.pods)),
        steps=tuple(step for record in seen.plans for step in _steps(record)),
    )


def _gangs(pods: Sequence[Pod]) -> Iterator[Gang]:
    members: dict[str, set[str]] = {}
    sizes: dict[str, int] = {}
    for uid, mark in marks_of(pods).items():
        members.setdefault(mark.name, set()).add(uid)
        sizes[mark.name] = max(sizes.get(mark.name, 1), mark.size)
    for name, uids in members.items():
        yield Gang(name, frozenset(uids), sizes[name])


def _steps(record: PlanRecord) -> Iterator[Step]:
    gains = [move.priority for move in record.plan.moves if move.kind == "Place"]
    for move, _progress in record.pairs():
        if move.disrupts:
            beneficiary = max(gains, default=None) if move.kind == "Evict" else None
            yield Step(record.plan.uid, move.index, move.uid, beneficiary)


def _acts(frames: Sequence[Frame]) -> Iterator[Act]:
    """Yield an eviction for each pod that a plan evicts and that began to go between two looks."""
    evicting: set[str] = set()
    for before, after in pairwise(frames):
        named = {step.uid for step in before.steps if step.beneficiary is not None}
        for uid in named - evicting:
            was, now = before.pods.get(uid), after.pods.get(uid)
            if was is not None and not was.terminating and (now is None or now.terminating):
                evicting.add(uid)
                yield Act(before.revision, after.at_s, "Evict", uid)
