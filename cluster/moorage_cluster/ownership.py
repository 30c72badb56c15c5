"""Whether the fields that we applied are still ours, read from an object's managedFields.

The server gives every field an owner. When anyone else changes a field that we applied, by
whatever verb and also through a subresource, it takes the field from our entry. So as long as our
entry still holds every field of a manifest, nobody has changed what that manifest set.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

Fields = Mapping[str, Any]


def owned_fields(
    live: Mapping[str, Any], field_manager: str, subresource: str = ""
) -> Fields | None:
    """Return the field tree that a manager applied, ``None`` when it owns nothing."""
    for entry in live["metadata"].get("managedFields") or ():
        who = (entry.get("manager"), entry.get("operation"), entry.get("subresource", ""))
        if who == (field_manager, "Apply", subresource):
            return entry.get("fieldsV1") or None
    return None


def owns(fields: Fields, wanted: object) -> bool:
    """Return whether a field tree holds every leaf of a wanted value.

    In a tree ``{}`` means the whole value (a scalar, an atomic map or list), ``f:x`` the field x,
    ``k:{...}`` the list item with these keys, ``v:x`` the member x of a set.
    """
    return _holds(fields, wanted, None)


def owns_just(fields: Fields, wanted: object, live: object) -> bool:
    """Return whether a tree holds exactly a wanted value's leaves and live has them unchanged.

    Only for values that the server stores as they are sent: it rewrites quantities.
    """
    return _holds(fields, wanted, (live,)) and not _holds_more(fields, wanted)


def _holds(fields: Fields, wanted: object, live: tuple[object] | None) -> bool:
    """Walk tree, wanted and (inside a tuple, as it may be null) live value together."""
    if not fields or wanted in ({}, []):
        return live is None or live[0] == wanted
    if isinstance(wanted, Mapping):
        return all(_holds_field(fields, name, value, live) for name, value in wanted.items())
    if isinstance(wanted, list):
        return all(_holds_item(fields, item, live) for item in wanted)
    return False


def _holds_field(fields: Fields, name: str, value: object, live: tuple[object] | None) -> bool:
    child = fields.get(f"f:{name}")
    if child is None:
        return is_empty(value)
    if live is None:
        return _holds(child, value, None)
    return isinstance(live[0], Mapping) and _holds(child, value, (live[0].get(name),))


def _holds_item(fields: Fields, item: object, live: tuple[object] | None) -> bool:
    return any(
        _holds(child, item, None if live is None else (_find(live[0], key, item),))
        for label, child in fields.items()
        if label != "." and _names(key := json.loads(label[2:]), label, item)
    )


def _holds_more(fields: Fields, wanted: object) -> bool:
    """Return whether the tree names anything that the wanted value has not."""
    return any(_lacks(wanted, label, child) for label, child in fields.items() if label != ".")


def _lacks(wanted: object, label: str, child: Fields) -> bool:
    if isinstance(wanted, Mapping):
        name = label.removeprefix("f:")
        return name not in wanted or _holds_more(child, wanted[name])
    if isinstance(wanted, list):
        key = json.loads(label[2:])
        return not any(_names(key, label, i) and not _holds_more(child, i) for i in wanted)
    return True


def _names(key: object, label: str, item: object) -> bool:
    """Return whether a label means this item; key fields it lacks are the server's defaults."""
    if label.startswith("k:"):
        assert isinstance(key, dict)
        return isinstance(item, Mapping) and all(item.get(k, v) == v for k, v in key.items())
    return label.startswith("v:") and key == item


def _find(live: object, key: object, item: object) -> object:
    if not isinstance(live, list):
        return None
    if not isinstance(key, dict):
        return item if item in live else None
    return next((i for i in live if all(i.get(k) == v for k, v in key.items())), None)


def is_empty(value: object) -> bool:
    """Return whether a value has no leaf, so that there is nothing to own."""
    if isinstance(value, Mapping):
        return all(is_empty(inner) for inner in value.values())
    return isinstance(value, list) and not value
