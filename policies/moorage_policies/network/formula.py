"""A completion time as physics would have it: few constants, found by training.

Work slows down with the node's load. Every peer's exchange is bounded by the bandwidth left and by
what one connection may have under way; exchanges overlap to a degree, and with the work too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from moorage_policies.network.features import BUSIEST, MEGABITS_PER_MIB, MS_PER_S, Pairs
from moorage_policies.network.runs import Job
from moorage_policies.network.telemetry import View
from moorage_policies.types import BoolArray, FloatArray, IntArray

LEAST_IN_TURN = 0.02


@dataclass(frozen=True, slots=True)
class Formula:
    """The constants.

    Args:
        compute_ratio: seconds on an idle node per second that the job says it computes.
        busy_share: how much of the speed a fully busy node loses, 0 to below 1.
        busy_power: 1 loses in proportion to the load, more only when the node is nearly full.
        window_mib: what one connection may have under way.
        newest_rtt: trust in the newest round trip, the rest in the usual one, 0 to 1.
        newest_mbps: the same for bandwidth.
        rounds_ratio: round trips that an exchange takes.
        start_s: seconds that every run takes.
        peers_in_turn: 1 when peers are served one after the other, 0 when the slowest decides.
        work_in_turn: 1 when the job computes before or after it moves data, 0 when both overlap.
        reads_mbps: whether bandwidth was known in training.
        reads_cpu: whether the load of nodes was.
    """

    compute_ratio: float = 1.0
    busy_share: float = 0.5
    busy_power: float = 1.5
    window_mib: float = 16.0
    newest_rtt: float = 0.6
    newest_mbps: float = 0.5
    rounds_ratio: float = 1.0
    start_s: float = 0.1
    peers_in_turn: float = 0.3
    work_in_turn: float = 0.9
    reads_mbps: bool = True
    reads_cpu: bool = True


LIMITS: Mapping[str, tuple[float, float]] = {
    "compute_ratio": (0.01, 100.0),
    "busy_share": (0.0, 0.99),
    "busy_power": (0.5, 4.0),
    "window_mib": (0.1, 4096.0),
    "newest_rtt": (0.0, 1.0),
    "newest_mbps": (0.0, 1.0),
    "rounds_ratio": (0.01, 100.0),
    "start_s": (0.001, 1000.0),
    "peers_in_turn": (0.0, 1.0),
    "work_in_turn": (0.0, 1.0),
}
"""Least and most of each constant."""


@dataclass(frozen=True, slots=True, eq=False)
class Ways:
    """Candidates' ways to their peers; ways that only fill up the shape carry nothing.

    Args:
        log_rtt_s: newest and usual round trips, logarithms, shape ``(2, candidates, peers)``.
        log_mbps_in: bandwidth from peers, same shape.
        log_mbps_out: bandwidth to peers, same shape.
        receive_mb: megabits from each peer, shape ``(candidates, peers)``.
        send_mb: megabits to each peer.
        rounds: exchanges that wait for each other.
        compute_s: shape ``(candidates,)``.
        cpu_ratio: busy CPU, shape ``(candidates,)``.
    """

    log_rtt_s: FloatArray
    log_mbps_in: FloatArray
    log_mbps_out: FloatArray
    receive_mb: FloatArray
    send_mb: FloatArray
    rounds: FloatArray
    compute_s: FloatArray
    cpu_ratio: FloatArray


def find_ways(view: View, job: Job, rows: IntArray) -> Ways:
    """Return the ways of rows to the job's peers."""
    pairs = Pairs(view, job, rows)
    each = np.full(pairs.rtt_ms.shape, 1.0 / max(len(job.peers), 1))
    return Ways(
        np.log(np.stack((pairs.rtt_ms, pairs.usual_rtt_ms)) / MS_PER_S),
        np.log(np.stack((pairs.mbps_in, pairs.usual_in))),
        np.log(np.stack((pairs.mbps_out, pairs.usual_out))),
        job.receive_mib * MEGABITS_PER_MIB * each,
        job.send_mib * MEGABITS_PER_MIB * each,
        np.full(each.shape, job.rounds),
        np.full(len(rows), job.compute_s),
        np.clip(view.cpu_ratio[rows], 0.0, BUSIEST),
    )


def join_ways(found: Sequence[Ways]) -> Ways:
    """Return the candidates of all, one after the other."""
    most = max((ways.rounds.shape[1] for ways in found), default=0)

    def joined(name: str) -> FloatArray:
        parts = [getattr(ways, name) for ways in found]
        if parts and parts[0].ndim > 1:
            parts = [_widen(part, most) for part in parts]
        axis = max(parts[0].ndim - 2, 0) if parts else 0
        return np.concatenate(parts, axis=axis) if parts else np.zeros(0)

    return Ways(*(joined(name) for name in Ways.__slots__))


def select_ways(ways: Ways, chosen: BoolArray | IntArray) -> Ways:
    """Return some of the candidates."""

    def part(name: str) -> FloatArray:
        values: FloatArray = getattr(ways, name)
        return values[:, chosen] if values.ndim > 2 else values[chosen]  # noqa: PLR2004

    return Ways(*(part(name) for name in Ways.__slots__))


def expect_s(formula: Formula, ways: Ways) -> FloatArray:
    """Return seconds per candidate, shape ``(candidates,)``; NaN where something is unknown."""
    log_rtt_s = _blend(ways.log_rtt_s, formula.newest_rtt)
    log_most = np.log(formula.window_mib * MEGABITS_PER_MIB) - log_rtt_s
    log_in = log_out = log_most
    if formula.reads_mbps:
        log_in = np.minimum(log_most, _blend(ways.log_mbps_in, formula.newest_mbps))
        log_out = np.minimum(log_most, _blend(ways.log_mbps_out, formula.newest_mbps))
    each = np.maximum(ways.receive_mb * np.exp(-log_in), ways.send_mb * np.exp(-log_out))
    each = each + formula.rounds_ratio * ways.rounds * np.exp(log_rtt_s)
    moving = _overlap(each, formula.peers_in_turn)
    work = formula.compute_ratio * ways.compute_s
    if formula.reads_cpu:
        work = work / (1.0 - formula.busy_share * ways.cpu_ratio**formula.busy_power)
    took = _overlap(np.stack((work, moving), axis=1), formula.work_in_turn)
    return took + formula.start_s


def _blend(newest_and_usual: FloatArray, newest: float) -> FloatArray:
    blended: FloatArray = newest * newest_and_usual[0] + (1.0 - newest) * newest_and_usual[1]
    return blended


def _overlap(times: FloatArray, in_turn: float) -> FloatArray:
    """Return from the longest (0) to the sum (1) of the times in each row."""
    longest = times.max(axis=1, initial=0.0)
    power = 1.0 / max(in_turn, LEAST_IN_TURN)
    parts = times / np.where(longest > 0, longest, 1.0)[:, None]
    total: FloatArray = longest * (parts**power).sum(axis=1) ** (1.0 / power)
    return total


def _widen(values: FloatArray, peers: int) -> FloatArray:
    """Return the values with zeros for peers that are not there: nothing to move, in no time."""
    missing = [(0, 0)] * (values.ndim - 1) + [(0, peers - values.shape[-1])]
    return np.pad(values, missing)
