"""The rendered objects against the published schemas of each supported Kubernetes, strictly.

The examples are what `helm template` makes of each case; `test_sources.py` keeps them up to date.
The live tests apply the same charts to real API servers, which know the custom resources too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from moorage_cli.control_plane.toolchains import KUBERNETES_VERSIONS

ROOT = Path(__file__).parents[2]
FOREIGN = ("moorage.dev/", "monitoring.coreos.com/", "cert-manager.io/", "kubescheduler.config")
FILES = sorted(
    [
        *ROOT.glob("tests/charts/golden/*.yaml"),
        ROOT / "e2e/moorage_mocks/device_plugin/daemonset.yaml",
        ROOT / "cli/moorage_cli/manifests/accounts.yaml",
    ]
)


def objects(path: Path) -> list[dict[str, Any]]:
    documents = [document for document in yaml.safe_load_all(path.read_text()) if document]
    return [found for found in documents if not found["apiVersion"].startswith(FOREIGN)]


@pytest.mark.parametrize("minor", KUBERNETES_VERSIONS)
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_object_has_the_published_shape(path: Path, minor: str) -> None:
    found = objects(path)
    assert found
    for item in found:
        kubernetes_validate.validate(item, minor, strict=True)


def test_a_misspelt_field_is_found() -> None:
    (deployment, *_) = (
        item
        for item in objects(ROOT / "tests/charts/golden/default.yaml")
        if item["kind"] == "Deployment"
    )
    deployment["spec"]["template"]["spec"]["containers"][0]["imagePullPolicies"] = "Always"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(deployment, "1.37", strict=True)
