"""When two intents say the same: the equalities at the end of the labelling guide."""

from __future__ import annotations

import re
from collections.abc import Iterable

from moorage_policies.hints.intent import ANY, SELF, Intent, IntentClass, Op, Quantity, Sign, Weight
from moorage_policies.hints.units import UNITS, to_base
from moorage_policies.hints.wordlists import words

Canonical = tuple[str, str, str, tuple[str, str, float | None, str] | None, str, str]
"""Class, sign, target, quantity in base units, topology key, weight."""

HEAD_NOUNS = words(
    "pod service svc workload job replica deployment statefulset instance container app "
    "application node machine host server worker task process team tenant"
)
"""Nouns that say what sort of thing a name names; dropped when names are compared."""

SHORT_KEYS = {
    "topology.kubernetes.io/zone": "zone",
    "failure-domain.beta.kubernetes.io/zone": "zone",
    "topology.kubernetes.io/region": "region",
    "failure-domain.beta.kubernetes.io/region": "region",
    "kubernetes.io/hostname": "hostname",
    "topology.kubernetes.io/rack": "rack",
    "node.kubernetes.io/instance-type": "instance-type",
    "nvidia.com/gpu.clique": "nvlink",
    "host": "hostname",
    "node": "hostname",
}
"""Label keys that have a short name in intents."""

_WITH_TARGET = {
    IntentClass.ACCELERATOR,
    IntentClass.NODE_LABEL,
    IntentClass.CO_LOCATION,
    IntentClass.ANTI_AFFINITY,
    IntentClass.NETWORK,
}
_WITH_TOPOLOGY = {IntentClass.CO_LOCATION, IntentClass.ANTI_AFFINITY, IntentClass.SPREAD}
_WITH_SIGN = {IntentClass.ACCELERATOR, IntentClass.NODE_LABEL, IntentClass.STABILITY}
_WEIGHTS = tuple(Weight)


def canonical_intent(intent: Intent) -> Canonical:
    """Return a form in which equal intents are equal, fields that do not apply left empty."""
    kind = intent.kind
    quantity = _canonical_quantity(intent)
    sign = intent.sign if kind in _WITH_SIGN and quantity is None else Sign.PREFER
    target = canonical_target(intent.target) if kind in _WITH_TARGET else ""
    if kind is IntentClass.ACCELERATOR:
        target = target.removeprefix("nvidia-") or target
    topology = canonical_key(intent.topology_key) if kind in _WITH_TOPOLOGY else ""
    return kind.value, sign.value, target, quantity, topology, intent.weight.value


def canonical_set(intents: Iterable[Intent]) -> frozenset[Canonical]:
    """Return the set of intents, the same intent twice kept once at its higher weight."""
    strongest: dict[Canonical, int] = {}
    for intent in intents:
        *wish, weight = canonical_intent(intent)
        key = (*wish, "")
        rank = _WEIGHTS.index(Weight(weight))
        strongest[key] = max(strongest.get(key, 0), rank)  # type: ignore[index,arg-type]
    return frozenset((*key[:-1], _WEIGHTS[rank].value) for key, rank in strongest.items())


def canonical_key(key: str) -> str:
    """Return the short name of a label key, or the key in lower case."""
    lowered = key.strip().casefold()
    return SHORT_KEYS.get(lowered, lowered)


def canonical_target(target: str | None) -> str:
    """Return the target with case, separators, plurals and head nouns levelled."""
    text = (target or "").strip().casefold()
    if text in {"", SELF, ANY}:
        return text
    if "=" in text:
        return _canonical_selector(text)
    namespace, slash, name = text.rpartition("/")
    return f"{name_words(namespace)}/{name_words(name)}" if slash else name_words(name)


def name_words(text: str) -> str:
    """Return the words of a name joined by ``-``, without plural endings and head nouns."""
    parts = [_singular(word) for word in re.split(r"[\s_-]+", text) if word]
    telling = [word for word in parts if word not in HEAD_NOUNS] or parts
    return "-".join(telling)


def _singular(word: str) -> str:
    plural = len(word) > 2 and word.endswith("s") and not word.endswith("ss")  # noqa: PLR2004 gas, ss
    return word[:-1] if plural else word


def _canonical_selector(text: str) -> str:
    key, _, value = text.partition("=")
    key = canonical_key(key)
    value = value.lstrip("=").strip().removeprefix(f"{key}-") or value
    return f"{key}={value}"


def _canonical_quantity(intent: Intent) -> tuple[str, str, float | None, str] | None:
    quantity = intent.quantity
    if quantity is None:
        return None
    if intent.sign is Sign.AVOID:
        quantity = turned(quantity)
    quantity = free_of(quantity)
    value = None
    if quantity.value is not None and quantity.unit in UNITS:
        value = float(f"{to_base(quantity.value, quantity.unit):.9g}")
    dimension = UNITS[quantity.unit][0] if quantity.unit in UNITS else (quantity.unit or "")
    return f"{quantity.resource}/{quantity.measure}", quantity.op.value, value, dimension


def turned(quantity: Quantity) -> Quantity:
    """Return the quantity whose preference is the avoidance of this one."""
    return Quantity(
        quantity.resource, quantity.op.turned, quantity.value, quantity.unit, quantity.measure
    )


def free_of(quantity: Quantity) -> Quantity:
    """Return a ``Used`` percentage or superlative as the ``Free`` of the rest; else unchanged."""
    relative = quantity.unit == "percent" or quantity.op in {Op.MOST, Op.LEAST}
    if quantity.measure == "Free" or not relative:
        return quantity
    value = None if quantity.value is None else round(100 - quantity.value, 9)
    return Quantity(quantity.resource, quantity.op.turned, value, quantity.unit, "Free")
