from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from moorage_benchmarks.probe import MBPS, RTT_MS, TEST_KIB, read_telemetry, running_probes
from moorage_benchmarks.probe_network import TUN, Node, shaped_network
from moorage_policies.errors import UnavailableError

TOOLS = ("unshare", "nsenter", "ip", "tc", "curl")
DEADLINE_S = 120.0

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not TUN.exists() or not all(map(shutil.which, TOOLS)),
    reason="namespaces and TUN devices need root",
)


def shaped(name: str, peer: str) -> float:
    return RTT_MS[min(name, peer), max(name, peer)]


def close_pairs(nodes: dict[str, Node], seen: dict[tuple[str, str], float]) -> int:
    """Note the least round trips read so far; return how many are near the truth."""
    for node in nodes.values():
        for peer, value in read_telemetry(node, "rttMs").items():
            seen[node.name, peer] = min(value, seen.get((node.name, peer), value))
    return sum(value <= 1.1 * shaped(*pair) + 3.0 for pair, value in seen.items())


@pytest.fixture
def nodes() -> Iterator[dict[str, Node]]:
    with ExitStack() as stack:
        try:
            yield stack.enter_context(shaped_network(RTT_MS, MBPS))
        except UnavailableError as error:
            pytest.skip(str(error))


def test_probes_in_namespaces_read_what_was_shaped(nodes: dict[str, Node]) -> None:
    seen: dict[tuple[str, str], float] = {}
    rate = 0.0
    with running_probes(nodes, bandwidth_test_kib=TEST_KIB):
        ends_s = time.monotonic() + DEADLINE_S  # other work only makes readings worse for a while
        while time.monotonic() < ends_s:
            rate = read_telemetry(nodes["b"], "mbps").get("a", 0.0)
            if close_pairs(nodes, seen) == 6 and 0.7 * MBPS["b"] < rate < 1.3 * MBPS["b"]:
                break
    assert len(seen) == 6
    for pair, value in seen.items():
        assert 0.99 * shaped(*pair) <= value <= 1.1 * shaped(*pair) + 3.0, pair
    # a tenth is headers; a bucket lets a burst through beforehand
    assert 0.7 * MBPS["b"] < rate < 1.3 * MBPS["b"]
