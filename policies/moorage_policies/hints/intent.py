"""What a hint means: intents, version 1. The labelling guide (``docs/hint-labels.md``) defines it.

An intent can only order nodes. Nothing in this schema can express a hard constraint, a priority, a
toleration, or anything about another pod than the one that carries the hint.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

SCHEMA_VERSION = 1
MAX_TEXT_CHARS = 2000
"""Longest hint that is read; longer ones are refused whole."""
MAX_INTENTS = 16
"""Most intents one hint may carry; what comes later is reported as not understood."""
MAX_NOT_UNDERSTOOD = 32
"""Most phrases reported back; a status stays readable."""
MAX_WORD_CHARS = 128
"""Longest target or label key; Kubernetes' own keys and values stay below."""


class IntentClass(StrEnum):
    """The kinds of wish a hint can express."""

    ACCELERATOR = "Accelerator"
    NODE_LABEL = "NodeLabel"
    CO_LOCATION = "CoLocation"
    ANTI_AFFINITY = "AntiAffinity"
    SPREAD = "Spread"
    QUANTITY = "Quantity"
    BALANCE = "Balance"
    NETWORK = "Network"
    STABILITY = "Stability"
    NOISE = "Noise"
    COST = "Cost"
    ENERGY = "Energy"


class Sign(StrEnum):
    """Whether more of it is wished for, or less."""

    PREFER = "Prefer"
    AVOID = "Avoid"


class Weight(StrEnum):
    """How much one intent counts against the others of the same hint."""

    LOW = "Low"
    MEDIUM = "Medium"
    HIGH = "High"

    @property
    def ratio(self) -> float:
        """Return the factor in the weighted mean, in (0, 1]."""
        return _RATIOS[self]


_RATIOS = {Weight.LOW: 0.25, Weight.MEDIUM: 0.5, Weight.HIGH: 1.0}


class Op(StrEnum):
    """How an amount is compared; ``max`` and ``min`` carry no value."""

    AT_LEAST = ">="
    AT_MOST = "<="
    EQUAL = "="
    MOST = "max"
    LEAST = "min"

    @property
    def turned(self) -> Op:
        """Return the operator that avoids what this one prefers; ``=`` stays."""
        return _TURNED.get(self, self)


_TURNED = {
    Op.AT_LEAST: Op.AT_MOST,
    Op.AT_MOST: Op.AT_LEAST,
    Op.MOST: Op.LEAST,
    Op.LEAST: Op.MOST,
}

Measure = Literal["Free", "Used"]

SELF = "self"
"""Target: the pod's own replicas."""
ANY = "any"
"""Target: whatever pods; resource: the load as a whole."""
HOSTNAME = "hostname"


@dataclass(frozen=True, slots=True)
class Quantity:
    """An amount of a resource, as written.

    Args:
        resource: ``cpu``, ``memory``, ``gpu``, ``gpu-memory``, ``disk``, ``bandwidth``, ``pods``,
            ``any``; ``latency``, ``age``, ``price`` or ``power`` in their classes.
        op: the comparison.
        value: the number as written, in ``unit``; ``None`` for ``max`` and ``min``.
        unit: a name from :mod:`moorage_policies.hints.units`; ``None`` with no value.
        measure: whether the free or the used part is meant.
    """

    resource: str
    op: Op
    value: float | None = None
    unit: str | None = None
    measure: Measure = "Free"


@dataclass(frozen=True, slots=True)
class Intent:
    """One wish. ``None`` fields do not apply to the class.

    Args:
        kind: the class (``class`` in JSON).
        sign: prefer or avoid; only accelerators, node labels and stability are ever avoided.
        target: what is preferred, joined, kept away from or approached.
        quantity: the amount, if the class takes one.
        topology_key: domain of co-location, anti-affinity and spread; ``hostname`` by default.
        weight: how much it counts.
    """

    kind: IntentClass
    sign: Sign = Sign.PREFER
    target: str | None = None
    quantity: Quantity | None = None
    topology_key: str = HOSTNAME
    weight: Weight = Weight.MEDIUM


class Refusal(StrEnum):
    """Why a text as a whole gave no intents."""

    TOO_LONG = "TooLong"
    NOT_TEXT = "NotText"
    NOT_ENGLISH = "NotEnglish"


@dataclass(frozen=True, slots=True)
class ParsedHint:
    """What became of a hint's text.

    Args:
        intents: at most ``MAX_INTENTS``, in the order of the text.
        not_understood: phrases that changed nothing, in the order of the text.
        refusal: why nothing was read at all, ``None`` when the text was read.
        version: of the schema.
    """

    intents: tuple[Intent, ...] = ()
    not_understood: tuple[str, ...] = ()
    refusal: Refusal | None = None
    version: int = SCHEMA_VERSION
