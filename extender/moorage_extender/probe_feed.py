"""The way of the probes' reports into the network's scores."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Sequence

import aiohttp
import structlog

from moorage_extender.metrics import Metrics
from moorage_extender.network import Network
from moorage_extender.probe.report import MAX_REPORT_BYTES, decode
from moorage_policies.network.samples import Report

PATH = "/v1/telemetry"
TIMEOUT_S = 2.0
AT_ONCE = 32

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


class ProbeFeed:
    """Reads all probes now and then.

    Args:
        network: takes the reports.
        metrics: counts what was left out.
        probes: ``host:port`` under which all of them are found.
        poll_s: seconds between two readings.
    """

    def __init__(self, network: Network, metrics: Metrics, probes: str, poll_s: float) -> None:
        self._network = network
        self._metrics = metrics
        self._host, _, port = probes.rpartition(":")
        self._port = int(port)
        self._poll_s = poll_s

    async def run(self) -> None:
        """Read until cancelled."""
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        async with aiohttp.ClientSession(timeout=timeout, trust_env=False) as session:
            while True:
                await self.read_all(session)
                await asyncio.sleep(self._poll_s)

    async def read_all(self, session: aiohttp.ClientSession) -> None:
        """Read every probe once; scores are worked out anew even if none answers."""
        gate = asyncio.Semaphore(AT_ONCE)
        addresses = await self._resolve()
        found = await asyncio.gather(*(self._read(session, gate, at) for at in addresses))
        for report in self._honest([report for report in found if report is not None]):
            self._network.take(report)
        self._network.wake()

    def _honest(self, reports: Sequence[Report]) -> list[Report]:
        """Return the reports of nodes for which one probe alone speaks."""
        claims = Counter(report.node for report in reports)
        twice = [node for node, count in claims.items() if count > 1]
        for node in twice:
            self._ignore("claimed-twice")
            log.warning("probe-ignored", node=node, why="several probes speak for this node")
        return [report for report in reports if claims[report.node] == 1]

    async def _resolve(self) -> list[tuple[str, int]]:
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        except OSError:
            self._ignore("no-address")
            return []
        return sorted({(str(address[0]), self._port) for *_, address in found})

    async def _read(
        self, session: aiohttp.ClientSession, gate: asyncio.Semaphore, at: tuple[str, int]
    ) -> Report | None:
        host = f"[{at[0]}]" if ":" in at[0] else at[0]
        try:
            async with gate, session.get(f"http://{host}:{at[1]}{PATH}") as answer:
                data = b""
                async for chunk in answer.content.iter_any():
                    data += chunk
                    if len(data) > MAX_REPORT_BYTES:
                        break
                if answer.status != 200 or len(data) > MAX_REPORT_BYTES:  # noqa: PLR2004
                    self._ignore("refused")
                    return None
        except (aiohttp.ClientError, TimeoutError):
            self._ignore("unreachable")
            return None
        try:
            return decode(data)
        except ValueError:
            self._ignore("unreadable")
            return None

    def _ignore(self, reason: str) -> None:
        self._metrics.network_ignored.labels(reason).inc()
