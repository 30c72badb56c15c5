"""What probes tell, gathered: newest and usual readings per pair, liars left out."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from moorage_policies.network.telemetry import LOCAL_RTT_MS, View
from moorage_policies.types import BoolArray, FloatArray, IntArray

WINDOW_S = 60.0
KEPT = 8
MAX_NODES = 1024
"""Pairs are kept as squares; larger clusters are ordered by topology."""

MAX_RTT_MS, MAX_MBPS = 60_000.0, 1e7
APART_RATIO, APART_MS = 3.0, 2.0
"""Two ends of a pair disagree when their round trips differ by this factor and this much."""

LIAR_SHARE = 0.5
LEAST_PEERS = 3
"""Fewer common readings accuse nobody."""


@dataclass(frozen=True, slots=True)
class Report:
    """What one node's probe measured.

    Args:
        node: whose.
        rtt_ms: round trip by peer.
        mbps: bandwidth left to each peer, where it was tested.
        cpu_ratio: busy CPU, NaN if unknown.
        receive_mbps: traffic of the network card, NaN if unknown.
        transmit_mbps: the same outwards.
    """

    node: str
    rtt_ms: Mapping[str, float]
    mbps: Mapping[str, float] = field(default_factory=dict)
    cpu_ratio: float = float("nan")
    receive_mbps: float = float("nan")
    transmit_mbps: float = float("nan")


@dataclass(frozen=True, slots=True)
class Sample:
    """A report and when it came, seconds on the caller's clock."""

    at_s: float
    report: Report


class SampleTable:
    """Reports of the last minutes, by node.

    Args:
        window_s: how far back usual readings go.
    """

    __slots__ = ("_kept", "_window_s")

    def __init__(self, window_s: float = WINDOW_S) -> None:
        self._window_s = window_s
        self._kept: dict[str, deque[Sample]] = {}

    def take(self, report: Report, now_s: float) -> None:
        """Keep a report."""
        self._kept.setdefault(report.node, deque(maxlen=KEPT)).append(Sample(now_s, report))

    def recent(self, now_s: float) -> tuple[Sample, ...]:
        """Return the samples of the window, oldest first, and forget nodes that fell silent."""
        silent = [n for n, kept in self._kept.items() if now_s - kept[-1].at_s > self._window_s]
        for node in silent:
            del self._kept[node]
        found = [
            sample
            for kept in self._kept.values()
            for sample in kept
            if now_s - sample.at_s <= self._window_s
        ]
        return tuple(sorted(found, key=lambda sample: sample.at_s))


@dataclass(frozen=True, slots=True, eq=False)
class Gathered:
    """A view made of samples.

    Args:
        view: what is known.
        ignored: readings that were left out, by reason.
        liars: nodes whose reports were left out because their peers contradict them.
    """

    view: View
    ignored: Mapping[str, int]
    liars: tuple[str, ...]


def gather(
    samples: Sequence[Sample], names: Sequence[str], places: IntArray, now_s: float
) -> Gathered:
    """Return what samples, oldest first, tell of these nodes, in this order."""
    row_of = {name: row for row, name in enumerate(names)}
    size = len(names)
    rtt, bad_rtt = _pairs(samples, row_of, "rtt_ms", MAX_RTT_MS)
    mbps, bad_mbps = _pairs(samples, row_of, "mbps", MAX_MBPS)
    own, age = np.full((3, size), np.nan), np.full(size, np.inf)
    for sample in samples:
        row = row_of.get(sample.report.node)
        if row is not None:
            report = sample.report
            own[:, row] = (report.cpu_ratio, report.receive_mbps, report.transmit_mbps)
            age[row] = now_s - sample.at_s
    liars = find_liars(rtt[0])
    for pairs in (*rtt, *mbps):
        pairs[liars] = np.nan
    own[:, liars] = np.nan
    age[liars] = np.inf
    view = View(
        nodes=tuple(names),
        rtt_ms=rtt[0],
        usual_rtt_ms=rtt[1],
        mbps=mbps[0],
        usual_mbps=mbps[1],
        cpu_ratio=own[0],
        receive_mbps=own[1],
        transmit_mbps=own[2],
        allocated_ratio=np.full(size, np.nan),
        age_s=age,
        places=places,
    )
    ignored = {"impossible": bad_rtt + bad_mbps, "liar": int(liars.sum())}
    return Gathered(view, ignored, tuple(names[row] for row in np.flatnonzero(liars).tolist()))


def _pairs(
    samples: Sequence[Sample], row_of: Mapping[str, int], name: str, most: float
) -> tuple[tuple[FloatArray, FloatArray], int]:
    """Return newest and usual readings of pairs, and how many were impossible."""
    size = len(row_of)
    rows: list[int] = []
    columns: list[int] = []
    values: list[float] = []
    for sample in samples:
        row = row_of.get(sample.report.node)
        readings: Mapping[str, float] = getattr(sample.report, name)
        if row is not None:
            rows += [row] * len(readings)
            columns += [row_of.get(peer, -1) for peer in readings]
            values += readings.values()
    row_array, column_array = np.array(rows, dtype=np.int64), np.array(columns, dtype=np.int64)
    value_array = np.array(values, dtype=np.float64)
    inside = (column_array >= 0) & (column_array != row_array)
    good = inside & (value_array > 0) & (value_array <= most)
    at = row_array[good] * size + column_array[good]
    newest = np.full(size * size, np.nan)
    newest[at] = value_array[good]  # of several the last stays, the newest
    count = np.bincount(at, minlength=size * size)
    total = np.bincount(at, np.log(value_array[good]), size * size)
    usual = np.where(count > 0, np.exp(total / np.maximum(count, 1)), np.nan)
    square = (size, size)
    return (newest.reshape(square), usual.reshape(square)), int((inside & ~good).sum())


def find_liars(rtt_ms: FloatArray) -> BoolArray:
    """Return nodes whose round trips most of their peers contradict, shape ``(nodes,)``.

    A round trip is the same from both ends. The node that disagrees with the largest share of its
    peers goes first; its word then accuses nobody else.
    """
    held = np.maximum(rtt_ms, LOCAL_RTT_MS)
    ratio = np.abs(np.log(held) - np.log(held.T))
    known = np.isfinite(ratio) & ~np.eye(len(rtt_ms), dtype=bool)
    apart = known & (ratio > np.log(APART_RATIO)) & (np.abs(rtt_ms - rtt_ms.T) > APART_MS)
    liars = np.zeros(len(rtt_ms), dtype=bool)
    while len(rtt_ms):
        common = (known & ~liars).sum(axis=1)
        share = np.where(
            (common >= LEAST_PEERS) & ~liars,
            (apart & ~liars).sum(axis=1) / np.maximum(common, 1),
            0.0,
        )
        worst = int(np.argmax(share))
        if share[worst] <= LIAR_SHARE:
            break
        liars[worst] = True
    return liars
