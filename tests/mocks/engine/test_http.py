"""The engine over loopback."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from moorage_cluster.testing import eventually
from moorage_mocks.engine.config import Settings
from moorage_mocks.engine.main import serving
from moorage_mocks.engine.server import Phase

FAST = {
    "host": "127.0.0.1", "port": 0, "warm_up_s": 0, "step_ms": 0.1, "sequence_ms": 0,
    "prefill_tokens_per_s": 1e9, "model": "m",
}  # fmt: skip


class Client:
    def __init__(self, http: aiohttp.ClientSession, port: int, server: Any) -> None:
        self.http = http
        self.base = f"http://127.0.0.1:{port}"
        self.server = server

    async def complete(self, **body: Any) -> tuple[int, dict[str, Any]]:
        async with self.http.post(f"{self.base}/v1/completions", json=body) as answer:
            return answer.status, await answer.json()

    async def metrics(self) -> dict[str, list[Any]]:
        async with self.http.get(f"{self.base}/metrics") as answer:
            families = text_string_to_metric_families(await answer.text())
            samples: dict[str, list[Any]] = {}
            for sample in (sample for family in families for sample in family.samples):
                samples.setdefault(sample.name, []).append(sample)
            return samples


@asynccontextmanager
async def start(**settings: Any) -> AsyncIterator[Client]:
    async with (
        serving(Settings(**{**FAST, **settings}), "GPU-a,GPU-b") as (server, port),
        aiohttp.ClientSession() as http,
    ):
        yield Client(http, port, server)


@pytest.fixture
async def client(request: pytest.FixtureRequest) -> AsyncIterator[Client]:
    settings = getattr(request, "param", {})
    async with start(**settings) as started:
        if not settings.get("warm_up_s"):
            await eventually(lambda: started.server.phase is Phase.READY)
        yield started


async def test_a_completion(client: Client) -> None:
    status, body = await client.complete(model="m", prompt="x" * 40, max_tokens=3)
    assert status == 200
    assert body["usage"] == {"prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 13}
    (choice,) = body["choices"]
    assert (len(choice["text"].split()), choice["finish_reason"]) == (3, "length")


async def test_a_stream_has_an_event_per_token(client: Client) -> None:
    body = {"prompt": [1, 2, 3], "max_tokens": 4, "stream": True}
    async with client.http.post(f"{client.base}/v1/completions", json=body) as answer:
        assert answer.headers["Content-Type"] == "text/event-stream"
        events = [line[6:] async for line in answer.content if line.strip()]
    assert events[-1].strip() == b"[DONE]"
    finishes = [json.loads(event)["choices"][0]["finish_reason"] for event in events[:-1]]
    assert finishes == [None, None, None, "length"]


@pytest.mark.parametrize("client", [{"role": "prefill"}], indirect=True)
async def test_a_prefill_server_stops_after_the_first_token(client: Client) -> None:
    _, body = await client.complete(prompt=[1] * 5, max_tokens=100)
    assert body["usage"] == {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6}


def test_a_decode_server_fetches_the_prompt() -> None:
    settings = Settings(role="decode", transfer_tokens_per_s=5e5, prefill_tokens_per_s=1e4)
    assert settings.pace().prefill_tokens_per_s == 5e5


@pytest.mark.parametrize(
    ("body", "field"),
    [
        pytest.param({"prompt": "a", "model": "other"}, "model", id="another-model"),
        pytest.param({"prompt": "a", "max_tokens": 0}, "max_tokens", id="no-tokens"),
        pytest.param({"prompt": "a", "max_tokens": 200_000}, "max_tokens", id="more-than-fits"),
        pytest.param({"prompt": "a", "n": 2}, "n", id="two-completions"),
        pytest.param({"max_tokens": 1}, "prompt", id="no-prompt"),
        pytest.param({"prompt": {"text": "a"}}, "prompt", id="prompt-of-another-type"),
    ],
)
async def test_bad_requests_are_told_the_field(
    client: Client, body: dict[str, Any], field: str
) -> None:
    status, answer = await client.complete(**body)
    assert status == 400
    assert field in answer["error"]["message"]


@pytest.mark.parametrize("client", [{"warm_up_s": 3600}], indirect=True)
async def test_a_server_that_warms_up_is_not_healthy(client: Client) -> None:
    async with client.http.get(f"{client.base}/health") as answer:
        assert (answer.status, await answer.text()) == (503, "warming up")
    status, body = await client.complete(prompt="a")
    assert status == 503
    assert "warming up" in body["error"]["message"]


async def test_health_models_and_devices(client: Client) -> None:
    async with client.http.get(f"{client.base}/health") as answer:
        assert answer.status == 200
    async with client.http.get(f"{client.base}/v1/models") as answer:
        assert [model["id"] for model in (await answer.json())["data"]] == ["m"]
    async with client.http.get(f"{client.base}/server_info") as answer:
        assert await answer.json() == {"role": "aggregated", "devices": ["GPU-a", "GPU-b"]}


QUANTITIES = {
    "vllm": (
        "vllm:num_requests_waiting", "vllm:num_requests_running", "vllm:kv_cache_usage_perc",
        "vllm:time_to_first_token_seconds_count", "vllm:inter_token_latency_seconds_count",
        "vllm:e2e_request_latency_seconds_count", "vllm:request_queue_time_seconds_count",
        "vllm:generation_tokens_total", "vllm:prompt_tokens_total", "vllm:num_preemptions_total",
    ),
    "vllm-legacy": (
        "vllm:num_requests_waiting", "vllm:gpu_cache_usage_perc",
        "vllm:time_per_output_token_seconds_count", "vllm:generation_tokens_total",
    ),
    "sglang": (
        "sglang:num_queue_reqs", "sglang:num_running_reqs", "sglang:token_usage",
        "sglang:gen_throughput", "sglang:time_to_first_token_seconds_count",
        "sglang:e2e_request_latency_seconds_count", "sglang:generation_tokens_total",
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("client", "names"),
    [pytest.param({"metrics": naming}, names, id=naming) for naming, names in QUANTITIES.items()],
    indirect=["client"],
)
async def test_metrics_have_the_engines_names(client: Client, names: tuple[str, ...]) -> None:
    await client.complete(prompt=[1] * 5, max_tokens=4)
    samples = await client.metrics()
    for name in names:
        (sample,) = samples[name]
        assert sample.labels["model_name"] == "m"
    (tokens,) = samples[next(name for name in names if "generation_tokens" in name)]
    assert tokens.value == 4


async def test_metrics_show_the_queue_and_the_cache(client: Client) -> None:
    await client.complete(prompt=[1] * 5, max_tokens=1)
    waiting = asyncio.create_task(client.complete(prompt=[1] * 1600, max_tokens=100_000))
    await eventually(lambda: client.server.batch.cache_ratio > 0.01)
    samples = await client.metrics()
    (running,) = samples["vllm:num_requests_running"]
    (cache,) = samples["vllm:kv_cache_usage_perc"]
    (info,) = samples["vllm:cache_config_info"]
    assert running.value == 1
    assert 0.01 < cache.value <= 1
    assert (info.labels["block_size"], info.labels["num_gpu_blocks"]) == ("16", "8192")
    waiting.cancel()
    await eventually(lambda: not client.server.batch.running)  # the client left


def test_the_program_drains_on_sigterm_and_refuses_bad_settings() -> None:
    program = [sys.executable, "-c", "from moorage_mocks.engine.main import run; run()"]
    flags = ["--host", "127.0.0.1", "--port", "0", "--warm-up-s", "0"]
    with subprocess.Popen([*program, *flags], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert "engine.listening" in process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert json.loads(process.stdout.readline())["left"] == 0
        assert process.wait(10) == 0
    bad = subprocess.run([*program, "--role", "both"], capture_output=True, text=True, check=False)
    assert bad.returncode == 2
    assert "role" in bad.stderr
