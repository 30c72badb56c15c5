"""The programs' own settings, as far as the chart lets them be set.

A test holds these against the programs: the command line may not import them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from moorage_cli.chart.base import Block

LABEL = "^[a-zA-Z_][a-zA-Z0-9_]*$"
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]


class ExtenderSettings(Block):
    """Settings of the extender; one that is not set has the program's default."""

    accelerators: list[str] | None = None
    """Resources that count devices; fragmentation is scored by the first that a pod asks for."""

    ranking_form: Literal["scores", "top-node", "deciding-filter"] | None = None
    """How the ranking reaches the scheduler."""

    weights: dict[str, float] | None = None
    """Weight of each scorer; one that is left out is not asked."""

    verb_deadline_s: Positive | None = None
    """Seconds after which a verb stops scoring and answers with what it has."""

    bind_timeout_s: Positive | None = None
    """Seconds that the API server has to answer a binding; keep it below httpTimeout."""

    failed_bind_memory_s: NotNegative | None = None
    """Seconds for which a node is not offered again to a pod whose binding to it failed."""

    assume_ttl_s: Positive | None = None
    """Seconds after which a binding that the watch never confirmed stops counting."""

    stale_after_s: Positive | None = None
    """Seconds without news from the API server after which the extender is not ready."""

    learn_every_s: Positive | None = None
    """Seconds between two looks at the cluster's request mix."""

    body_limit_mib: Annotated[int, Field(ge=1)] | None = None
    """Largest request in MiB."""

    decisions_kept: Annotated[int, Field(ge=0)] | None = None
    """Decision records kept in memory for /debug/decisions."""

    min_victim_runtime_s: NotNegative | None = None
    """Seconds that a pod may run before it can be preempted."""

    protected_namespaces: list[str] | None = None
    """Namespaces whose pods are never preempted."""

    network_poll_s: Positive | None = None
    """Seconds between two readings of all probes."""

    network_stale_after_s: Positive | None = None
    """Age of a node's newest reading in seconds after which it counts as unknown."""

    topology_levels: list[str] | None = None
    """Node label keys, outermost level first; empty finds region, zone and those of known tools."""

    drain_s: NotNegative | None = None
    """Seconds between not being ready any more and closing the verbs, at the end."""

    plan_debounce_s: NotNegative | None = None
    """Quiet seconds after the last pod that fits nowhere before a plan is looked for."""

    plan_longest_wait_s: NotNegative | None = None
    """Most seconds after the first such pod."""

    log_level: Literal["debug", "info", "warning", "error"] | None = None
    """Least severe log line that is written."""


class ProbeSettings(Block):
    """Settings of the probe; one that is not set has the program's default."""

    interval_s: Annotated[float, Field(ge=0.05)] | None = None
    """Seconds between two rounds of measurements."""

    exchanges: Annotated[int, Field(ge=1, le=10)] | None = None
    """Echoes per peer and round; the quickest counts."""

    timeout_s: Positive | None = None
    """Seconds after which an echo counts as lost."""

    peers_per_round: Annotated[int, Field(ge=2, le=1024)] | None = None
    """Peers that are measured in a round; of more, half are landmarks and half change."""

    budget_kib_per_min: Annotated[int, Field(ge=16)] | None = None
    """Most KiB that echoes may send in a minute."""

    bandwidth_test_kib: Annotated[int, Field(ge=0, le=65536)] | None = None
    """KiB that one bandwidth test sends to one peer; 0, the default, tests no bandwidth."""

    bandwidth_budget_kib_per_min: Annotated[int, Field(ge=0)] | None = None
    """Most KiB that bandwidth tests may send, and that a probe accepts, in a minute."""

    node_exporter: Annotated[str, Field(pattern=r"^(https?://.+)?$")] | None = None
    """Address of the node's own node exporter, for traffic of its network cards; write
    $(MOORAGE_NODE_ADDRESS) for the node's address."""

    cpu: bool | None = None
    """Whether to tell how busy the node's CPU is (/proc/stat)."""

    log_level: Literal["debug", "info", "warning", "error"] | None = None
    """Least severe log line that is written."""


