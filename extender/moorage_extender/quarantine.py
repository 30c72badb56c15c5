"""Nodes whose accelerators fail, as the operator told by a node condition."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np

from moorage_crds.names import QUARANTINE
from moorage_policies.matching import tolerates
from moorage_policies.state import Snapshot
from moorage_policies.types import Pod

QUARANTINED: Final = "the node is quarantined: its accelerators fail"


def quarantined_nodes(pod: Pod, snapshot: Snapshot, accelerators: Iterable[str]) -> dict[str, str]:
    """Return the nodes that are quarantined for the pod, and why.

    A pod that asks for no accelerator is not concerned, nor one that tolerates the quarantine.
    """
    taints = snapshot.table.taints()
    marks = [tuple(t for t in found if t.key == QUARANTINE) for _, found in taints.groups]
    if not any(marks) or not any(pod.requests.get(name) for name in accelerators):
        return {}
    barred = np.array([bool(mark) and not tolerates(pod.tolerations, mark) for mark in marks])
    return {snapshot.node_names[row]: QUARANTINED for row in np.flatnonzero(barred[taints.codes])}
