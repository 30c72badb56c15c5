from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from moorage_cli.kind import cluster, engine, machine
from moorage_cli.kind.command import app
from moorage_cli.kind.engine import ready_engine
from moorage_cli.kind.errors import MachineUnfitError, StepFailedError
from moorage_cli.kind.packages import require
from moorage_cli.kind.places import FILES
from moorage_cli.kind.program_images import PROGRAMS, program_images
from moorage_cli.kind.run import run
from moorage_policies.errors import BadInputError

ROOT = Path(__file__).parents[3]
ASKED = {
    "capabilities": {"bounding": ["CAP_SYS_ADMIN", "CAP_SYS_RESOURCE"], "ambient": []},
    "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1, "soft": 1}],
    "oomScoreAdj": -500,
    "args": ["true"],
}


def ignore(_step: str, _detail: str) -> None:
    """A report that nobody reads."""


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The wrapper, and a runc that only says how it was called."""
    (tmp_path / "runc").write_text('#!/bin/sh\necho "$@"\n')
    (tmp_path / "runc").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    wrapper = tmp_path / "wrapper"
    wrapper.write_bytes((FILES / "runc-without-sys-resource").read_bytes())
    wrapper.chmod(0o755)
    return wrapper


@pytest.mark.parametrize("verb", ["create", "run"])
def test_the_runtime_asks_for_no_capability_that_the_machine_lacks(
    runtime: Path, tmp_path: Path, verb: str
) -> None:
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"process": ASKED, "hostname": "h"}))
    said = run([runtime, "--log", "x", verb, "--bundle", tmp_path, "name"])
    assert said.split() == ["--log", "x", verb, "--bundle", str(tmp_path), "name"]
    changed = json.loads(config.read_text())
    assert changed["hostname"] == "h"
    assert changed["process"] == {
        "capabilities": {"bounding": ["CAP_SYS_ADMIN"], "ambient": []},
        "oomScoreAdj": 0,
        "args": ["true"],
    }


def test_the_runtime_changes_what_is_executed_in_a_container_too(
    runtime: Path, tmp_path: Path
) -> None:
    process = tmp_path / "process.json"
    process.write_text(json.dumps(ASKED))
    run([runtime, "exec", f"--process={process}", "name"])
    assert "CAP_SYS_RESOURCE" not in process.read_text()


def test_a_machine_without_root_is_told_what_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engine, "running_engine", lambda: None)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(MachineUnfitError, match=r"root's rights.*DOCKER_HOST.*E2E_KUBECONFIG"):
        ready_engine(ignore)


@pytest.mark.parametrize(
    ("wanting", "code", "said"),
    [
        pytest.param((), 0, "kind: a cluster can run here, in a dockerd", id="fit"),
        pytest.param(("network namespaces",), 1, "without network namespaces;", id="unfit"),
    ],
)
def test_a_machine_is_checked_in_one_line(
    monkeypatch: pytest.MonkeyPatch, wanting: tuple[str, ...], code: int, said: str
) -> None:
    monkeypatch.setattr(engine, "running_engine", lambda: None)
    monkeypatch.setattr(engine, "why_unfit", lambda: wanting)
    result = CliRunner().invoke(app, ["check"])
    assert (result.exit_code, result.output.count("\n")) == (code, 1)
    assert said in result.output


@pytest.mark.parametrize(
    ("tried", "lacking"),
    [
        pytest.param("true", {"network namespaces"}, id="no-namespaces"),
        pytest.param("nat", {"iptables with address translation"}, id="no-translation"),
        pytest.param("", set(), id="all-there"),
    ],
)
def test_what_the_kernel_cannot_do_is_named(
    monkeypatch: pytest.MonkeyPatch, tried: str, lacking: set[str]
) -> None:
    monkeypatch.setattr(machine, "succeeds", lambda command, **_: tried not in command)
    monkeypatch.setattr(machine, "find", lambda program: f"/sbin/{program}")
    assert set(machine._lacking_kernel()) & {
        "network namespaces", "iptables with address translation"
    } == lacking  # fmt: skip


def test_control_groups_that_only_look_writable_are_not(tmp_path: Path) -> None:
    assert machine._is_writable(tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert not machine._is_writable(tmp_path / "missing")


def test_a_missing_program_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr("moorage_cli.kind.packages._ADMIN_PATH", "/nowhere")
    with pytest.raises(MachineUnfitError, match=r"dockerd not on PATH: install docker\.io"):
        require(["dockerd"], ignore)


def test_only_one_process_makes_the_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with (
        cluster.only_one(),
        pytest.raises(StepFailedError, match="another process"),
        cluster.only_one(),
    ):
        pass


def test_a_failed_step_says_what_the_program_said() -> None:
    with pytest.raises(StepFailedError, match=r"exit code 3: sh -c .*\nno such thing"):
        run(["sh", "-c", "echo no such thing >&2; exit 3"])


def test_images_are_made_from_a_checkout_alone(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"--source: .* is no checkout"):
        program_images(tmp_path, ignore)


def test_every_image_of_the_dockerfile_is_made_without_a_base_image_too() -> None:
    text = (ROOT / "images/Dockerfile").read_text()
    final = {line.split()[-1] for line in text.splitlines() if line.startswith("FROM runtime AS")}
    assert {program.name for program in PROGRAMS} == final
    for program in PROGRAMS:
        assert f'ENTRYPOINT ["/venv/bin/{program.script}"]' in text
        assert f"requirements-{program.lock}.lock" in text


def test_the_pod_network_script_is_correct_shell() -> None:
    for script in ("pod-network.sh", "runc-without-sys-resource"):
        subprocess.run(["bash", "-n", str(FILES / script)], check=True)
