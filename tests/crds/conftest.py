"""An API server that serves the custom resources."""

from __future__ import annotations

import pytest

from moorage_cli.control_plane import ControlPlane
from moorage_cli.control_plane.api import ApiClient
from moorage_cli.control_plane.processes import wait_until
from moorage_crds.names import CUSTOM_RESOURCE_DEFINITIONS
from moorage_crds.render import MODELS, crd_manifests


@pytest.fixture(scope="session")
def api(control_plane: ControlPlane) -> ApiClient:
    client = control_plane.api
    for crd in crd_manifests():
        client.apply(CUSTOM_RESOURCE_DEFINITIONS.path(name=crd["metadata"]["name"]), crd)
    wait_until(
        lambda: all(client.answers(resource.path()) for resource in MODELS),
        "the custom resources are served",
        deadline_s=30.0,
    )
    return client
