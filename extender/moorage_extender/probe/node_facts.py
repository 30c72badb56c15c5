"""What a node tells of itself: busy CPU, traffic of its network cards."""

from __future__ import annotations

import re
from pathlib import Path

BITS_PER_BYTE = 8
VIRTUAL = re.compile(r"^(lo|veth|cali|cni|docker|br-|tunl|flannel|cilium|lxc|kube|dummy|vxlan).*")
COUNTER = re.compile(
    r'^node_network_(receive|transmit)_bytes_total\{[^}]*device="([^"]+)"[^}]*\}\s+(\S+)',
    re.MULTILINE,
)


class Rate:
    """How fast a counter grows, from one look to the next."""

    __slots__ = ("_at_s", "_value")

    def __init__(self) -> None:
        self._at_s: float | None = None
        self._value = 0.0

    def per_s(self, value: float, now_s: float) -> float | None:
        """Return the growth per second since the last look; ``None`` at first or after a reset."""
        before, began_s = self._value, self._at_s
        self._value, self._at_s = value, now_s
        if began_s is None or now_s <= began_s or value < before:
            return None
        return (value - before) / (now_s - began_s)


class BusyCpu:
    """The share of CPU time that was not idle, from one look to the next."""

    __slots__ = ("_last", "_path")

    def __init__(self, path: Path = Path("/proc/stat")) -> None:
        self._path = path
        self._last: tuple[float, float] | None = None

    def look(self) -> float | None:
        """Return 0 to 1 since the last look; ``None`` at first or where it cannot be read."""
        try:
            fields = self._path.read_text().split("\n", maxsplit=1)[0].split()[1:]
            times = [float(field) for field in fields[:8]]  # guest time is in user time already
        except (OSError, ValueError):
            return None
        if len(times) < 5:  # noqa: PLR2004 - idle and iowait are the fourth and fifth
            return None
        now = (sum(times), times[3] + times[4])
        before, self._last = self._last, now
        if before is None or now[0] <= before[0]:
            return None
        return min(1.0, max(0.0, 1 - (now[1] - before[1]) / (now[0] - before[0])))


def card_bytes(metrics: str) -> tuple[float, float] | None:
    """Return bytes received and sent by the node's real cards, from a node exporter's metrics."""
    totals = {"receive": 0.0, "transmit": 0.0}
    found = False
    for way, device, value in COUNTER.findall(metrics):
        if not VIRTUAL.match(device):
            found = True
            totals[way] += float(value)
    return (totals["receive"], totals["transmit"]) if found else None
