"""Protocol ``probe``: what probes read of a network whose truth is known, and what they cost.

Probes run as processes in network namespaces of their own. A relay delays every packet by its way,
a token bucket (tbf) bounds what nodes send. Cases ``a-b`` are pairs: ``rtt_ms`` and ``mbps`` as
shaped (``truth``) and as read (``moorage``: median over rounds), ``off`` the difference in percent.
The bandwidth test is a small body: on a long way it also pays for TCP's start, and reads less.

``cost-64``: one probe with 64 peers, bandwidth tests off, per minute at the default interval:
``wire_kib`` what its device moved both ways, headers included, ``payload_kib`` what it says
itself, ``cpu_ms`` its CPU time, ``rss_mib`` its memory. Needs root, ``unshare``, ``nsenter``,
``ip``, ``tc`` and ``curl``.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import psutil
import typer
from rich.progress import Progress

from moorage_benchmarks.probe_network import (
    Node,
    namespace,
    probe_command,
    received_bytes,
    shaped_network,
)
from moorage_benchmarks.report import OURS, JsonFile, Row, finish
from moorage_cli.control_plane.processes import wait_until
from moorage_extender.probe.echo import Echo
from moorage_extender.probe.settings import ProbeSettings

PROTOCOL = "probe"
SEED = 1
RTT_MS = {("a", "b"): 4.0, ("a", "c"): 30.0, ("b", "c"): 90.0}
MBPS = {"a": 40.0, "b": 10.0}
TEST_KIB = 512
INTERVAL_S = 0.5
PEERS, COST_INTERVAL_S = 64, 1.0
KIB = 1024
PORT, ECHO_PORT = 8890, 8891

Readings = dict[tuple[str, str], list[float]]


def run(*, quick: bool = False, seed: int = SEED) -> list[Row]:
    """Return the rows of all pairs, and of the cost.

    Args:
        quick: fewer rounds.
        seed: written to the rows; nothing is drawn.
    """
    rounds, cost_rounds = (4, 4) if quick else (20, 30)
    rows: list[Row] = []
    with Progress(transient=True) as bar:
        task = bar.add_task(PROTOCOL, total=3 * rounds + cost_rounds)
        rows += measure_readings(rounds, seed, lambda: bar.advance(task))
        rows += measure_cost(cost_rounds, seed)
        bar.advance(task, cost_rounds)
    return rows


def measure_readings(
    rounds: int, seed: int, told: Callable[[], None] = lambda: None
) -> Iterator[Row]:
    """Yield what probes read beside what was shaped: round trips at rest, then bandwidth."""
    with shaped_network(RTT_MS, MBPS) as nodes:
        with running_probes(nodes):
            rtt = _read(nodes, "rttMs", rounds, told)
        with running_probes(nodes, bandwidth_test_kib=TEST_KIB):
            mbps = _read(nodes, "mbps", 2 * rounds, told)
    for (name, peer), values in sorted(rtt.items()):
        first, second = sorted((name, peer))
        yield from _compared(f"{name}-{peer}", "rtt_ms", RTT_MS[first, second], values, seed)
        if (name, peer) in mbps and name in MBPS:
            yield from _compared(f"{name}-{peer}", "mbps", MBPS[name], mbps[name, peer], seed)


@contextmanager
def running_probes(nodes: Mapping[str, Node], **given: object) -> Iterator[None]:
    """Run a probe on every node."""
    budget = 100 * TEST_KIB
    with ExitStack() as stack:
        for node in nodes.values():
            command = probe_command(
                node, interval_s=INTERVAL_S, bandwidth_budget_kib_per_min=budget, **given
            )
            stack.enter_context(_running(command))
        yield


def _read(nodes: Mapping[str, Node], kind: str, rounds: int, told: Callable[[], None]) -> Readings:
    """Return what probes tell until each has measured so many rounds, on a machine however slow."""
    found: Readings = {}
    for done in range(1, rounds + 1):
        for node in nodes.values():
            _until_rounds(node, done)
            for peer, value in read_telemetry(node, kind).items():
                found.setdefault((node.name, peer), []).append(value)
        told()
    return found


def _compared(
    case: str, metric: str, truth: float, values: list[float], seed: int
) -> Iterator[Row]:
    read = statistics.median(values)
    unit = metric.rsplit("_", maxsplit=1)[-1].replace("mbps", "Mbit/s")
    yield Row(PROTOCOL, case, "truth", metric, truth, unit, seed)
    yield Row(PROTOCOL, case, OURS, metric, read, unit, seed)
    yield Row(PROTOCOL, case, OURS, f"{metric}_off", 100 * (read / truth - 1), "%", seed)


def measure_cost(rounds: int, seed: int) -> Iterator[Row]:
    """Yield what a probe with many peers moves and computes per minute at the default interval."""
    addresses = [f"127.0.1.{k}" for k in range(1, PEERS + 1)]
    with TemporaryDirectory() as folder, namespace(Path(folder), addresses) as pid:
        node = Node("probe", "127.0.0.1", pid, "lo")
        echoes = node.command(sys.executable, "-m", "moorage_benchmarks.probe", *addresses)
        with _running(echoes), _running(_costly(node)) as probe:
            _until_rounds(node, 2)  # the first ones load code
            before = _spent(node, probe)
            first = _metric(node, "moorage_probe_rounds_total")
            _until_rounds(node, first + rounds)
            after = _spent(node, probe)
            done = _metric(node, "moorage_probe_rounds_total") - first
            rss = probe.memory_info().rss / KIB**2
    per_min = 60.0 / ProbeSettings(node="n").interval_s / done
    wire, payload, cpu_s = ((b - a) * per_min for a, b in zip(before, after, strict=True))
    case = f"cost-{PEERS}"
    yield Row(PROTOCOL, case, OURS, "wire_kib", wire / KIB, "KiB/min", seed)
    yield Row(PROTOCOL, case, OURS, "payload_kib", payload / KIB, "KiB/min", seed)
    yield Row(PROTOCOL, case, OURS, "cpu_ms", 1e3 * cpu_s, "ms/min", seed)
    yield Row(PROTOCOL, case, OURS, "rss_mib", rss, "MiB", seed)


def _costly(node: Node) -> list[str]:
    """Return the command of a probe that measures all peers, more often than usual."""
    usual = ProbeSettings(node="n")
    often = usual.interval_s / COST_INTERVAL_S
    budget = int(usual.budget_kib_per_min * often)
    return probe_command(node, interval_s=COST_INTERVAL_S, budget_kib_per_min=budget)


def _until_rounds(node: Node, rounds: float) -> None:
    wait_until(
        lambda: _metric(node, "moorage_probe_rounds_total") >= rounds,
        f"{rounds:g} rounds of probes",
        deadline_s=120.0,
    )


def _spent(node: Node, probe: psutil.Process) -> tuple[float, float, float]:
    """Return bytes on the device (both ways), bytes that the probe says it sent, CPU seconds."""
    times = probe.cpu_times()
    sent, _ = received_bytes(node)  # the loopback counts what goes out as what comes in
    return float(sent), _metric(node, "moorage_probe_sent_bytes_total"), times.user + times.system


def _metric(node: Node, name: str) -> float:
    text = _ask(node, "metrics")
    found = [line.split()[1] for line in text.splitlines() if line.startswith(f"{name} ")]
    return float(found[0]) if found else 0.0


def read_telemetry(node: Node, kind: str) -> dict[str, float]:
    """Return one kind of a node's readings by peer, empty while its probe does not answer."""
    text = _ask(node, "v1/telemetry")
    found: dict[str, float] = json.loads(text).get(kind, {}) if text else {}
    return found


def _ask(node: Node, path: str) -> str:
    """Return a page of the node's probe, empty while it does not answer."""
    url = f"http://{node.address}:{PORT}/{path}"
    command = node.command("curl", "--silent", "--max-time", "5", url)
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


@contextmanager
def _running(command: list[str]) -> Iterator[psutil.Process]:
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            yield psutil.Process(process.pid)
        finally:
            process.terminate()


async def answer(addresses: list[str]) -> None:
    """Answer questions on many loopback addresses until ended: peers that cost the probe nothing.

    The address is the name of its node.
    """
    loop = asyncio.get_running_loop()
    for address in addresses:
        await loop.create_datagram_endpoint(
            partial(Echo, address, lambda _sent: None),
            local_addr=(address, ECHO_PORT),
        )
    await asyncio.Event().wait()


app = typer.Typer()


@app.command()
def probe(
    quick: Annotated[bool, typer.Option(help="Fewer rounds, to see that it runs.")] = False,
    json_file: JsonFile = None,
) -> None:
    """Read a shaped network with real probes; measure what they cost."""
    finish(run(quick=quick), json_file)


if __name__ == "__main__":
    asyncio.run(answer(sys.argv[1:]))
