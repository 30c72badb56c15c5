"""Programs built from their Go modules, with exactly the sums that the project ships."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from moorage_cli.control_plane.binaries import ASSETS_VARIABLE
from moorage_cli.control_plane.errors import BuildFailedError, ComponentFailedError
from moorage_cli.control_plane.processes import Component, ProcessGroup, wait_until
from moorage_cli.control_plane.progress import Report
from moorage_cli.control_plane.toolchains import Toolchain

_DEADLINE_S: Final = 3_600.0


def build_programs(
    toolchain: Toolchain, programs: Sequence[str], folder: Path, report: Report
) -> None:
    """Build the programs and put them into the folder, all or none.

    Raises:
        BuildFailedError: when Go is missing or fails, with what it said.
    """
    go = go_program(toolchain, programs)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".build-") as scratch:
        # The module is copied: an installed package may be read-only, and go locks its folder.
        module = Path(shutil.copytree(toolchain.module, Path(scratch) / "module"))
        output = Path(scratch) / "programs"
        output.mkdir()
        _run_go(go, toolchain, programs, module, output, report)
        for program in programs:
            (output / program).replace(folder / program)


def go_program(toolchain: Toolchain, programs: Sequence[str]) -> str:
    """The ``go`` on PATH.

    Raises:
        BuildFailedError: there is none to get the programs with.
    """
    go = shutil.which("go")
    if go is None:
        raise BuildFailedError(_missing_go(toolchain, programs))
    return go


def build_command(
    go: str, toolchain: Toolchain, programs: Sequence[str], output: Path
) -> list[str]:
    """The ``go build`` that writes the programs into the output folder."""
    # A single main package is named after its folder unless the file is named here.
    target = output / programs[0] if len(programs) == 1 else output
    return [
        go,
        "build",
        "-v",
        "-trimpath",
        "-ldflags",
        toolchain.linker_flags,
        "-o",
        f"{target}{os.sep if target == output else ''}",
        *(toolchain.packages[program] for program in programs),
    ]


def _run_go(
    go: str,
    toolchain: Toolchain,
    programs: Sequence[str],
    module: Path,
    output: Path,
    report: Report,
) -> None:
    step = f"building {toolchain.project} {toolchain.version} ({toolchain.build_time})"
    report(step, ", ".join(programs))
    settings = {"CGO_ENABLED": "0", "GOWORK": "off", "GOFLAGS": "-mod=readonly -buildvcs=false"}
    with closing(ProcessGroup(module, remove_directory=False)) as group:
        command = build_command(go, toolchain, programs, output)
        build = group.spawn("go", command, {**os.environ, **settings})
        try:
            wait_until(lambda: _has_ended(build, step, report), step, deadline_s=_DEADLINE_S)
        except ComponentFailedError as error:
            raise BuildFailedError(f"{error}\n{build.log_tail()}") from error
    if build.process.returncode:
        raise BuildFailedError(
            f"go build exited with code {build.process.returncode} while {step}\n{build.log_tail()}"
        )


def _has_ended(build: Component, step: str, report: Report) -> bool:
    lines = build.log.read_text(errors="replace").splitlines()
    if lines:
        report(step, f"{len(lines)} steps, {lines[-1]}")
    return build.process.poll() is not None


def _missing_go(toolchain: Toolchain, programs: Sequence[str]) -> str:
    return (
        f"no {', '.join(programs)} {toolchain.minor} here, and no `go` on PATH to build them: "
        f"install Go {_needed_go(toolchain)} or newer (https://go.dev/dl), or put the programs on "
        f"PATH or into a folder named in ${ASSETS_VARIABLE}"
    )


def _needed_go(toolchain: Toolchain) -> str:
    """Return the Go that builds this toolchain and its siblings: whoever lacks one lacks all."""
    texts = [path.read_text() for path in toolchain.module.parent.glob("*/go.mod")]
    found = [re.search(r"^go (\S+)$", text, re.MULTILINE) for text in texts]
    return max((one[1] for one in found if one), key=_numbers, default="any version")


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".") if part.isdigit()]
