"""Images of our programs without a base image: Debian's Python, the locks, the same wheel."""

from __future__ import annotations

import compileall
import py_compile
import re
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from moorage_cli.control_plane.progress import Report
from moorage_cli.kind import debian
from moorage_cli.kind.archive import Image, Layer, kept_layer, make_layer, write_archive
from moorage_cli.kind.places import cache, digest
from moorage_cli.kind.run import run
from moorage_policies.errors import BadInputError

REGISTRY: Final = "registry.moorage.dev/moorage"
_SITE: Final = "venv/lib/python3.11/site-packages"
_SCRIPT: Final = re.compile(r"^(\S+) = (\S+):(\S+)$", re.MULTILINE)
_BILL: Final = "usr/share/sbom/moorage.cdx.json"
_USER: Final = "65532:65532"
_ENVIRONMENT: Final = (
    "PYTHONDONTWRITEBYTECODE=1", "PYTHONUNBUFFERED=1", "NUMBA_CACHE_DIR=/tmp/numba",
)  # fmt: skip
_BYTECODE: Final = str(sys.implementation.cache_tag)
_EPOCH: Final = {"SOURCE_DATE_EPOCH": "315532800"}  # the wheel's content alone decides its bytes


@dataclass(frozen=True, slots=True)
class Program:
    """One program of ours that has an image.

    Args:
        name: of the image.
        lock: extra of the project whose locked packages it needs.
    """

    name: str
    lock: str

    @property
    def script(self) -> str:
        """The console script that the image runs."""
        return f"moorage-{self.name}"


PROGRAMS: Final = (
    Program("extender", "extender"),
    Program("operator", "operator"),
    Program("probe", "probe"),
    Program("mock-device-plugin", "mock"),
    Program("sample-engine", "engine"),
)


@dataclass(frozen=True, slots=True)
class Archive:
    """A file with images.

    Args:
        file: as ``docker save`` writes it.
        images: their names.
    """

    file: Path
    images: Sequence[str]


def program_images(source: Path, report: Report) -> Archive:
    """Return an archive with the images of all our programs, made from a checkout.

    Args:
        source: folder with ``pyproject.toml`` and ``images/``.
        report: told what is going on while it takes long.

    Raises:
        BadInputError: the folder is no checkout of Moorage.
    """
    project = source / "pyproject.toml"
    if not project.exists() or not (source / "images").is_dir():
        raise BadInputError(f"{source} is no checkout of Moorage", field="--source")
    version = tomllib.loads(project.read_text())["project"]["version"]
    folder = cache() / "images"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache(), prefix=".programs-") as scratch:
        wheel = _wheel(source, Path(scratch))
        names = [f"{REGISTRY}/{program.name}:{version}" for program in PROGRAMS]
        locks = {program.name: _lock(source, program) for program in PROGRAMS}
        parts: list[bytes | str] = [wheel.read_bytes(), Path(__file__).read_bytes(), repr(locks)]
        key = digest(parts)
        archive = folder / f"programs-{key}.tar"
        if not archive.exists():
            _write(archive, source, wheel, locks, names, version, report)
    return Archive(archive, names)


def _write(
    archive: Path,
    source: Path,
    wheel: Path,
    locks: Mapping[str, Mapping[str, str]],
    names: Sequence[str],
    version: str,
    report: Report,
) -> None:
    python, project = _python_layer(report), _project_layer(wheel)
    shared = _shared_layers(locks, report)
    images = []
    for program, name in zip(PROGRAMS, names, strict=True):
        packages = [layer for users, layer in shared.items() if program.name in users]
        labels = {
            "org.opencontainers.image.title": program.script,
            "org.opencontainers.image.version": version,
            "org.opencontainers.image.licenses": "Apache-2.0",
            "org.opencontainers.image.vendor": "The Moorage authors",
            "dev.moorage.sbom": f"/{_BILL}",
        }
        layers = [python, *packages, project, _bill_layer(source, program, wheel.parent)]
        entry = [f"/venv/bin/{program.script}"]
        images.append(Image(name, layers, entry, _USER, _ENVIRONMENT, labels))
    report("writing the images of our programs", str(archive))
    for old in archive.parent.glob("programs-*.tar"):  # each code change makes another
        old.unlink()
    write_archive(images, archive)


