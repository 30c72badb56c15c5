"""Moorage's operator as a process of its own on a real control plane with simulated GPU nodes."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from moorage_cli.control_plane import ControlPlane, NodeSpec
from moorage_cli.control_plane.obtain import obtain_prometheus
from moorage_cli.control_plane.ports import free_ports
from moorage_cli.control_plane.processes import ProcessGroup, wait_until
from moorage_cli.control_plane.simulated_nodes import A100, H100
from moorage_cli.installation import OPERATOR, Installation
from moorage_crds.names import ApiResource

Json = dict[str, Any]
EXPOSITION = "text/plain; version=0.0.4"
QUICK = {
    "MOORAGE_OPERATOR_PATIENCE_S": "2",
    "MOORAGE_OPERATOR_SPACING_MS": "100",
    "MOORAGE_OPERATOR_PODS_SETTLE_MS": "50",
}


@dataclass
class Site:
    """A control plane with the operator's account and resources, two H100 nodes and one A100."""

    plane: ControlPlane
    installation: Installation

    def apply(self, *manifests: Json) -> None:
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(manifests)})
        self.plane.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=text)

    def get(self, kind: str, namespace: str, name: str) -> Json | None:
        text = self.plane.kubectl(
            "get", kind, name, "-n", namespace, "-o", "json", "--ignore-not-found"
        )
        found: Json | None = json.loads(text) if text.strip() else None
        return found

    def list(self, kinds: str, namespace: str) -> list[Json]:
        items: list[Json] = json.loads(
            self.plane.kubectl("get", kinds, "-n", namespace, "-o", "json")
        )["items"]
        return items

    def condition(self, namespace: str, kind: str, name: str = "llama") -> Json:
        pool = self.get("gip", namespace, name) or {}
        conditions = pool.get("status", {}).get("conditions", [])
        return next((c for c in conditions if c["type"] == kind), {})

    def eventually(
        self, holds: Callable[[], Any], *, deadline_s: float = 30.0, why: str = ""
    ) -> None:
        """Return when ``holds`` does; what it said last is in the failure."""
        ends_s = time.monotonic() + deadline_s
        while not (said := holds()):
            if time.monotonic() > ends_s:
                log = self.installation.log_tail(OPERATOR) if self.installation.doors else ""
                pytest.fail(f"not within {deadline_s} s: {why} (last: {said!r})\n{log}")
            time.sleep(0.1)

    def revisions(self, namespace: str) -> dict[str, str]:
        """Return the revision of everything that the operator could write."""
        kinds = ("gip,gir,deployments,services,poddisruptionbudgets",)
        items = self.list(",".join(kinds), namespace)
        return {
            f"{item['kind']}/{item['metadata']['name']}": item["metadata"]["resourceVersion"]
            for item in items
        }

    def writes(self) -> float:
        """Return how many writes the operator has sent."""
        door = self.installation.doors[OPERATOR]
        text = self.installation.fetch(f"{door.health}/metrics").decode()
        lines = [line for line in text.splitlines() if "operator_writes_total{" in line]
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines)

    def serve(self, resource: ApiResource) -> bool:
        return self.plane.api.answers(resource.path())


@pytest.fixture(scope="module")
def site(kubernetes_minor: str) -> Iterator[Site]:
    """A site with a running operator and a kube-scheduler without extender."""
    with ControlPlane(kubernetes_minor) as plane, Installation(plane) as installation:
        installation.install()
        plane.create_nodes(
            [
                NodeSpec("h1", gpu=H100),
                NodeSpec("h2", gpu=H100),
                NodeSpec("a1", gpu=A100),
            ]
        )
        plane.start_scheduler()
        installation.start_operator(**QUICK)
        yield Site(plane, installation)


@pytest.fixture
def new_site() -> Callable[[Installation], Site]:
    """Make a site of an installation that the test starts and breaks itself."""
    return lambda installation: Site(installation.plane, installation)


@pytest.fixture
def team(site: Site, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace for one test; its pools are gone afterwards, and their pods."""
    name = f"t{abs(hash(request.node.nodeid)) % 10**8}"
    site.plane.kubectl("create", "namespace", name)
    yield name
    site.plane.kubectl("delete", "gip", "--all", "-n", name, "--ignore-not-found")
    site.plane.kubectl("delete", "deploy", "--all", "-n", name, "--ignore-not-found")
    site.eventually(lambda: not site.list("pods", name), why="the pods are gone")
    site.plane.kubectl("delete", "namespace", name, "--wait=false")


class Served:
    """A page that a function writes anew for each request."""

    def __init__(self, write: Callable[[], str], content_type: str) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = write().encode()
                self.send_response(200)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Stay silent."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self._open = True

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def close(self) -> None:
        if self._open:
            self._open = False
            self._server.shutdown()
            self._server.server_close()


@pytest.fixture
def serve_text() -> Iterator[Callable[..., Served]]:
    """Serve what a function writes on a port of its own."""
    served: list[Served] = []

    def serve(write: Callable[[], str], content_type: str = EXPOSITION) -> Served:
        served.append(Served(write, content_type))
        return served[-1]

    yield serve
    for page in served:
        page.close()


class RunningPrometheus:
    """A real Prometheus with a configuration of the test's."""

    def __init__(self, directory: Path, config: Json) -> None:
        self._processes = ProcessGroup(directory, remove_directory=False)
        self._directory = directory
        (self._port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{self._port}"
        (directory / "prometheus.yml").write_text(json.dumps(config))
        self.start()

    def start(self) -> None:
        program = obtain_prometheus(lambda _step, _detail: None)
        command = [
            str(program),
            "--config.file=prometheus.yml",
            "--storage.tsdb.path=data",
            f"--web.listen-address=127.0.0.1:{self._port}",
        ]
        running = self._processes.spawn("prometheus", command)
        wait_until(self._is_ready, "Prometheus is ready", deadline_s=30.0, component=running)

    def kill(self) -> None:
        self._processes.kill("prometheus")

    def close(self) -> None:
        self._processes.close()

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=2.0) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False


@pytest.fixture
def start_prometheus(tmp_path: Path) -> Iterator[Callable[[Json], RunningPrometheus]]:
    """Start a real Prometheus; it ends with the test."""
    running: list[RunningPrometheus] = []

    def start(config: Json) -> RunningPrometheus:
        directory = tmp_path / f"prometheus-{len(running)}"
        directory.mkdir()
        running.append(RunningPrometheus(directory, config))
        return running[-1]

    yield start
    for one in running:
        one.close()
