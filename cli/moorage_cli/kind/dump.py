"""What one wants to read after a failure: logs, events, every object that explains it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Final

from moorage_cli.kind.cluster import KindCluster
from moorage_cli.kind.errors import StepFailedError

_KINDS: Final = (
    "nodes", "pods", "deployments", "replicasets", "services", "leases", "configmaps",
    "poddisruptionbudgets", "gpuinferencepools", "gpuinferenceroles", "placementplans",
    "placementpolicies",
)  # fmt: skip


def write_dump(cluster: KindCluster, folder: Path) -> None:
    """Write what can still be had; a part that fails is left out."""
    folder.mkdir(parents=True, exist_ok=True)
    with suppress(StepFailedError):
        cluster.export_logs(folder / "nodes")
    asked = {"events.txt": ["events", "--sort-by=.lastTimestamp"]}
    asked |= {f"{kind}.yaml": [kind, "--output=yaml"] for kind in _KINDS}
    for name, arguments in asked.items():
        with suppress(StepFailedError):
            text = cluster.kubectl("get", *arguments, "--all-namespaces")
            (folder / name).write_text(text)
