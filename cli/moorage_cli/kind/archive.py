"""Container images written without an engine: layers, configuration, one archive for all."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from moorage_cli.control_plane.toolchains import target_platform
from moorage_cli.kind.run import run

PATH: Final = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Layer:
    """One tar of files.

    Args:
        file: uncompressed.
        sha256: of the file.
    """

    file: Path
    sha256: str


@dataclass(frozen=True, slots=True)
class Image:
    """What one image holds and how it is run.

    Args:
        name: with registry and tag.
        layers: the lowest first.
        entrypoint: program and arguments, no shell takes part.
        user: number of user and group, empty for root.
        environment: further variables, ``NAME=value``.
        labels: of the image.
    """

    name: str
    layers: Sequence[Layer]
    entrypoint: Sequence[str]
    user: str = ""
    environment: Sequence[str] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


def make_layer(folder: Path, file: Path) -> Layer:
    """Return a layer with all of a folder; the same content gives the same layer."""
    order = ["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner"]
    run(["tar", *order, "--format=gnu", "-C", folder, "-cf", file, "."])
    return read_layer(file)


def read_layer(file: Path) -> Layer:
    """Return the layer that a tar is."""
    with file.open("rb") as content:
        return Layer(file, hashlib.file_digest(content, "sha256").hexdigest())


def kept_layer(file: Path, fill: Callable[[Path], None]) -> Layer:
    """Return the layer in this file; when it is not there, of a folder that is filled for it."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=file.parent, prefix=".layer-") as scratch:
            folder = Path(scratch) / "root"
            folder.mkdir()
            fill(folder)
            made = make_layer(folder, Path(scratch) / "layer.tar")
            made.file.replace(file)
    return read_layer(file)


def write_archive(images: Sequence[Image], target: Path) -> None:
    """Write images as ``docker save`` does, all or nothing; shared layers are there once."""
    partial = target.with_name(f".{target.name}.partial")
    manifest = []
    written = set[str]()
    with tarfile.open(partial, "w", format=tarfile.GNU_FORMAT) as archive:
        for image in images:
            for layer in image.layers:
                if layer.sha256 not in written:
                    written.add(layer.sha256)
                    archive.add(layer.file, _member(layer), filter=_plain)
            configuration = json.dumps(_configuration(image), sort_keys=True).encode()
            name = f"{hashlib.sha256(configuration).hexdigest()}.json"
            _add(archive, name, configuration)
            manifest.append(
                {
                    "Config": name,
                    "RepoTags": [image.name],
                    "Layers": [_member(layer) for layer in image.layers],
                }
            )
        _add(archive, "manifest.json", json.dumps(manifest).encode())
    partial.replace(target)


def _configuration(image: Image) -> dict[str, Any]:
    system, architecture = target_platform()
    return {
        "architecture": architecture,
        "os": system,
        "config": {
            "Entrypoint": list(image.entrypoint),
            "Env": [PATH, *image.environment],
            "User": image.user,
            "WorkingDir": "/",
            "Labels": dict(image.labels),
        },
        "rootfs": {
            "type": "layers",
            "diff_ids": [f"sha256:{layer.sha256}" for layer in image.layers],
        },
        "history": [{"created_by": "moorage kind image"} for _ in image.layers],
    }


def _member(layer: Layer) -> str:
    return f"{layer.sha256}/layer.tar"


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))


def _plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.mtime, entry.uid, entry.gid, entry.uname, entry.gname = 0, 0, 0, "", ""
    return entry
