"""Protocol ``extender``: the verbs over real HTTP keep-alive, beside a no-op server and two twins.

Every server is a process of its own with the same cluster in memory and hears 100 node and pod
events a second. One client asks one request at a time, as kube-scheduler does: ``filter``, then
``prioritize`` with the same names (``cycle`` is both together). ``moorage`` answers ``filter`` with
the chosen node, upon which the scheduler asks no more: its cycle is that one call;
``moorage-two-verbs`` ranks in ``prioritize`` as the others do; ``moorage-every-scorer`` is asked
about pods with hints, and every scorer has an opinion on every node. ``prioritize-alone`` has no
filter before it. The arms take turns within a round, so that a noisy minute hits all of them; who
is not asked is stopped meanwhile. CPU milliseconds are the server's, events and logs included, per
cycle or request; MiB is its resident memory at the end. ``moorage-solving`` answers while a solver,
a niced process of its own, works on the same cluster without a pause; ``p99_to_idle`` compares it
with ``moorage``.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
import psutil
import typer

from moorage_benchmarks.extender_load import Load
from moorage_benchmarks.extender_servers import EVERY_SCORER, SOLVING, TWO_VERBS
from moorage_benchmarks.report import OURS, JsonFile, Row, finish
from moorage_cli.control_plane.ports import free_ports
from moorage_cli.control_plane.processes import wait_until
from moorage_extender.solver.link import SolverLink

PROTOCOL = "extender"
SEED = 1
ARMS = ("no-op", OURS, EVERY_SCORER, TWO_VERBS, "pydantic", "json", SOLVING)
SIZES = (100, 420, 1000, 5000)
BODIES = 40
HINTED = "hinted"
HINTS = (
    "prefer H100, near pool-3 and away from pool-7",
    "in zone b if possible, spread over zones, quiet nodes",
    "at least 200 GB free memory and 4 free GPUs",
    "same node as pool-12, must not be on L40S",
    "balanced CPU and memory, avoid busy nodes",
)
"""Hints of the arm ``hinted``: two or three intents each, of most classes."""
DECIDING = (OURS, EVERY_SCORER, SOLVING, HINTED)
"""Arms whose filter answers the chosen node alone."""
MIB = 1024 * 1024


class Connection:
    """One keep-alive connection."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = bytearray(1 << 20)

    def post(self, path: str, body: bytes) -> float:
        """Return the seconds from sending the request to the answer's last byte."""
        head = b"POST /%b HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" % path.encode()
        request = b"%bContent-Length: %d\r\n\r\n%b" % (head, len(body), body)
        started_s = time.perf_counter()
        self._socket.sendall(request)
        answer = bytearray()
        while b"\r\n\r\n" not in answer:
            answer += self._receive()
        head_end = answer.index(b"\r\n\r\n") + 4
        lines = bytes(answer[:head_end]).lower().split(b"\r\n")
        length = next(int(line[15:]) for line in lines if line.startswith(b"content-length:"))
        while len(answer) < head_end + length:
            answer += self._receive()
        took_s = time.perf_counter() - started_s
        if b" 200 " not in lines[0]:
            raise RuntimeError(f"{path}: {bytes(answer)!r}")
        return took_s

    def _receive(self) -> memoryview:
        count = self._socket.recv_into(self._buffer)
        if not count:
            raise ConnectionError("the server closed the connection")
        return memoryview(self._buffer)[:count]


@dataclass
class Measured:
    """What one arm did in one case."""

    seconds: list[float] = field(default_factory=list)
    cpu_s: float = 0.0


def run(*, quick: bool = False, seed: int = SEED, hints: bool = False) -> list[Row]:
    """Return the rows of every arm and size.

    Args:
        quick: few nodes, one round.
        seed: of cluster, events and requests.
        hints: beside our arm, the same server is asked about pods with natural-language hints.
    """
    load = Load(500 if quick else 5000, seed)
    sizes = (100, 420) if quick else SIZES
    rounds, asked = (1, 60) if quick else (6, 200)
    arms = (*ARMS, HINTED) if hints else ARMS
    plain = {names: load.requests(names, BODIES) for names in sizes}
    hinted = {names: load.requests(names, BODIES, HINTS) for names in sizes}
    measured: dict[tuple[str, str], Measured] = {}
    with ExitStack() as stack:
        solver, path = stack.enter_context(_solver())
        servers = {arm: stack.enter_context(_server(arm, load, path)) for arm in arms}
        lines = {arm: Connection(port) for arm, (port, _) in servers.items()}
        for turn in range(rounds + 1):  # the first one warms up
            for names in sizes:
                for arm, (_, process) in servers.items():
                    bodies = (hinted if arm in (HINTED, EVERY_SCORER) else plain)[names]
                    with _awake(process, *([solver] if arm == SOLVING else ())):
                        answers = _ask(lines[arm], process, bodies, asked, decides=arm in DECIDING)
                    for verb, one in answers.items():
                        if turn:
                            total = measured.setdefault((f"{verb}-{names}", arm), Measured())
                            total.seconds += one.seconds
                            total.cpu_s += one.cpu_s
        memory = {arm: process.memory_info().rss / MIB for arm, (_, process) in servers.items()}
    rows = [
        Row(PROTOCOL, case, arm, metric, value, unit, seed)
        for (case, arm), one in measured.items()
        for metric, value, unit in _numbers(one, memory[arm])
    ]
    return [*rows, *_slowdowns(rows)]


