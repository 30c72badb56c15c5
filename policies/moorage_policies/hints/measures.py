"""How much of a resource nodes have, in base units, and how well that meets a wish."""

from __future__ import annotations

import numpy as np

from moorage_policies.hints.intent import ANY, Op, Quantity
from moorage_policies.hints.node_match import AMD_GPU
from moorage_policies.hints.signals import Signals
from moorage_policies.hints.units import to_base
from moorage_policies.state import Snapshot
from moorage_policies.types import CPU, MEMORY, NVIDIA_GPU, PODS, FloatArray, IntArray

_MILLI = 1000.0
_MIB = 1024.0 * 1024.0
_PERCENT = 100.0
_COLUMNS = {
    "cpu": (CPU,),
    "memory": (MEMORY,),
    "gpu": (NVIDIA_GPU, AMD_GPU),
    "disk": ("ephemeral-storage",),
    "pods": (PODS,),
}
GPU_MEMORY_LABEL = "nvidia.com/gpu.memory"
_LARGEST = 1e30
_NEARLY = 0.5
"""Score just below the bound of a wish: a miss is never worth more than half a hit."""


Rows = IntArray | None
"""Which nodes are meant; ``None`` is all of them."""


def amount_of(
    quantity: Quantity, snapshot: Snapshot, signals: Signals, rows: Rows = None
) -> FloatArray | None:
    """Return what nodes have of the quantity, in its base unit or percent; ``None`` unknown."""
    percent = quantity.unit == "percent"
    at_rows: IntArray | slice = slice(None) if rows is None else rows
    if quantity.resource == ANY:
        return _of_all(quantity, snapshot, rows)
    if quantity.resource == "gpu-memory":
        return None if percent else _gpu_memory(snapshot, at_rows)
    if quantity.resource == "bandwidth":
        measured = None if percent else signals.bandwidth_bits_per_s
        return None if measured is None else measured[at_rows]
    columns = [name for name in _COLUMNS.get(quantity.resource, ()) if name in snapshot.resources]
    if not columns:
        return None
    at = [snapshot.resources.index(name) for name in columns]
    total = snapshot.allocatable[at_rows][:, at].sum(axis=1).astype(np.float64)
    used = snapshot.requested[at_rows][:, at].sum(axis=1).astype(np.float64)
    have = used if quantity.measure == "Used" else total - used
    if percent:
        return _ratio(have, total) * _PERCENT
    amount: FloatArray = have / _MILLI if quantity.resource == "cpu" else have
    return amount


def satisfaction(quantity: Quantity, have: FloatArray) -> FloatArray:
    """Return how well amounts meet the wish, 0 to 1; NaN stays NaN.

    ``max`` and ``min`` stretch over the candidates; a bound is 1 where it holds and falls from one
    half with the distance where it does not, so that nearer misses are still better.
    """
    if quantity.op in {Op.MOST, Op.LEAST}:
        return stretched(have, more_is_better=quantity.op is Op.MOST)
    assert quantity.value is not None
    assert quantity.unit is not None
    need = to_base(quantity.value, quantity.unit)
    return np.where(np.isnan(have), np.nan, _bounded(quantity.op, need, have))


def _bounded(op: Op, need: float, have: FloatArray) -> FloatArray:
    have = np.clip(have, 0.0, _LARGEST)
    short = _ratio(have, np.full_like(have, need))
    over = _ratio(np.full_like(have, need), have)
    if op is Op.AT_LEAST:
        return np.where(have >= need, 1.0, _NEARLY * np.minimum(short, 1.0))
    if op is Op.AT_MOST:
        return np.where(have <= need, 1.0, _NEARLY * np.minimum(over, 1.0))
    return np.where(have == need, 1.0, _NEARLY * np.minimum(np.minimum(short, over), 1.0))


def stretched(have: FloatArray, *, more_is_better: bool) -> FloatArray:
    """Return amounts mapped to 0 (worst candidate) to 1 (best); all equal is one half."""
    have = np.clip(have, -_LARGEST, _LARGEST)
    known = have[np.isfinite(have)]
    if not known.size:
        return np.full(have.shape, np.nan)
    low, high = float(known.min()), float(known.max())
    if high <= low:
        return np.where(np.isfinite(have), _NEARLY, np.nan)
    share = (have - low) / (high - low)
    return share if more_is_better else 1.0 - share


def used_ratios(snapshot: Snapshot, rows: Rows = None) -> FloatArray:
    """Return the used share of CPU, memory and GPUs, NaN where a node has none, ``(nodes, 3)``."""
    at: IntArray | slice = slice(None) if rows is None else rows
    columns = [snapshot.resources.index(r) for r in _LOAD if r in snapshot.resources]
    total = snapshot.allocatable[at][:, columns].astype(np.float64)
    used = snapshot.requested[at][:, columns].astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(total > 0, np.clip(used / total, 0.0, 1.0), np.nan)


_LOAD = (CPU, MEMORY, NVIDIA_GPU)


def _of_all(quantity: Quantity, snapshot: Snapshot, rows: Rows) -> FloatArray:
    ratios = used_ratios(snapshot, rows)
    known = np.isfinite(ratios)
    used = np.where(known, ratios, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    share: FloatArray = used if quantity.measure == "Used" else 1.0 - used
    return share * _PERCENT


def _gpu_memory(snapshot: Snapshot, at: IntArray | slice) -> FloatArray | None:
    column = snapshot.table.label(GPU_MEMORY_LABEL)
    if not column.values:
        return None
    sizes = [float(v) * _MIB if v.isdigit() and len(v) <= 9 else np.nan for v in column.values]  # noqa: PLR2004 below a petabyte
    per_device: FloatArray = np.array([*sizes, 0.0])[column.codes[at]]
    return per_device


def _ratio(part: FloatArray, whole: FloatArray) -> FloatArray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(whole > 0, part / whole, 0.0)
