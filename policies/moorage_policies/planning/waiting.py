"""Which pods the planner answers for, and which it never will."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from moorage_policies.packing.translate import why_unsupported
from moorage_policies.planning.gangs import gang_of, incomplete_gangs, marks_of
from moorage_policies.types import Pod


@dataclass(frozen=True, slots=True)
class Waiting:
    """Pods that kube-scheduler found no room for.

    Args:
        pods: those that the planner looks for room for.
        refused: why it does not for the others, by UID.
    """

    pods: tuple[Pod, ...]
    refused: Mapping[str, str]


def find_waiting(
    pending: Iterable[Pod],
    alive: Iterable[Pod],
    schedulers: Collection[str],
    served: Collection[str],
) -> Waiting:
    """Return the pods that wait for room that only a rearrangement could give.

    Args:
        pending: live pods without a node.
        alive: all live pods; looked at when a gang waits.
        schedulers: names of our schedulers.
        served: UIDs of pods that a running plan makes room for.
    """
    candidates = [
        pod
        for pod in pending
        if pod.unschedulable
        and pod.node is None
        and pod.scheduler in schedulers
        and not pod.gates
        and not pod.terminating
        and pod.nominated_node is None
        and pod.uid not in served
    ]
    # most clusters have no gang that waits: then nobody walks through all pods
    kin = tuple(alive) if any(map(gang_of, candidates)) else ()
    marks = marks_of(kin)
    partial = incomplete_gangs(kin, marks)
    refused: dict[str, str] = {}
    for pod in candidates:
        mark = marks.get(pod.uid)
        why = why_unsupported(pod)
        if not why and mark is not None and mark.name in partial:
            why = f"gang {mark.name} is not complete: {partial[mark.name]}"
        if why:
            refused[pod.uid] = why
    return Waiting(tuple(pod for pod in candidates if pod.uid not in refused), refused)
