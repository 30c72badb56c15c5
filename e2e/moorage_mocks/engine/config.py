"""What may be set about the sample engine, from flags and environment."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from moorage_mocks.engine.batch import Pace, Room
from moorage_mocks.engine.metrics import Naming

MS_PER_S = 1000.0


class Settings(BaseSettings):
    """Settings of the sample engine; variables begin with ``MOORAGE_ENGINE_``.

    The defaults are near one 8B model on one large accelerator.
    """

    model_config = SettingsConfigDict(
        env_prefix="MOORAGE_ENGINE_",
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        cli_kebab_case=True,
        cli_prog_name="moorage-sample-engine",
    )

    host: str = "0.0.0.0"  # noqa: S104 - clients, probes and scrapers come from outside
    """Address of everything."""

    port: int = Field(default=8000, ge=0, le=65535)
    """Port of everything; 0 takes a free one."""

    model: str = Field(default="sample", min_length=1, max_length=253)
    """Name of the model."""

    role: Literal["aggregated", "prefill", "decode"] = "aggregated"
    """aggregated: prompt and tokens; prefill: the prompt and its first token only, whatever is
    asked for; decode: the prompt's cache is fetched instead of computed."""

    metrics: Naming = "vllm"
    """Whose metric names to show; vllm-legacy are those before the cache was called kv_cache."""

    warm_up_s: float = Field(default=5.0, ge=0)
    """Seconds before the first request is taken and /health is good."""

    prefill_tokens_per_s: float = Field(default=20_000.0, gt=0)
    """Prompt tokens computed per second."""

    transfer_tokens_per_s: float = Field(default=400_000.0, gt=0)
    """Prompt tokens per second whose cache a decode server fetches."""

    step_ms: float = Field(default=8.0, gt=0)
    """Milliseconds of a step, however little is in it."""

    sequence_ms: float = Field(default=0.15, ge=0)
    """Milliseconds that each decoding request adds to a step."""

    max_sequences: int = Field(default=256, ge=1)
    """Requests in the batch."""

    step_tokens: int = Field(default=8192, ge=1)
    """Tokens in a step; longer prompts take several."""

    cache_blocks: int = Field(default=8192, ge=1)
    """Blocks of the key-value cache."""

    block_tokens: int = Field(default=16, ge=1)
    """Tokens in a block."""

    drain_s: float = Field(default=30.0, ge=0)
    """Seconds that requests being served have to end after SIGTERM."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe log line that is written."""

    def pace(self) -> Pace:
        """Return how fast the batch runs."""
        fetches = self.role == "decode"
        return Pace(
            self.step_ms / MS_PER_S,
            self.sequence_ms / MS_PER_S,
            self.transfer_tokens_per_s if fetches else self.prefill_tokens_per_s,
        )

    def room(self) -> Room:
        """Return what fits into the batch."""
        return Room(self.max_sequences, self.step_tokens, self.cache_blocks, self.block_tokens)
