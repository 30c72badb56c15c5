"""Units people write, and what they are worth in the base unit of their dimension."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache

_HOUR_S = 3600
_DAY_S = 24 * _HOUR_S

_DIMENSIONS: dict[str, dict[str, Fraction | int]] = {
    "cores": {"cores": 1, "millicores": Fraction(1, 1000)},
    "bytes": {
        **{name: 1000**power for power, name in enumerate(("B", "KB", "MB", "GB", "TB", "PB"))},
        **{name: 1024**power for power, name in enumerate(("KiB", "MiB", "GiB", "TiB"), start=1)},
    },
    "gpus": {"gpus": 1},
    "pods": {"pods": 1},
    "percent": {"percent": 1},
    "bits_per_s": {"Kbps": 1000, "Mbps": 1000**2, "Gbps": 1000**3, "Tbps": 1000**4},
    "seconds": {
        "ns": Fraction(1, 1000**3),
        "us": Fraction(1, 1000**2),
        "ms": Fraction(1, 1000),
        "s": 1,
        "minutes": 60,
        "hours": _HOUR_S,
        "days": _DAY_S,
        "weeks": 7 * _DAY_S,
        "months": 30 * _DAY_S,
        "years": 365 * _DAY_S,
    },
    "usd_per_h": {"usd/h": 1},
    "watts": {"W": 1, "kW": 1000},
}

UNITS: dict[str, tuple[str, Fraction]] = {
    unit: (dimension, Fraction(factor))
    for dimension, units in _DIMENSIONS.items()
    for unit, factor in units.items()
}
"""Dimension and factor to the base unit, by unit name."""

RESOURCE_DIMENSIONS: dict[str, tuple[str, ...]] = {
    "cpu": ("cores", "percent"),
    "memory": ("bytes", "percent"),
    "gpu": ("gpus", "percent"),
    "gpu-memory": ("bytes", "percent"),
    "disk": ("bytes", "percent"),
    "bandwidth": ("bits_per_s", "percent"),
    "pods": ("pods", "percent"),
    "any": ("percent",),
    "latency": ("seconds",),
    "age": ("seconds",),
    "price": ("usd_per_h",),
    "power": ("watts",),
}
"""Which dimensions make sense for a resource; anything else is not understood."""


def fits(resource: str, unit: str) -> bool:
    """Return whether the unit can measure the resource."""
    known = UNITS.get(unit)
    return known is not None and known[0] in RESOURCE_DIMENSIONS.get(resource, ())


@lru_cache(maxsize=4096)
def to_base(value: float, unit: str) -> float:
    """Return the amount in the base unit: cores, bytes, devices, bits/s, s, usd/h, W, percent."""
    return float(Fraction(str(value)) * UNITS[unit][1])
