"""Reads the metrics of pods from a Prometheus that scrapes them."""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import msgspec

from moorage_operator.signals.exposition import make_sample
from moorage_operator.signals.profiles import MetricProfile
from moorage_operator.signals.scrape import OK, Endpoint
from moorage_policies.ports import Reporter
from moorage_policies.scaling.samples import PodSample

IN_FLIGHT = 8
PODS_A_QUERY = 100
LIMIT_BYTES = 64 * 2**20
_TARGET = ("job", "instance", "container", "endpoint")
"""Labels that tell two scrapes of one pod apart."""
_SAME_SCRAPE_S = 1.0


@dataclass(frozen=True, slots=True)
class Labels:
    """What the labels are called that name a series' pod."""

    namespace: str = "namespace"
    pod: str = "pod"


class _Series(msgspec.Struct):
    metric: dict[str, str]
    values: list[tuple[float, str]]


class _Matrix(msgspec.Struct):
    result: list[_Series]


class _Answer(msgspec.Struct):
    data: _Matrix


class Prometheus:
    """Fetches samples as Prometheus scraped them, with the times of the scrapes.

    ``advice`` tells what to look at when too few pods can be read.

    Args:
        url: where it is.
        reporter: hears ``metrics.unanswered`` when it does not answer.
        labels: what its labels are called.
        token_file: holds the token that it asks for.
        window_s: age above which samples are of no interest.
        timeout_s: how long one query may take.
    """

    def __init__(
        self,
        url: str,
        reporter: Reporter,
        *,
        labels: Labels,
        token_file: Path | None = None,
        window_s: float,
        timeout_s: float,
    ) -> None:
        self._url = url.rstrip("/")
        self._reporter = reporter
        self._labels = labels
        self._token_file = token_file
        self._window_s = window_s
        self._timeout_s = timeout_s
        self._turn = asyncio.Semaphore(IN_FLIGHT)
        self._session: aiohttp.ClientSession | None = None
        self.advice = (
            f"check that {self._url} answers, scrapes the pods more often than every "
            f"{window_s / 2:g} s and labels series by {labels.namespace} and {labels.pod}"
        )

    async def fetch(
        self, endpoints: Sequence[Endpoint], profile: MetricProfile
    ) -> dict[str, PodSample]:
        """Return the last samples of the pods that it scraped, by UID."""
        spaces: defaultdict[str, list[Endpoint]] = defaultdict(list)
        for endpoint in endpoints:
            spaces[endpoint.namespace].append(endpoint)
        questions = [
            self._ask(space, pods, profile)
            for space, held in spaces.items()
            for pods in _slices(held)
        ]
        answers = await asyncio.gather(*questions)
        return {uid: sample for answer in answers for uid, sample in answer.items()}

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def _ask(
        self, space: str, pods: Sequence[Endpoint], profile: MetricProfile
    ) -> dict[str, PodSample]:
        query = write_query(space, [e.pod for e in pods], profile, self._labels, self._window_s)
        async with self._turn:
            try:
                async with asyncio.timeout(self._timeout_s):
                    body = await self._post(query)
                answer = msgspec.json.decode(body, type=_Answer, strict=False)
                return _to_samples(answer.data.result, pods, profile, self._labels)
            except (aiohttp.ClientError, TimeoutError, ValueError, OSError) as error:
                self._reporter.report("metrics.unanswered", url=self._url, error=repr(error))
                return {}

    async def _post(self, query: str) -> bytes:
        if self._session is None:  # made inside the loop, without environment proxies
            self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        headers = {}
        if self._token_file is not None:  # read anew each time, as tokens are exchanged
            headers["Authorization"] = f"Bearer {self._token_file.read_text().strip()}"
        async with self._session.post(
            f"{self._url}/api/v1/query",
            data={"query": query},
            headers=headers,
            allow_redirects=False,
        ) as answer:
            if answer.status != OK:
                raise ValueError(f"it answers with {answer.status}")
            body = bytearray()
            async for part in answer.content.iter_chunked(2**16):
                body += part
                if len(body) > LIMIT_BYTES:
                    raise ValueError("its answer is longer than 64 MiB")
            return bytes(body)


def write_query(
    namespace: str, pods: Iterable[str], profile: MetricProfile, labels: Labels, window_s: float
) -> str:
    """Return the PromQL for all that was scraped of these pods within the window.

    A range is asked for: a plain selector would answer with old samples under the time of asking.
    """
    names = [name for names in profile.values.values() for name in names]
    names += [f"{name}_bucket" for names in profile.histograms.values() for name in names]
    chosen = "|".join(pod.replace(".", "[.]") for pod in pods)
    matchers = (
        f'__name__=~"{"|".join(names)}"',
        f'{labels.namespace}="{namespace}"',
        f'{labels.pod}=~"{chosen}"',
    )
    return f"{{{','.join(matchers)}}}[{max(1, math.ceil(window_s))}s]"


def _slices(endpoints: Sequence[Endpoint]) -> Iterator[Sequence[Endpoint]]:
    for start in range(0, len(endpoints), PODS_A_QUERY):
        yield endpoints[start : start + PODS_A_QUERY]


def _to_samples(
    series: Iterable[_Series], pods: Sequence[Endpoint], profile: MetricProfile, labels: Labels
) -> dict[str, PodSample]:
    by_pod: defaultdict[str, list[_Series]] = defaultdict(list)
    for one in series:
        if one.values:
            by_pod[one.metric.get(labels.pod, "")].append(one)
    found = {}
    for endpoint in pods:
        scraped = _of_one_scrape(by_pod.get(endpoint.pod, ()))
        # an older one is of a dead pod of the same name
        if scraped and (at_s := _latest_s(scraped)) >= endpoint.since_s:
            found[endpoint.uid] = _to_sample(endpoint.uid, at_s, scraped, profile)
    return found


def _of_one_scrape(series: Iterable[_Series]) -> list[_Series]:
    """Return what the last scrape of one target saw: two jobs may scrape the same pod."""
    targets: defaultdict[tuple[str, ...], list[_Series]] = defaultdict(list)
    for one in series:
        targets[tuple(one.metric.get(label, "") for label in _TARGET)].append(one)
    if not targets:
        return []
    chosen = min(targets, key=lambda name: (-len(targets[name]), name))
    at_s = _latest_s(targets[chosen])
    return [one for one in targets[chosen] if at_s - one.values[-1][0] < _SAME_SCRAPE_S]


def _latest_s(series: Iterable[_Series]) -> float:
    return max(one.values[-1][0] for one in series)


def _to_sample(
    uid: str, at_s: float, series: Iterable[_Series], profile: MetricProfile
) -> PodSample:
    values: defaultdict[str, float] = defaultdict(float)
    buckets: defaultdict[str, defaultdict[float, float]] = defaultdict(lambda: defaultdict(float))
    for one in series:
        name, number = one.metric.get("__name__", ""), float(one.values[-1][1])
        if name.endswith("_bucket") and "le" in one.metric:
            buckets[name.removesuffix("_bucket")][float(one.metric["le"])] += number
        else:
            values[name] += number
    return make_sample(uid, at_s, values, buckets, profile)
