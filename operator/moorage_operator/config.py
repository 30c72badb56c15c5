"""How the operator runs; flags of the process, not of pools."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from moorage_crds.names import SCHEDULER_NAME

LABEL = "^[a-zA-Z_][a-zA-Z0-9_]*$"
_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


def own_namespace() -> str:
    """Return the namespace that the process runs in, ``default`` outside a cluster."""
    try:
        return _NAMESPACE_FILE.read_text().strip()
    except OSError:
        return "default"


class OperatorConfig(BaseSettings):
    """Settings from environment variables ``MOORAGE_OPERATOR_<NAME>``."""

    model_config = SettingsConfigDict(
        env_prefix="MOORAGE_OPERATOR_",
        extra="forbid",
        use_attribute_docstrings=True,
        cli_kebab_case=True,
        cli_prog_name="moorage-operator",
    )

    kubeconfig: Path | None = None
    """Kubeconfig; absent: KUBECONFIG, then the pod's service account."""
    lease_namespace: Annotated[str, Field(min_length=1)] = Field(default_factory=own_namespace)
    """Namespace of the Lease that picks the acting replica."""
    lease_name: Annotated[str, Field(min_length=1)] = "moorage-operator"
    """Name of the Lease."""
    listen_host: str = "0.0.0.0"  # noqa: S104 - probes and metrics come from outside the pod
    """Address of /livez, /readyz and /metrics."""
    listen_port: Annotated[int, Field(ge=0, le=65_535)] = 8081
    """Port of /livez, /readyz and /metrics; 0 picks a free one."""
    workers: Annotated[int, Field(ge=1, le=64)] = 8
    """Pools reconciled at the same time."""
    calls_per_s: Annotated[float, Field(gt=0)] | None = None
    """Calls to the API server per second at most; absent: its own fairness decides."""
    settle_ms: Annotated[int, Field(ge=0, le=10_000)] = 50
    """How long a wake-up of a pool waits for others to join it, milliseconds."""
    pods_settle_ms: Annotated[int, Field(ge=0, le=60_000)] = 1000
    """How long a change of a pod waits for others to join it, milliseconds."""
    spacing_ms: Annotated[int, Field(ge=0, le=60_000)] = 1000
    """Least time between two reconciles of one pool, milliseconds."""
    patience_s: Annotated[float, Field(ge=0, le=3600)] = 15.0
    """How long a pod that the scheduler refuses waits before its replica may go to another
    accelerator class with room, seconds."""
    schedulers: tuple[str, ...] = (SCHEDULER_NAME,)
    """Names of the schedulers that call our extender; hints on pods of others are ignored."""
    hint_model_url: str = ""
    """Base of an OpenAI-compatible API (https://models.example.com/v1) whose language model reads
    hints that our own parser did not wholly understand; empty: none. Texts of hints leave the
    cluster for it, nothing else."""
    hint_model_name: str = ""
    """Name of the model."""
    hint_model_hosts: tuple[str, ...] = ()
    """Hosts that hint_model_url may name."""
    hint_model_key_file: Path | None = None
    """File that holds the API key; absent: no key is sent."""
    hint_model_timeout_s: Annotated[float, Field(gt=0, le=300)] = 20.0
    """How long one answer of the model may take, seconds."""
    hint_model_calls_per_minute: Annotated[int, Field(ge=1, le=10_000)] = 30
    """Questions to the model per minute."""
    hint_model_namespace_calls_per_minute: Annotated[int, Field(ge=1, le=10_000)] = 6
    """Questions to the model per minute for hints of one namespace."""
    plan_settle_ms: Annotated[int, Field(ge=0, le=600_000)] = 1000
    """How long an approved plan waits before it is checked again and begins, milliseconds."""
    plan_poll_ms: Annotated[int, Field(ge=50, le=60_000)] = 500
    """Pause between two looks at a plan that is under way, milliseconds."""
    plan_surge_deadline_s: Annotated[float, Field(gt=0, le=86_400)] = 1800.0
    """How long a replacement may take to be ready, model loading included, seconds."""
    plan_evict_deadline_s: Annotated[float, Field(gt=0, le=86_400)] = 600.0
    """How long a closed disruption budget or a pod that shuts down is waited for, seconds."""
    plan_bind_deadline_s: Annotated[float, Field(gt=0, le=86_400)] = 600.0
    """How long a pod may take to be placed on the node that was kept for it, seconds."""
    health_interval_s: Annotated[float, Field(gt=0, le=3600)] = 10.0
    """Pause between two looks at the health of all nodes' accelerators, seconds."""
    scaling_tick_s: Annotated[float, Field(gt=0, le=3600)] = 15.0
    """Time between two decisions about the replicas of pools that scale, seconds."""
    scaling_in_window_s: Annotated[float, Field(ge=0, le=86_400)] = 60.0
    """How long a replica was not needed before it goes, seconds; the start-up time if longer."""
    scaling_observe_s: Annotated[float, Field(ge=0, le=86_400)] = 60.0
    """How long a replica that is not needed stays out of the Service and is watched before it goes,
    seconds; it returns at once when a latency misses its target. 0: it goes at once."""
    scaling_idle_s: Annotated[float, Field(ge=0, le=86_400)] = 300.0
    """How long a pool has no load at all before it falls to its bounds, seconds."""
    metrics_url: Annotated[str, Field(pattern=r"^(https?://.+)?$")] = ""
    """Prometheus that scrapes the pods, as http://prometheus:9090; empty: the pods are read
    directly."""
    metrics_pod_label: Annotated[str, Field(pattern=LABEL)] = "pod"
    """Label by which that Prometheus names a series' pod."""
    metrics_namespace_label: Annotated[str, Field(pattern=LABEL)] = "namespace"
    """Label by which it names the pod's namespace."""
    metrics_token_file: Path | None = None
    """File that holds the token that it asks for; absent: none is sent."""
    metrics_timeout_s: Annotated[float, Field(gt=0, le=60)] = 5.0
    """How long a pod, or that Prometheus, may take to show metrics, seconds."""
    metrics_stale_s: Annotated[float, Field(gt=0, le=3600)] = 45.0
    """Age above which a sample of a pod does not count, seconds."""
    metrics_warm_up_s: Annotated[float, Field(ge=0, le=3600)] = 30.0
    """How long a pod serves before its samples count, seconds."""
    driver_errors_url: Annotated[str, Field(pattern=r"^(https?://.+)?$")] = ""
    """Prometheus that knows the driver errors (XID) of accelerators, as http://prometheus:9090;
    empty: driver errors are seen through the device plugin and node conditions only."""
    driver_errors_query: Annotated[str, Field(min_length=1)] = "DCGM_FI_DEV_XID_ERRORS > 0"
    """What it is asked: series with a label Hostname or node, and the error's number as value."""
    defragmentation_interval_s: Annotated[float, Field(gt=0, le=86_400)] = 60.0
    """Pause between two looks at how scattered free accelerators are, seconds."""
    retry_cap_s: Annotated[float, Field(gt=0, le=3600)] = 300.0
    """Longest pause between tries of a pool that fails, seconds."""
    sweep_interval_s: Annotated[float, Field(gt=0)] = 600.0
    """How often pools and roles are compared with a fresh list, so that a deletion that the watch
    missed is noticed, seconds."""
    stall_limit_s: Annotated[float, Field(gt=0)] = 60.0
    """Liveness fails when no worker has been heard of for this long, seconds."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """Least level that is logged."""
    log_format: Literal["json", "console"] = Field(
        default_factory=lambda: "console" if os.isatty(2) else "json"
    )
    """json for machines, console for people."""

    @model_validator(mode="after")
    def _may_ask_the_model(self) -> Self:
        if not self.hint_model_url:
            return self
        url = urlsplit(self.hint_model_url)
        if url.hostname not in self.hint_model_hosts:
            raise ValueError(
                f"hint_model_url names host {url.hostname}, which hint_model_hosts does not allow; "
                "add it there"
            )
        if url.scheme != "https" and url.hostname not in ("127.0.0.1", "::1", "localhost"):
            raise ValueError("hint_model_url must begin with https://")
        if not self.hint_model_name:
            raise ValueError("hint_model_url is set; set hint_model_name as well")
        return self
