"""Sessions to the real API server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from moorage_cli.control_plane import ControlPlane
from moorage_cluster.session import ApiSession


@pytest.fixture
async def session(control_plane: ControlPlane) -> AsyncIterator[ApiSession]:
    async with await ApiSession.connect(control_plane.kubeconfig) as opened:
        yield opened


@pytest.fixture
def pod_manifest(namespace: str) -> Callable[..., dict[str, Any]]:
    """A pod that no scheduler of the tests touches."""

    def make(name: str, **spec: Any) -> dict[str, Any]:
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}},
            "spec": {
                "schedulerName": "nobody",
                "containers": [{"name": "c", "image": "example.test/c"}],
                **spec,
            },
        }

    return make
