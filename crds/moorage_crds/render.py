"""The CustomResourceDefinitions, rendered from the models.

``python -m moorage_crds.render DIRECTORY`` writes one file per resource, ``--check`` compares.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from moorage_crds.base import Model
from moorage_crds.names import PLANS, POLICIES, POOLS, ROLES, ApiResource
from moorage_crds.plan import PlacementPlan
from moorage_crds.policy import PlacementPolicy
from moorage_crds.pool import GPUInferencePool
from moorage_crds.role import GPUInferenceRole
from moorage_crds.schema import structural_schema

HEADER = "# Rendered from the models by `python -m moorage_crds.render`; edit those.\n"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of ``kubectl get``; a ``wide`` one shows with ``-o wide`` only."""

    name: str
    path: str
    type: str = "string"
    description: str = ""
    wide: bool = False

    def to_manifest(self) -> dict[str, Any]:
        """Return the entry of ``additionalPrinterColumns``."""
        entry: dict[str, Any] = {"name": self.name, "type": self.type, "jsonPath": self.path}
        if self.description:
            entry["description"] = self.description
        if self.wide:
            entry["priority"] = 1
        return entry


def _condition(kind: str, field: str) -> str:
    return f'.status.conditions[?(@.type=="{kind}")].{field}'


AGE = Column("Age", ".metadata.creationTimestamp", "date")

COLUMNS: dict[ApiResource, tuple[Column, ...]] = {
    POOLS: (
        Column("Ready", _condition("Ready", "status"), description="Whether all replicas serve"),
        Column("Desired", ".status.desired", "integer", "Replicas wished for"),
        Column("Placed", ".status.placed", "integer", "Replicas whose pods have a node"),
        Column("Reason", _condition("Ready", "reason"), description="Why it is ready or not"),
        AGE,
        Column("Model", ".spec.model.name", wide=True),
        Column("Priority", ".spec.priorityClassName", wide=True),
        Column("Message", _condition("Ready", "message"), wide=True),
    ),
    ROLES: (
        Column("Pool", ".spec.poolName"),
        Column("Role", ".spec.roleName"),
        Column("Desired", ".status.desired", "integer", "Replicas that the role should have"),
        Column("Placed", ".status.placed", "integer", "Replicas whose pods have a node"),
        Column("Ready", ".status.ready", "integer", "Replicas that are ready"),
        Column("Class", ".status.classes", description="Accelerator classes and replicas"),
        AGE,
    ),
    PLANS: (
        Column("Phase", ".status.phase"),
        Column("Trigger", ".spec.trigger"),
        Column("Verdict", ".spec.certificate.status"),
        Column("Moves", ".status.progress", description="Moves done of all moves"),
        AGE,
        Column("Mode", ".spec.mode", wide=True),
        Column("Reason", ".spec.certificate.reason", wide=True),
    ),
    POLICIES: (
        Column("Actuation", ".spec.actuation"),
        Column("Ready", _condition("Ready", "status")),
        Column("Reason", _condition("Ready", "reason")),
        AGE,
    ),
}

MODELS: dict[ApiResource, type[Model]] = {
    POOLS: GPUInferencePool,
    ROLES: GPUInferenceRole,
    PLANS: PlacementPlan,
    POLICIES: PlacementPolicy,
}

SCALE = {
    "specReplicasPath": ".spec.replicas",
    "statusReplicasPath": ".status.replicas",
    "labelSelectorPath": ".status.selector",
}


def crd_manifests() -> list[dict[str, Any]]:
    """Return the CustomResourceDefinitions of all our resources, ready to apply."""
    return [_manifest(resource) for resource in MODELS]


def render_files() -> dict[str, str]:
    """Return the content of each file by its name."""
    return {
        f"{resource.group}_{resource.plural}.yaml": HEADER
        + yaml.safe_dump(_manifest(resource), sort_keys=False, width=100, allow_unicode=True)
        for resource in MODELS
    }


def _manifest(resource: ApiResource) -> dict[str, Any]:
    subresources: dict[str, Any] = {"status": {}}
    if resource == ROLES:
        subresources["scale"] = dict(SCALE)
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": resource.crd_name},
        "spec": {
            "group": resource.group,
            "scope": "Namespaced" if resource.namespaced else "Cluster",
            "names": {
                "kind": resource.kind,
                "listKind": f"{resource.kind}List",
                "plural": resource.plural,
                "singular": resource.kind.lower(),
                "shortNames": [resource.short],
                "categories": ["moorage"],
            },
            "versions": [
                {
                    "name": resource.version,
                    "served": True,
                    "storage": True,
                    "subresources": subresources,
                    "additionalPrinterColumns": [c.to_manifest() for c in COLUMNS[resource]],
                    "schema": {"openAPIV3Schema": structural_schema(MODELS[resource])},
                }
            ],
        },
    }


def stale_files(directory: Path) -> list[str]:
    """Return the names of files that are missing or differ from the models."""
    return [
        name
        for name, content in render_files().items()
        if not (directory / name).is_file() or (directory / name).read_text("utf-8") != content
    ]


def main(arguments: list[str] | None = None) -> int:
    """Write the files, or with ``--check`` say which are stale; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m moorage_crds.render", description=__doc__)
    parser.add_argument("directory", nargs="?", type=Path, default=Path("crds"))
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    options = parser.parse_args(arguments)
    stale = stale_files(options.directory)
    if options.check:
        for name in stale:
            sys.stderr.write(f"{options.directory / name} differs from the models; render it\n")
        return 1 if stale else 0
    for name in stale:
        (options.directory / name).write_text(render_files()[name], "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
