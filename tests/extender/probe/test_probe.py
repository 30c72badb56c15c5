from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import ClientSession, web
from hypothesis import given, settings
from hypothesis import strategies as st

from moorage_extender.probe.bandwidth import SecondHalf, believed_mbps
from moorage_extender.probe.budget import Budget
from moorage_extender.probe.echo import ANSWER, ASK, PACKET_BYTES, Echo
from moorage_extender.probe.main import make_app
from moorage_extender.probe.node_facts import BusyCpu, Rate, card_bytes
from moorage_extender.probe.prober import Prober
from moorage_extender.probe.report import ProbeReport, decode, encode
from moorage_extender.probe.selection import affordable_peers, select
from moorage_extender.probe.settings import ProbeSettings


@asynccontextmanager
async def probe(node: str, host: str, port: int = 0, **given: object) -> AsyncIterator[Prober]:
    """A running probe on a loopback address; all of them share the echo's port."""
    told = ProbeSettings(node=node, host=host, echo_port=port, port=port, **given)  # type: ignore[arg-type]
    prober = Prober(told, time.monotonic)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: prober.echo, (host, port))
    runner = web.AppRunner(make_app(prober))
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    try:
        yield prober
    finally:
        transport.close()
        await runner.cleanup()


@pytest.fixture
def port(unused_tcp_port: int) -> int:
    return unused_tcp_port


async def test_probes_measure_each_other_and_learn_their_names(port: int) -> None:
    async with (
        probe("north", "127.0.0.2", port) as north,
        probe("south", "127.0.0.3", port),
        ClientSession() as session,
    ):
        await north.measure_round(session, ["127.0.0.2", "127.0.0.3"])
        report = north.report()
        assert report.node == "north"
        assert list(report.rtt_ms) == ["south"]
        assert 0 < report.rtt_ms["south"] < 1000
        assert report.mbps == {}  # nobody asked for bandwidth tests
        async with session.get(f"http://127.0.0.2:{port}/v1/telemetry") as answer:
            assert decode(await answer.read()).rtt_ms == report.rtt_ms
        async with session.get(f"http://127.0.0.2:{port}/metrics") as answer:
            assert 'moorage_probe_rtt_ms{peer="south"}' in await answer.text()


class _Late(Echo):
    """An echo that answers after a delay: a shaped way."""

    delay_s = 0.08

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if data.startswith(ASK):
            answer = super().datagram_received
            asyncio.get_running_loop().call_later(self.delay_s, answer, data, addr)
        else:
            super().datagram_received(data, addr)


async def test_a_delayed_way_is_measured_as_long_as_it_is(port: int) -> None:
    loop = asyncio.get_running_loop()
    late = _Late("far", lambda _sent: None)
    transport, _ = await loop.create_datagram_endpoint(lambda: late, ("127.0.0.4", port))
    async with probe("near", "127.0.0.2", port) as near, ClientSession() as session:
        await near.measure_round(session, ["127.0.0.4"])
    transport.close()
    assert near.report().rtt_ms["far"] >= 80.0  # a loaded machine only adds


async def test_bandwidth_is_tested_only_within_both_budgets(port: int) -> None:
    opt_in = {"bandwidth_test_kib": 64, "bandwidth_budget_kib_per_min": 100}
    async with (
        probe("north", "127.0.0.2", port, **opt_in) as north,
        probe("south", "127.0.0.3", port, **opt_in),
        ClientSession() as session,
    ):
        await north.measure_round(session, ["127.0.0.3"])
        assert north.report().mbps["south"] > 0
        for _ in range(3):
            await north.measure_round(session, ["127.0.0.3"])
        text = make_metrics(north)
        assert "moorage_probe_bandwidth_test_bytes_total 65536.0" in text  # one of four
        async with session.post(f"http://127.0.0.3:{port}/v1/sink", data=bytes(65536)) as answer:
            assert answer.status == 429


def make_metrics(prober: Prober) -> str:
    from prometheus_client import generate_latest

    return generate_latest(prober.registry).decode()


def test_the_second_half_of_a_body_is_rid_of_the_start() -> None:
    now = [0.0]
    half = SecondHalf(1_000_000, lambda: now[0])
    assert half.mbps() is None
    for came_s, count in ((1.0, 400_000), (1.1, 100_000), (1.3, 250_000), (1.5, 250_000)):
        now[0] = came_s
        half.take(count)
    assert half.mbps() == pytest.approx(10.0)  # 4 Mbit in 0.4 s


def test_a_half_out_of_buffers_tells_nothing() -> None:
    half = SecondHalf(1000, lambda: 5.0)
    half.take(1000)
    assert half.mbps() is None


@pytest.mark.parametrize(
    ("rtt_s", "told", "expected"),
    [
        # 1 MB in 2 s
        pytest.param(0.1, None, 4.0, id="nothing"),
        pytest.param(0.1, "6.5", 6.5, id="up-to-speed"),
        pytest.param(0.1, "3", 4.0, id="less-than-the-whole"),
        pytest.param(10.0, "1e9", 16.0, id="a-lie-from-afar"),
        # 2 + log2(1 + 1,022,000 / 14,600) = 8.15 round trips of 0.02 s: 8.176 Mbit in 1.837 s
        pytest.param(0.02, "1e9", 4.45, id="a-lie-from-near-by"),
        pytest.param(0.1, "nan", 4.0, id="no-number"),
        pytest.param(0.1, "fast", 4.0, id="text"),
    ],
)
def test_the_sinks_word_counts_within_bounds(
    rtt_s: float, told: str | None, expected: float
) -> None:
    assert believed_mbps(1_022_000, 2.0, rtt_s, told) == pytest.approx(expected, rel=0.03)


