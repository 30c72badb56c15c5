"""Programs that Debian packages; the missing ones are installed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from typing import Final

from moorage_cli.control_plane.progress import Report
from moorage_cli.kind.errors import MachineUnfitError, StepFailedError
from moorage_cli.kind.run import run

_PACKAGES: Final = {
    "containerd": "containerd",
    "ctr": "containerd",
    "docker": "docker.io",
    "dockerd": "docker.io",
    "iptables": "iptables",
    "jq": "jq",
    "mmdebstrap": "mmdebstrap",
    "runc": "runc",
    "zstd": "zstd",
}
_ADMIN_PATH: Final = "/usr/local/sbin:/usr/sbin:/sbin"


def require(programs: Iterable[str], report: Report) -> None:
    """See to it that the programs are there; apt installs what is missing.

    Raises:
        MachineUnfitError: one is missing and cannot be installed here.
    """
    programs = list(programs)
    packages = missing_packages(programs)
    if not packages:
        return
    install = ["apt-get", "install", "--yes", "--no-install-recommends", *packages]
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        missing = [program for program in programs if find(program) is None]
        raise MachineUnfitError(
            f"{', '.join(missing)} not on PATH: install {', '.join(packages)} "
            f"(as root, on Debian: {' '.join(install)})"
        )
    report("installing packages", ", ".join(packages))
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    install[1:1] = ["-o", "DPkg::Lock::Timeout=300"]
    try:
        run(install, environment=quiet)
    except StepFailedError:  # lists older than the mirror, or none yet
        run(["apt-get", "update"], environment=quiet)
        run(install, environment=quiet)


def missing_packages(programs: Iterable[str]) -> list[str]:
    """Return the packages of those programs that are not there."""
    return sorted({_PACKAGES[program] for program in programs if find(program) is None})


def find(program: str) -> str | None:
    """Return the program's file, looking where administrators' programs are, too."""
    return shutil.which(program, path=f"{os.environ.get('PATH', os.defpath)}:{_ADMIN_PATH}")
