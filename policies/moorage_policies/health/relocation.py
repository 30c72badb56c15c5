"""Where the pods of a quarantined node may go, without anybody else being disturbed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from moorage_policies.feasibility import feasible_nodes
from moorage_policies.state import Snapshot, snapshot_of
from moorage_policies.types import NVIDIA_GPU, Decision, Node, Pod


@dataclass(frozen=True, slots=True)
class Relocation:
    """A pod and the node that has room for its replacement."""

    pod: Pod
    target: str


def choose_targets(
    moving: Iterable[Pod], nodes: Iterable[Node], pods: Sequence[Pod]
) -> Decision[tuple[Relocation, ...]]:
    """Return a place for every pod that finds one; nobody else moves.

    The pods choose one after the other, the highest priority and then the largest first. Each takes
    the node on which it leaves the fewest accelerators free, so that large holes stay whole. The
    old pod still counts where it is: its replacement starts before it goes.

    Args:
        moving: bound pods that shall leave their nodes.
        nodes: every node, quarantined ones with the taint that says so.
        pods: every bound pod, the moving ones included.
    """
    queue = sorted(moving, key=lambda pod: (-pod.priority, -_gpus(pod), pod.key))
    there, places = tuple(nodes), list(pods)
    chosen: list[Relocation] = []
    for pod in queue:
        snapshot = snapshot_of(there, places)
        target = _best_node(pod, snapshot)
        if target is not None:
            chosen.append(Relocation(pod, target))
            places.append(_replacement(pod, target))
    return Decision(
        tuple(chosen),
        f"{len(chosen)} of {len(queue)} pods have room elsewhere",
        {"nodes": len(there), "moving": tuple(pod.key for pod in queue)},
    )


def _best_node(pod: Pod, snapshot: Snapshot) -> str | None:
    mask = feasible_nodes(_replacement(pod, None), snapshot).mask.copy()
    own = snapshot.node_index.get(pod.node or "")
    if own is not None:
        mask[own] = False
    rows = np.flatnonzero(mask)
    if not len(rows):
        return None
    column = snapshot.columns.get(NVIDIA_GPU)
    left = snapshot.free[rows, column] if column is not None else np.zeros(len(rows))
    best = min(range(len(rows)), key=lambda place: (left[place], snapshot.node_names[rows[place]]))
    return str(snapshot.node_names[rows[best]])


def _replacement(pod: Pod, node: str | None) -> Pod:
    return replace(pod, uid=f"{pod.uid}-replacement", name=f"{pod.name}-r", node=node)


def _gpus(pod: Pod) -> int:
    return pod.requests.get(NVIDIA_GPU, 0)
