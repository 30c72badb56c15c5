"""How long a replica takes: prompts by length, tokens by batch; from published measurements."""

from __future__ import annotations

import csv
from collections import defaultdict
from dataclasses import dataclass, replace
from importlib.resources import files
from statistics import median

import numpy as np

from moorage_policies.errors import BadInputError
from moorage_policies.types import FloatArray

DEFAULT_PROFILE = "llama2-70b/h100-80gb/4"
LARGEST_BATCH = 256
KV_SHARE = 0.9
"""Part of the memory that an engine takes for weights and cache."""
LINKS_BYTES_PER_S = {"node": 450e9, "switch": 50e9, "fabric": 40e9}
"""Bandwidth of one accelerator by where prefill and decode sit: the same node, the same switch
(both from the table of systems), across switches (a fifth of it lost)."""
_WEIGHTS_BYTES = {"llama2-70b": 140e9, "bloom-176b": 352e9}
_KV_BYTES_PER_TOKEN = {"llama2-70b": 327_680.0, "bloom-176b": 4_128_768.0}
_MEMORY_BYTES = 80 * 2**30


@dataclass(frozen=True, slots=True)
class Profile:
    """A replica's service times.

    Args:
        name: model, hardware and tensor parallelism.
        gpus: accelerators of one replica of either role.
        prompt_tokens: lengths at which prefill was measured, ascending.
        prefill_s: time of one prompt of each length.
        token_s: time of one decoding step by batch, from 0, straight between measured batches.
        max_batch: requests that one replica decodes together at most.
        kv_tokens: tokens that one replica's cache holds.
        kv_bytes_per_token: what is sent from prefill to decode.
        wait_target_s: time to the first token that is allowed above that of an idle service.
        itl_target_s: mean time between the tokens of a request to keep.
        link_bytes_per_s: bandwidth between prefill and decode of one accelerator.
    """

    name: str
    gpus: int
    prompt_tokens: FloatArray
    prefill_s: FloatArray
    token_s: FloatArray
    max_batch: int
    kv_tokens: float
    kv_bytes_per_token: float
    wait_target_s: float = 1.0
    itl_target_s: float = 0.05
    link_bytes_per_s: float = LINKS_BYTES_PER_S["switch"]

    def to_prefill_s(self, tokens: FloatArray) -> FloatArray:
        """Return the time of prompts of these lengths; longer ones at the last marginal rate."""
        known = np.interp(tokens, self.prompt_tokens, self.prefill_s)
        per_token_s = (self.prefill_s[-1] - self.prefill_s[-2]) / (
            self.prompt_tokens[-1] - self.prompt_tokens[-2]
        )
        extra: FloatArray = known + np.maximum(tokens - self.prompt_tokens[-1], 0.0) * per_token_s
        return extra

    def to_transfer_s(self, tokens: FloatArray) -> FloatArray:
        """Return the time to send the cache of prompts of these lengths."""
        return tokens * self.kv_bytes_per_token / (self.link_bytes_per_s * self.gpus)

    @property
    def good_batch(self) -> int:
        """Return the largest batch that keeps the time between tokens."""
        within = np.flatnonzero(self.token_s[: self.max_batch + 1] <= self.itl_target_s)
        return max(1, int(within[-1]) if len(within) else 1)

    @property
    def good_tokens_per_s(self) -> float:
        """Return the tokens that one replica decodes per second at its largest good batch."""
        return self.good_batch / float(self.token_s[self.good_batch])


def profile_names() -> list[str]:
    """Return the profiles that can be asked for."""
    return sorted({_name(row) for row in _rows()})


def load_profile(name: str = DEFAULT_PROFILE, placement: str = "switch") -> Profile:
    """Return a profile from the table of service times.

    Raises:
        BadInputError: there is no such profile or placement.
    """
    rows = [row for row in _rows() if _name(row) == name]
    if not rows:
        known = ", ".join(profile_names())
        raise BadInputError(f"'{name}' is not known; write one of {known}", field="--profile")
    if placement not in LINKS_BYTES_PER_S:
        known = ", ".join(LINKS_BYTES_PER_S)
        raise BadInputError(f"'{placement}' is not one of {known}", field="--placement")
    model, _hardware, gpus = name.split("/")
    prefill = _medians(rows, "prompt_size", "prompt_time", batch_size="1")
    token = _medians(rows, "batch_size", "token_time", prompt_size="512")
    batches = np.arange(LARGEST_BATCH + 1, dtype=np.float64)
    measured: FloatArray = np.array(list(token))
    times: FloatArray = np.array(list(token.values()))
    times = np.maximum.accumulate(times)  # noise aside, a larger batch is never faster
    slope = max(0.0, (times[-1] - times[0]) / (measured[-1] - measured[0]))
    token_ms = np.interp(batches, measured, times) + np.maximum(batches - measured[-1], 0.0) * slope
    room = _MEMORY_BYTES * int(gpus) * KV_SHARE - _WEIGHTS_BYTES[model]
    if room <= 0.0:
        raise BadInputError(
            f"'{name}' leaves no memory for a cache; use more GPUs", field="--profile"
        )
    made = Profile(
        name=name,
        gpus=int(gpus),
        prompt_tokens=np.array(list(prefill)),
        prefill_s=np.maximum.accumulate(np.array(list(prefill.values()))) / 1e3,
        token_s=token_ms / 1e3,
        max_batch=LARGEST_BATCH,
        kv_tokens=room / _KV_BYTES_PER_TOKEN[model],
        kv_bytes_per_token=_KV_BYTES_PER_TOKEN[model],
        link_bytes_per_s=LINKS_BYTES_PER_S[placement],
    )
    alone_s = float(made.token_s[1])
    return replace(made, itl_target_s=max(0.05, 1.6 * alone_s))


def _rows() -> list[dict[str, str]]:
    place = files("moorage_benchmarks") / "traces" / "service_times.csv"
    return list(csv.DictReader(place.read_text(encoding="utf-8").splitlines()))


def _name(row: dict[str, str]) -> str:
    return f"{row['model']}/{row['hardware']}/{row['tensor_parallel']}"


def _medians(rows: list[dict[str, str]], key: str, value: str, **where: str) -> dict[float, float]:
    found: defaultdict[float, list[float]] = defaultdict(list)
    for row in rows:
        if all(row[name] == wanted for name, wanted in where.items()):
            found[float(row[key])].append(float(row[value]))
    return {size: median(found[size]) for size in sorted(found)}
