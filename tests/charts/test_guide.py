"""The install guide speaks of values, files and objects that exist."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml


@pytest.fixture
def guide(root: Path) -> str:
    return (root / "docs/install.md").read_text()


def lookup(schema: dict[str, Any], key: str) -> dict[str, Any]:
    """The schema of a value by its dotted key."""
    found = schema
    for name in key.split("."):
        found = found["properties"][name]
        if "$ref" in found:
            found = schema["$defs"][found["$ref"].rpartition("/")[2]]
    return found


def test_every_value_of_the_guide_is_in_the_schema(guide: str, root: Path) -> None:
    schema = json.loads((root / "charts/moorage/values.schema.json").read_text())
    tops = "|".join(schema["properties"])
    keys = set(re.findall(rf"(?:--set |`)((?:{tops})(?:\.\w+)+)", guide))
    assert len(keys) > 10
    for key in keys:
        assert lookup(schema, key), key


def test_every_file_that_the_guide_names_exists(guide: str, root: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)\)", guide)
    assert links
    for link in links:
        assert (root / "docs" / link).exists(), link
    for path in re.findall(r"(?:docs|charts)/[\w./-]+\w", guide):
        assert (root / path).exists(), path


def test_every_name_that_the_guide_asks_for_is_rendered(guide: str, root: Path) -> None:
    golden = root / "tests/charts/golden"
    rendered = "".join(path.read_text() for path in golden.iterdir())
    asked = re.findall(r"get (?:secret|configmap) ([\w-]+)", guide)
    assert len(asked) == 2
    for name in asked:
        assert f"name: {name}\n" in rendered or f"secretName: {name}\n" in rendered, name
    assert "name: moorage-installation" in rendered


def test_yaml_of_the_guide_is_yaml(guide: str) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", guide, re.DOTALL)
    assert [yaml.safe_load(block).get("kind", "values") for block in blocks] == [
        "ResourceQuota",
        "values",
        "ResourceQuota",
        "KubeSchedulerConfiguration",
    ]
