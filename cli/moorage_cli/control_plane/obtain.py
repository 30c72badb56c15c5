"""All programs of a control plane, by whatever way works: found, downloaded or built."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from moorage_cli.control_plane.binaries import (
    DOWNLOADED,
    UNPACKED,
    Binaries,
    cache_directory,
    find_binaries,
    find_programs,
    go_version,
)
from moorage_cli.control_plane.build import build_programs
from moorage_cli.control_plane.download import Hosts, download_programs
from moorage_cli.control_plane.errors import BuildFailedError
from moorage_cli.control_plane.package import unpack_package
from moorage_cli.control_plane.progress import Report
from moorage_cli.control_plane.toolchains import (
    Toolchain,
    descheduler_toolchain,
    helm_toolchain,
    prometheus_toolchain,
    toolchains,
)

_LOCK_DEADLINE_S: Final = 3_600.0


def obtain_binaries(minor: str, report: Report, hosts: Hosts | None = Hosts()) -> Binaries:  # noqa: B008 - frozen
    """The programs of a control plane; those not found are downloaded, else built.

    Args:
        minor: Kubernetes minor (``1.34``).
        report: told what is going on while it takes long.
        hosts: servers to download from, ``None`` to download nothing.

    Raises:
        BuildFailedError: when a program can be had in no way.
    """
    for toolchain in toolchains(minor):
        obtain_programs(toolchain, report, hosts)
    return find_binaries(minor)


def obtain_programs(
    toolchain: Toolchain,
    report: Report,
    hosts: Hosts | None = Hosts(),  # noqa: B008 - frozen
    *,
    exact: bool = False,
) -> dict[str, Path]:
    """The programs of one toolchain; those not found are downloaded, else built.

    Args:
        toolchain: of the programs.
        report: told what is going on while it takes long.
        hosts: servers to download from, ``None`` to download nothing.
        exact: installed programs do not count, as they go into an image.

    Raises:
        BuildFailedError: when a program can be had in no way.
    """
    if _missing(toolchain, exact=exact):
        _obtain(toolchain, report, hosts, exact=exact)
    return find_programs(toolchain, exact=exact)


def obtain_helm(report: Report, hosts: Hosts | None = Hosts()) -> Path:  # noqa: B008 - frozen
    """The helm program; when it is not found it is downloaded, else built.

    Args:
        report: told what is going on while it takes long.
        hosts: servers to download from, ``None`` to download nothing.

    Raises:
        BuildFailedError: when it can be had in no way.
    """
    return obtain_programs(helm_toolchain(), report, hosts)["helm"]


def obtain_prometheus(report: Report) -> Path:
    """The prometheus program: installed, of the system's package, or built.

    Args:
        report: told what is going on while it takes long.

    Raises:
        BuildFailedError: when it can be had in no way.
    """
    return obtain_programs(prometheus_toolchain(), report, None)["prometheus"]


def obtain_descheduler(report: Report) -> Path:
    """The descheduler program: installed, or built.

    Args:
        report: told what is going on while it takes long.

    Raises:
        BuildFailedError: when it can be had in no way.
    """
    return obtain_programs(descheduler_toolchain(), report, None)["descheduler"]


def _obtain(toolchain: Toolchain, report: Report, hosts: Hosts | None, *, exact: bool) -> None:
    cache = cache_directory(toolchain)
    try:
        cache.mkdir(parents=True, exist_ok=True)
        (cache / ".lock").touch()
    except OSError as error:
        raise BuildFailedError(
            f"cannot write to the cache {cache} ({error.strerror}); set XDG_CACHE_HOME to a folder "
            "that can be written to, or $KUBEBUILDER_ASSETS to one that holds the programs"
        ) from error
    lock = FileLock(cache / ".lock")
    with _held(lock, report):
        missing = _missing(
            toolchain, exact=exact
        )  # again: another process may have got them meanwhile
        if not missing:
            return
        if (
            hosts
            and toolchain.published
            and download_programs(toolchain, missing, cache / DOWNLOADED, report, hosts)
        ):
            return
        if unpack_package(toolchain, missing, cache / UNPACKED, report):
            return
        build_programs(toolchain, missing, cache / (go_version() or "go"), report)


def _held(lock: FileLock, report: Report) -> AbstractContextManager[object]:
    try:
        return lock.acquire(timeout=0)
    except Timeout:
        report("waiting", f"another process gets the same programs and holds {lock.lock_file}")
        try:
            return lock.acquire(timeout=_LOCK_DEADLINE_S)
        except Timeout as error:
            raise BuildFailedError(
                f"another process holds {lock.lock_file} for {_LOCK_DEADLINE_S:g} s; end it and "
                "try again"
            ) from error


def _missing(toolchain: Toolchain, *, exact: bool) -> list[str]:
    found = find_programs(toolchain, exact=exact)
    return [program for program in toolchain.packages if program not in found]
