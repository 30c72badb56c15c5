"""Engines' texts made into samples, and pods that answer late, too long or not at all."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from moorage_crds.scaling import CustomMetric
from moorage_operator.signals.exposition import read_exposition
from moorage_operator.signals.profiles import profile_of
from moorage_operator.signals.scrape import LIMIT_BYTES, Endpoint, Scraper
from moorage_policies.errors import UnavailableError

NEW = """
# HELP vllm:num_requests_running running
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="m"} 3
vllm:num_requests_running{engine="1",model_name="m"} 2
vllm:num_requests_waiting{model_name="m"} 1.0
vllm:kv_cache_usage_perc{model_name="m"} 0.25
# TYPE vllm:generation_tokens counter
vllm:generation_tokens_total{model_name="m"} 1234.0
vllm:generation_tokens_created{model_name="m"} 1.7e9
# TYPE vllm:inter_token_latency_seconds histogram
vllm:inter_token_latency_seconds_bucket{le="0.05",model_name="m"} 4.0
vllm:inter_token_latency_seconds_bucket{le="+Inf",model_name="m"} 5.0
vllm:inter_token_latency_seconds_sum{model_name="m"} 0.5
vllm:inter_token_latency_seconds_count{model_name="m"} 5.0
vllm:something_else{x="nonsense"} 7
"""
OLD = """
vllm:gpu_cache_usage_perc 0.5
vllm:generation_tokens_total 10
vllm:time_per_output_token_seconds_bucket{le="0.1"} 2
vllm:time_per_output_token_seconds_bucket{le="+Inf"} 2
"""


def test_the_new_names_of_an_engine_are_read() -> None:
    sample = read_exposition(NEW, "u", 5.0, profile_of("vllm", None))
    assert dict(sample.values) == {
        "running": 5.0,
        "waiting": 1.0,
        "kv_ratio": 0.25,
        "generated_tokens": 1234.0,
    }
    assert sample.buckets["itl_s"] == ((0.05, 4.0), (float("inf"), 5.0))


def test_the_old_names_count_where_the_new_ones_are_not() -> None:
    sample = read_exposition(OLD, "u", 5.0, profile_of("vllm", None))
    assert sample.values["kv_ratio"] == 0.5
    assert sample.buckets["itl_s"][0] == (0.1, 2.0)
    both = read_exposition(OLD + NEW, "u", 5.0, profile_of("vllm", None))
    assert both.values["kv_ratio"] == 0.25


@pytest.mark.parametrize(
    ("engine", "line"),
    [
        pytest.param("sglang", "sglang:num_running_reqs 4", id="sglang"),
        pytest.param("trtllm", "trtllm_num_requests_running 4", id="trtllm"),
    ],
)
def test_other_engines_are_read_by_their_names(engine: str, line: str) -> None:
    assert read_exposition(line, "u", 0.0, profile_of(engine, None)).values["running"] == 4.0


def test_a_metric_of_ones_own_is_read() -> None:
    metric = CustomMetric(name="my_tokens_total", read_as="Rate")
    sample = read_exposition("my_tokens_total 9\n", "u", 0.0, profile_of("custom", metric))
    assert sample.values["custom"] == 9.0


def test_what_is_no_exposition_is_refused() -> None:
    with pytest.raises(UnavailableError, match="parsed"):
        read_exposition('vllm:num_requests_running{le="', "u", 0.0, profile_of("vllm", None))
    with pytest.raises(UnavailableError, match="parsed"):
        read_exposition("vllm:num_requests_running many", "u", 0.0, profile_of("vllm", None))
    nonsense = read_exposition("<html>busy</html>", "u", 0.0, profile_of("vllm", None))
    assert not nonsense.values


@asynccontextmanager
async def serving(answer: Callable[[web.Request], Awaitable[web.Response]]) -> AsyncIterator[int]:
    app = web.Application()
    app.router.add_get("/metrics", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def fetch(port: int, *, timeout_s: float = 5.0) -> dict[str, object]:
    scraper = Scraper(time.time, timeout_s=timeout_s)
    try:
        endpoint = Endpoint("u", "127.0.0.1", port)
        return dict(await scraper.fetch([endpoint], profile_of("vllm", None)))
    finally:
        await scraper.close()


async def test_a_pod_is_read() -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=NEW)

    async with serving(answer) as port:
        assert list(await fetch(port)) == ["u"]


@pytest.mark.parametrize(
    "response",
    [
        pytest.param(lambda: web.Response(status=500), id="error"),
        pytest.param(lambda: web.Response(body=b"\xff\xfe"), id="no-text"),
        pytest.param(lambda: web.Response(body=b"a" * (LIMIT_BYTES + 1)), id="too-long"),
        pytest.param(lambda: web.HTTPFound("http://127.0.0.1:1/"), id="sends-elsewhere"),
    ],
)
async def test_a_pod_that_answers_badly_is_left_out(response: Callable[[], web.Response]) -> None:
    async def answer(_: web.Request) -> web.Response:
        made = response()
        if isinstance(made, web.HTTPException):
            raise made
        return made

    async with serving(answer) as port:
        assert await fetch(port) == {}


async def test_a_slow_pod_holds_nothing_up() -> None:
    released = asyncio.Event()

    async def answer(_: web.Request) -> web.Response:
        await released.wait()
        return web.Response(text=NEW)

    async with serving(answer) as port:
        assert await fetch(port, timeout_s=0.1) == {}
        released.set()


async def test_nobody_there_is_left_out() -> None:
    assert await fetch(1) == {}
