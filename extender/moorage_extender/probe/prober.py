"""The rounds of measurements, and what they came to."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence

import aiohttp
import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector

from moorage_extender.probe.bandwidth import (
    BITS_PER_MEGABIT,
    SINK_MBPS,
    believed_mbps,
)
from moorage_extender.probe.budget import Budget
from moorage_extender.probe.echo import Address, Echo
from moorage_extender.probe.node_facts import BITS_PER_BYTE, BusyCpu, Rate, card_bytes
from moorage_extender.probe.report import FORMAT, ProbeReport
from moorage_extender.probe.selection import KIB, affordable_peers, select
from moorage_extender.probe.settings import ProbeSettings
from moorage_policies.ports import Clock

AT_ONCE = 16
KEPT_RTT_S, KEPT_MBPS_S = 120.0, 1800.0
"""Readings of peers that are not measured any more are told for so long."""

MS_PER_S = 1e3
MAX_METRICS_BYTES = 4 * 1024 * 1024

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


class Prober:
    """Measures peers round by round.

    Args:
        settings: what to measure.
        clock: monotonic seconds.
    """

    def __init__(self, settings: ProbeSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._rounds = 0
        self._rtt: dict[str, tuple[float, float]] = {}
        self._mbps: dict[str, tuple[float, float]] = {}
        self._cpu, self._cards = BusyCpu(), (Rate(), Rate())
        self._cpu_ratio: float | None = None
        self._card_mbps: tuple[float | None, float | None] = (None, None)
        budget = settings.bandwidth_budget_kib_per_min * KIB
        self.may_send, self.may_accept = Budget(budget, clock), Budget(budget, clock)
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._export()
        self.echo = Echo(settings.node, self._sent.inc)

    def _export(self) -> None:
        registry = self.registry
        self._sent = Counter(
            "moorage_probe_sent_bytes",
            "Bytes that echoes sent, without headers.",
            registry=registry,
        )
        self._tested = Counter(
            "moorage_probe_bandwidth_test_bytes",
            "Bytes that bandwidth tests sent.",
            registry=registry,
        )
        self._lost = Counter(
            "moorage_probe_lost_echoes", "Questions without answer.", registry=registry
        )
        self._done = Counter("moorage_probe_rounds", "Rounds of measurements.", registry=registry)
        self._gauge_rtt = Gauge(
            "moorage_probe_rtt_ms", "Round trip to a peer.", ("peer",), registry=registry
        )
        self._gauge_mbps = Gauge(
            "moorage_probe_mbps", "Bandwidth left to a peer.", ("peer",), registry=registry
        )

    def report(self) -> ProbeReport:
        """Return the newest readings."""
        self._forget_old()
        receive, transmit = self._card_mbps
        return ProbeReport(
            FORMAT,
            self._settings.node,
            {peer: round(value, 4) for peer, (value, _) in self._rtt.items()},
            {peer: round(value, 2) for peer, (value, _) in self._mbps.items()},
            self._cpu_ratio,
            receive,
            transmit,
        )

    async def run(self) -> None:
        """Measure until cancelled; a round that fails is logged and the next one comes."""
        timeout = aiohttp.ClientTimeout(total=5.0)
        async with aiohttp.ClientSession(timeout=timeout, trust_env=False) as session:
            while True:
                await self.measure_round(session, await self.find_peers())
                await asyncio.sleep(self._settings.interval_s)

    async def find_peers(self) -> list[str]:
        """Return the addresses of all probes, this one's included."""
        if not self._settings.peers:
            return []
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(self._settings.peers, None, type=socket.SOCK_DGRAM)
        except OSError as error:
            log.warning("no-peers", host=self._settings.peers, why=str(error))
            return []
        return sorted({str(address[0]) for *_, address in found})

    async def measure_round(self, session: aiohttp.ClientSession, addresses: Sequence[str]) -> None:
        """Measure some peers once, and look at the node itself."""
        most = affordable_peers(self._settings)
        chosen = select(addresses, self._rounds, most)
        gate = asyncio.Semaphore(AT_ONCE)
        at = [(address, self._settings.echo_port) for address in chosen]
        names = await asyncio.gather(*(self._measure(address, gate) for address in at))
        found = [
            (name, address)
            for name, (address, _) in zip(names, at, strict=True)
            if name is not None and name != self._settings.node
        ]
        if found and self._settings.bandwidth_test_kib:
            name, address = found[self._rounds % len(found)]  # one a round: tests disturb
            await self._test_bandwidth(session, name, address)
        await self._look_at_node(session)
        self._rounds += 1
        self._done.inc()

    async def _measure(self, address: Address, gate: asyncio.Semaphore) -> str | None:
        """Note the quickest of a few round trips; return the peer's node."""
        quickest: tuple[float, str] | None = None
        async with gate:
            for _ in range(self._settings.exchanges):
                answer = await self.echo.ask(address, self._settings.timeout_s)
                if answer is None:
                    self._lost.inc()
                    break  # the others would only wait as long
                quickest = min(quickest or answer, answer)
        if quickest is None:
            return None
        seconds, name = quickest
        if name != self._settings.node:
            self._rtt[name] = (seconds * MS_PER_S, self._clock())
            self._gauge_rtt.labels(name).set(seconds * MS_PER_S)
        return name

    async def _test_bandwidth(
        self, session: aiohttp.ClientSession, name: str, address: str
    ) -> None:
        """Note how fast a small body reaches a peer, if both budgets allow it."""
        size = self._settings.bandwidth_test_kib * KIB
        if not self.may_send.take(size):
            return
        host = f"[{address}]" if ":" in address else address
        began_s = self._clock()
        try:
            url = f"http://{host}:{self._settings.port}/v1/sink"
            async with session.post(url, data=bytes(size)) as answer:
                if answer.status != 204:  # noqa: PLR2004 - the peer's budget is used up
                    return
                told = answer.headers.get(SINK_MBPS)
        except (aiohttp.ClientError, TimeoutError) as error:
            log.info("bandwidth-test-failed", peer=name, why=str(error))
            return
        took_s = self._clock() - began_s
        self._tested.inc(size)
        mbps = believed_mbps(size, took_s, self._rtt[name][0] / MS_PER_S, told)
        self._mbps[name] = (mbps, self._clock())
        self._gauge_mbps.labels(name).set(mbps)

    async def _look_at_node(self, session: aiohttp.ClientSession) -> None:
        if self._settings.cpu:
            self._cpu_ratio = self._cpu.look()
        if not self._settings.node_exporter:
            return
        try:
            async with session.get(self._settings.node_exporter) as answer:
                text = (await answer.content.read(MAX_METRICS_BYTES)).decode(errors="replace")
        except (aiohttp.ClientError, TimeoutError) as error:
            log.info("node-exporter-failed", why=str(error))
            return
        found = card_bytes(text)
        if found is not None:
            now_s = self._clock()
            receive, transmit = (
                rate.per_s(value, now_s) for rate, value in zip(self._cards, found, strict=True)
            )
            self._card_mbps = (_megabits(receive), _megabits(transmit))

    def _forget_old(self) -> None:
        now_s = self._clock()
        for readings, gauge, kept_s in (
            (self._rtt, self._gauge_rtt, KEPT_RTT_S),
            (self._mbps, self._gauge_mbps, KEPT_MBPS_S),
        ):
            for peer in [p for p, (_, at_s) in readings.items() if now_s - at_s > kept_s]:
                del readings[peer]
                gauge.remove(peer)


def _megabits(bytes_per_s: float | None) -> float | None:
    return None if bytes_per_s is None else bytes_per_s * BITS_PER_BYTE / BITS_PER_MEGABIT
