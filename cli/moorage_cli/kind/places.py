"""Where a kind cluster's things are kept on this machine."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import Final

import platformdirs

CLUSTER: Final = "moorage"
FILES: Final = Path(str(files("moorage_cli.kind"))) / "files"


def cache() -> Path:
    """Images, archives and the engine's data: worth keeping between runs."""
    return platformdirs.user_cache_path("moorage") / "kind"


def state() -> Path:
    """What a running cluster needs: its kubeconfig, logs, mounted files."""
    return cache() / "run"


def kubeconfig() -> Path:
    """The administrator's kubeconfig of the running cluster."""
    return state() / "kubeconfig"


def digest(parts: Iterable[bytes | str]) -> str:
    """Return a short name of content: other content, another name."""
    sum_ = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        sum_.update(len(data).to_bytes(8, "big") + data)
    return sum_.hexdigest()[:16]
