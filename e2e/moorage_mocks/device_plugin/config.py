"""What may be set about the mock device plugin, from flags and environment."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from moorage_policies.types import NVIDIA_GPU


class Settings(BaseSettings):
    """Settings of the mock device plugin; variables begin with ``MOORAGE_MOCK_GPU_``."""

    model_config = SettingsConfigDict(
        env_prefix="MOORAGE_MOCK_GPU_",
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        cli_kebab_case=True,
        cli_prog_name="moorage-mock-device-plugin",
    )

    node_name: str = Field(min_length=1)
    """Node that the plugin runs on; its labels and annotations say what it offers."""

    plugin_dir: Path = Path("/var/lib/kubelet/device-plugins")
    """Folder of the kubelet's registration socket."""

    resource: str = NVIDIA_GPU
    """Extended resource that counts the devices."""

    kubeconfig: Path | None = None
    """How to reach the API server; without it KUBECONFIG, then the pod's service account."""

    metrics_host: str = "0.0.0.0"  # noqa: S104 - Prometheus comes from outside
    """Address of the metrics."""

    metrics_port: int = Field(default=9400, ge=0, le=65535)
    """Port of the metrics; 0 takes a free one."""

    poll_s: float = Field(default=1.0, gt=0)
    """Seconds between two looks at whether the kubelet was restarted."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe log line that is written."""
