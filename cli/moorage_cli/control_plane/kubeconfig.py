"""Kubeconfig files for the users of a control plane."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path

import yaml

from moorage_cli.control_plane.pki import KeyPair

_NAME = "moorage"


def write_certificate_kubeconfig(path: Path, server: str, authority: Path, client: KeyPair) -> Path:
    """A kubeconfig that logs in with a client certificate; all PEM data is inside."""
    user = {
        "client-certificate-data": _encoded(client.certificate),
        "client-key-data": _encoded(client.key),
    }
    return _write(path, server, authority, user)


def write_token_kubeconfig(path: Path, server: str, authority: Path, token: str) -> Path:
    """A kubeconfig that logs in with a bearer token."""
    return _write(path, server, authority, {"token": token})


def _write(path: Path, server: str, authority: Path, user: Mapping[str, str]) -> Path:
    cluster = {"server": server, "certificate-authority-data": _encoded(authority)}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": _NAME, "cluster": cluster}],
        "users": [{"name": _NAME, "user": dict(user)}],
        "contexts": [{"name": _NAME, "context": {"cluster": _NAME, "user": _NAME}}],
        "current-context": _NAME,
    }
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def _encoded(file: Path) -> str:
    return base64.b64encode(file.read_bytes()).decode()
