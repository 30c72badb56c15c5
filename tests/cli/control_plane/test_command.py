from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from typer.testing import CliRunner

from moorage_cli.control_plane import find_binaries
from moorage_cli.control_plane.command import app
from moorage_cli.control_plane.processes import wait_until

UP = [sys.executable, "-c", "from moorage_cli.main import run; run()", "control-plane", "up"]


def read_until(process: subprocess.Popen[str], last: str) -> str:
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if last in line:
            return "".join(lines)
    raise AssertionError(f"ended with {process.wait()}: {''.join(lines)}")


def kubeconfig_in(said: str) -> Path:
    found = re.search(r"^export KUBECONFIG=(\S+)$", said, re.MULTILINE)
    assert found is not None
    return Path(found[1])


def children(process_id: int) -> list[psutil.Process]:
    return psutil.Process(process_id).children(recursive=True)


@pytest.mark.parametrize(
    ("signal_number", "exit_code"),
    [pytest.param(signal.SIGINT, 0, id="ctrl-c"), pytest.param(signal.SIGTERM, 143, id="term")],
)
def test_up_serves_until_it_is_told_to_end(
    kubernetes_minor: str, signal_number: int, exit_code: int
) -> None:
    command = [*UP, "--minor", kubernetes_minor, "--nodes", "2", "--no-download"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        kubeconfig = kubeconfig_in(read_until(process, "Ctrl-C"))
        kubectl = find_binaries(kubernetes_minor)["kubectl"]
        nodes = subprocess.run(
            [kubectl, f"--kubeconfig={kubeconfig}", "get", "nodes", "-o", "name"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert nodes.stdout.split() == ["node/gpu-0000", "node/gpu-0001"]
        started = children(process.pid)
        os.kill(process.pid, signal_number)
        assert process.wait(60) == exit_code
    assert not any(child.is_running() for child in started)
    assert not kubeconfig.exists()


def test_up_ends_with_the_log_when_a_component_dies(kubernetes_minor: str) -> None:
    command = [*UP, "--minor", kubernetes_minor, "--keep", "--no-download"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        directory = kubeconfig_in(read_until(process, "Ctrl-C")).parent
        started = children(process.pid)
        next(child for child in started if child.name() == "kube-scheduler").kill()
        _, error = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "kube-scheduler ended by itself" in error
    assert (directory / "kube-scheduler.log").exists()
    shutil.rmtree(directory)
    wait_until(
        lambda: not any(child.is_running() for child in started), "all are gone", deadline_s=30.0
    )


def test_build_lists_where_everything_is(kubernetes_minor: str) -> None:
    result = CliRunner().invoke(app, ["build", "--minors", kubernetes_minor, "--no-download"])
    assert result.exit_code == 0
    listed = [line.split(" ", 2) for line in result.stdout.splitlines()]
    assert {line[1]: Path(line[2]) for line in listed} == find_binaries(kubernetes_minor).paths
