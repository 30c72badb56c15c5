"""What is known of the network at one moment, and whether it may be believed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from moorage_policies.types import BoolArray, FloatArray, IntArray

LOCAL_RTT_MS = 0.05
LOCAL_MBPS = 40_000.0
"""What a node is to itself: nobody measures the loopback."""

LEAST_SHARED = 6
"""Fewer common nodes have too few pairs to tell an order from chance."""

UNKNOWN = -1
"""Code of a topology level that a node has no label for."""


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """Telemetry of a cluster as a decision sees it; NaN is unknown.

    Pairs are read from row to column, and the diagonal is the node itself.

    Args:
        nodes: names by row.
        rtt_ms: newest round-trip times, shape ``(nodes, nodes)``.
        usual_rtt_ms: the same over a window, so that one odd sample does not decide.
        mbps: newest bandwidth that is left from row to column, megabits per second.
        usual_mbps: the same over a window.
        cpu_ratio: busy CPU, 0 to 1, shape ``(nodes,)``.
        receive_mbps: what the node receives by its network card, shape ``(nodes,)``.
        transmit_mbps: what it sends.
        allocated_ratio: CPU requests by allocatable CPU, shape ``(nodes,)``.
        age_s: seconds since the newest sample of the node, shape ``(nodes,)``; ``inf`` for never.
        places: code of the node's value on each topology level, outermost first, ``UNKNOWN``
            without label, shape ``(nodes, levels)``.
    """

    nodes: tuple[str, ...]
    rtt_ms: FloatArray
    usual_rtt_ms: FloatArray
    mbps: FloatArray
    usual_mbps: FloatArray
    cpu_ratio: FloatArray
    receive_mbps: FloatArray
    transmit_mbps: FloatArray
    allocated_ratio: FloatArray
    age_s: FloatArray
    places: IntArray


def distance(places: IntArray, rows: IntArray, peers: IntArray) -> FloatArray:
    """Return the mean topology distance of rows to peers, shape ``(rows,)``; lower is nearer.

    The distance of two nodes counts levels that they do not share, from the nearest outwards to the
    first that they do; a level unknown to either is not shared. The node itself is at 0.
    """
    here, there = places[rows, None, :], places[None, peers, :]  # (rows, peers, levels)
    shared = (here == there) & (here != UNKNOWN)
    levels = places.shape[1]
    # the nearest shared level, counted from outside: 0 when there is none
    nearest = np.where(shared, np.arange(1, levels + 1), 0).max(axis=2, initial=0)
    apart = np.where(rows[:, None] == peers[None, :], -1, levels - nearest) + 1
    mean: FloatArray = apart.mean(axis=1) if len(peers) else np.zeros(len(rows))
    return mean


def asymmetry(view: View) -> float:
    """Return the mean over pairs of how much the two ends' round trips differ, as a logarithm.

    A round trip is the same way from both ends: near 0 for honest probes, large for shuffled ones.
    """
    log = np.log(np.maximum(view.rtt_ms, LOCAL_RTT_MS))
    apart = np.abs(log - log.T)[_upper(log)]
    known = apart[np.isfinite(apart)]
    return float(np.mean(known)) if len(known) else 0.0


def agreement(view: View) -> float:
    """Return the rank correlation of round trips with topology distance, NaN if there is none.

    Where labels tell nodes apart, near pairs have short round trips; the correlation falls to
    about 0 when readings went to the wrong nodes.
    """
    rows = np.arange(len(view.nodes))
    apart = np.stack([distance(view.places, rows, rows[i : i + 1]) for i in rows], axis=1)
    chosen = _upper(apart) & np.isfinite(view.rtt_ms)
    return _rank_correlation(apart[chosen], view.rtt_ms[chosen])


def likeness(view: View, names: Sequence[str], usual_log_rtt: FloatArray) -> float:
    """Return the correlation of round trips with what they usually were between the same nodes.

    NaN when fewer than ``LEAST_SHARED`` nodes are the same. Readings that went to the wrong nodes
    are unlike the past, whether or not labels tell nodes apart.

    Args:
        view: telemetry now.
        names: nodes of the past.
        usual_log_rtt: logarithm of their usual round trips, shape ``(names, names)``.
    """
    row_of = {name: row for row, name in enumerate(view.nodes)}
    shared = [(row_of[name], past) for past, name in enumerate(names) if name in row_of]
    if len(shared) < LEAST_SHARED:
        return float("nan")
    now, past = (np.array(rows) for rows in zip(*shared, strict=True))
    before = usual_log_rtt[np.ix_(past, past)]
    after = np.log(np.maximum(view.rtt_ms[np.ix_(now, now)], LOCAL_RTT_MS))
    known = ~np.eye(len(now), dtype=bool) & np.isfinite(before) & np.isfinite(after)
    return _rank_correlation(before[known], after[known])


def is_plausible(view: View) -> BoolArray:
    """Return which nodes have readings that a network can have, shape ``(nodes,)``."""
    good = np.ones(len(view.nodes), dtype=bool)
    for pairs, low, high in (
        (view.rtt_ms, 0.0, 60_000.0),
        (view.usual_rtt_ms, 0.0, 60_000.0),
        (view.mbps, 0.0, 1e7),
        (view.usual_mbps, 0.0, 1e7),
    ):
        bad = (pairs < low) | (pairs > high) | np.isinf(pairs)
        good &= bad.mean(axis=1) < 0.5  # noqa: PLR2004 - half of what it says
    for values, high in (
        (view.cpu_ratio, 1.5),
        (view.receive_mbps, 1e7),
        (view.transmit_mbps, 1e7),
    ):
        good &= ~((values < 0) | (values > high) | np.isinf(values))
    return good


def _upper(pairs: FloatArray) -> BoolArray:
    return np.triu(np.ones(pairs.shape, dtype=bool), k=1)


def _rank_correlation(left: FloatArray, right: FloatArray) -> float:
    if len(left) < 3 or np.ptp(left) == 0 or np.ptp(right) == 0:  # noqa: PLR2004 - no order
        return float("nan")
    return float(np.corrcoef(_ranks(left), _ranks(right))[0, 1])


def _ranks(values: FloatArray) -> FloatArray:
    """Return ranks, equal values sharing the mean of theirs."""
    _, group, count = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    ranks: FloatArray = (last - (count - 1) / 2)[group]
    return ranks
