"""The metrics of a model server, under the names that vLLM and SGLang give them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from moorage_mocks.engine.batch import Batch
from moorage_policies.ports import Clock

Naming = Literal["vllm", "vllm-legacy", "sglang"]

_THROUGHPUT_WINDOW_S = 10.0
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


@dataclass(frozen=True, slots=True)
class _Names:
    """What each quantity is called; empty where an engine has no such metric."""

    waiting: str
    running: str
    cache_ratio: str
    cache_info: str
    block_label: str
    blocks_label: str
    ttft: str
    gap: str
    e2e: str
    queue: str
    prefill: str
    decode: str
    prompt_tokens: str
    new_tokens: str
    ended: str
    preemptions: str
    throughput: str


def _vllm(cache: str, gap: str) -> _Names:
    return _Names(
        waiting="vllm:num_requests_waiting",
        running="vllm:num_requests_running",
        cache_ratio=f"vllm:{cache}",
        cache_info="vllm:cache_config_info",
        block_label="block_size",
        blocks_label="num_gpu_blocks",
        ttft="vllm:time_to_first_token_seconds",
        gap=f"vllm:{gap}",
        e2e="vllm:e2e_request_latency_seconds",
        queue="vllm:request_queue_time_seconds",
        prefill="vllm:request_prefill_time_seconds",
        decode="vllm:request_decode_time_seconds",
        prompt_tokens="vllm:prompt_tokens",
        new_tokens="vllm:generation_tokens",
        ended="vllm:request_success",
        preemptions="vllm:num_preemptions",
        throughput="",
    )


_NAMES: Mapping[Naming, _Names] = {
    "vllm": _vllm("kv_cache_usage_perc", "inter_token_latency_seconds"),
    "vllm-legacy": _vllm("gpu_cache_usage_perc", "time_per_output_token_seconds"),
    "sglang": _Names(
        waiting="sglang:num_queue_reqs",
        running="sglang:num_running_reqs",
        cache_ratio="sglang:token_usage",
        cache_info="sglang:cache_config_info",
        block_label="page_size",
        blocks_label="num_pages",
        ttft="sglang:time_to_first_token_seconds",
        gap="sglang:inter_token_latency_seconds",
        e2e="sglang:e2e_request_latency_seconds",
        queue="",
        prefill="",
        decode="",
        prompt_tokens="sglang:prompt_tokens",
        new_tokens="sglang:generation_tokens",
        ended="sglang:num_requests",
        preemptions="",
        throughput="sglang:gen_throughput",
    ),
}


class EngineMetrics:
    """Hears what the server measures; ``registry`` is what ``/metrics`` shows.

    Args:
        naming: whose names to use.
        model: name of the model, a label of every metric.
        clock: monotonic seconds, for the throughput.
    """

    def __init__(self, naming: Naming, model: str, clock: Clock) -> None:
        self._names = names = _NAMES[naming]
        self._labels = {"model_name": model}
        if naming != "sglang":
            self._labels["engine"] = "0"
        self._throughput = _Throughput(clock)
        self.registry = CollectorRegistry()
        self._ttft = self._histogram(names.ttft)
        self._gap = self._histogram(names.gap)
        self._e2e = self._histogram(names.e2e)
        self._queue = self._histogram(names.queue)
        self._prefill = self._histogram(names.prefill)
        self._decode = self._histogram(names.decode)
        self._prompt_tokens = self._counter(names.prompt_tokens)
        self._new_tokens = self._counter(names.new_tokens)
        self._ended = Counter(
            names.ended, "Requests that ended.", (*self._labels, "finished_reason"),
            registry=self.registry,
        )  # fmt: skip

    def watch(self, batch: Batch) -> None:
        """Show the state of a batch too."""
        self.registry.register(_Gauges(batch, self._names, self._labels, self._throughput.per_s))

    def started(self, queue_s: float) -> None:
        """Count the wait in the queue."""
        self._queue(queue_s)

    def first_token(self, prompt_tokens: int, ttft_s: float, prefill_s: float) -> None:
        """Count a first token."""
        self._ttft(ttft_s)
        self._prefill(prefill_s)
        self._prompt_tokens(prompt_tokens)
        self._count_token()

    def token(self, gap_s: float) -> None:
        """Count a later token."""
        self._gap(gap_s)
        self._count_token()

    def finished(self, reason: str, e2e_s: float, decode_s: float) -> None:
        """Count a request that ended."""
        self._ended.labels(*self._labels.values(), reason).inc()
        if reason != "abort":
            self._e2e(e2e_s)
            self._decode(decode_s)

    def _count_token(self) -> None:
        self._new_tokens(1)
        self._throughput.count()

    def _histogram(self, name: str) -> Callable[[float], None]:
        if not name:
            return _ignore
        metric = Histogram(
            name, "Seconds.", tuple(self._labels), buckets=_SECONDS, registry=self.registry
        )
        return metric.labels(*self._labels.values()).observe

    def _counter(self, name: str) -> Callable[[float], None]:
        metric = Counter(name, "Tokens.", tuple(self._labels), registry=self.registry)
        return metric.labels(*self._labels.values()).inc


def _ignore(_value: float) -> None:
    """Take no note of a quantity that the engine does not show."""


class _Throughput:
    """Tokens per second over the last seconds."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seconds: dict[int, int] = {}

    def count(self) -> None:
        now = int(self._clock())
        self._seconds = {
            second: tokens
            for second, tokens in self._seconds.items()
            if second > now - _THROUGHPUT_WINDOW_S
        }
        self._seconds[now] = self._seconds.get(now, 0) + 1

    def per_s(self) -> float:
        oldest = int(self._clock()) - _THROUGHPUT_WINDOW_S
        recent = (tokens for second, tokens in self._seconds.items() if second > oldest)
        return sum(recent) / _THROUGHPUT_WINDOW_S


class _Gauges(Collector):
    """What is read off the batch at the moment of the question."""

    def __init__(
        self,
        batch: Batch,
        names: _Names,
        labels: Mapping[str, str],
        throughput: Callable[[], float],
    ) -> None:
        self._batch = batch
        self._names = names
        self._labels = labels
        self._throughput = throughput

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        batch, names = self._batch, self._names
        yield self._gauge(names.waiting, "Requests in the queue.", len(batch.waiting))
        yield self._gauge(names.running, "Requests in the batch.", len(batch.running))
        yield self._gauge(names.cache_ratio, "Share of the cache in use.", batch.cache_ratio)
        info = {
            names.block_label: str(batch.room.block_tokens),
            names.blocks_label: str(batch.room.blocks),
        }
        yield self._gauge(names.cache_info, "The cache.", 1, info)
        if names.throughput:
            yield self._gauge(names.throughput, "Tokens per second.", self._throughput())
        if names.preemptions:
            family = CounterMetricFamily(
                names.preemptions, "Requests that lost their cache.", labels=tuple(self._labels)
            )
            family.add_metric(tuple(self._labels.values()), batch.preemptions)
            yield family

    def _gauge(
        self, name: str, text: str, value: float, more: Mapping[str, str] | None = None
    ) -> GaugeMetricFamily:
        labels = {**self._labels, **(more or {})}
        family = GaugeMetricFamily(name, text, labels=tuple(labels))
        family.add_metric(tuple(labels.values()), value)
        return family
