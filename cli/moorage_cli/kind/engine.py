"""The container engine that nodes run in: the one that answers, else a Docker daemon of ours."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from moorage_cli.control_plane.errors import ComponentFailedError
from moorage_cli.control_plane.processes import wait_until
from moorage_cli.control_plane.progress import Report
from moorage_cli.kind.errors import MachineUnfitError, StepFailedError
from moorage_cli.kind.machine import ENGINE_PROGRAMS, may_set_limits, why_unfit
from moorage_cli.kind.packages import find, require
from moorage_cli.kind.places import FILES, cache
from moorage_cli.kind.run import run, succeeds

NETWORK: Final = "kind"
BRIDGE: Final = "br-kind"

_RUN: Final = Path("/run/moorage-kind")  # sockets need short paths
_SOCKET: Final = f"unix://{_RUN}/docker.sock"
_PID_FILE: Final = _RUN / "docker.pid"
_STARTS_WITHIN_S: Final = 60.0
_ENDS_WITHIN_S: Final = 60.0
_ANSWERS_WITHIN_S: Final = 20.0
# What leaves the nodes' bridge: nothing does, every image is there already.
_NO_WAY_OUT: Final = ["DOCKER-USER", "-i", BRIDGE, "!", "-o", BRIDGE, "-j", "REJECT"]


@dataclass(frozen=True, slots=True)
class Engine:
    """A container engine that answers.

    Args:
        environment: variables with which ``docker`` and ``kind`` reach it.
        ours: started here, so ended here.
    """

    environment: Mapping[str, str]
    ours: bool

    def docker(self, *arguments: str | Path, stdin: bytes | None = None) -> str:
        """Return what ``docker`` prints.

        Raises:
            StepFailedError: it failed.
        """
        return run(["docker", *arguments], environment=self.environment, stdin=stdin)

    def has_image(self, name: str) -> bool:
        """Whether the engine holds an image of this name."""
        return succeeds(["docker", "image", "inspect", name], environment=self.environment)


def ready_engine(report: Report) -> Engine:
    """Return an engine that answers, started when none did.

    Raises:
        MachineUnfitError: none answers and none can be started; says what is missing.
    """
    engine = running_engine()
    if engine is None:
        engine = _start(report)
    if engine.ours:
        _make_network(engine)
    return engine


def running_engine() -> Engine | None:
    """Return the engine that answers now: ours, or the one that ``docker`` talks to."""
    if find("docker") is None:
        return None
    for environment, ours in (({"DOCKER_HOST": _SOCKET}, True), ({}, False)):
        command = ["docker", "version", "--format", "{{.Server.Version}}"]
        if succeeds(command, environment=environment, deadline_s=_ANSWERS_WITHIN_S):
            return Engine(environment, ours)
    return None


def find_engine() -> str:
    """Return in words which engine a cluster would run in.

    Raises:
        MachineUnfitError: none answers and none can be started; says what is missing.
    """
    engine = running_engine()
    if engine is None:
        _check_machine()
        return "a dockerd that is started for it"
    return "the dockerd started for it" if engine.ours else "the engine that docker talks to"


def try_engine(report: Report) -> None:
    """Start an engine unless one answers, and end it again.

    Raises:
        MachineUnfitError: it cannot be started; says why.
    """
    if running_engine() is None:
        end_engine(ready_engine(report))


def end_engine(engine: Engine) -> None:
    """End the engine if it is ours, and what it added to this machine's network.

    Raises:
        ComponentFailedError: it did not end.
    """
    if not engine.ours:
        return
    with suppress(StepFailedError):
        engine.docker("network", "rm", NETWORK)
    process_id = _daemon()
    if process_id is not None:
        os.kill(process_id, signal.SIGTERM)
        what = f"dockerd (process {process_id}) has ended; its log is {_log()}"
        wait_until(lambda: _daemon() is None, what, deadline_s=_ENDS_WITHIN_S)
    while succeeds(["iptables", "-D", *_NO_WAY_OUT]):
        pass
    shutil.rmtree(_RUN, ignore_errors=True)


def _start(report: Report) -> Engine:
    _check_machine()
    require(ENGINE_PROGRAMS, report)
    report("starting dockerd", f"data in {_data()}, log in {_log()}")
    for folder in (_RUN, _data()):
        folder.mkdir(parents=True, exist_ok=True)
    settings = _RUN / "daemon.json"
    settings.write_text(json.dumps(_settings()))
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    with _log().open("ab") as log:
        process = subprocess.Popen(
            [str(find("dockerd")), "--config-file", str(settings)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PATH": path},
            start_new_session=True,  # it outlives this command, until `moorage kind down`
        )

    def answers() -> bool:
        if process.poll() is not None:
            raise MachineUnfitError(
                f"dockerd ended with code {process.returncode}, so no kind cluster can run here; "
                f"start a container engine or set E2E_KUBECONFIG\n{_log_tail()}"
            )
        engine = running_engine()
        return engine is not None and engine.ours

    try:
        wait_until(answers, "dockerd answers", deadline_s=_STARTS_WITHIN_S)
    except ComponentFailedError as error:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):  # its last words come on the way out
            process.wait(_ENDS_WITHIN_S)
        raise MachineUnfitError(f"{error}\n{_log_tail()}") from error
    return Engine({"DOCKER_HOST": _SOCKET}, ours=True)


def _settings() -> dict[str, object]:
    settings: dict[str, object] = {
        "data-root": str(_data()),
        "exec-root": str(_RUN / "exec"),
        "pidfile": str(_PID_FILE),
        "hosts": [_SOCKET],
        "storage-driver": "overlay2",
        "oom-score-adjust": 0,
    }
    if not may_set_limits():
        # "All capabilities" would ask for one that this machine cannot give.
        wrapper = _RUN / "runc-without-sys-resource"
        shutil.copy(FILES / "runc-without-sys-resource", wrapper)
        wrapper.chmod(0o755)
        settings["runtimes"] = {"without-sys-resource": {"path": str(wrapper)}}
        settings["default-runtime"] = "without-sys-resource"
    return settings


def _make_network(engine: Engine) -> None:
    if not succeeds(["docker", "network", "inspect", NETWORK], environment=engine.environment):
        options = {
            "com.docker.network.bridge.name": BRIDGE,
            "com.docker.network.bridge.enable_ip_masquerade": "true",
            "com.docker.network.driver.mtu": "1500",
        }
        flags = [word for item in options.items() for word in ("-o", "=".join(item))]
        engine.docker("network", "create", "--driver=bridge", *flags, NETWORK)
    if not succeeds(["iptables", "-C", *_NO_WAY_OUT]):
        run(["iptables", "-I", *_NO_WAY_OUT])


def _check_machine() -> None:
    wanting = why_unfit()
    if wanting:
        raise MachineUnfitError(
            f"no container engine answers, and none can be started here without "
            f"{', '.join(wanting)}; start one (DOCKER_HOST names it), or name a cluster's "
            "kubeconfig in E2E_KUBECONFIG"
        )


def _daemon() -> int | None:
    """The process id of our daemon, ``None`` when it does not run."""
    try:
        process_id = int(_PID_FILE.read_text())
        command = Path(f"/proc/{process_id}/cmdline").read_bytes()
    except (OSError, ValueError):
        return None
    return process_id if b"dockerd" in command and str(_RUN).encode() in command else None


def _data() -> Path:
    return cache() / "engine"


def _log() -> Path:
    return cache() / "dockerd.log"


def _log_tail() -> str:
    return "\n".join(_log().read_text(errors="replace").splitlines()[-15:])
