"""What an admin may set about the probe, from flags or environment."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class ProbeSettings(BaseSettings):
    """Settings of the probe.

    A flag beats an environment variable (``MOORAGE_PROBE_`` and the field's name).
    """

    model_config = SettingsConfigDict(
        env_prefix="MOORAGE_PROBE_",
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        cli_kebab_case=True,
        cli_prog_name="moorage-probe",
    )

    node: str = Field(min_length=1, max_length=253)
    """Name of the node that this probe speaks for."""

    peers: str = ""
    """Host name under which all probes are found (a headless Service); empty measures nobody."""

    host: str = "0.0.0.0"  # noqa: S104 - the other nodes' probes call
    """Address to listen on."""

    port: int = Field(default=8890, ge=0, le=65535)
    """TCP port of telemetry, metrics, health and bandwidth tests; 0 takes a free one."""

    echo_port: int = Field(default=8891, ge=0, le=65535)
    """UDP port that echoes; all probes use the same one. 0 takes a free one."""

    interval_s: float = Field(default=10.0, ge=0.05)
    """Seconds between two rounds of measurements."""

    exchanges: int = Field(default=3, ge=1, le=10)
    """Echoes per peer and round; the quickest counts."""

    timeout_s: float = Field(default=1.0, gt=0)
    """Seconds after which an echo counts as lost."""

    peers_per_round: int = Field(default=64, ge=2, le=1024)
    """Peers that are measured; of more, half are the same for all probes (landmarks), the other
    half change from round to round."""

    budget_kib_per_min: int = Field(default=1024, ge=16)
    """Most KiB that echoes may send in a minute; it limits how many peers a round measures."""

    bandwidth_test_kib: int = Field(default=0, ge=0, le=64 * 1024)
    """KiB that one bandwidth test sends to one peer; 0, the default, tests no bandwidth."""

    bandwidth_budget_kib_per_min: int = Field(default=16 * 1024, ge=0)
    """Most KiB that bandwidth tests may send, and most that this probe accepts, in a minute."""

    node_exporter: str = Field(default="", pattern=r"^(https?://.+)?$")
    """Address of the node's own node exporter, for traffic of its network cards."""

    cpu: bool = True
    """Whether to tell how busy the node's CPU is (/proc/stat)."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe log line that is written."""
