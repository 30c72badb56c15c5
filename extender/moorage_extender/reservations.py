"""Room that is spoken for although no bound pod holds it yet: pods that are being bound."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from moorage_policies.state import Snapshot
from moorage_policies.types import Pod

TAKEN = "room is taken by pods that are being bound"


def nodes_being_filled(pod: Pod, snapshot: Snapshot) -> dict[str, str]:
    """Return the nodes that lack room for the pod only because of pods being bound, and why.

    A node that would be too small even without them is not named: kube-scheduler found room there,
    so it has seen a pod go that our watch has yet to tell about.
    """
    demand = snapshot.demand_of(pod)
    if demand is None or not snapshot.assumed:
        return {}
    assumed: defaultdict[int, list[Pod]] = defaultdict(list)
    for other in snapshot.assumed.values():
        row = snapshot.node_index.get(other.node or "")
        if row is not None:
            assumed[row].append(other)
    asked = np.flatnonzero(demand)
    rows = np.fromiter(assumed, dtype=np.intp, count=len(assumed))
    is_short = (snapshot.free[np.ix_(rows, asked)] < demand[asked]).any(axis=1)
    return {
        snapshot.node_names[row]: TAKEN
        for row in rows[is_short].tolist()
        if _is_filled_by(assumed[row], pod, row, demand, snapshot)
    }


def _is_filled_by(
    others: list[Pod], pod: Pod, row: int, demand: np.ndarray, snapshot: Snapshot
) -> bool:
    without_any = snapshot.free[row].copy()
    with_others = without_any.copy()
    for other in others:
        amounts = snapshot.demand_of(other)
        assert amounts is not None  # an assumed pod is counted, so all its columns exist
        without_any += amounts
        if other.uid == pod.uid:  # its own earlier try must not stand in its way
            with_others += amounts
    asked = demand > 0
    return bool((with_others < demand)[asked].any() and not (without_any < demand)[asked].any())
