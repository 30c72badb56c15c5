"""From a pydantic model to the structural OpenAPI v3 schema that a CustomResourceDefinition needs.

Structural means: no references, one type per node, no ``null`` types, no closed objects. Optional
fields are simply not required; the API server prunes an explicit ``null``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from moorage_policies.errors import BrokenPromiseError

Schema = dict[str, Any]

_KEPT = (
    "description", "type", "format", "pattern", "enum",
    "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems",
    "minProperties", "maxProperties", "required",
)  # fmt: skip
_INT_OR_STRING = "x-kubernetes-int-or-string"
_PRESERVE = "x-kubernetes-preserve-unknown-fields"


def structural_schema(model: type[BaseModel]) -> Schema:
    """Return the structural schema of a resource's root model.

    Defaults are rendered for the spec only: what a status lacks is not known.

    Raises:
        BrokenPromiseError: the model uses something that a structural schema cannot say.
    """
    source = model.model_json_schema(by_alias=True, mode="validation")
    flat = _inline(source, source.get("$defs", {}))
    root = _structural(flat, with_defaults=True)
    properties = root["properties"]
    properties["apiVersion"] = {"type": "string"}
    properties["kind"] = {"type": "string"}
    properties["metadata"] = {"type": "object"}
    if "status" in properties:
        properties["status"] = _structural(flat["properties"]["status"], with_defaults=False)
    return root


def _inline(node: Any, definitions: Mapping[str, Schema]) -> Any:  # noqa: ANN401 - any JSON
    """Return the schema with every reference replaced by what it points at."""
    if isinstance(node, list):
        return [_inline(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    flat = {key: _inline(value, definitions) for key, value in node.items() if key != "$defs"}
    if "$ref" in flat:
        target = definitions[flat.pop("$ref").rsplit("/", 1)[-1]]
        return {**_inline(target, definitions), **flat}  # the field's own words win
    return _without_null(flat)


def _without_null(node: Schema) -> Schema:
    choices = [c for c in node.get("anyOf", ()) if c.get("type") != "null"]
    if not choices:
        return node
    rest = {key: value for key, value in node.items() if key != "anyOf"}
    if node.get(_INT_OR_STRING):
        limits = {k: v for choice in choices for k, v in choice.items() if k != "type"}
        return {**limits, **rest}
    if len(choices) > 1:
        raise BrokenPromiseError(f"{node.get('title')}: a structural schema has no unions")
    return {**choices[0], **rest}


def _structural(node: Schema, *, with_defaults: bool) -> Schema:
    """Return one inlined node with only what the API server understands."""
    result = {key: node[key] for key in _KEPT if key in node}
    if "description" in result:
        result["description"] = " ".join(result["description"].split())
    if "const" in node:
        result |= {"type": "string", "enum": [node["const"]]}
    if with_defaults and _is_worth_showing(node.get("default")):
        result["default"] = node["default"]
    if "items" in node:
        result["items"] = _structural(node["items"], with_defaults=with_defaults)
    if "properties" in node:
        result["properties"] = {
            name: _structural(child, with_defaults=with_defaults)
            for name, child in node["properties"].items()
        }
    result |= _map_values(node.get("additionalProperties"), with_defaults=with_defaults)
    return result | {key: value for key, value in node.items() if key.startswith("x-kubernetes-")}


def _map_values(values: bool | Schema | None, *, with_defaults: bool) -> Schema:  # noqa: FBT001
    if values is True:
        return {_PRESERVE: True}
    if isinstance(values, dict):
        return {"additionalProperties": _structural(values, with_defaults=with_defaults)}
    return {}


def _is_worth_showing(default: object) -> bool:
    """Return whether the API server should write the default into objects.

    Absent and empty mean the same to Moorage, so empty defaults would only blow objects up, and
    whole objects would freeze today's defaults in every object.
    """
    return default not in (None, "", [], {}) and not isinstance(default, dict)