def _slowdowns(rows: list[Row]) -> Iterator[Row]:
    """Yield how much slower the 99th percentile is while a solver works."""
    p99 = {(row.case, row.arm): row for row in rows if row.metric == "p99_ms"}
    for (case, arm), row in p99.items():
        if arm == SOLVING:
            ratio = row.value / p99[case, OURS].value
            yield Row(PROTOCOL, case, arm, "p99_to_idle", ratio, "1", row.seed)


def _ask(
    line: Connection, process: psutil.Process, bodies: list[bytes], count: int, *, decides: bool
) -> dict[str, Measured]:
    """Ask a server ``count`` times in each way; one that ``decides`` ends the cycle with filter."""
    cases = ("filter", *(() if decides else ("prioritize",)), "cycle", "prioritize-alone")
    found = {case: Measured() for case in cases}
    before_s = _cpu_s(process)
    for number in range(count):
        body = bodies[number % len(bodies)]
        filter_s = line.post("filter", body)
        found["filter"].seconds.append(filter_s)
        prioritize_s = 0.0
        if not decides:
            prioritize_s = line.post("prioritize", body)
            found["prioritize"].seconds.append(prioritize_s)
        found["cycle"].seconds.append(filter_s + prioritize_s)
    found["cycle"].cpu_s = _cpu_s(process) - before_s
    before_s = _cpu_s(process)
    for number in range(count):
        body = bodies[number % len(bodies)]
        found["prioritize-alone"].seconds.append(line.post("prioritize", body))
    found["prioritize-alone"].cpu_s = _cpu_s(process) - before_s
    return found


def _numbers(one: Measured, memory_mib: float) -> Iterator[tuple[str, float, str]]:
    milliseconds = np.array(one.seconds) * 1e3
    for name, quantile in (("p50_ms", 50), ("p99_ms", 99), ("p999_ms", 99.9)):
        yield name, float(np.percentile(milliseconds, quantile)), "ms"
    if one.cpu_s:
        yield "cpu_ms", 1e3 * one.cpu_s / len(one.seconds), "ms"
    yield "rss_mib", memory_mib, "MiB"
    yield "requests", len(one.seconds), "1"


@contextmanager
def _awake(*processes: psutil.Process) -> Iterator[None]:
    """Let processes run that are stopped otherwise."""
    for process in processes:
        process.resume()
    yield
    for process in processes:
        process.suspend()


@contextmanager
def _running(
    command: list[str], environment: Mapping[str, str], is_up: Callable[[], bool]
) -> Iterator[psutil.Process]:
    """Run a program, wait until it is up, and stop it until it is needed."""
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as child:
        process = psutil.Process(child.pid)
        try:
            wait_until(is_up, f"{command[2:4]} is up", deadline_s=240.0)
            process.suspend()
            yield process
        finally:
            for one in (*process.children(recursive=True), process):
                one.kill()  # whoever is stopped may miss a gentler signal


@contextmanager
def _solver() -> Iterator[tuple[psutil.Process, Path]]:
    """Run a solver; return its process and its socket."""
    with TemporaryDirectory() as directory:
        path = Path(directory) / "solver"
        link = SolverLink(path)
        environment = {**os.environ, "MOORAGE_SOLVER_SOCKET": str(path)}
        command = [sys.executable, "-m", "moorage_extender.solver"]
        with _running(command, environment, lambda: asyncio.run(link.is_warm())) as process:
            yield process, path


@contextmanager
def _server(arm: str, load: Load, solver: Path) -> Iterator[tuple[int, psutil.Process]]:
    """Run an arm's server in a process of its own."""
    (port,) = free_ports(1)
    if arm == "no-op":
        arguments = ["moorage_benchmarks.noop_extender", str(port)]
    else:
        size = ["--nodes", str(load.nodes_count), "--seed", str(load.seed)]
        program = OURS if arm == HINTED else arm
        arguments = ["moorage_benchmarks.extender_servers", program, str(port), *size]
        if arm == SOLVING:
            arguments += ["--solver", str(solver)]
    command = [sys.executable, "-m", *arguments]
    with _running(command, os.environ, lambda: _listens(port)) as process:
        yield port, process


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


app = typer.Typer()


@app.callback(invoke_without_command=True)
def extender(
    quick: Annotated[bool, typer.Option(help="500 nodes, 100 and 420 names, one round.")] = False,
    hints: Annotated[bool, typer.Option(help="Add an arm whose pods carry hints.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of cluster, events and requests.")] = SEED,
    json_file: JsonFile = None,
) -> None:
    """Measure the extender's verbs over HTTP beside a no-op server and twins."""
    finish(run(quick=quick, seed=seed, hints=hints), json_file)