class OperatorSettings(Block):
    """Settings of the operator; one that is not set has the program's default."""

    workers: Annotated[int, Field(ge=1, le=64)] | None = None
    """Pools reconciled at the same time."""

    calls_per_s: Positive | None = None
    """Calls to the API server per second at most."""

    settle_ms: Annotated[int, Field(ge=0, le=10_000)] | None = None
    """How long a wake-up of a pool waits for others to join it, milliseconds."""

    pods_settle_ms: Annotated[int, Field(ge=0, le=60_000)] | None = None
    """How long a change of a pod waits for others to join it, milliseconds."""

    spacing_ms: Annotated[int, Field(ge=0, le=60_000)] | None = None
    """Least time between two reconciles of one pool, milliseconds."""

    patience_s: Annotated[float, Field(ge=0, le=3600)] | None = None
    """Seconds that a refused pod waits before its replica may go to another accelerator class."""

    scaling_tick_s: Annotated[float, Field(gt=0, le=3600)] | None = None
    """Seconds between two decisions about the replicas of pools that scale."""

    scaling_in_window_s: Annotated[float, Field(ge=0, le=86_400)] | None = None
    """Seconds for which a replica was not needed before it goes; the start-up time if longer."""

    scaling_observe_s: Annotated[float, Field(ge=0, le=86_400)] | None = None
    """Seconds that a replica that is not needed is out of the Service and watched."""

    scaling_idle_s: Annotated[float, Field(ge=0, le=86_400)] | None = None
    """Seconds without any load after which a pool falls to its bounds."""

    metrics_url: Annotated[str, Field(pattern=r"^(https?://.+)?$")] | None = None
    """Prometheus that scrapes the pods; absent: the pods are read directly."""

    metrics_pod_label: Annotated[str, Field(pattern=LABEL)] | None = None
    """Label by which that Prometheus names a series' pod."""

    metrics_namespace_label: Annotated[str, Field(pattern=LABEL)] | None = None
    """Label by which it names the pod's namespace."""

    metrics_token_file: Path | None = None
    """File that holds the token that it asks for; mount it by pod.extraVolumes and
    extraVolumeMounts."""

    metrics_timeout_s: Annotated[float, Field(gt=0, le=60)] | None = None
    """Seconds that a pod, or that Prometheus, may take to show metrics."""

    metrics_stale_s: Annotated[float, Field(gt=0, le=3600)] | None = None
    """Seconds after which a sample of a pod does not count any more."""

    metrics_warm_up_s: Annotated[float, Field(ge=0, le=3600)] | None = None
    """Seconds that a pod serves before its samples count."""

    retry_cap_s: Annotated[float, Field(gt=0, le=3600)] | None = None
    """Longest pause between tries of a pool that fails, seconds."""

    health_interval_s: Annotated[float, Field(gt=0, le=3600)] | None = None
    """Seconds between two looks at the health of all nodes' accelerators."""

    driver_errors_url: Annotated[str, Field(pattern=r"^(https?://.+)?$")] | None = None
    """Prometheus that knows the driver errors (XID) of accelerators."""

    driver_errors_query: Annotated[str, Field(min_length=1)] | None = None
    """What it is asked."""

    defragmentation_interval_s: Annotated[float, Field(gt=0, le=86_400)] | None = None
    """Seconds between two looks at how scattered free accelerators are."""

    sweep_interval_s: Positive | None = None
    """Seconds between two comparisons of pools and roles with a fresh list."""

    stall_limit_s: Positive | None = None
    """Seconds without a word of any worker after which liveness fails."""

    schedulers: list[str] | None = None
    """Names of the schedulers that call our extender; hints on pods of others are ignored. Absent:
    scheduler.name and moorage-scheduler."""

    hint_model_url: str | None = None
    """Base of an OpenAI-compatible API whose language model reads hints that our own parser did not
    wholly understand; absent: none, and nothing leaves the cluster."""

    hint_model_name: str | None = None
    """Name of the model."""

    hint_model_hosts: list[str] | None = None
    """Hosts that hintModelUrl may name."""

    hint_model_key_file: Path | None = None
    """File that holds the API key; mount it by pod.extraVolumes and extraVolumeMounts."""

    hint_model_timeout_s: Annotated[float, Field(gt=0, le=300)] | None = None
    """How long one answer of the model may take, seconds."""

    hint_model_calls_per_minute: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """Questions to the model per minute."""

    hint_model_namespace_calls_per_minute: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """Questions to the model per minute for hints of one namespace."""

    plan_settle_ms: Annotated[int, Field(ge=0, le=600_000)] | None = None
    """How long an approved plan waits before it is checked again and begins, milliseconds."""

    plan_poll_ms: Annotated[int, Field(ge=50, le=60_000)] | None = None
    """Pause between two looks at a plan that is under way, milliseconds."""

    plan_surge_deadline_s: Annotated[float, Field(gt=0, le=86_400)] | None = None
    """How long a replacement may take to be ready, model loading included, seconds."""

    plan_evict_deadline_s: Annotated[float, Field(gt=0, le=86_400)] | None = None
    """How long a closed disruption budget or a pod that shuts down is waited for, seconds."""

    plan_bind_deadline_s: Annotated[float, Field(gt=0, le=86_400)] | None = None
    """How long a pod may take to be placed on the node that was kept for it, seconds."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] | None = None
    """Least level that is logged."""
