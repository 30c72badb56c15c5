"""Recorded runs: what a job had to move and to compute, where it could go, how long it took."""

from __future__ import annotations

from dataclasses import dataclass

from moorage_policies.network.telemetry import View
from moorage_policies.types import FloatArray, IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """What a workload asks of the network and the node, over its whole run.

    Args:
        workload: name of its class (``kv-transfer``).
        peers: rows of the nodes that it talks to.
        receive_mib: what comes from all peers together.
        send_mib: what goes to all peers together.
        compute_s: seconds of work on an idle node.
        rounds: exchanges that wait for each other.
    """

    workload: str
    peers: IntArray
    receive_mib: float
    send_mib: float
    compute_s: float
    rounds: float


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """One decision with what became of it on each node where it was run.

    Args:
        condition: state of the network that trials share; folds are split by it.
        view: telemetry at the decision.
        job: what was to be placed.
        rows: nodes where the job was run, rows of the view, shape ``(candidates,)``.
        duration_s: how long it took there, shape ``(candidates,)``.
        expected_s: the same without chance, where a simulator knows it.
    """

    condition: int
    view: View
    job: Job
    rows: IntArray
    duration_s: FloatArray
    expected_s: FloatArray | None = None
