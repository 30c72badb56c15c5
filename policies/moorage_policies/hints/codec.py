"""Intents to and from plain JSON values: the form of statuses, annotations and corpora."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import TypeVar, cast, get_args

from moorage_policies.errors import BadInputError
from moorage_policies.hints.intent import (
    HOSTNAME,
    MAX_INTENTS,
    MAX_WORD_CHARS,
    Intent,
    IntentClass,
    Measure,
    Op,
    ParsedHint,
    Quantity,
    Sign,
    Weight,
)
from moorage_policies.hints.units import RESOURCE_DIMENSIONS, fits

_MEASURES: tuple[Measure, ...] = get_args(Measure)
Choice = TypeVar("Choice", bound=StrEnum)
_FIELDS = ("class", "sign", "target", "quantity", "topologyKey", "weight")
_QUANTITY_FIELDS = ("resource", "op", "value", "unit", "measure")


def intent_to_json(intent: Intent) -> dict[str, object]:
    """Return the intent as JSON values, defaults left out."""
    out: dict[str, object] = {"class": intent.kind.value}
    if intent.sign is not Sign.PREFER:
        out["sign"] = intent.sign.value
    if intent.target is not None:
        out["target"] = intent.target
    if intent.quantity is not None:
        out["quantity"] = _quantity_to_json(intent.quantity)
    if intent.topology_key != HOSTNAME:
        out["topologyKey"] = intent.topology_key
    if intent.weight is not Weight.MEDIUM:
        out["weight"] = intent.weight.value
    return out


def hint_to_json(hint: ParsedHint) -> dict[str, object]:
    """Return what became of a hint as JSON values, for statuses and the command line."""
    out: dict[str, object] = {
        "version": hint.version,
        "intents": [intent_to_json(intent) for intent in hint.intents],
    }
    if hint.not_understood:
        out["notUnderstood"] = list(hint.not_understood)
    if hint.refusal is not None:
        out["refusal"] = hint.refusal.value
    return out


def intents_from_json(value: object, field: str = "intents") -> tuple[Intent, ...]:
    """Return the intents of a JSON list.

    Raises:
        BadInputError: if anything in it is outside the schema.
    """
    if not isinstance(value, Iterable) or isinstance(value, str | bytes | Mapping):
        raise BadInputError("must be a list of intents", field=field)
    items = list(value)
    if len(items) > MAX_INTENTS:
        raise BadInputError(f"at most {MAX_INTENTS} intents, found {len(items)}", field=field)
    return tuple(intent_from_json(item, f"{field}[{i}]") for i, item in enumerate(items))


def intent_from_json(value: object, field: str = "intent") -> Intent:
    """Return one intent from its JSON object.

    Raises:
        BadInputError: if a field is unknown, missing, or not one of its values.
    """
    data = _object(value, _FIELDS, field)
    quantity = data.get("quantity")
    return Intent(
        kind=_choice(IntentClass, data.get("class"), f"{field}.class"),
        sign=_choice(Sign, data.get("sign", Sign.PREFER), f"{field}.sign"),
        target=_word(data.get("target"), f"{field}.target"),
        quantity=None if quantity is None else _quantity(quantity, f"{field}.quantity"),
        topology_key=_word(data.get("topologyKey"), f"{field}.topologyKey") or HOSTNAME,
        weight=_choice(Weight, data.get("weight", Weight.MEDIUM), f"{field}.weight"),
    )


def _quantity_to_json(quantity: Quantity) -> dict[str, object]:
    out: dict[str, object] = {"resource": quantity.resource, "op": quantity.op.value}
    if quantity.value is not None:
        whole = quantity.value == int(quantity.value)
        out["value"] = int(quantity.value) if whole else quantity.value
        out["unit"] = quantity.unit
    if quantity.measure != "Free":
        out["measure"] = quantity.measure
    return out


def _quantity(value: object, field: str) -> Quantity:
    data = _object(value, _QUANTITY_FIELDS, field)
    resource = data.get("resource")
    if not isinstance(resource, str) or resource not in RESOURCE_DIMENSIONS:
        raise BadInputError(f"must be one of {', '.join(RESOURCE_DIMENSIONS)}", field=field)
    op = _choice(Op, data.get("op"), f"{field}.op")
    if data.get("measure", "Free") not in _MEASURES:
        raise BadInputError("must be Free or Used", field=f"{field}.measure")
    measure = cast("Measure", data.get("measure", "Free"))
    if op in {Op.MOST, Op.LEAST}:
        return Quantity(resource, op, measure=measure)
    unit = data.get("unit")
    if not isinstance(unit, str) or not fits(resource, unit):
        raise BadInputError(f"must be a unit of {resource}", field=f"{field}.unit")
    return Quantity(resource, op, _number(data.get("value"), f"{field}.value"), unit, measure)


def _number(value: object, field: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadInputError("must be a number", field=field)
    number = float(value) if abs(value) < 10**18 else math.inf
    if not math.isfinite(number) or number < 0:
        raise BadInputError("must be a finite number, zero or more", field=field)
    return number


def _object(value: object, fields: tuple[str, ...], field: str) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise BadInputError("must be an object", field=field)
    unknown = sorted(str(key) for key in value if key not in fields)
    if unknown:
        raise BadInputError(
            f"unknown {', '.join(unknown)}; known: {', '.join(fields)}", field=field
        )
    return value


def _choice(kind: type[Choice], value: object, field: str) -> Choice:
    try:
        return kind(str(value))
    except ValueError:
        raise BadInputError(f"must be one of {', '.join(kind)}", field=field) from None


def _word(value: object, field: str) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not 0 < len(value) <= MAX_WORD_CHARS:
        raise BadInputError(f"must be text of 1 to {MAX_WORD_CHARS} characters", field=field)
    return value
