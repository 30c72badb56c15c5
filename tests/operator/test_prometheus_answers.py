"""What is asked of Prometheus, and answers of its that must not mislead."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from moorage_operator.signals.profiles import MetricProfile
from moorage_operator.signals.prometheus import Labels, Prometheus, write_query
from moorage_operator.signals.scrape import Endpoint
from moorage_policies.scaling.samples import PodSample

PROFILE = MetricProfile({"running": ("new_running", "old_running")}, {"itl_s": ("itl",)})
POD = Endpoint("u", "10.0.0.1", 1, "/metrics", "team", "a.0", 100.0)


class Reports:
    def __init__(self) -> None:
        self.events: list[str] = []

    def report(self, event: str, **_: object) -> None:
        self.events.append(event)


def test_the_range_of_the_pods_series_is_asked_for() -> None:
    query = write_query("team", ["a.0", "b"], PROFILE, Labels("ns", "pod_name"), 12.3)
    names = "new_running|old_running|itl_bucket"
    assert query == f'{{__name__=~"{names}",ns="team",pod_name=~"a[.]0|b"}}[13s]'


@asynccontextmanager
async def prometheus(answer: Callable[[web.Request], web.Response]) -> AsyncIterator[str]:
    async def respond(request: web.Request) -> web.Response:
        return answer(request)

    app = web.Application()
    app.router.add_post("/api/v1/query", respond)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


async def fetch(url: str, **settings: Any) -> tuple[dict[str, PodSample], list[str]]:
    reports = Reports()
    source = Prometheus(url, reports, labels=Labels(), window_s=45.0, timeout_s=5.0, **settings)
    try:
        return await source.fetch([POD], PROFILE), reports.events
    finally:
        await source.close()


def series(name: str, *values: tuple[float, str], pod: str = "a.0", **labels: str) -> Any:
    metric = {"__name__": name, "namespace": "team", "pod": pod, **labels}
    return {"metric": metric, "values": values}


async def told(*found: Any) -> dict[str, PodSample]:
    body = {"status": "success", "data": {"resultType": "matrix", "result": found}}
    async with prometheus(lambda _: web.json_response(body)) as url:
        samples, events = await fetch(url)
    assert events == []
    return samples


async def test_the_newest_of_each_series_is_summed_by_name() -> None:
    one = series("new_running", (110.0, "1"), (120.0, "2"), engine="0")
    two = series("new_running", (120.0, "3"), engine="1")
    old = series("old_running", (120.0, "9"))
    sample = (await told(one, two, old))["u"]
    assert (sample.at_s, sample.values) == (120.0, {"running": 5.0})


async def test_a_series_that_the_last_scrape_did_not_see_is_gone() -> None:
    gone, here = series("new_running", (110.0, "4"), engine="0"), series("itl_sum", (120.0, "1"))
    live = series("new_running", (120.0, "1"), engine="1")
    assert (await told(gone, here, live))["u"].values == {"running": 1.0}


async def test_a_pod_that_two_jobs_scrape_counts_once() -> None:
    jobs = [series("new_running", (120.0, "4"), job=job) for job in ("a", "b")]
    assert (await told(*jobs))["u"].values == {"running": 4.0}


async def test_what_is_older_than_the_pod_is_of_another_of_its_name() -> None:
    assert await told(series("new_running", (99.0, "4"))) == {}


async def test_a_value_that_is_no_number_is_not_believed() -> None:
    sample = (await told(series("new_running", (120.0, "NaN"))))["u"]
    assert not sample.is_believable()


async def test_buckets_are_read_by_their_bounds() -> None:
    found = [series("itl_bucket", (120.0, n), le=le) for le, n in (("+Inf", "5"), ("1.0", "4"))]
    assert (await told(*found))["u"].buckets == {"itl_s": ((1.0, 4.0), (float("inf"), 5.0))}


@pytest.mark.parametrize(
    "response",
    [
        pytest.param(lambda: web.Response(status=503), id="not-ready"),
        pytest.param(lambda: web.Response(text="<html>sign in</html>"), id="no-answer-of-its"),
        pytest.param(lambda: web.json_response({"status": "error", "error": "x"}), id="error"),
        pytest.param(
            lambda: web.Response(status=302, headers={"Location": "http://127.0.0.1:1/"}),
            id="sends-elsewhere",
        ),
    ],
)
async def test_an_answer_that_is_none_is_told_and_gives_no_sample(
    response: Callable[[], web.Response],
) -> None:
    async with prometheus(lambda _: response()) as url:
        assert await fetch(url) == ({}, ["metrics.unanswered"])


async def test_the_token_is_sent_and_read_anew(tmp_path: Path) -> None:
    seen: list[str] = []

    def answer(request: web.Request) -> web.Response:
        seen.append(request.headers["Authorization"])
        return web.Response(text=json.dumps({"data": {"result": []}}))

    token = tmp_path / "token"
    async with prometheus(answer) as url:
        for text in ("one\n", "two"):
            token.write_text(text)
            await fetch(url, token_file=token)
    assert seen == ["Bearer one", "Bearer two"]
    token.unlink()
    assert await fetch("http://127.0.0.1:1", token_file=token) == ({}, ["metrics.unanswered"])
