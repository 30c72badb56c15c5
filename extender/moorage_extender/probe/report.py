"""What a probe tells, on the wire."""

from __future__ import annotations

import msgspec

from moorage_policies.network.samples import Report

FORMAT = 1
MAX_REPORT_BYTES = 1024 * 1024
MAX_PEERS = 4096
MAX_NAME = 253


class ProbeReport(msgspec.Struct, rename="camel", omit_defaults=True):
    """One node's newest readings; amounts that were not measured are absent."""

    format: int
    node: str
    rtt_ms: dict[str, float] = {}
    mbps: dict[str, float] = {}
    cpu_ratio: float | None = None
    receive_mbps: float | None = None
    transmit_mbps: float | None = None


_decoder = msgspec.json.Decoder(ProbeReport)


def encode(report: ProbeReport) -> bytes:
    """Return the report as JSON."""
    return msgspec.json.encode(report)


def decode(data: bytes) -> Report:
    """Return the report of a probe.

    Raises:
        ValueError: it is no report.
    """
    found = _decoder.decode(data)
    if found.format != FORMAT or not 0 < len(found.node) <= MAX_NAME:
        raise ValueError("another format, or no node")
    if len(found.rtt_ms) > MAX_PEERS or len(found.mbps) > MAX_PEERS:
        raise ValueError("too many peers")
    return Report(
        found.node,
        found.rtt_ms,
        found.mbps,
        _number(found.cpu_ratio),
        _number(found.receive_mbps),
        _number(found.transmit_mbps),
    )


def _number(value: float | None) -> float:
    return float("nan") if value is None else value
