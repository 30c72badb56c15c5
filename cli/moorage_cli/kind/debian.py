"""Root file systems from Debian packages, for images that have no base image here."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from moorage_cli.control_plane.progress import Report
from moorage_cli.kind.packages import require
from moorage_cli.kind.run import run

SUITE: Final = "bookworm"  # Debian 12: Python 3.11, systemd that still knows cgroup v1

NODE_PACKAGES: Final = (
    "systemd", "systemd-sysv", "dbus", "iptables", "nftables", "conntrack", "ethtool", "ipset",
    "iproute2", "kmod", "procps", "mount", "util-linux", "ca-certificates", "curl", "jq",
    "hostname", "containerd", "runc", "containernetworking-plugins",
)  # fmt: skip
PYTHON_PACKAGES: Final = ("python3", "python3.11", "libstdc++6")

# Package scripts do not run in the Python image, so nothing in it needs these.
_UNUSED: Final = ("bin/tar", "sbin", "usr/sbin", "var/lib/dpkg", "usr/lib/dpkg", "usr/share/doc")
_LEFT_OUT: Final = ("doc", "man", "locale", "info")


def node_root(target: Path, report: Report) -> None:
    """Fill a folder with Debian and what a Kubernetes node needs of it."""
    _extract("minbase", NODE_PACKAGES, target, report)


def python_root(target: Path, report: Report) -> None:
    """Fill a folder with Python and its libraries alone: no shell, no package manager."""
    _extract("extract", PYTHON_PACKAGES, target, report)
    for name in _UNUSED:
        path = target / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    for program in (target / "usr/bin").iterdir():
        if not program.name.startswith("python3"):
            program.unlink()
    (target / "tmp").chmod(0o1777)
    (target / "etc/passwd").write_text("nonroot:x:65532:65532::/:/sbin/nologin\n")
    (target / "etc/group").write_text("nonroot:x:65532:\n")


def _extract(variant: str, packages: Sequence[str], target: Path, report: Report) -> None:
    require(["mmdebstrap"], report)
    shutil.rmtree(target, ignore_errors=True)
    report("unpacking Debian packages", f"{', '.join(packages)} (about a minute)")
    excluded = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in _LEFT_OUT]
    run(
        [
            "mmdebstrap",
            f"--variant={variant}",
            "--aptopt=APT::Install-Recommends false",
            *excluded,
            f"--include={','.join(packages)}",
            SUITE,
            target,
        ]
    )
