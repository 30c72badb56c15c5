"""Every bound of every field, broken one at a time against the real API server.

The cases are derived from the rendered schemas: a field that gets a bound gets its case.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from moorage_cli.control_plane.api import ApiClient
from moorage_cli.control_plane.errors import RequestRefusedError
from moorage_crds.names import PLANS, POLICIES, POOLS, ROLES, ApiResource
from moorage_crds.render import MODELS
from moorage_crds.schema import structural_schema

DATA = Path(__file__).parent / "data"
FULL = {
    resource: yaml.safe_load((DATA / f"{name}.yaml").read_text())
    for resource, name in ((POOLS, "pool"), (ROLES, "role"), (PLANS, "plan"), (POLICIES, "policy"))
}
SCHEMAS = {resource: structural_schema(MODELS[resource]) for resource in MODELS}
NEVER_SET = {
    "spec.roles[].template.spec.nodeName",
    "spec.roles[].template.spec.priorityClassName",
    # an accelerator's template has the same schema as the role's
    "spec.roles[].accelerators[].template.metadata",
    "spec.roles[].accelerators[].template.spec.schedulerName",
    "spec.roles[].accelerators[].template.spec.restartPolicy",
    "spec.roles[].accelerators[].template.spec.nodeName",
    "spec.roles[].accelerators[].template.spec.priorityClassName",
}
Path_ = tuple[str | int, ...]


def written(path: Path_) -> str:
    """Return the path as the API server writes it."""
    text = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)
    return text.removeprefix(".")


def walk(schema: dict[str, Any], value: Any, path: Path_) -> Iterator[tuple[Path_, dict[str, Any]]]:
    """Yield each node of the manifest that the schema describes, lists by their first item."""
    yield path, schema
    if isinstance(value, dict):
        for name, child in schema.get("properties", {}).items():
            if name in value:
                yield from walk(child, value[name], (*path, name))
    elif isinstance(value, list) and value:
        yield from walk(schema["items"], value[0], (*path, 0))


BREAKS: dict[str, tuple[Callable[[Any, Any], Any], str]] = {
    # keyword: (how to break it, what the API server says)
    "maxLength": (lambda limit, _: "a" * (limit + 1), "Too long"),
    "minLength": (lambda _, __: "", "should be at least"),
    "pattern": (lambda _, __: "~~~~", "should match"),
    "enum": (lambda _, __: "Nonsense", "Unsupported value"),
    "minimum": (lambda limit, _: limit - 1, "greater than or equal to"),
    "maximum": (lambda limit, _: limit + 1, "less than or equal to"),
    "minItems": (lambda _, __: [], "should have at least"),
    "maxItems": (lambda limit, items: (items * (limit + 1))[: limit + 1], "Too many"),
    "minProperties": (lambda _, __: {}, "should have at least"),
    "maxProperties": (lambda limit, _: {f"k{i}": "1" for i in range(limit + 1)}, "Too many"),
    "type": (lambda kind, _: {} if kind == "string" else "text", "must be of type"),
}


def _cases() -> Iterator[Any]:
    for resource, manifest in FULL.items():
        spec = SCHEMAS[resource]["properties"]["spec"]
        for path, schema in walk(spec, manifest["spec"], ("spec",)):
            for keyword in BREAKS.keys() & schema.keys():
                if keyword == "type" and len(path) == 1:
                    continue
                name = f"{resource.short}-{written(path)}-{keyword}"
                yield pytest.param(resource, path, keyword, schema[keyword], id=name)
            for needed in schema.get("required", ()):
                full = (*path, needed)
                yield pytest.param(
                    resource, full, "required", None, id=f"{resource.short}-{written(full)}-needed"
                )


def put(manifest: Any, path: Path_, change: Callable[[Any], Any] | None) -> None:
    node = manifest
    for key in path[:-1]:
        node = node[key]
    if change is None:
        del node[path[-1]]
    else:
        node[path[-1]] = change(node[path[-1]])


@pytest.mark.control_plane
@pytest.mark.parametrize(
    ("resource", "path", "keyword", "limit"), sorted(_cases(), key=lambda c: str(c.id))
)
def test_a_broken_bound_is_refused_by_field(
    api: ApiClient, resource: ApiResource, path: Path_, keyword: str, limit: Any
) -> None:
    manifest = copy.deepcopy(FULL[resource])
    if keyword == "required":
        put(manifest, path, None)
        said = "Required value"
    else:
        break_it, said = BREAKS[keyword]
        put(manifest, path, lambda value: break_it(limit, value))
    with pytest.raises(RequestRefusedError) as refused:
        api.raw(
            "POST",
            resource.path(manifest["metadata"].get("namespace", "")),
            query={"dryRun": "All", "fieldValidation": "Strict"},
            body=manifest,
        )
    assert refused.value.status == 422
    assert f"{written(path)}: " in str(refused.value)
    assert said in str(refused.value)


def _fields(schema: dict[str, Any], path: str) -> Iterator[str]:
    for name, child in schema.get("properties", {}).items():
        yield f"{path}.{name}"
        yield from _fields(child, f"{path}.{name}")
    if "items" in schema:
        yield from _fields(schema["items"], f"{path}[]")


@pytest.mark.parametrize("resource", list(MODELS), ids=lambda r: r.short)
def test_the_full_manifest_sets_every_field(resource: ApiResource) -> None:
    spec = SCHEMAS[resource]["properties"]["spec"]
    every = set(_fields(spec, "spec"))
    set_here = {
        "".join("[]" if isinstance(key, int) else f".{key}" for key in path).removeprefix(".")
        for path, _ in walk(spec, FULL[resource]["spec"], ("spec",))
    }
    missing = {f for f in every - set_here if not any(f.startswith(n) for n in NEVER_SET)}
    assert not missing


def _unbounded(schema: dict[str, Any], path: str) -> Iterator[str]:
    kind = schema.get("type")
    if kind == "string" and not {"maxLength", "enum", "format"} & schema.keys():
        yield path
    if kind == "array" and "maxItems" not in schema:
        yield path
    if "additionalProperties" in schema and "maxProperties" not in schema:
        yield path
    for name, child in schema.get("properties", {}).items():
        yield from _unbounded(child, f"{path}.{name}")
    for nested in ("items", "additionalProperties"):
        if nested in schema:
            yield from _unbounded(schema[nested], f"{path}[]")


@pytest.mark.parametrize("resource", list(MODELS), ids=lambda r: r.short)
@pytest.mark.parametrize("part", ["spec", "status"])
def test_everything_has_an_upper_bound(resource: ApiResource, part: str) -> None:
    assert not list(_unbounded(SCHEMAS[resource]["properties"][part], part))
