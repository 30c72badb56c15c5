"""values.yaml and values.schema.json, written from the models."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator

import yaml
from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaValue

from moorage_cli.chart.values import Values

VALUES_HEADER = "# Written from cli/moorage_cli/chart/values.py by `make chart`; edit that.\n"
_WIDTH = 100
_DROPPED = ("title", "default")
_NAMED = ("properties", "$defs")


def values_yaml() -> str:
    """Return the defaults with a comment each; settings without a default are commented out."""
    return VALUES_HEADER + "\n".join(_lines(Values(), 0)) + "\n"


def values_schema() -> str:
    """Return the JSON schema that Helm holds given values against."""
    schema = _tidy(Values.model_json_schema(by_alias=True))
    draft = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return json.dumps({**draft, **schema}, indent=2, ensure_ascii=False) + "\n"


def _lines(block: BaseModel, depth: int) -> Iterator[str]:
    pad = "  " * depth
    for name, field in type(block).model_fields.items():
        yield from _comment(field.description or "", pad)
        yield from _entry(field.alias or name, getattr(block, name), depth)


def _entry(key: str, value: object, depth: int) -> Iterator[str]:
    pad = "  " * depth
    if value is None:
        yield f"{pad}# {key}:"
    elif isinstance(value, BaseModel):
        given = value.model_dump(exclude_none=True)
        yield f"{pad}{key}:" if given else f"{pad}{key}: {{}}"
        yield from _lines(value, depth + 1)
    else:
        content = {key: _plain(value)}
        text = yaml.safe_dump(content, sort_keys=False, width=_WIDTH, allow_unicode=True)
        yield textwrap.indent(text.rstrip(), pad)


def _comment(text: str, pad: str) -> Iterator[str]:
    for line in textwrap.wrap(" ".join(text.split()), _WIDTH - len(pad) - 2):
        yield f"{pad}# {line}"


def _plain(value: object) -> object:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, BaseModel):
        return value.model_dump(by_alias=True, exclude_none=True)
    return value


def _tidy(schema: JsonSchemaValue) -> JsonSchemaValue:
    """Drop noise, and ``null`` from what may be left out: Helm takes null for "left out"."""
    options = [option for option in schema.get("anyOf", ()) if option != {"type": "null"}]
    if len(options) == 1:
        schema = {**{k: v for k, v in schema.items() if k != "anyOf"}, **options[0]}
    return {
        key: {name: _tidy(inner) for name, inner in value.items()}
        if key in _NAMED
        else _tidy(value)
        if isinstance(value, dict)
        else value
        for key, value in schema.items()
        if key not in _DROPPED
    }
