"""A real Prometheus as the source of samples: what it scraped, when, of whom."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from moorage_cli.testing import eventually
from moorage_operator.signals.profiles import profile_of
from moorage_operator.signals.prometheus import Labels, Prometheus
from moorage_operator.signals.scrape import Endpoint
from moorage_policies.scaling.samples import PodSample

until = partial(eventually, within_s=30.0, every_s=0.2)
pytestmark = pytest.mark.control_plane
WINDOW_S = 4.0
PROFILE = profile_of("vllm", None)
TEXT = """\
vllm:num_requests_running{{engine="0"}} 2
vllm:num_requests_running{{engine="1"}} 1
vllm:generation_tokens_total {tokens}
vllm:inter_token_latency_seconds_bucket{{le="0.05"}} 4
vllm:inter_token_latency_seconds_bucket{{le="+Inf"}} 5
something_else 7
"""


class Reports:
    def __init__(self) -> None:
        self.events: list[str] = []

    def report(self, event: str, **_: object) -> None:
        self.events.append(event)


@pytest.fixture
def engine(serve_text: Callable[..., Any]) -> Any:
    return serve_text(lambda: TEXT.format(tokens=int(time.monotonic() * 1000)))


@pytest.fixture
def prometheus(start_prometheus: Callable[..., Any], engine: Any, tmp_path: Path) -> Any:
    targets = tmp_path / "targets.json"
    address = f"127.0.0.1:{engine.port}"

    def target(namespace: str, pod: str) -> dict[str, Any]:
        return {"targets": [address], "labels": {"namespace": namespace, "pod": pod}}

    pods = [target("team", "llama-0"), target("team", "llama-00"), target("other", "llama-0")]
    targets.write_text(json.dumps(pods))
    jobs = [
        {"job_name": name, "file_sd_configs": [{"files": [str(targets)]}]}
        for name in ("pods", "pods-again")
    ]
    return start_prometheus({"global": {"scrape_interval": "1s"}, "scrape_configs": jobs})


def ask(
    url: str, *pods: Endpoint, reports: Reports | None = None, **settings: Any
) -> dict[str, PodSample]:
    async def once() -> dict[str, PodSample]:
        source = Prometheus(
            url,
            reports or Reports(),
            labels=Labels(),
            window_s=settings.get("window_s", WINDOW_S),
            timeout_s=settings.get("timeout_s", 5.0),
        )
        try:
            return await source.fetch(pods, PROFILE)
        finally:
            await source.close()

    return asyncio.run(once())


def pod(name: str = "llama-0", uid: str = "u", since_s: float = 0.0) -> Endpoint:
    return Endpoint(uid, "10.0.0.9", 1, "/metrics", "team", name, since_s)


def test_what_was_scraped_is_told_with_the_time_of_the_scrape(prometheus: Any, engine: Any) -> None:
    [sample] = until(lambda: ask(prometheus.url, pod()), what="the pod was scraped").values()
    assert sample.values["running"] == 3.0, "two engines, of one of the two jobs"
    assert "something_else" not in sample.values
    assert sample.buckets["itl_s"] == ((0.05, 4.0), (float("inf"), 5.0))
    later = until(
        lambda: (found := ask(prometheus.url, pod())["u"]).at_s > sample.at_s and found,
        what="the next scrape",
    )
    assert later.values["generated_tokens"] > sample.values["generated_tokens"]

    engine.close()
    asked_s = time.time()
    said = until(
        lambda: not (found := ask(prometheus.url, pod())) or found["u"].at_s < asked_s,
        what="no scrape is newer than the end of the pod",
    )
    assert said
    until(lambda: not ask(prometheus.url, pod()), what="its last sample is too old to be told")


def test_only_the_pods_that_were_meant_are_told(prometheus: Any) -> None:
    until(
        lambda: len(ask(prometheus.url, pod(), pod("llama-00", "v"))) == 2, what="both were scraped"
    )
    assert ask(prometheus.url, pod("llama", "w"), pod("llama-000", "x")) == {}
    elsewhere = Endpoint("y", "10.0.0.9", 1, "/metrics", "nowhere", "llama-0")
    assert list(ask(prometheus.url, elsewhere, pod())) == ["u"]
    young = pod(uid="z", since_s=time.time() + 60.0)
    assert ask(prometheus.url, young) == {}, "what is known is of a dead pod of the same name"


def test_more_pods_than_one_query_holds(prometheus: Any) -> None:
    others = [pod(f"llama-{number}", f"n{number}") for number in range(100, 350)]
    until(lambda: list(ask(prometheus.url, *others, pod())) == ["u"], what="the one that is there")


def test_a_prometheus_that_is_gone_tells_nothing_and_is_told(prometheus: Any) -> None:
    until(lambda: ask(prometheus.url, pod()), what="the pod was scraped")
    prometheus.kill()
    reports = Reports()
    assert ask(prometheus.url, pod(), reports=reports) == {}
    assert reports.events == ["metrics.unanswered"]
