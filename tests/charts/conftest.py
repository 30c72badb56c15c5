"""The chart, rendered by the real helm."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from moorage_cli.chart.helm import Helm
from moorage_cli.control_plane.obtain import obtain_helm

ROOT = Path(__file__).parents[2]

Objects = list[dict[str, Any]]
Render = Callable[..., Objects]
Find = Callable[[Objects, str, str], dict[str, Any]]


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def helm() -> Helm:
    """The real helm on the real chart."""
    return Helm(obtain_helm(lambda _step, _detail: None), ROOT / "charts/moorage")


@pytest.fixture
def render(helm: Helm) -> Render:
    """Render with values given as JSON by dotted key; returns the objects."""

    def render(**settings: str) -> Objects:
        given = {key.replace("__", "."): json for key, json in settings.items()}
        given.setdefault("crds.install", "false")
        return [
            document for document in yaml.safe_load_all(helm.template(settings=given)) if document
        ]

    return render


@pytest.fixture(scope="session")
def find() -> Find:
    """The one object of a kind and name."""

    def find(objects: Objects, kind: str, name: str) -> dict[str, Any]:
        wanted = [o for o in objects if (o["kind"], o["metadata"]["name"]) == (kind, name)]
        assert len(wanted) == 1, (kind, name, [(o["kind"], o["metadata"]["name"]) for o in objects])
        return wanted[0]

    return find
