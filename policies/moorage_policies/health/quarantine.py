"""Which nodes to keep new pods off: a small state machine per node, and a limit over all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from math import inf

from moorage_policies.health.signs import HealthParams, Sign
from moorage_policies.types import Decision


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """What is remembered of one node.

    Args:
        signs: those of the last look.
        first_s: since when there have been signs without a break, Unix seconds; ``None`` without.
        last_s: when there was a sign last, Unix seconds; ``-inf`` when never.
        is_sick: whether the node should be quarantined.
        is_quarantined: whether it is.
        since_s: since when it is or was sick, Unix seconds.
    """

    signs: tuple[Sign, ...] = ()
    first_s: float | None = None
    last_s: float = -inf
    is_sick: bool = False
    is_quarantined: bool = False
    since_s: float = inf

    @property
    def is_recovering(self) -> bool:
        """Return whether the signs are gone, but not for long enough."""
        return self.is_sick and not self.signs


def look(
    record: NodeRecord, signs: tuple[Sign, ...], params: HealthParams, now_s: float
) -> NodeRecord:
    """Return what is to be remembered after a look at a node.

    Signs must hold for the grace before the node is sick, and be gone for the recovery before it is
    well. Refused pods were counted over a window already: they need no grace.

    Args:
        record: what was remembered.
        signs: what speaks for failing accelerators now.
        params: limits.
        now_s: Unix seconds.
    """
    if not signs:
        is_sick = record.is_sick and now_s - record.last_s < params.recovery_s
        return replace(record, signs=(), first_s=None, is_sick=is_sick)
    first_s = now_s if record.first_s is None else record.first_s
    counted = any(sign.reason == "PodsRefused" for sign in signs)
    is_sick = record.is_sick or counted or now_s - first_s >= params.grace_s
    since_s = now_s if is_sick and not record.is_sick else record.since_s
    return replace(
        record, signs=signs, first_s=first_s, last_s=now_s, is_sick=is_sick, since_s=since_s
    )


def choose_quarantined(
    records: Mapping[str, NodeRecord], nodes: int, params: HealthParams
) -> Decision[frozenset[str]]:
    """Return the nodes to quarantine: the sick ones, those that have been so longest first.

    A node that is quarantined stays so while it is sick; others follow up to the limit.

    Args:
        records: what is remembered, by node.
        nodes: nodes with accelerators in the cluster.
        params: limits.
    """
    limit = max(1, int(params.max_share_ratio * nodes))
    kept = {name for name, record in records.items() if record.is_sick and record.is_quarantined}
    waiting = sorted(
        (name for name, record in records.items() if record.is_sick and name not in kept),
        key=lambda name: (records[name].since_s, name),
    )
    chosen = frozenset(kept) | frozenset(waiting[: max(0, limit - len(kept))])
    held = len(kept) + len(waiting) - len(chosen)
    reason = _reason(len(chosen), held, limit)
    return Decision(chosen, reason, {"sick": tuple(sorted(kept | set(waiting))), "limit": limit})


def _reason(chosen: int, held: int, limit: int) -> str:
    if not held:
        return f"{chosen} sick nodes are left out"
    return (
        f"{chosen} sick nodes are left out; {held} more look sick, and {limit} is the most at a "
        "time: look for a cause that they share, or raise gpuHealth.maxNodesPercent"
    )


def describe(signs: Iterable[Sign]) -> str:
    """Return the signs in one line for people."""
    return "; ".join(sign.message for sign in signs)
