"""Which replica goes when a role shrinks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from moorage_policies.types import Decision


@dataclass(frozen=True, slots=True)
class Candidate:
    """One replica that could go.

    Args:
        uid: of its first pod.
        is_ready: whether it serves.
        gpus: accelerators that it frees on its node.
        free_gpus: accelerators that are free there already.
        node_gpus: accelerators of the node.
        class_place: place of its accelerator class in the role's list; 0 is the best.
        kv_ratio: cache in use, a measure of what is warm, ``None`` when unknown.
        running: requests that it serves.
        age_s: time since it started.
        rested_s: time since it left the Service, 0 while it serves.
    """

    uid: str
    is_ready: bool
    gpus: int
    free_gpus: int
    node_gpus: int
    class_place: int = 0
    kv_ratio: float | None = None
    running: float = 0.0
    age_s: float = 0.0
    rested_s: float = 0.0


def choose_leavers(candidates: Sequence[Candidate], count: int) -> Decision[tuple[str, ...]]:
    """Return the replicas whose exit costs least and opens most, the first to go first.

    Those that do not serve yet go first, then those that rested longest, then those on the worse
    accelerator class; among equals the one whose node comes nearest to being empty, then the one
    that is least warm and least busy, then the youngest.
    """
    ranked = sorted(candidates, key=_rank)
    chosen = tuple(candidate.uid for candidate in ranked[:count])
    texts = (
        f"{c.uid}: {c.free_gpus + c.gpus} of {c.node_gpus} accelerators of its node would be free"
        for c in ranked[:count]
    )
    return Decision(chosen, "; ".join(texts), {"candidates": tuple(candidates), "count": count})


def _rank(candidate: Candidate) -> tuple[bool, float, int, float, float, float, float, str]:
    hole = (candidate.free_gpus + candidate.gpus) / max(1, candidate.node_gpus)
    warmth = 0.0 if candidate.kv_ratio is None else round(candidate.kv_ratio, 2)
    return (
        candidate.is_ready,
        -candidate.rested_s,
        -candidate.class_place,
        -hole,
        warmth,
        candidate.running,
        candidate.age_s,
        candidate.uid,
    )