async def test_a_silent_peer_is_lost_and_not_told(port: int) -> None:
    async with probe("north", "127.0.0.2", port, timeout_s=0.05) as north, ClientSession() as http:
        await north.measure_round(http, ["127.0.0.9"])
        assert north.report().rtt_ms == {}
        assert "moorage_probe_lost_echoes_total 1.0" in make_metrics(north)


class _Wire(asyncio.DatagramTransport):
    def __init__(self) -> None:
        super().__init__()
        self.sent: list[tuple[bytes, object]] = []

    def sendto(self, data: object, addr: object = None) -> None:
        assert isinstance(data, bytes)
        self.sent.append((data, addr))


@settings(max_examples=40)
@given(st.binary(max_size=600), st.text(min_size=1, max_size=253, alphabet="abc-."))
def test_an_echo_never_answers_with_more_than_it_got(data: bytes, node: str) -> None:
    wire, echo = _Wire(), Echo(node, lambda _sent: None)
    echo.connection_made(wire)
    for packet in (data, ASK + data, (ASK + data[:16]).ljust(PACKET_BYTES, b"\0")):
        wire.sent.clear()
        echo.datagram_received(packet, ("127.0.0.1", 1))
        assert sum(len(answer) for answer, _ in wire.sent) <= len(packet)


async def test_answers_from_elsewhere_or_to_no_question_are_dropped() -> None:
    wire, echo = _Wire(), Echo("me", lambda _sent: None)
    echo.connection_made(wire)
    asking = asyncio.create_task(echo.ask(("10.0.0.1", 1), 0.1))
    await asyncio.sleep(0)
    nonce = wire.sent[0][0][len(ASK) : len(ASK) + 16]
    echo.datagram_received(ANSWER + nonce + b"liar", ("10.0.0.2", 1))
    echo.datagram_received(ANSWER + bytes(16) + b"liar", ("10.0.0.1", 1))
    assert await asking is None


@settings(max_examples=25)
@given(st.integers(3, 40), st.integers(2, 16))
def test_large_clusters_are_sampled_around_common_landmarks(count: int, most: int) -> None:
    addresses = [f"10.0.{k // 250}.{k % 250}" for k in range(count)]
    rounds = [select(addresses, number, most) for number in range(2 * count)]
    assert all(len(chosen) == len(set(chosen)) == min(most, count) for chosen in rounds)
    assert set().union(*rounds) == set(addresses)  # everybody is measured some time
    common = set(rounds[0]).intersection(*rounds)
    assert len(common) >= min(most // 2, count)


def test_the_budget_limits_the_peers_of_a_round() -> None:
    told = ProbeSettings(node="n", interval_s=10, exchanges=3, budget_kib_per_min=256)
    # a peer costs 2 * 3 * 320 B six times a minute: 11,520 B of 262,144 B
    assert affordable_peers(told) == 22


def test_a_bucket_fills_with_time_up_to_a_minute() -> None:
    now = [0.0]
    budget = Budget(600.0, lambda: now[0])
    assert budget.take(600)
    assert not budget.take(1)
    now[0] = 6.0
    assert budget.take(60)
    assert not budget.take(1)
    now[0] = 6000.0
    assert not budget.take(601)


def test_busy_cpu_is_what_was_not_idle_between_two_looks(tmp_path: Path) -> None:
    stat = tmp_path / "stat"
    cpu = BusyCpu(stat)
    assert cpu.look() is None  # nothing to read
    stat.write_text("cpu  100 0 0 100 0 0 0 0 50 0\n")
    assert cpu.look() is None  # nothing to compare with
    stat.write_text("cpu  175 0 0 120 5 0 0 0 99 0\n")
    assert cpu.look() == pytest.approx(0.75)  # 75 of 100, of which 20 idle and 5 waiting


def test_card_traffic_leaves_out_virtual_devices() -> None:
    metrics = """
node_network_receive_bytes_total{device="eth0"} 1e+06
node_network_receive_bytes_total{device="veth12"} 5e+06
node_network_transmit_bytes_total{device="eth0"} 2e+06
node_network_transmit_bytes_total{device="lo"} 9e+06
"""
    assert card_bytes(metrics) == (1e6, 2e6)
    assert card_bytes("") is None


def test_a_counter_that_starts_anew_tells_no_rate() -> None:
    rate = Rate()
    found = [rate.per_s(value, now_s) for value, now_s in ((10, 0), (30, 2), (5, 4), (9, 6))]
    assert found == [None, 10.0, None, 2.0]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"[]", id="a-list"),
        pytest.param(b'{"format":2,"node":"a"}', id="another-format"),
        pytest.param(b'{"format":1,"node":""}', id="no-node"),
        pytest.param(b'{"format":1,"node":"a","rttMs":{"b":"soon"}}', id="text"),
        pytest.param(
            encode(ProbeReport(1, "a", {str(k): 1.0 for k in range(4097)})), id="too-many"
        ),
    ],
)
def test_reports_that_are_none_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        decode(data)
