"""Where the programs of a control plane are: installed, in the cache, or nowhere yet."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import platformdirs

from moorage_cli.control_plane.errors import MissingBinariesError
from moorage_cli.control_plane.toolchains import Toolchain, target_platform, toolchains

ASSETS_VARIABLE: Final = "KUBEBUILDER_ASSETS"
DOWNLOADED: Final = "release"
UNPACKED: Final = "package"

_VERSION: Final = re.compile(r"v?(\d+)\.(\d+)\.\d+")
_VERSION_ARGUMENTS: Final = {
    "descheduler": ["version"],
    "helm": ["version", "--short"],
    "kind": ["version"],
    "kubectl": ["version", "--client"],
}
_VERSION_TIMEOUT_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Binaries:
    """The programs of one control plane.

    Args:
        minor: Kubernetes minor (``1.34``).
        paths: program name to its file.
    """

    minor: str
    paths: Mapping[str, Path]

    def __getitem__(self, program: str) -> Path:
        return self.paths[program]


def find_binaries(minor: str) -> Binaries:
    """The programs that are there now, without network and without building.

    Raises:
        MissingBinariesError: names what is missing and the command that gets it.
    """
    paths: dict[str, Path] = {}
    for toolchain in toolchains(minor):
        found = find_programs(toolchain)
        missing = sorted(toolchain.packages.keys() - found.keys())
        if missing:
            raise MissingBinariesError(
                f"no {', '.join(missing)} {toolchain.minor} in ${ASSETS_VARIABLE}, on PATH or in "
                f"{cache_directory(toolchain)}; run `moorage control-plane build --minors {minor}`"
            )
        paths.update(found)
    return Binaries(minor, paths)


def find_programs(toolchain: Toolchain, *, exact: bool = False) -> dict[str, Path]:
    """The toolchain's programs that are installed in a fitting version, or else cached.

    Args:
        toolchain: of the programs.
        exact: leave out installed ones: another patch, or linked to this machine's libraries.
    """
    found = {
        program: path
        for program in toolchain.packages
        if not exact and (path := _installed(program, toolchain)) is not None
    }
    for folder in cached_builds(toolchain):
        for program in toolchain.packages:
            path = folder / program
            if program not in found and os.access(path, os.X_OK):
                found[program] = path
    return found


def cache_directory(toolchain: Toolchain) -> Path:
    """Where downloads and builds of exactly this toolchain are kept for this machine's kind."""
    name = "-".join([toolchain.version, *target_platform(), toolchain.fingerprint()])
    return platformdirs.user_cache_path("moorage") / "control-plane" / toolchain.project / name


def cached_builds(toolchain: Toolchain) -> Iterable[Path]:
    """Folders that may hold programs: what was unpacked, this Go's build, any's without Go."""
    cache = cache_directory(toolchain)
    yield cache / DOWNLOADED
    yield cache / UNPACKED
    version = go_version()
    if version is not None:
        yield cache / version
    else:
        yield from sorted(cache.glob("go*"), reverse=True)


def go_version() -> str | None:
    """Version of the installed Go (``go1.26.8``), ``None`` when there is none."""
    go = shutil.which("go")
    if go is None:
        return None
    answer = _output([go, "env", "GOVERSION"]).strip()
    return answer.split()[0] if answer else None


def _installed(program: str, toolchain: Toolchain) -> Path | None:
    for variable in (ASSETS_VARIABLE, "PATH"):
        path = shutil.which(program, path=os.environ.get(variable) or os.devnull)
        if path is not None and _version_fits(program, Path(path), toolchain):
            return Path(path)
    return None


def _version_fits(program: str, path: Path, toolchain: Toolchain) -> bool:
    arguments = _VERSION_ARGUMENTS.get(program, ["--version"])
    version = _VERSION.search(_output([str(path), *arguments]))
    if version is None:
        return False
    major, minor = int(version[1]), int(version[2])
    if toolchain.oldest is not None:
        return (major, minor) >= toolchain.oldest
    wanted_major, wanted_minor = (int(part) for part in toolchain.minor.split("."))
    skew = 1 if program == "kubectl" else 0  # the skew that Kubernetes supports
    return major == wanted_major and abs(minor - wanted_minor) <= skew


def _output(command: list[str]) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_VERSION_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout
