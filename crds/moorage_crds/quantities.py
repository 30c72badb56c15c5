"""Exact reading of Kubernetes quantities (``500m``, ``1.5Gi``, ``2e3``).

A quantity is kept as a whole number of *nanos* (billionths of its unit), the finest step that
Kubernetes keeps; anything finer is rounded away from zero as Kubernetes does.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache

from moorage_policies.errors import BadInputError

NANO = 10**9
MAX_AMOUNT = 2**53
"""Ceiling of millicores and units, so that the sum over a node's pods stays inside 64 bits."""

_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_SHAPE = re.compile(
    r"(?P<sign>[+-]?)(?P<whole>[0-9]*)(?:\.(?P<part>[0-9]*))?"
    r"(?:(?P<suffix>[numkMGTPE]|[KMGTPE]i)|[eE](?P<exponent>[+-]?[0-9]+))?",
)
_LONGEST = 256
_LARGEST_EXPONENT = 100  # beyond it every value is above the ceiling or below one nano


def parse_quantity(value: str | float | Fraction) -> Fraction:
    """Return the exact value of a quantity in its base unit (cores, bytes, devices).

    Raises:
        BadInputError: the text is no quantity.
    """
    return value if isinstance(value, Fraction) else Fraction(parse_nanos(value), NANO)


def to_millicores(value: str | float | Fraction) -> int:
    """Return CPU in millicores, rounded up like ``MilliValue``, at most ``MAX_AMOUNT``."""
    return _ceil_capped(parse_quantity(value) * 1000)


def to_units(value: str | float | Fraction) -> int:
    """Return whole base units, rounded up like ``Value``, at most ``MAX_AMOUNT``."""
    return _ceil_capped(parse_quantity(value))


def nanos_to_millicores(nanos: int) -> int:
    """Return nanos of a core as millicores, rounded up."""
    return min(-(-nanos // 10**6), MAX_AMOUNT)


def nanos_to_units(nanos: int) -> int:
    """Return nanos of any unit as whole units, rounded up."""
    return min(-(-nanos // NANO), MAX_AMOUNT)


@lru_cache(maxsize=8192, typed=True)
def parse_nanos(value: str | float) -> int:
    """Return a quantity in billionths of its base unit.

    Raises:
        BadInputError: the text is no quantity.
    """
    text = str(value).strip()
    match = _SHAPE.fullmatch(text) if len(text) <= _LONGEST else None
    if match is None or not (match["whole"] or match["part"]):
        raise BadInputError(
            f"{text[:40]!r} is no quantity; write a number with one of the suffixes "
            "n u m k M G T P E, Ki Mi Gi Ti Pi Ei or an exponent, as in 500m, 1.5Gi or 2e3"
        )
    part = match["part"] or ""
    digits = int(match["whole"] + part)
    base, power = _scale(match["suffix"] or "", match["exponent"])
    numerator: int = digits * base * 10 ** max(power + 9 - len(part), 0)
    denominator: int = 10 ** max(len(part) - power - 9, 0)
    nanos = -(-numerator // denominator)
    return -nanos if match["sign"] == "-" else nanos


def _scale(suffix: str, exponent: str | None) -> tuple[int, int]:
    """Return the power of two to multiply with, and the power of ten."""
    if exponent is not None:
        return 1, max(-_LARGEST_EXPONENT, min(int(exponent), _LARGEST_EXPONENT))
    if suffix in _BINARY:
        return 2 ** _BINARY[suffix], 0
    return 1, _DECIMAL[suffix]


def _ceil_capped(value: Fraction) -> int:
    return min(-(-value.numerator // value.denominator), MAX_AMOUNT)
