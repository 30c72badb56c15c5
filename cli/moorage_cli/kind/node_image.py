"""The image of kind's nodes: the published one where it can be pulled, else one made here."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from moorage_cli.control_plane.download import Hosts
from moorage_cli.control_plane.obtain import obtain_programs
from moorage_cli.control_plane.progress import Report
from moorage_cli.control_plane.toolchains import (
    DEFAULT_MINOR,
    KUBERNETES_VERSIONS,
    kind_toolchain,
    node_toolchains,
)
from moorage_cli.kind import debian
from moorage_cli.kind.archive import kept_layer
from moorage_cli.kind.control_plane_images import control_plane_images, image_names, preload
from moorage_cli.kind.engine import Engine
from moorage_cli.kind.node_root import NODE_FILES, prepare_node
from moorage_cli.kind.packages import require
from moorage_cli.kind.places import FILES, cache, digest
from moorage_cli.kind.run import run, succeeds

VERSION: Final = KUBERNETES_VERSIONS[DEFAULT_MINOR]
PUBLISHED: Final = f"kindest/node:v{VERSION}"

_SOURCES: Final = ("control_plane_images.py", "debian.py", "node_image.py", "node_root.py")
_PULLED_WITHIN_S: Final = 600.0


def ready_node_image(engine: Engine, report: Report, hosts: Hosts | None) -> str:
    """Return the name of a node image that the engine holds.

    Args:
        engine: that runs the nodes.
        report: told what is going on while it takes long.
        hosts: servers to download from, ``None`` to download and pull nothing.
    """
    own = f"moorage/node:v{VERSION}-{_inputs()}"
    for name in (PUBLISHED, own):
        if engine.has_image(name):
            return name
    archive = cache() / "images" / f"node-{VERSION}-{_inputs()}.tar.zst"
    if archive.exists():
        _load(engine, archive, report)
        return own
    if hosts is not None:
        report("pulling", PUBLISHED)
        pull = ["timeout", f"{_PULLED_WITHIN_S:g}", "docker", "pull", "--quiet", PUBLISHED]
        if succeeds(pull, environment=engine.environment):
            return PUBLISHED
    _build(engine, own, report, hosts)
    _save(engine, own, archive, report)
    return own


def _build(engine: Engine, name: str, report: Report, hosts: Hosts | None) -> None:
    require(["ctr", "containerd", "jq"], report)
    programs: dict[str, Path] = {}
    for toolchain in node_toolchains(DEFAULT_MINOR):
        programs |= obtain_programs(toolchain, report, hosts, exact=True)
    (cache() / "images").mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache(), prefix=".node-") as scratch:
        folder = Path(scratch)
        root = _debian_root(folder / "root", report)
        report("making the node image", "kind's own files and Kubernetes' programs")
        names = image_names(programs, VERSION)
        prepare_node(root, programs, names, VERSION, folder)
        report("making the node image", "images of the control plane")
        archive = control_plane_images(root, programs, names, folder)
        preload(root, archive, folder)
        archive.unlink()
        report("making the node image", "importing it into the engine")
        _import(engine, root, name)


def _debian_root(root: Path, report: Report) -> Path:
    """Debian's part, kept by itself: it takes longest and seldom changes."""
    name = f"node-{digest([Path(debian.__file__).read_bytes()])}.tar"
    layer = kept_layer(cache() / "layers" / name, lambda folder: debian.node_root(folder, report))
    root.mkdir()
    run(["tar", "-C", root, "-xpf", layer.file])
    return root


def _inputs() -> str:
    here = Path(__file__).parent
    parts: list[bytes | str] = [(here / name).read_bytes() for name in _SOURCES]
    parts += [(FILES / name).read_bytes() for name in NODE_FILES]
    toolchains = (kind_toolchain(), *node_toolchains(DEFAULT_MINOR))
    return digest([*parts, *(toolchain.fingerprint() for toolchain in toolchains)])


def _import(engine: Engine, root: Path, name: str) -> None:
    tar = ["tar", "-C", str(root), "-c", "."]
    entry = 'ENTRYPOINT ["/usr/local/bin/entrypoint", "/sbin/init"]'
    changes = ["-c", "ENV container=docker", "-c", entry]
    with subprocess.Popen(tar, stdout=subprocess.PIPE) as files:
        subprocess.run(
            ["docker", "import", *changes, "-", f"{name}-base"],
            env={**os.environ, **engine.environment},
            stdin=files.stdout,
            stdout=subprocess.DEVNULL,
            check=True,
        )
    # `docker import` knows no STOPSIGNAL, which systemd needs.
    recipe = f"FROM {name}-base\nSTOPSIGNAL SIGRTMIN+3\n".encode()
    run(
        ["docker", "build", "--quiet", "--tag", name, "-"],
        environment={**engine.environment, "DOCKER_BUILDKIT": "0"},
        stdin=recipe,
    )


def _save(engine: Engine, name: str, archive: Path, report: Report) -> None:
    report("keeping the node image", str(archive))
    require(["zstd"], report)
    partial = archive.with_name(f".{archive.name}.partial")
    pipe = 'docker save "$0" | zstd -q -f -3 -T0 -o "$1"'
    run(["bash", "-o", "pipefail", "-c", pipe, name, partial], environment=engine.environment)
    for old in archive.parent.glob("node-*.tar.zst"):
        old.unlink()
    partial.replace(archive)


def _load(engine: Engine, archive: Path, report: Report) -> None:
    report("loading the node image", str(archive))
    require(["zstd"], report)
    pipe = 'zstd -dcq "$0" | docker load -q'
    run(["bash", "-o", "pipefail", "-c", pipe, archive], environment=engine.environment)
