"""Network namespaces joined by a relay in this process that delays every packet by its way.

Each node is a namespace with one TUN device whose other end the relay holds: what goes out there
takes as long as the way to its destination. A token bucket (``tc ... tbf``) on the device bounds
the rate. Nothing outside these namespaces is touched; they end with the processes that hold them.
"""

from __future__ import annotations

import fcntl
import heapq
import os
import select
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from moorage_policies.errors import UnavailableError

TUN = Path("/dev/net/tun")
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
MTU = 1500
PEERS = "probes.shaped"
"""Name under which every namespace finds all addresses."""


@dataclass(frozen=True, slots=True)
class Node:
    """One namespace.

    Args:
        name: of the node.
        address: its IPv4 address.
        pid: of the process that holds the namespace.
        device: its network device.
    """

    name: str
    address: str
    pid: int
    device: str

    def command(self, *arguments: str) -> list[str]:
        """Return the command that runs inside."""
        return ["nsenter", "-t", str(self.pid), "-n", "-m", *arguments]

    def run(self, *arguments: str) -> str:
        """Run a command inside; return what it printed."""
        return subprocess.run(
            self.command(*arguments), check=True, capture_output=True, text=True
        ).stdout


class Relay(threading.Thread):
    """Forwards packets between devices, each after the delay of its way.

    Args:
        ends: the relay's end of each node's device.
        addresses: of the nodes.
        delay_s: one way, by the names of both ends in order of the alphabet.
    """

    def __init__(
        self,
        ends: Mapping[str, int],
        addresses: Mapping[str, str],
        delay_s: Mapping[tuple[str, str], float],
    ) -> None:
        super().__init__(daemon=True)
        self._ends = dict(ends)
        self._node_of = {_packed(address): name for name, address in addresses.items()}
        self._delay_s = delay_s
        self._ended = threading.Event()

    def stop(self) -> None:
        """Forward nothing any more."""
        self._ended.set()
        self.join()

    def run(self) -> None:
        """Forward until stopped."""
        name_of = {end: name for name, end in self._ends.items()}
        due: list[tuple[float, int, int, bytes]] = []
        count = 0
        while not self._ended.is_set():
            wait_s = min(0.05, max(0.0, due[0][0] - time.monotonic())) if due else 0.05
            for end in select.select(list(name_of), [], [], wait_s)[0]:
                packet = os.read(end, MTU)
                target = self._node_of.get(packet[16:20])
                if packet[0] >> 4 != 4 or target is None:
                    continue
                first, second = sorted((name_of[end], target))
                at_s = time.monotonic() + self._delay_s[first, second]
                count += 1
                heapq.heappush(due, (at_s, count, self._ends[target], packet))
            while due and due[0][0] <= time.monotonic():
                _, _, end, packet = heapq.heappop(due)
                os.write(end, packet)


@contextmanager
def shaped_network(
    rtt_ms: Mapping[tuple[str, str], float], mbps: Mapping[str, float]
) -> Iterator[dict[str, Node]]:
    """Run nodes in namespaces of their own with these round trips between them.

    Args:
        rtt_ms: by the names of two nodes in order of the alphabet; nodes are those named.
        mbps: what a node can send at most, where it is bounded.

    Raises:
        UnavailableError: no right to make namespaces and TUN devices, or no ``tc``.
    """
    names = sorted({name for pair in rtt_ms for name in pair})
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        addresses = {name: f"10.77.0.{k}" for k, name in enumerate(names, start=1)}
        nodes: dict[str, Node] = {}
        ends: dict[str, int] = {}
        for number, name in enumerate(names):
            pid = stack.enter_context(namespace(folder, addresses.values()))
            device = f"shaped{os.getpid() % 10000}n{number}"
            ends[name] = _open_tun(device)
            stack.callback(os.close, ends[name])
            node = nodes[name] = Node(name, addresses[name], pid, device)
            _configure(node, mbps.get(name))
        relay = Relay(ends, addresses, {pair: ms / 2e3 for pair, ms in rtt_ms.items()})
        relay.start()
        stack.callback(relay.stop)
        yield nodes


@contextmanager
def namespace(folder: Path, addresses: Iterable[str]) -> Iterator[int]:
    """Hold a network namespace in which ``PEERS`` means the addresses; give its process's id."""
    lines = [f"{address} {PEERS}" for address in addresses]
    hosts = folder / "hosts"
    hosts.write_text("\n".join(["127.0.0.1 localhost", *lines, ""]))
    script = 'mount --bind "$0" /etc/hosts && ip link set lo up && echo ready && exec sleep 3600'
    command = ["unshare", "--net", "--mount", "sh", "-c", script, str(hosts)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as holder:
        try:
            assert holder.stdout is not None
            if holder.stdout.readline() != b"ready\n":
                raise UnavailableError("no network namespace; run as root with unshare and ip")
            yield holder.pid
        finally:
            holder.terminate()


def received_bytes(node: Node) -> tuple[int, int]:
    """Return what the node's device sent and received so far, headers included."""
    for line in node.run("cat", "/proc/net/dev").splitlines():
        name, _, numbers = line.partition(":")
        if name.strip() == node.device:
            columns = numbers.split()
            return int(columns[8]), int(columns[0])
    raise UnavailableError(f"no device {node.device}")


def _configure(node: Node, mbps: float | None) -> None:
    steps = [
        ["ip", "link", "set", node.device, "netns", str(node.pid)],
        node.command("ip", "addr", "add", f"{node.address}/24", "dev", node.device),
        node.command("ip", "link", "set", node.device, "up", "mtu", str(MTU)),
    ]
    if mbps is not None:
        bucket = ["rate", f"{mbps}mbit", "burst", "8kb", "latency", "400ms"]
        shape = ["tc", "qdisc", "add", "dev", node.device, "root", "tbf", *bucket]
        steps.append(node.command(*shape))
    for step in steps:
        done = subprocess.run(step, capture_output=True, text=True, check=False)
        if done.returncode:
            raise UnavailableError(f"{' '.join(step)}: {done.stderr.strip()}")


def _open_tun(device: str) -> int:
    try:
        end = os.open(TUN, os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(end, TUNSETIFF, struct.pack("16sH", device.encode(), IFF_TUN | IFF_NO_PI))
    except OSError as error:
        raise UnavailableError(f"no TUN device ({error}); run as root") from None
    return end


def _packed(address: str) -> bytes:
    return bytes(map(int, address.split(".")))


def probe_command(node: Node, **given: object) -> list[str]:
    """Return the command that runs a probe on a node."""
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in given.items()]
    program = [sys.executable, "-m", "moorage_extender.probe"]
    usual = [f"--node={node.name}", f"--peers={PEERS}", f"--host={node.address}"]
    return node.command(*program, *usual, "--log-level=warning", *flags)
