"""What an admin may set about the extender, from flags, environment or a YAML file."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    YamlConfigSettingsSource,
)

from moorage_policies.errors import BadInputError
from moorage_policies.preemption import PreemptionParams, Protection
from moorage_policies.scoring import DEFAULT_WEIGHTS, Form, RankingParams
from moorage_policies.types import NVIDIA_GPU

MIB = 1024 * 1024
SOLVER_SOCKET = Path("/run/moorage/solver.sock")


class Settings(BaseSettings):
    """Settings of the extender.

    A flag beats an environment variable (``MOORAGE_EXTENDER_`` and the field's name), which beats
    the file named by ``--config-file`` or ``MOORAGE_EXTENDER_CONFIG_FILE``.
    """

    model_config = SettingsConfigDict(
        env_prefix="MOORAGE_EXTENDER_",
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        cli_kebab_case=True,
        cli_prog_name="moorage-extender",
    )

    config_file: Path | None = None
    """YAML file with any of these settings."""

    kubeconfig: Path | None = None
    """How to reach the API server; without it KUBECONFIG, then the pod's service account."""

    host: str = "127.0.0.1"
    """Address that the scheduler calls; anything but loopback needs the three TLS files, because
    whoever reaches the bind verb can bind pods."""

    port: int = Field(default=8888, ge=0, le=65535)
    """Port of the verbs; 0 takes a free one."""

    health_host: str = "0.0.0.0"  # noqa: S104 - kubelet probes and Prometheus come from outside
    """Address of health, metrics and decision records."""

    health_port: int = Field(default=8889, ge=0, le=65535)
    """Port of health, metrics and decision records; 0 takes a free one."""

    tls_certificate_file: Path | None = None
    """Certificate that the verbs serve with (PEM)."""

    tls_key_file: Path | None = None
    """Key of that certificate (PEM)."""

    tls_client_ca_file: Path | None = None
    """Authority whose client certificates may call the verbs (PEM); every caller needs one."""

    tls_client_names: frozenset[str] = frozenset()
    """Names of clients that may call the verbs: a common name or alternative name of their
    certificates; without any, every certificate of that authority may."""

    accelerators: tuple[str, ...] = (NVIDIA_GPU,)
    """Resources that count devices; fragmentation is scored by the first that a pod asks for."""

    ranking_form: Form = "deciding-filter"
    """How the ranking reaches the scheduler: deciding-filter (the filter answers the chosen node
    alone, which saves a call for each pod), top-node (prioritize gives the chosen node alone 10) or
    scores (0 to 10 spread)."""

    weights: dict[str, float] = Field(default_factory=lambda: dict(DEFAULT_WEIGHTS))
    """Weight of each scorer; one that is left out is not asked."""

    verb_deadline_s: float = Field(default=0.3, gt=0)
    """Seconds after which a verb stops scoring and answers with what it has."""

    bind_timeout_s: float = Field(default=1.5, gt=0)
    """Seconds that the API server has to answer a binding; keep it below the scheduler's
    httpTimeout."""

    failed_bind_memory_s: float = Field(default=10.0, ge=0)
    """Seconds for which a node is not offered again to a pod whose binding to it failed."""

    assume_ttl_s: float = Field(default=30.0, gt=0)
    """Seconds after which a binding that the watch never confirmed stops counting."""

    stale_after_s: float = Field(default=90.0, gt=0)
    """Seconds without news from the API server after which the extender is not ready."""

    learn_every_s: float = Field(default=5.0, gt=0)
    """Seconds between two looks at the cluster's request mix."""

    body_limit_mib: int = Field(default=16, ge=1)
    """Largest request in MiB; whole nodes (nodeCacheCapable: false) take about 10 KiB each."""

    decisions_kept: int = Field(default=2000, ge=0)
    """Decision records kept in memory for /debug/decisions."""

    min_victim_runtime_s: float = Field(default=0.0, ge=0)
    """Seconds that a pod may run before it can be preempted."""

    protected_namespaces: frozenset[str] = frozenset({"kube-system"})
    """Namespaces whose pods are never preempted."""

    network_mode: Literal["Off", "Recommend", "Auto"] = "Off"
    """Whether nodes are scored by the network: Auto counts it (scorer network), Recommend only
    compares it with what was chosen (shadow mode), Off does not look at it."""

    network_model_file: Path | None = None
    """Document of ``moorage train network``; without one, nodes are scored by topology alone."""

    network_model_digest: str = Field(default="", pattern=r"^(sha256:[0-9a-f]{64})?$")
    """Digest that the document must have, as the training printed it; empty takes any."""

    network_probes: str = ""
    """Host and port under which all probes are found (a headless Service), ``host:port``."""

    network_poll_s: float = Field(default=10.0, gt=0)
    """Seconds between two readings of all probes."""

    network_stale_after_s: float = Field(default=60.0, gt=0)
    """Age of a node's newest reading in seconds after which it counts as unknown."""

    topology_levels: tuple[str, ...] = ()
    """Node label keys, outermost level first; empty finds region, zone and those of known tools."""

    drain_s: float = Field(default=5.0, ge=0)
    """Seconds between not being ready any more and closing the verbs, at the end."""

    planner: Literal["Off", "Always", "WithScheduler", "OwnLease"] = "Off"
    """Whether rearrangements are planned for pods that fit nowhere. WithScheduler: while the
    kube-scheduler of this host name holds planner_lease. OwnLease: while this process holds it."""

    planner_lease: str = Field(default="", pattern=r"^([a-z0-9.-]+/[a-z0-9.-]+)?$")
    """namespace/name of the Lease that says who plans."""

    solver_socket: Path = SOLVER_SOCKET
    """Socket of the solver (moorage-solver) that the planner asks."""

    bell_namespace: str = Field(default="moorage-system", min_length=1)
    """Namespace in which the planner may make the pod that wakes others."""

    plan_debounce_s: float = Field(default=1.0, ge=0)
    """Quiet seconds after the last pod that fits nowhere before a plan is looked for."""

    plan_longest_wait_s: float = Field(default=5.0, ge=0)
    """Most seconds after the first such pod."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe log line that is written; decisions are info."""

    @field_validator("host", "health_host")
    @classmethod
    def _is_address(cls, host: str) -> str:
        try:
            ipaddress.ip_address(host)
        except ValueError:
            raise ValueError(f"{host!r} is no IP address; write 127.0.0.1 or ::1") from None
        return host

    @model_validator(mode="after")
    def _is_safe(self) -> Self:
        files = (self.tls_certificate_file, self.tls_key_file, self.tls_client_ca_file)
        if any(files) and not all(files):
            raise ValueError(
                "give all of tls_certificate_file, tls_key_file and tls_client_ca_file, or none"
            )
        if not any(files) and not ipaddress.ip_address(self.host).is_loopback:
            raise ValueError(
                f"host {self.host} is not loopback: give the three tls files, "
                "or listen on 127.0.0.1"
            )
        if self.tls_client_names and not any(files):
            raise ValueError("tls_client_names counts with the three tls files alone; give them")
        return self

    @model_validator(mode="after")
    def _knows_its_lease(self) -> Self:
        if self.planner in ("WithScheduler", "OwnLease") and not self.planner_lease:
            raise ValueError(
                f"planner {self.planner} needs planner_lease; write namespace/name of the Lease"
            )
        return self

    @field_validator("network_probes")
    @classmethod
    def _is_host_and_port(cls, probes: str) -> str:
        host, _, port = probes.rpartition(":")
        if probes and not (host and port.isdecimal() and 0 < int(port) < 65536):  # noqa: PLR2004
            raise ValueError(f"{probes!r} is no host:port; write moorage-probe:8890")
        return probes

    @model_validator(mode="after")
    def _ranks(self) -> Self:
        try:
            self.ranking_params()
        except BadInputError as error:
            raise ValueError(str(error)) from error
        return self

    @property
    def body_limit(self) -> int:
        """Largest request in bytes."""
        return self.body_limit_mib * MIB

    def ranking_params(self) -> RankingParams:
        """Return how nodes are ranked."""
        return RankingParams(self.weights, self.accelerators, self.ranking_form)

    def preemption_params(self) -> PreemptionParams:
        """Return how victims are chosen."""
        protection = Protection(self.protected_namespaces, min_runtime_s=self.min_victim_runtime_s)
        return PreemptionParams(protection=protection)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - signature of pydantic
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read flags, then the environment, then the file that one of them names."""
        return (
            init_settings,
            env_settings,
            _FileSource(settings_cls),
        )


class _FileSource(YamlConfigSettingsSource):
    """The YAML file that a stronger source names in ``config_file``."""

    def __call__(self) -> dict[str, object]:
        named = self.current_state.get("config_file")
        if not named:
            return {}
        path = Path(str(named))
        if not path.is_file():
            raise BadInputError(f"{path} is no file; name an existing one", field="config_file")
        return self._read_files(path)
