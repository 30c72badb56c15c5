"""Shaped networks: how round trips, bandwidth and load of a small cluster move with time.

A world is a number of conditions. Each is a short history, oldest step first, that ends with the
moment when jobs start; telemetry sees the steps before, with noise.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from moorage_policies.errors import BadInputError
from moorage_policies.network.telemetry import UNKNOWN
from moorage_policies.types import FloatArray, IntArray

STEP_S = 10.0
HISTORY = 7
"""Steps of a condition: six that telemetry may have sampled, and the start of the jobs."""

MEMORY = 0.99
"""How much of the background's deviation is left after a step (AR(1))."""

JITTER_RATIO = 0.06
SITES = 3


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """Truth of a cluster's network.

    Args:
        names: node names by row.
        places: topology codes, shape ``(nodes, levels)``.
        rtt_ms: shape ``(conditions, HISTORY, nodes, nodes)``.
        mbps: bandwidth left from row to column, same shape.
        cpu_ratio: shape ``(conditions, HISTORY, nodes)``.
        card_mbps: what background traffic brings each node, in and out, shape
            ``(conditions, HISTORY, nodes, 2)``.
        allocated_ratio: shape ``(conditions, nodes)``.
        era: which part of the recorded time each condition is from, shape ``(conditions,)``;
            later ones are larger.
    """

    names: tuple[str, ...]
    places: IntArray
    rtt_ms: FloatArray
    mbps: FloatArray
    cpu_ratio: FloatArray
    card_mbps: FloatArray
    allocated_ratio: FloatArray
    era: IntArray


def shaped_sites(noise: np.random.Generator, nodes: int, conditions: int) -> World:
    """Return three sites joined by wide-area links, with cross-traffic on every link.

    Inside a site 0.2 to 1 ms and between sites 10 to 70 ms; links of 1 to 10 Gbit/s whose two
    directions differ.
    """
    site = np.arange(nodes) % min(SITES, nodes)
    far = noise.uniform(10, 70, (SITES, SITES))
    far = (far + far.T) / 2
    near = noise.uniform(0.2, 1.0, (nodes, nodes))
    same = site[:, None] == site[None, :]
    base = np.where(same, (near + near.T) / 2, far[site[:, None], site[None, :]])
    links = np.exp(noise.uniform(np.log(1_000), np.log(10_000), (nodes, nodes)))
    places = np.stack([site, np.arange(nodes)], axis=1)
    still = np.broadcast_to(base, (conditions, HISTORY, nodes, nodes))
    return _move(noise, places, still, links, np.zeros(conditions, dtype=np.int64), "node")


def measured(
    noise: np.random.Generator,
    slices: FloatArray,
    conditions: int,
    *,
    mbps: FloatArray | None = None,
    slice_s: float = 600.0,
    places: IntArray | None = None,
    names: Sequence[str] = (),
    split: tuple[int, int] | None = None,
) -> World:
    """Return a world whose round trips are measured matrices, one after the other in time.

    Args:
        noise: source of everything that was not measured.
        slices: round-trip times in ms, shape ``(slices, nodes, nodes)``, 0 or NaN where unknown.
        conditions: how many, spread evenly over the slices.
        mbps: measured bandwidth of each slice, same shape; without it links are drawn.
        slice_s: how long a slice lasts; ``inf`` keeps each condition within one.
        places: topology codes; without them topology is unknown.
        names: node names.
        split: how many of the first slices the first conditions are spread over, and how many
            conditions those are; the other conditions are spread over the other slices.
    """
    count, nodes = slices.shape[0], slices.shape[1]
    if slices.ndim != 3 or slices.shape[2] != nodes or nodes < 2:  # noqa: PLR2004
        raise BadInputError("a matrix must be square, two nodes at least", field="slices")
    filled = _filled(slices)
    # slices say nothing about moments between them: the newest sample and the start share one
    whole = _spread(count, conditions, split)
    least = min(1.5 * STEP_S / slice_s, 0.9)
    end = np.floor(whole) + least + (1 - least) * noise.random(conditions) * 0.999
    back = np.arange(HISTORY - 1, -1, -1) * STEP_S / slice_s
    which = np.clip(np.floor(end[:, None] - back[None, :]), 0, count - 1).astype(np.int64)
    if mbps is None:
        links: FloatArray = np.exp(noise.uniform(np.log(1_000), np.log(10_000), (nodes, nodes)))
    else:
        links = _filled(mbps)[which]
    if places is None:
        places = np.full((nodes, 1), UNKNOWN, dtype=np.int64)
    return _move(noise, places, filled[which], links, which[:, -1], "host", names)


def _spread(slices: int, conditions: int, split: tuple[int, int] | None) -> FloatArray:
    """Return the slice of each condition, with the share of it that has passed."""
    early, first = split or (slices, conditions)
    before = np.linspace(0, early, first, endpoint=False)
    after = np.linspace(early, slices, conditions - first, endpoint=False)
    return np.concatenate((before, after))


def _move(
    noise: np.random.Generator,
    places: IntArray,
    rtt_ms: FloatArray,
    links: FloatArray,
    era: IntArray,
    prefix: str,
    names: Sequence[str] = (),
) -> World:
    conditions, _, nodes, _ = rtt_ms.shape
    used = np.clip(0.35 + 0.22 * _wander(noise, (conditions, nodes, nodes)), 0.0, 0.95)
    jitter = np.exp(JITTER_RATIO * _wander(noise, (conditions, nodes, nodes)))
    cpu = np.clip(0.4 + 0.22 * _wander(noise, (conditions, nodes)), 0.02, 0.95)
    off_diagonal = ~np.eye(nodes, dtype=bool)
    traffic = links * used * off_diagonal
    card = np.stack([traffic.sum(axis=2), traffic.sum(axis=3)], axis=3)
    # queues of busy links delay packets, a little
    delayed = rtt_ms * jitter + np.where(off_diagonal, 0.4 * used**4 / (1 - used), 0.0)
    symmetric = (delayed + np.swapaxes(delayed, 2, 3)) / 2
    return World(
        names=tuple(names) or tuple(f"{prefix}-{row}" for row in range(nodes)),
        places=places,
        rtt_ms=symmetric,
        mbps=links * (1 - used),
        cpu_ratio=cpu,
        card_mbps=card,
        allocated_ratio=np.clip(
            0.5 * cpu[:, -1] + 0.5 * noise.uniform(0.0, 1.0, (conditions, nodes)), 0.0, 1.0
        ),
        era=era,
    )


def _wander(noise: np.random.Generator, shape: tuple[int, ...]) -> FloatArray:
    """Return stationary AR(1) histories of variance 1, shape ``(conditions, HISTORY, ...)``."""
    steps = [noise.standard_normal(shape)]
    for _ in range(HISTORY - 1):
        fresh = noise.standard_normal(shape)
        steps.append(MEMORY * steps[-1] + np.sqrt(1 - MEMORY**2) * fresh)
    return np.stack(steps, axis=1)


def _filled(slices: FloatArray) -> FloatArray:
    """Return the matrices with unknown or zero cells taken from other slices, then the median."""
    known = np.where((slices > 0) & np.isfinite(slices), slices, np.nan)
    rows = np.arange(slices.shape[1])
    known[:, rows, rows] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a pair that was never measured
        typical = np.nanmedian(known, axis=0)
    middle = np.nanmedian(known)
    if not np.isfinite(middle):
        raise BadInputError("no cell above zero; give measured values", field="slices")
    typical = np.where(np.isfinite(typical), typical, middle)
    filled = np.where(np.isfinite(known), known, typical)
    filled[:, rows, rows] = middle
    return filled