def _shared_layers(
    locks: Mapping[str, Mapping[str, str]], report: Report
) -> dict[frozenset[str], Layer]:
    """Layers of packages by the programs that use them, so that none is there twice."""
    groups: dict[frozenset[str], list[str]] = {}
    for line in sorted({line for lock in locks.values() for line in lock.values()}):
        users = frozenset(name for name, lock in locks.items() if line in lock.values())
        groups.setdefault(users, []).append(line)
    return {users: _packages_layer(lines, report) for users, lines in groups.items()}


def _wheel(source: Path, scratch: Path) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel"]
    run([*command, "--directory", scratch], cwd=source, environment=_EPOCH)
    return next(scratch.glob("*.whl"))


def _lock(source: Path, program: Program) -> dict[str, str]:
    """The lines of a program's lock, hashes included, by requirement."""
    text = (source / f"images/requirements-{program.lock}.lock").read_text().replace("\\\n", " ")
    lines = (re.sub(r"\s+", " ", line).strip() for line in text.splitlines())
    return {line.split()[0]: line for line in lines if "==" in line and not line.startswith("#")}


def _python_layer(report: Report) -> Layer:
    key = digest([Path(debian.__file__).read_bytes(), _BYTECODE])
    file = cache() / "layers" / f"python-{key}.tar"

    def fill(folder: Path) -> None:
        debian.python_root(folder, report)
        # As a virtual environment of Debian's Python has it.
        (folder / "venv/bin").mkdir(parents=True)
        (folder / "venv/bin/python3").symlink_to("/usr/bin/python3")
        (folder / "venv/pyvenv.cfg").write_text("home = /usr/bin\nversion = 3.11\n")
        (folder / _SITE).mkdir(parents=True)
        _compile(folder)

    return kept_layer(file, fill)


def _packages_layer(lines: Iterable[str], report: Report) -> Layer:
    """The locked packages, each file checked against its hash."""
    lines = sorted(lines)
    file = cache() / "layers" / f"packages-{digest([*lines, _BYTECODE])}.tar"

    def fill(folder: Path) -> None:
        report("installing locked packages", f"{len(lines)} of them")
        lock = folder / "lock"
        lock.write_text("\n".join(lines))
        _install(folder, "--require-hashes", "--requirement", lock)
        lock.unlink()
        _compile(folder)

    return kept_layer(file, fill)


def _project_layer(wheel: Path) -> Layer:
    """Our wheel with all its console scripts, as `pip install` leaves it in every image."""
    folder = wheel.parent / "project"
    folder.mkdir()
    _install(folder, "--no-index", wheel)
    scripts = folder / "venv/bin"
    scripts.mkdir()
    (listed,) = (folder / _SITE).glob("moorage-*.dist-info/entry_points.txt")
    for name, module, function in _SCRIPT.findall(listed.read_text()):
        script = scripts / name
        script.write_text(
            "#!/venv/bin/python3\nimport sys\n"
            f"from {module} import {function}\nsys.exit({function}())\n"
        )
        script.chmod(0o755)
    _compile(folder)
    return make_layer(folder, wheel.parent / "project.tar")


def _bill_layer(source: Path, program: Program, scratch: Path) -> Layer:
    """The bill of materials: every locked package with its version and hashes."""
    folder = scratch / f"bill-{program.name}"
    bill = folder / _BILL
    bill.parent.mkdir(parents=True)
    command = [sys.executable, "-m", "cyclonedx_py", "requirements", "--output-reproducible"]
    command += ["--pyproject", str(source / "pyproject.toml"), "--output-file", str(bill)]
    run([*command, source / f"images/requirements-{program.lock}.lock"])
    return make_layer(folder, scratch / f"bill-{program.name}.tar")


def _compile(folder: Path) -> None:
    """Add bytecode, which a read-only image cannot keep, if this Python writes the image's kind."""
    if sys.version_info[:2] == (3, 11):
        compileall.compile_dir(
            folder,
            quiet=2,  # packages carry templates that are no programs
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
            stripdir=str(folder),
            prependdir="/",
        )


def _install(folder: Path, *what: str | Path) -> None:
    site = folder / _SITE
    site.mkdir(parents=True)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile"]
    run([*pip, "--only-binary=:all:", "--python-version=3.11", "--target", site, *what])
    shutil.rmtree(site / "bin", ignore_errors=True)  # scripts of this machine's Python
