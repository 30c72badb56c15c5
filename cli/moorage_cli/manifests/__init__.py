"""What an installation needs in the cluster besides the custom resources, as plain manifests."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import yaml

SYSTEM_NAMESPACE = "moorage-system"


def read_manifests(name: str) -> list[dict[str, Any]]:
    """Return the objects of one shipped manifest file, in the order in which to apply them.

    Args:
        name: ``accounts`` (namespace, ServiceAccounts and their least-privilege RBAC).
    """
    text = files(__name__).joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    return [document for document in yaml.safe_load_all(text) if document]
