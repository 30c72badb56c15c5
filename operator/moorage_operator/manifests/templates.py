"""One pod template over another: objects merge, named lists merge by name, the rest is replaced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

Json = dict[str, Any]

_LIST_KEYS: Mapping[str, str] = {
    "containers": "name",
    "initContainers": "name",
    "env": "name",
    "volumes": "name",
    "volumeMounts": "mountPath",
    "ports": "containerPort",
}


def merge_templates(base: Mapping[str, Any], over: Mapping[str, Any]) -> Json:
    """Return ``base`` with everything that ``over`` sets; neither is changed.

    Containers, init containers, environment variables and volumes are told apart by name, mounts
    by path, ports by number. Every other list (``args``, ``command``, ``tolerations``, …) is taken
    whole from ``over``.
    """
    merged: Json = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            merged[key] = merge_templates(below, value)
        elif key in _LIST_KEYS and _is_list_of_objects(below) and _is_list_of_objects(value):
            merged[key] = _merge_lists(below, value, _LIST_KEYS[key])
        else:
            merged[key] = value
    return merged


def _is_list_of_objects(value: object) -> TypeGuard[Sequence[Json]]:
    return isinstance(value, Sequence) and all(isinstance(item, Mapping) for item in value)


def _merge_lists(base: Sequence[Json], over: Sequence[Json], key: str) -> list[Json]:
    later = {item.get(key): item for item in over}
    known = {item.get(key) for item in base}
    merged = [merge_templates(item, later.get(item.get(key), {})) for item in base]
    return merged + [dict(item) for item in over if item.get(key) not in known]
