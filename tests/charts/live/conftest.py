"""A control plane for each module, and helm talking to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from moorage_cli.chart.helm import NAMESPACE, RELEASE, Helm
from moorage_cli.control_plane import ControlPlane

Run = Callable[..., str]


@pytest.fixture(scope="module")
def plane(kubernetes_minor: str) -> Iterator[ControlPlane]:
    """A control plane whose namespace of ours enforces the restricted Pod Security standard."""
    with ControlPlane(kubernetes_minor) as plane:
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        metadata = {"name": NAMESPACE, "labels": labels}
        plane.api.create("/api/v1/namespaces", {"metadata": metadata})
        yield plane


@pytest.fixture
def run(
    helm: Helm, plane: ControlPlane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Run]:
    """Run helm against the control plane; afterwards the release is uninstalled."""
    for kind in ("CACHE", "CONFIG", "DATA"):
        monkeypatch.setenv(f"HELM_{kind}_HOME", str(tmp_path / kind.lower()))

    def run(*arguments: str, namespace: str = NAMESPACE) -> str:
        return helm.run(
            [*arguments, "--namespace", namespace, "--kubeconfig", str(plane.kubeconfig)]
        )

    yield run
    run("uninstall", RELEASE, "--ignore-not-found")
