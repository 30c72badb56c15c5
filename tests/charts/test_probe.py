"""The program of ``helm test``."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest


class Handler(BaseHTTPRequestHandler):
    """Ready, once it has been asked before; /never is not."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        ready = self.path in self.asked and self.path != "/never"
        self.asked.append(self.path)
        self.send_response(200 if ready else 503)
        self.end_headers()
        self.wfile.write(b"" if ready else b"the first lists are not complete")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Keep quiet."""


@pytest.fixture
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def probe(root: Path, deadline_s: float, *addresses: str) -> subprocess.CompletedProcess[str]:
    source = (root / "charts/moorage/files/probe.py").read_text()
    hurried = source.replace("DEADLINE_S = 120.0", f"DEADLINE_S = {deadline_s}")
    hurried = hurried.replace("PAUSE_S = 2.0", "PAUSE_S = 0.0")
    assert hurried.count(f"= {deadline_s}\n") == 1
    command = [sys.executable, "-c", hurried, *addresses]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_it_asks_until_each_address_is_ready(root: Path, server: str) -> None:
    done = probe(root, 50.0, f"{server}/one", f"{server}/two")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [f"{server}/one: ready", f"{server}/two: ready"]


def test_it_fails_with_what_the_address_said(root: Path, server: str) -> None:
    done = probe(root, -1.0, f"{server}/never")
    assert done.returncode == 1
    assert "/never: status 503: the first lists are not complete" in done.stderr


def test_it_fails_when_nobody_listens(root: Path) -> None:
    done = probe(root, -1.0, "http://127.0.0.1:9/readyz")
    assert done.returncode == 1
    assert "refused" in done.stderr
