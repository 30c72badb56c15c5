"""The rendered definitions: up to date, structural, and usable with kubectl."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel, ConfigDict

from moorage_cli.control_plane import ControlPlane
from moorage_cli.control_plane.api import ApiClient
from moorage_crds import render
from moorage_crds.names import (
    CUSTOM_RESOURCE_DEFINITIONS,
    PLANS,
    POOLS,
    ROLES,
)
from moorage_crds.schema import structural_schema
from moorage_policies.errors import BrokenPromiseError

CRDS = Path(__file__).parents[2] / "crds"
DATA = Path(__file__).parent / "data"


def test_the_files_are_what_the_models_say() -> None:
    assert render.stale_files(CRDS) == [], "run `python -m moorage_crds.render`"


def test_the_files_are_what_is_applied() -> None:
    names = sorted(path.name for path in CRDS.glob("*.yaml"))
    assert names == sorted(render.render_files())
    on_disk = [yaml.safe_load((CRDS / name).read_text()) for name in render.render_files()]
    assert on_disk == render.crd_manifests()


def test_check_tells_stale_files_and_writes_nothing(tmp_path: Path) -> None:
    assert render.main([str(tmp_path)]) == 0
    assert render.main([str(tmp_path), "--check"]) == 0
    victim = tmp_path / "moorage.dev_placementplans.yaml"
    victim.write_text("old")
    command = [sys.executable, "-m", "moorage_crds.render", str(tmp_path), "--check"]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 1
    assert "moorage.dev_placementplans.yaml differs from the models" in checked.stderr
    assert victim.read_text() == "old"


def _nodes(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield schema
    for child in schema.get("properties", {}).values():
        yield from _nodes(child)
    for nested in ("items", "additionalProperties"):
        if nested in schema:
            yield from _nodes(schema[nested])


@pytest.mark.parametrize("crd", render.crd_manifests(), ids=lambda c: str(c["metadata"]["name"]))
def test_every_field_is_explained(crd: dict[str, Any]) -> None:
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    for part in ("spec", "status"):
        for node in _nodes(schema["properties"][part]):
            for name, child in node.get("properties", {}).items():
                assert child.get("description"), name


class Inner(BaseModel):
    """The inner."""

    model_config = ConfigDict(extra="allow")

    size: int = 3


class Outer(BaseModel):
    """The outer
    of both."""

    metadata: dict[str, str] = {}
    spec: Inner | None = None
    maybe: int | None = None
    inner: dict[str, Inner] = {}


def test_a_schema_becomes_structural() -> None:
    inner = {
        "description": "The inner.",
        "type": "object",
        "properties": {"size": {"type": "integer", "default": 3}},
        "x-kubernetes-preserve-unknown-fields": True,
    }
    assert structural_schema(Outer) == {
        "description": "The outer of both.",
        "type": "object",
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": inner,
            "maybe": {"type": "integer"},
            "inner": {"type": "object", "additionalProperties": inner},
        },
    }


def test_a_union_cannot_become_structural() -> None:
    class Unclear(BaseModel):
        value: int | str

    with pytest.raises(BrokenPromiseError, match="a structural schema has no unions"):
        structural_schema(Unclear)


@pytest.mark.control_plane
def test_the_api_server_finds_nothing_wrong(api: ApiClient) -> None:
    for crd in render.crd_manifests():
        stored = api.get(CUSTOM_RESOURCE_DEFINITIONS.path(name=crd["metadata"]["name"]))
        conditions = {c["type"]: c["status"] for c in stored["status"]["conditions"]}
        assert conditions["Established"] == "True"
        assert conditions["NamesAccepted"] == "True"
        assert "NonStructuralSchema" not in conditions


@pytest.mark.control_plane
def test_a_role_is_scaled_by_its_scale_subresource(
    api: ApiClient, control_plane: ControlPlane, namespace: str
) -> None:
    role = yaml.safe_load((DATA / "role.yaml").read_text())
    role["metadata"]["namespace"] = namespace
    api.create(ROLES.path(namespace), role)
    target = ROLES.path(namespace, "full-decode")
    api.patch(
        f"{target}/status", {"status": {"replicas": 2, "selector": "moorage.dev/role=decode"}}
    )
    control_plane.kubectl("scale", "gir/full-decode", "--replicas=5", "-n", namespace)
    scale = api.get(f"{target}/scale")
    assert scale["spec"] == {"replicas": 5}
    assert scale["status"] == {"replicas": 2, "selector": "moorage.dev/role=decode"}


@pytest.mark.control_plane
def test_kubectl_shows_what_matters(
    api: ApiClient, control_plane: ControlPlane, namespace: str
) -> None:
    pool = yaml.safe_load((DATA / "pool.yaml").read_text())
    pool["metadata"]["namespace"] = namespace
    api.create(POOLS.path(namespace), pool)
    condition = {
        "type": "Ready",
        "status": "False",
        "reason": "WaitingForRoom",
        "message": "1 of 6 replicas has no node",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    api.patch(
        f"{POOLS.path(namespace, 'full')}/status",
        {"status": {"desired": 6, "placed": 5, "ready": 4, "conditions": [condition]}},
    )
    header, row = control_plane.kubectl("get", "gip", "-n", namespace).splitlines()
    assert header.split() == ["NAME", "READY", "DESIRED", "PLACED", "REASON", "AGE"]
    assert row.split()[:5] == ["full", "False", "6", "5", "WaitingForRoom"]
    assert "moorage" in control_plane.kubectl("get", "moorage", "-n", namespace, "-o", "name")
    explained = control_plane.kubectl("explain", "gip.spec.scaling.manualFloorSeconds")
    assert "seconds" in explained


@pytest.mark.control_plane
def test_an_unsound_status_is_refused(api: ApiClient) -> None:
    plan = yaml.safe_load((DATA / "plan.yaml").read_text())
    plan["metadata"]["name"] = "unsound-status"
    api.create(PLANS.path(), plan)
    try:
        with pytest.raises(Exception, match=r"status\.phase: Unsupported value"):
            api.patch(f"{PLANS.path(name='unsound-status')}/status", {"status": {"phase": "Lost"}})
    finally:
        api.delete(PLANS.path(name="unsound-status"))
