"""Driver errors (XID) of accelerators, asked of a Prometheus that scrapes NVIDIA's exporter."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping

import aiohttp
import msgspec

from moorage_policies.health import DriverError
from moorage_policies.ports import Reporter

TIMEOUT_S = 5.0
OK = 200
_NODE_LABELS = ("Hostname", "node", "kubernetes_node")

ErrorsByNode = Mapping[str, tuple[DriverError, ...]]


class _Sample(msgspec.Struct):
    metric: dict[str, str]
    value: tuple[float, str]


class _Vector(msgspec.Struct):
    result: list[_Sample]


class _Answer(msgspec.Struct):
    data: _Vector


class DriverErrors:
    """The errors that Prometheus knows now; what it said last stands while it does not answer.

    Args:
        url: where Prometheus is, such as ``http://prometheus:9090``; empty: nobody is asked.
        query: expression whose series have a label ``Hostname`` (or ``node``), ``UUID`` or ``gpu``,
            and the error's number as value.
        reporter: hears ``health.blind`` when it does not answer.
    """

    def __init__(self, url: str, query: str, reporter: Reporter) -> None:
        self._url = url.rstrip("/")
        self._query = query
        self._reporter = reporter
        self._last: ErrorsByNode = {}

    async def read(self) -> ErrorsByNode:
        """Return the errors by node."""
        if not self._url:
            return {}
        try:
            async with asyncio.timeout(TIMEOUT_S):
                self._last = await self._ask()
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            self._reporter.report("health.blind", url=self._url, error=repr(error))
        return self._last

    async def _ask(self) -> ErrorsByNode:
        address = f"{self._url}/api/v1/query"
        async with (
            aiohttp.ClientSession() as session,
            session.get(address, params={"query": self._query}, allow_redirects=False) as answer,
        ):
            body = await answer.read()
            if answer.status != OK:
                raise ValueError(f"it answers with {answer.status}")
        return _by_node(msgspec.json.decode(body, type=_Answer, strict=False))


def _by_node(answer: _Answer) -> ErrorsByNode:
    found: dict[str, list[DriverError]] = defaultdict(list)
    for sample in answer.data.result:
        labels = sample.metric
        node = next((labels[name] for name in _NODE_LABELS if name in labels), "")
        device = labels.get("UUID") or labels.get("gpu", "")
        if xid := int(float(sample.value[1])):
            found[node].append(DriverError(device, xid))
    return {node: tuple(sorted(errors)) for node, errors in found.items()}
