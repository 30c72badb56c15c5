"""Numbers that a model may see of one job on each of its candidate nodes.

``costs`` are seconds that a job could spend: amounts divided by rates. They add up, so a model with
weights from 0 up over them is a completion time. ``traits`` add what the node is like. Neither
holds a node's name.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from moorage_policies.network.runs import Job
from moorage_policies.network.telemetry import LOCAL_MBPS, LOCAL_RTT_MS, View, distance
from moorage_policies.types import FloatArray, IntArray

MEGABITS_PER_MIB = 8.388608
MS_PER_S = 1000.0
LEAST_MBPS = 0.1
WINDOWS_MIB = (6.0, 16.0, 64.0)
"""What one connection may have under way: Linux's default, and two common tunings."""

BUSIEST = 0.97
"""A busier node is treated like this one: the formula's pole says nothing about real nodes."""

COSTS = (
    "compute",
    "compute-busy",
    "compute-crowded",
    "transfer-newest",
    "transfer-usual",
    "window-6-newest",
    "window-6-usual",
    "window-16-newest",
    "window-16-usual",
    "window-64-newest",
    "window-64-usual",
    "receive-mean",
    "send-mean",
    "latency-newest",
    "latency-usual",
    "latency-mean",
    "rounds",
    "start",
)
AMOUNTS = frozenset({"compute", "rounds", "start"})
"""Costs of the job alone, equal on all candidates."""

TRAITS = (
    "cpu",
    "rtt-newest",
    "rtt-usual",
    "rtt-mean",
    "receive-rate",
    "send-rate",
    "rate-mean",
    "card-receive",
    "card-send",
    "distance",
    "receive-size",
    "send-size",
    "compute-size",
    "rounds-size",
    "peers",
)
SIZES = frozenset(TRAITS[-5:])
"""Traits of the job alone, equal on all candidates."""


def costs(view: View, job: Job, rows: IntArray) -> FloatArray:
    """Return seconds per candidate and cost, shape ``(candidates, len(COSTS))``; NaN is unknown."""
    pairs = Pairs(view, job, rows)
    parts = max(len(job.peers), 1)
    receive = job.receive_mib * MEGABITS_PER_MIB / parts  # from each peer, as if in equal shares
    send = job.send_mib * MEGABITS_PER_MIB / parts
    cpu = np.clip(view.cpu_ratio[rows], 0.0, BUSIEST)
    columns = (
        np.full(len(rows), job.compute_s),
        job.compute_s * cpu,
        job.compute_s * cpu * cpu / (1 - cpu),
        *pairs.transfers(receive, send, job.rounds),
        _mean(receive / pairs.usual_in),
        _mean(send / pairs.usual_out),
        job.rounds * _most(pairs.rtt_ms) / MS_PER_S,
        job.rounds * _most(pairs.usual_rtt_ms) / MS_PER_S,
        job.rounds * _mean(pairs.usual_rtt_ms) / MS_PER_S,
        np.full(len(rows), job.rounds / MS_PER_S),
        np.ones(len(rows)),
    )
    return np.stack(columns, axis=1)


def traits(view: View, job: Job, rows: IntArray) -> FloatArray:
    """Return what each candidate is like, shape ``(candidates, len(TRAITS))``; NaN is unknown.

    Rates and sizes are logarithms, since it is their proportions that matter.
    """
    pairs = Pairs(view, job, rows)
    everywhere = np.ones(len(rows))
    columns = (
        view.cpu_ratio[rows],
        np.log(_most(pairs.rtt_ms)),
        np.log(_most(pairs.usual_rtt_ms)),
        _mean(np.log(pairs.usual_rtt_ms)),
        -np.log(_most(1 / pairs.usual_in)),
        -np.log(_most(1 / pairs.usual_out)),
        _mean(np.log(pairs.usual_in)),
        np.log1p(view.receive_mbps[rows]),
        np.log1p(view.transmit_mbps[rows]),
        distance(view.places, rows, job.peers),
        everywhere * np.log1p(job.receive_mib),
        everywhere * np.log1p(job.send_mib),
        everywhere * np.log1p(job.compute_s),
        everywhere * np.log1p(job.rounds),
        everywhere * len(job.peers),
    )
    return np.stack(columns, axis=1)


def both_ends(there: FloatArray, back: FloatArray) -> FloatArray:
    """Return what both ends say of one round trip, or the one that says anything."""
    joined = np.sqrt(np.maximum(there, 0) * np.maximum(back, 0))
    known: FloatArray = np.where(np.isfinite(joined), joined, np.fmax(there, back))
    return known


class Pairs:
    """Readings between candidates and peers, shape ``(candidates, peers)``, held above zero.

    A node's way to itself is never measured and takes the place of its own reading.
    """

    __slots__ = ("mbps_in", "mbps_out", "rtt_ms", "usual_in", "usual_out", "usual_rtt_ms")

    def __init__(self, view: View, job: Job, rows: IntArray) -> None:
        ways = (rows[:, None], job.peers[None, :])
        local = rows[:, None] == job.peers[None, :]

        def held(values: FloatArray, least: float, own: float) -> FloatArray:
            return np.where(local, own, np.maximum(values, least))

        both = both_ends(view.rtt_ms[ways], view.rtt_ms.T[ways])
        self.rtt_ms = held(both, LOCAL_RTT_MS, LOCAL_RTT_MS)
        both = both_ends(view.usual_rtt_ms[ways], view.usual_rtt_ms.T[ways])
        self.usual_rtt_ms = held(both, LOCAL_RTT_MS, LOCAL_RTT_MS)
        self.mbps_out = held(view.mbps[ways], LEAST_MBPS, LOCAL_MBPS)
        self.mbps_in = held(view.mbps.T[ways], LEAST_MBPS, LOCAL_MBPS)
        self.usual_out = held(view.usual_mbps[ways], LEAST_MBPS, LOCAL_MBPS)
        self.usual_in = held(view.usual_mbps.T[ways], LEAST_MBPS, LOCAL_MBPS)

    def transfers(self, receive: float, send: float, rounds: float) -> Iterator[FloatArray]:
        """Yield seconds until the slowest peer has exchanged everything, shape ``(candidates,)``.

        First with the whole bandwidth, then with what one connection's window allows on a long way;
        each by the newest and by the usual readings.
        """
        newest = (self.mbps_in, self.mbps_out, self.rtt_ms / MS_PER_S)
        usual = (self.usual_in, self.usual_out, self.usual_rtt_ms / MS_PER_S)
        for window_mib in (np.inf, *WINDOWS_MIB):
            for mbps_in, mbps_out, rtt_s in (newest, usual):
                most = window_mib * MEGABITS_PER_MIB / rtt_s
                moving = np.maximum(
                    receive / np.minimum(mbps_in, most), send / np.minimum(mbps_out, most)
                )
                yield _most(moving + rounds * rtt_s)


def _most(values: FloatArray) -> FloatArray:
    """Return the largest per candidate; NaN if any is unknown, and 0 without peers."""
    if values.shape[1] == 0:
        return np.full(len(values), LOCAL_RTT_MS)
    largest: FloatArray = values.max(axis=1)
    return largest


def _mean(values: FloatArray) -> FloatArray:
    if values.shape[1] == 0:
        return np.zeros(len(values))
    mean: FloatArray = values.mean(axis=1)
    return mean
