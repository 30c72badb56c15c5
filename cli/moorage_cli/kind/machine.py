"""What this machine must be able to do before a container engine can be started on it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from moorage_cli.kind.packages import find, missing_packages
from moorage_cli.kind.run import succeeds

ENGINE_PROGRAMS: Final = ("docker", "dockerd", "containerd", "runc", "iptables", "jq")

_NEEDED_CAPABILITIES: Final = {"CAP_NET_ADMIN": 12, "CAP_SYS_CHROOT": 18, "CAP_SYS_ADMIN": 21}
_CAP_SYS_RESOURCE: Final = 24
_CONTROL_GROUPS: Final = Path("/sys/fs/cgroup")
_TRIED_WITHIN_S: Final = 20.0


def why_unfit() -> tuple[str, ...]:
    """Return what this machine lacks to run a container engine; nothing when it is fit."""
    return (*_lacking_rights(), *_lacking_kernel(), *_lacking_programs())


def may_set_limits() -> bool:
    """Return whether containers can have every capability, ``CAP_SYS_RESOURCE`` included."""
    return _may(_CAP_SYS_RESOURCE)


def _lacking_rights() -> Iterator[str]:
    if os.geteuid() != 0:
        yield "root's rights"
    yield from (name for name, bit in _NEEDED_CAPABILITIES.items() if not _may(bit))


def _lacking_kernel() -> Iterator[str]:
    unified = (_CONTROL_GROUPS / "cgroup.controllers").exists()
    if not unified and not (_CONTROL_GROUPS / "memory").exists():
        yield f"control groups at {_CONTROL_GROUPS}"
    elif not _is_writable(_CONTROL_GROUPS if unified else _CONTROL_GROUPS / "memory"):
        yield "control groups that can be written to"
    filesystems = Path("/proc/filesystems")
    if not filesystems.exists() or "overlay" not in filesystems.read_text():
        yield "the overlay file system"
    alone = ["unshare", "--net", "--"]
    if not succeeds([*alone, "true"], deadline_s=_TRIED_WITHIN_S):
        yield "network namespaces"
    elif iptables := find("iptables"):
        listing = [*alone, iptables, "--table", "nat", "--list", "--numeric"]
        if not succeeds(listing, deadline_s=_TRIED_WITHIN_S):
            yield "iptables with address translation"


def _lacking_programs() -> Iterator[str]:
    packages = missing_packages(ENGINE_PROGRAMS)
    if packages and find("apt-get") is None:
        yield f"the packages {', '.join(packages)}"


def _is_writable(folder: Path) -> bool:
    """Whether a control group can be made: the mount may be read-only whatever its mode says."""
    trial = folder / f"moorage-trial-{os.getpid()}"
    try:
        trial.mkdir()
        trial.rmdir()
    except OSError:
        return False
    return True


def _may(capability: int) -> bool:
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return False
    bounds = next(line for line in status.splitlines() if line.startswith("CapBnd:"))
    return bool(int(bounds.split()[1], 16) >> capability & 1)
