"""Released programs from their projects' servers, taken only with a matching published checksum."""

from __future__ import annotations

import hashlib
import http.client
import json
import shutil
import tarfile
import tempfile
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from moorage_cli.control_plane.progress import Report
from moorage_cli.control_plane.toolchains import Toolchain, target_platform

_TIMEOUT_S: Final = 5.0
_CHUNK_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Hosts:
    """Base addresses of the servers that publish releases."""

    kubernetes: str = "https://dl.k8s.io"
    github: str = "https://github.com"
    github_api: str = "https://api.github.com"
    helm: str = "https://get.helm.sh"


@dataclass(frozen=True, slots=True)
class Release:
    """One published file.

    Args:
        address: where it is.
        checksum_address: a text or a GitHub release document with its SHA-256.
        member: path of the program inside the archive, empty when the file is the program.
    """

    address: str
    checksum_address: str
    member: str = ""


class _NotAvailableError(Exception):
    """The release cannot be had here; the next way is tried."""


def download_programs(
    toolchain: Toolchain,
    programs: Iterable[str],
    folder: Path,
    report: Report,
    hosts: Hosts = Hosts(),
) -> bool:
    """Put the programs into the folder; ``False`` when any of them cannot be had."""
    step = f"downloading {toolchain.project} {toolchain.version}"
    try:
        for program in programs:
            report(step, program)
            _download(release_of(toolchain, program, hosts), folder / program)
    except (OSError, http.client.HTTPException, tarfile.TarError, _NotAvailableError) as error:
        report(step, f"not available: {error}")
        return False
    return True


def release_of(toolchain: Toolchain, program: str, hosts: Hosts) -> Release:
    """Where the project publishes a program for this machine."""
    system, architecture = target_platform()
    version = f"v{toolchain.version}"
    if toolchain.project in ("kubernetes", "kubernetes-node"):
        address = f"{hosts.kubernetes}/release/{version}/bin/{system}/{architecture}/{program}"
        return Release(address, f"{address}.sha256")
    if toolchain.project == "etcd":
        base = f"{hosts.github}/etcd-io/etcd/releases/download/{version}"
        name = f"etcd-{version}-{system}-{architecture}"
        return Release(f"{base}/{name}.tar.gz", f"{base}/SHA256SUMS", f"{name}/etcd")
    if toolchain.project == "helm":
        address = f"{hosts.helm}/helm-{version}-{system}-{architecture}.tar.gz"
        return Release(address, f"{address}.sha256sum", f"{system}-{architecture}/helm")
    if toolchain.project == "coredns":
        base = f"{hosts.github}/coredns/coredns/releases/download/{version}"
        address = f"{base}/coredns_{toolchain.version}_{system}_{architecture}.tgz"
        return Release(address, f"{address}.sha256", "coredns")
    if toolchain.project == "kind":
        base = f"{hosts.github}/kubernetes-sigs/kind/releases/download/{version}"
        address = f"{base}/kind-{system}-{architecture}"
        return Release(address, f"{address}.sha256sum")
    repository = "kubernetes-sigs/kwok"
    return Release(
        f"{hosts.github}/{repository}/releases/download/{version}/kwok-{system}-{architecture}",
        f"{hosts.github_api}/repos/{repository}/releases/tags/{version}",
    )


def published_sha256(document: str, file_name: str) -> str | None:
    """The checksum of a file in a bare hash, a ``sha256sum`` list or a GitHub release document."""
    if document.lstrip().startswith("{"):
        assets = {asset["name"]: asset for asset in json.loads(document).get("assets", ())}
        digest = assets.get(file_name, {}).get("digest") or ""
        return digest.removeprefix("sha256:") if digest.startswith("sha256:") else None
    for line in document.splitlines():
        words = line.split()
        if len(words) == 1 or (words and words[-1].lstrip("*") == file_name):
            return words[0]
    return None


def _download(release: Release, target: Path) -> None:
    file_name = release.address.rpartition("/")[2]
    with _open(release.checksum_address) as answer:
        expected = published_sha256(answer.read().decode(), file_name)
    if expected is None:
        raise _NotAvailableError(f"no checksum of {file_name} is published")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        file = Path(scratch) / "download"
        actual = _fetch(release.address, file)
        if actual != expected:
            raise _NotAvailableError(f"{file_name} has checksum {actual}, not {expected}")
        program = _extract(file, release.member) if release.member else file
        program.chmod(0o755)
        program.replace(target)


def _fetch(address: str, file: Path) -> str:
    digest = hashlib.sha256()
    with _open(address) as answer, file.open("wb") as output:
        while chunk := answer.read(_CHUNK_BYTES):
            digest.update(chunk)
            output.write(chunk)
    return digest.hexdigest()


def _extract(archive: Path, member: str) -> Path:
    program = archive.with_name("program")
    with tarfile.open(archive) as opened:
        content = opened.extractfile(member)
        if content is None:
            raise _NotAvailableError(f"{member} is no file of the archive")
        with content, program.open("wb") as output:
            shutil.copyfileobj(content, output)
    return program


def _open(address: str) -> http.client.HTTPResponse:
    answer: http.client.HTTPResponse = urllib.request.urlopen(  # noqa: S310 - addresses of `Hosts`
        address, timeout=_TIMEOUT_S
    )
    return answer
