"""Reads the metrics of pods, straight from them: works with nothing else installed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import aiohttp

from moorage_operator.signals.exposition import read_exposition
from moorage_operator.signals.profiles import MetricProfile
from moorage_policies.errors import UnavailableError
from moorage_policies.scaling.samples import PodSample

IN_FLIGHT = 64
LIMIT_BYTES = 4 * 2**20
OK = 200


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a pod shows its metrics, and by which names Prometheus knows it.

    Args:
        uid: of the pod.
        host: its address.
        port: of its metrics.
        path: of its metrics.
        namespace: of the pod.
        pod: its name, which a dead pod may have had before it.
        since_s: when it was made, Unix seconds.
    """

    uid: str
    host: str
    port: int
    path: str = "/metrics"
    namespace: str = ""
    pod: str = ""
    since_s: float = 0.0

    @property
    def url(self) -> str:
        """Return the address."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}{self.path}"


class Scraper:
    """Fetches samples; pods that do not answer in time are left out.

    ``advice`` tells what to look at when too few can be read.

    Args:
        now_s: Unix seconds.
        timeout_s: how long one pod may take.
    """

    advice = "check that the pods show metrics and can be reached"

    def __init__(self, now_s: Callable[[], float], *, timeout_s: float) -> None:
        self._now_s = now_s
        self._timeout_s = timeout_s
        self._turn = asyncio.Semaphore(IN_FLIGHT)
        self._session: aiohttp.ClientSession | None = None

    async def fetch(
        self, endpoints: Sequence[Endpoint], profile: MetricProfile
    ) -> dict[str, PodSample]:
        """Return the samples of those that answered, by UID."""
        samples = await asyncio.gather(*(self._one(e, profile) for e in endpoints))
        return {sample.uid: sample for sample in samples if sample is not None}

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def _one(self, endpoint: Endpoint, profile: MetricProfile) -> PodSample | None:
        async with self._turn:
            try:
                async with asyncio.timeout(self._timeout_s):
                    text = await self._text(endpoint)
                return read_exposition(text, endpoint.uid, self._now_s(), profile)
            except (aiohttp.ClientError, TimeoutError, UnicodeDecodeError, UnavailableError):
                return None

    async def _text(self, endpoint: Endpoint) -> str:
        if self._session is None:  # made inside the loop, without environment proxies
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=IN_FLIGHT), cookie_jar=aiohttp.DummyCookieJar()
            )
        async with self._session.get(endpoint.url, allow_redirects=False) as answer:
            if answer.status != OK:
                raise UnavailableError(f"it answers with {answer.status}")
            body = await answer.content.read(LIMIT_BYTES + 1)
            while len(body) <= LIMIT_BYTES and not answer.content.at_eof():
                body += await answer.content.read(LIMIT_BYTES + 1 - len(body))
            if len(body) > LIMIT_BYTES:
                raise UnavailableError("its metrics are longer than 4 MiB")
            return body.decode()
