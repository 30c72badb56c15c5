"""How the operator runs; flags of the process, not of pools."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

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
