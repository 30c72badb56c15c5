"""The floor: an extender that answers at once without reading what it was asked."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from moorage_cli.control_plane.ports import free_ports
from moorage_cli.control_plane.processes import wait_until

_NAMES = b'"NodeNames":'


async def answer(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    """Let every node pass, score nothing (a bare ASGI application)."""
    body = b""
    more = scope["type"] == "http"
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    text = b'{"NodeNames":' + _names(body) + b"}" if scope["path"] == "/filter" else b"[]"
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(text))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": text})


def _names(body: bytes) -> bytes:
    """Return the raw list of node names, as it came."""
    start = body.rfind(_NAMES)
    return body[start + len(_NAMES) : body.rfind(b"]") + 1] if start >= 0 else b"[]"


@contextmanager
def noop_extender() -> Iterator[str]:
    """Run the server in a process of its own; give its address."""
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "moorage_benchmarks.noop_extender", str(port)]
    with subprocess.Popen(command) as process:
        try:
            wait_until(lambda: _listens(port), "the no-op extender listens", deadline_s=30.0)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _serve(port: int) -> None:
    config = uvicorn.Config(
        answer, port=port, access_log=False, timeout_keep_alive=120, lifespan="off", log_level=50
    )
    asyncio.run(uvicorn.Server(config).serve())


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
