"""Telemetry gone wrong, on purpose: what a model must not act on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from moorage_policies.network.telemetry import View
from moorage_policies.types import FloatArray, IntArray

Spoil = Callable[[np.random.Generator, View], View]


def constant(_chance: np.random.Generator, view: View) -> View:
    """Return the view with one value everywhere."""
    return _each(view, lambda values: np.full_like(values, np.median(values)))


def shuffled_cells(chance: np.random.Generator, view: View) -> View:
    """Return the view with each kind of reading dealt out anew, cell by cell."""
    return _each(view, lambda values: chance.permutation(values.ravel()).reshape(values.shape))


def shuffled_nodes(chance: np.random.Generator, view: View) -> View:
    """Return the view with whole nodes exchanged, each keeping its own readings together."""
    order = _derangement(chance, view)

    def deal(values: FloatArray) -> FloatArray:
        dealt: FloatArray = values[np.ix_(order, order)] if values.ndim > 1 else values[order]
        return dealt

    return _each(view, deal)


def inflated(_chance: np.random.Generator, view: View) -> View:
    """Return the view with readings a thousand times too large."""
    return _each(view, lambda values: values * 1000.0)


def random_values(chance: np.random.Generator, view: View) -> View:
    """Return the view with readings drawn over six orders of magnitude."""
    return _each(view, lambda values: 10 ** chance.uniform(-3, 3, values.shape))


def absent(_chance: np.random.Generator, view: View) -> View:
    """Return the view without any reading."""
    return _each(view, lambda values: np.full_like(values, np.nan))


def stale(_chance: np.random.Generator, view: View) -> View:
    """Return the view as it was an hour ago."""
    return replace(view, age_s=view.age_s + 3600.0)


SPOILS: Mapping[str, Spoil] = {
    "constant": constant,
    "shuffled-cells": shuffled_cells,
    "shuffled-nodes": shuffled_nodes,
    "inflated": inflated,
    "random": random_values,
    "absent": absent,
    "stale": stale,
}


def _each(view: View, change: Callable[[FloatArray], FloatArray]) -> View:
    return replace(
        view,
        rtt_ms=change(view.rtt_ms),
        usual_rtt_ms=change(view.usual_rtt_ms),
        mbps=change(view.mbps),
        usual_mbps=change(view.usual_mbps),
        cpu_ratio=change(view.cpu_ratio),
        receive_mbps=change(view.receive_mbps),
        transmit_mbps=change(view.transmit_mbps),
    )


def _derangement(chance: np.random.Generator, view: View) -> IntArray:
    """Return an order that takes most nodes to another place, where labels know places."""
    rows = np.arange(len(view.nodes))
    outer = view.places[:, 0]
    orders = [chance.permutation(rows) for _ in range(20)]
    moved = [int((outer[order] != outer).sum() + (order != rows).sum()) for order in orders]
    return orders[int(np.argmax(moved))]
