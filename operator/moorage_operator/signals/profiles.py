"""What each engine calls the quantities that scaling reads; the first name that is there counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from moorage_crds.scaling import CustomMetric

CUSTOM = "custom"


@dataclass(frozen=True, slots=True)
class MetricProfile:
    """Names of an engine's metrics, by our names of the quantities.

    Args:
        values: gauges and counters; alternatives newest first.
        histograms: histograms of seconds.
    """

    values: Mapping[str, tuple[str, ...]]
    histograms: Mapping[str, tuple[str, ...]]

    @property
    def names(self) -> tuple[str, ...]:
        """Return all names that may be of use."""
        both = (*self.values.values(), *self.histograms.values())
        return tuple(name for names in both for name in names)


_VLLM = MetricProfile(
    values={
        "running": ("vllm:num_requests_running",),
        "waiting": ("vllm:num_requests_waiting",),
        "kv_ratio": ("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"),
        "prompt_tokens": ("vllm:prompt_tokens_total",),
        "generated_tokens": ("vllm:generation_tokens_total",),
        "requests": ("vllm:request_success_total",),
        "prefill_s": ("vllm:request_prefill_time_seconds_sum",),
    },
    histograms={
        "ttft_s": ("vllm:time_to_first_token_seconds",),
        "itl_s": ("vllm:inter_token_latency_seconds", "vllm:time_per_output_token_seconds"),
    },
)
_SGLANG = MetricProfile(
    values={
        "running": ("sglang:num_running_reqs",),
        "waiting": ("sglang:num_queue_reqs",),
        "kv_ratio": ("sglang:token_usage",),
        "prompt_tokens": ("sglang:prompt_tokens_total",),
        "generated_tokens": ("sglang:generation_tokens_total",),
        "requests": ("sglang:num_requests_total",),
    },
    histograms={
        "ttft_s": ("sglang:time_to_first_token_seconds",),
        "itl_s": ("sglang:inter_token_latency_seconds", "sglang:time_per_output_token_seconds"),
    },
)
_TRTLLM = MetricProfile(
    values={
        "running": ("trtllm_num_requests_running",),
        "waiting": ("trtllm_num_requests_waiting",),
        "kv_ratio": ("trtllm_kv_cache_utilization",),
        "prompt_tokens": ("trtllm_prompt_tokens_total",),
        "generated_tokens": ("trtllm_generation_tokens_total",),
        "requests": ("trtllm_request_success_total",),
    },
    histograms={
        "ttft_s": ("trtllm_time_to_first_token_seconds",),
        "itl_s": ("trtllm_time_per_output_token_seconds",),
    },
)
_PROFILES = {"vllm": _VLLM, "sglang": _SGLANG, "trtllm": _TRTLLM}
_NOTHING = MetricProfile({}, {})


def profile_of(engine: str, custom: CustomMetric | None) -> MetricProfile:
    """Return the names to look for in the pods of an engine, the pool's own metric added."""
    profile = _PROFILES.get(engine, _NOTHING)
    if custom is None:
        return profile
    return MetricProfile({**profile.values, CUSTOM: (custom.name,)}, profile.histograms)
