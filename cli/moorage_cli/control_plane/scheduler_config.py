"""KubeSchedulerConfiguration, as a value and as the file that kube-scheduler reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from moorage_policies.errors import BadInputError

_ALL_PERCENT: Final = 100


@dataclass(frozen=True, slots=True)
class ExtenderConfig:
    """One extender that the scheduler calls; a verb of ``""`` is not called.

    Args:
        url_prefix: address before the verbs (``http://127.0.0.1:8888``).
        filter_verb: path of the filter verb.
        prioritize_verb: path of the prioritize verb.
        preempt_verb: path of the preempt verb.
        bind_verb: path of the bind verb.
        weight: factor of the extender's scores, at least 1.
        http_timeout_ms: how long the scheduler waits for an answer.
        node_cache_capable: names of nodes are sent, not whole nodes.
        ignorable: scheduling goes on when the extender does not answer.
        managed_resources: only pods that ask for one of these reach the extender; empty: all.
        tls: ``tlsConfig`` of the extender (``caFile``, ``certFile``, ...), ``None`` without TLS.
    """

    url_prefix: str
    filter_verb: str = "filter"
    prioritize_verb: str = "prioritize"
    preempt_verb: str = "preempt"
    bind_verb: str = "bind"
    weight: int = 1
    http_timeout_ms: int = 2_000
    node_cache_capable: bool = True
    ignorable: bool = True
    managed_resources: tuple[str, ...] = ("nvidia.com/gpu",)
    tls: Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        """Refuse what kube-scheduler would refuse later, in a log."""
        if self.prioritize_verb and self.weight < 1:
            raise BadInputError(f"{self.weight} is below 1; give 1 or more", field="weight")


@dataclass(frozen=True, slots=True)
class SchedulerConfig:
    """How one kube-scheduler runs.

    Args:
        scheduler_names: the ``schedulerName`` of pods it takes; one profile each.
        extenders: called for every profile, in this order.
        plugin_config: ``pluginConfig`` entries of every profile.
        plugins: ``plugins`` of every profile.
        queries_per_s: client rate limit towards the API server; bursts may be twice that.
        nodes_to_score_percent: 100 lets the extender see every node that fits.
        initial_backoff_s: wait before the first retry of a pod that did not fit.
        max_backoff_s: longest such wait.
        leader_election: elect one of several schedulers by a Lease.
    """

    scheduler_names: tuple[str, ...] = ("moorage-scheduler",)
    extenders: tuple[ExtenderConfig, ...] = ()
    plugin_config: tuple[Mapping[str, Any], ...] = ()
    plugins: Mapping[str, Any] | None = None
    queries_per_s: int = 1_000
    nodes_to_score_percent: int = 100
    initial_backoff_s: int = 1
    max_backoff_s: int = 2
    leader_election: bool = False

    def __post_init__(self) -> None:
        """Refuse what kube-scheduler would refuse later, in a log."""
        if not self.scheduler_names:
            raise BadInputError("is empty; name at least one scheduler", field="scheduler_names")
        if not 0 <= self.nodes_to_score_percent <= _ALL_PERCENT:
            raise BadInputError("give 0 (adaptive) to 100", field="nodes_to_score_percent")


def render_scheduler_config(config: SchedulerConfig, kubeconfig: Path) -> str:
    """The configuration file's text (``kubescheduler.config.k8s.io/v1``)."""
    content: dict[str, Any] = {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "clientConnection": {
            "kubeconfig": str(kubeconfig),
            "qps": config.queries_per_s,
            "burst": 2 * config.queries_per_s,
        },
        "leaderElection": {"leaderElect": config.leader_election},
        "percentageOfNodesToScore": config.nodes_to_score_percent,
        "podInitialBackoffSeconds": config.initial_backoff_s,
        "podMaxBackoffSeconds": config.max_backoff_s,
        "profiles": [_profile(config, name) for name in config.scheduler_names],
    }
    if config.extenders:
        content["extenders"] = [_extender(extender) for extender in config.extenders]
    return yaml.safe_dump(content, sort_keys=False)


def _profile(config: SchedulerConfig, name: str) -> dict[str, Any]:
    profile: dict[str, Any] = {"schedulerName": name}
    if config.plugins is not None:
        profile["plugins"] = dict(config.plugins)
    if config.plugin_config:
        profile["pluginConfig"] = [dict(entry) for entry in config.plugin_config]
    return profile


def _extender(extender: ExtenderConfig) -> dict[str, Any]:
    verbs = {
        "filterVerb": extender.filter_verb,
        "prioritizeVerb": extender.prioritize_verb,
        "preemptVerb": extender.preempt_verb,
        "bindVerb": extender.bind_verb,
    }
    content: dict[str, Any] = {
        "urlPrefix": extender.url_prefix,
        **{field: verb for field, verb in verbs.items() if verb},
        "weight": extender.weight,
        "httpTimeout": f"{extender.http_timeout_ms}ms",
        "nodeCacheCapable": extender.node_cache_capable,
        "ignorable": extender.ignorable,
        "managedResources": [
            {"name": name, "ignoredByScheduler": False} for name in extender.managed_resources
        ],
    }
    if extender.tls is not None:
        content["enableHTTPS"] = True
        content["tlsConfig"] = dict(extender.tls)
    return content
