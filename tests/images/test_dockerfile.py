"""What can be said about the images without a container engine."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
# each image, and the extra that its lock is made from
EXTRAS = {
    "extender": "extender",
    "operator": "operator",
    "probe": "probe",
    "mock-device-plugin": "mock",
    "sample-engine": "engine",
}
PROGRAMS = tuple(EXTRAS)
SBOM = "/usr/share/sbom/moorage.cdx.json"
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
Instruction = tuple[str, str]


def stages() -> dict[str, list[Instruction]]:
    """The instructions of each stage, after the ARGs that are before the first."""
    text = (ROOT / "images/Dockerfile").read_text().replace("\\\n", " ")
    found: dict[str, list[Instruction]] = {}
    current: list[Instruction] = []
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        word, _, rest = line.partition(" ")
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            current = found[name] = [("FROM", base)]
        else:
            current.append((word, rest.strip()))
    return found


def lineage(name: str) -> Iterator[Instruction]:
    """The instructions of a stage and of those that it is made from."""
    all_stages = stages()
    while name in all_stages:
        yield from all_stages[name]
        name = all_stages[name][0][1]


def locked(name: str) -> dict[str, str]:
    """Each requirement of a lock, hashes included, by its package."""
    text = (ROOT / name).read_text().replace("\\\n", " ")
    return {
        canonicalize_name(line.split("==")[0]): " ".join(line.split())
        for line in text.splitlines()
        if "==" in line
    }


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_final_image_runs_the_program_as_nobody_and_runs_nothing_else(program: str) -> None:
    instructions = list(lineage(program))
    words = [word for word, _ in instructions]
    assert "RUN" not in words
    assert "ADD" not in words
    assert ("USER", "65532:65532") in instructions
    assert instructions[0] == ("FROM", "runtime")
    (entry,) = [rest for word, rest in instructions if word == "ENTRYPOINT"]
    (command,) = json.loads(entry)  # a list: no shell takes part
    assert command == f"/venv/bin/moorage-{program}"
    assert f"moorage-{program}" in PROJECT["project"]["scripts"]
    copied = [rest for word, rest in instructions if word == "COPY"]
    assert copied == [
        f"--from={program}-environment /venv /venv",
        f"--from=sbom /sbom/{EXTRAS[program]}.cdx.json {SBOM}",
    ]
    labels = " ".join(rest for word, rest in instructions if word == "LABEL")
    for label in ("title", "description", "licenses", "version", "revision", "base.name"):
        assert f"org.opencontainers.image.{label}=" in labels
    assert f'dev.moorage.sbom="{SBOM}"' in labels


def test_all_images_install_one_wheel_with_checked_hashes() -> None:
    all_stages = stages()
    for program in PROGRAMS:
        instructions = all_stages[f"{program}-environment"]
        assert ("COPY", "--from=wheel /src/dist dist") in instructions
        installs = [rest for word, rest in instructions if word == "RUN"]
        assert (
            f"--require-hashes --requirement images/requirements-{EXTRAS[program]}.lock"
            in installs[0]
        )
        assert "--no-deps --no-index dist/*.whl" in installs[1]


def test_everything_copied_exists_and_is_not_ignored() -> None:
    lines = (ROOT / "images/Dockerfile.dockerignore").read_text().splitlines()
    allowed = [line.removeprefix("!") for line in lines if line.startswith("!")]
    for word, rest in (i for stage in stages().values() for i in stage):
        if word == "COPY" and not rest.startswith("--from"):
            for source in rest.split()[:-1]:
                assert (ROOT / source).exists(), source
                assert any(
                    Path(source).match(pattern) or pattern.startswith(f"{source}/")
                    for pattern in allowed
                ), source


def test_the_wheels_folders_are_all_copied() -> None:
    copied = {rest.split()[0] for word, rest in stages()["wheel"] if word == "COPY"}
    packages = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert all(copied & {package, package.split("/")[0]} for package in packages)


def test_versions_and_the_path_of_python_agree_with_the_chart() -> None:
    chart = yaml.safe_load((ROOT / "charts/moorage/Chart.yaml").read_text())
    version = PROJECT["project"]["version"]
    assert chart["appVersion"] == version
    assert ("ARG", f"VERSION={version}") in stages()["runtime"]
    makefile = (ROOT / "Makefile").read_text()
    assert f"--tag registry.moorage.dev/moorage/$$program:{version} ." in makefile
    assert f"for program in {' '.join(PROGRAMS)}; do" in makefile
    assert "- /venv/bin/python3\n" in (ROOT / "tests/charts/golden/default.yaml").read_text()


@pytest.mark.parametrize("name", [*EXTRAS.values(), "build"])
def test_an_images_lock_is_a_part_of_the_projects(name: str) -> None:
    entries = locked(f"images/requirements-{name}.lock").items()
    assert entries
    assert entries <= locked("requirements.lock").items()
    assert all("--hash=sha256:" in entry for _, entry in entries)


@pytest.mark.parametrize("program", PROGRAMS)
def test_an_images_lock_holds_what_the_program_asks_for(program: str) -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    wanted, open_extras = set(), {EXTRAS[program]}
    asked = [Requirement(text) for text in PROJECT["project"]["dependencies"]]
    while open_extras:
        asked += [Requirement(text) for text in extras[open_extras.pop()]]
        open_extras |= {e for r in asked if r.name == "moorage" for e in r.extras}
        asked = [r for r in asked if r.name != "moorage"]
    wanted = {canonicalize_name(requirement.name) for requirement in asked}
    have = locked(f"images/requirements-{EXTRAS[program]}.lock").keys()
    assert wanted <= have
    assert not {"pytest", "mypy", "typer", "matplotlib"} & have  # nothing for people


def test_the_bill_of_materials_names_exactly_what_is_locked(tmp_path: Path) -> None:
    """Run the very command of the build stage on one lock."""
    (make,) = (rest for word, rest in stages()["sbom"] if word == "RUN")
    loop = re.search(r"for extra in (.*?); do\s+(.*?); done", make)
    assert loop
    assert set(loop[1].split()) == set(EXTRAS.values())
    command = loop[2].replace("/tools/bin/cyclonedx-py", f"{sys.executable} -m cyclonedx_py")
    command = command.replace("$extra", "engine").replace("/sbom/", f"{tmp_path}/")
    subprocess.run(command.split(), cwd=ROOT, check=True, capture_output=True)
    bill = json.loads((tmp_path / "engine.cdx.json").read_text())
    assert (bill["bomFormat"], bill["metadata"]["component"]["name"]) == ("CycloneDX", "moorage")
    found = {f"{canonicalize_name(c['name'])}=={c['version']}" for c in bill["components"]}
    assert found == {
        f"{name}=={entry.split('==')[1].split()[0]}"
        for name, entry in locked("images/requirements-engine.lock").items()
    }
    hashed = [c["externalReferences"][0]["hashes"] for c in bill["components"]]
    assert all(hashed)


def test_the_same_sources_give_the_same_wheel(tmp_path: Path) -> None:
    digests = []
    for turn in ("one", "two"):
        source = tmp_path / turn
        copied = [rest.split() for word, rest in stages()["wheel"] if word == "COPY"]
        for path in (ROOT / name for words in copied for name in words[:-1]):
            if path.is_dir():
                ignore = shutil.ignore_patterns("__pycache__")
                shutil.copytree(path, source / path.relative_to(ROOT), ignore=ignore)
            else:
                source.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, source / path.name)
        build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel"]
        subprocess.run(build, cwd=source, check=True, capture_output=True)
        (wheel,) = (source / "dist").glob("*.whl")
        digests.append(hashlib.sha256(wheel.read_bytes()).hexdigest())
        names = zipfile.ZipFile(wheel).namelist()
        for needed in ("moorage_extender/main.py", "moorage_operator/main.py", "moorage_policies"):
            assert any(re.match(needed, name) for name in names)
    assert digests[0] == digests[1]
