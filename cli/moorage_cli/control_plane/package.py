"""Programs taken out of a Debian package, without installing it."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from moorage_cli.control_plane.progress import Report
from moorage_cli.control_plane.toolchains import Toolchain

_DEADLINE_S: Final = 300.0


def unpack_package(
    toolchain: Toolchain, programs: Sequence[str], folder: Path, report: Report
) -> bool:
    """Put the programs of the toolchain's package into the folder; return whether all are there.

    ``apt-get`` checks what it downloads against the system's keys; nothing is installed or started,
    and nobody has to be root. Where it cannot be had this way, nothing is left behind.
    """
    if not (toolchain.package and shutil.which("apt-get") and shutil.which("dpkg-deb")):
        return False
    report(f"unpacking the system's package {toolchain.package}", ", ".join(programs))
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".unpack-") as scratch:
        if not _run(["apt-get", "download", "--quiet", toolchain.package], scratch):
            return False
        archives = list(Path(scratch).glob("*.deb"))
        if not archives or not _run(["dpkg-deb", "-x", str(archives[0]), "files"], scratch):
            return False
        found = [Path(scratch) / "files" / "usr" / "bin" / program for program in programs]
        if not all(path.is_file() for path in found):
            return False
        for path in found:
            path.replace(folder / path.name)
    return True


def _run(command: Sequence[str], directory: str) -> bool:
    try:
        done = subprocess.run(
            command, cwd=directory, capture_output=True, timeout=_DEADLINE_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
