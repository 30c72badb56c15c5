"""Puts together what scales pools."""

from __future__ import annotations

import time

from moorage_cluster.lease import LeaderLease
from moorage_cluster.session import ApiSession
from moorage_operator.config import OperatorConfig
from moorage_operator.defragmentation.facts import ClusterFacts
from moorage_operator.defragmentation.searching import Search
from moorage_operator.metrics import Metrics
from moorage_operator.services.announcing import make_tell
from moorage_operator.services.plan_facts import PlanFacts
from moorage_operator.services.scaling import ScalingService, ScalingSettings, Source
from moorage_operator.services.scaling_acts import ScalingActs
from moorage_operator.services.scaling_moves import MoveBook
from moorage_operator.services.view import ClusterView
from moorage_operator.services.writing import Writer
from moorage_operator.signals.prometheus import Labels, Prometheus
from moorage_operator.signals.scrape import Scraper
from moorage_policies.ports import Reporter


def build_scaling(
    config: OperatorConfig,
    session: ApiSession,
    lease: LeaderLease,
    view: ClusterView,
    writer: Writer,
    search: Search,
    metrics: Metrics,
    reporter: Reporter,
) -> ScalingService:
    """Return the service, wired and idle."""
    told = make_tell("Normal", session, lambda: lease.held, metrics.count_write, reporter)
    acts = ScalingActs(view, writer, session, lambda: lease.held, metrics.count_write, told)
    plan_facts = PlanFacts(session, view, config)
    cluster = ClusterFacts(session, view, plan_facts)
    settings = ScalingSettings(
        config.scaling_tick_s,
        config.metrics_stale_s,
        config.metrics_warm_up_s,
        config.scaling_in_window_s,
        config.scaling_idle_s,
        config.scaling_observe_s,
    )
    return ScalingService(
        view,
        _source(config, reporter),
        acts,
        MoveBook(plan_facts, cluster, search.ask, time.time, reporter),
        time.time,
        settings,
        patience_s=config.patience_s,
        metrics=metrics,
        reporter=reporter,
    )


def _source(config: OperatorConfig, reporter: Reporter) -> Source:
    """Return where samples come from: the pods themselves, or a Prometheus that scrapes them."""
    if not config.metrics_url:
        return Scraper(time.time, timeout_s=config.metrics_timeout_s)
    return Prometheus(
        config.metrics_url,
        reporter,
        labels=Labels(config.metrics_namespace_label, config.metrics_pod_label),
        token_file=config.metrics_token_file,
        window_s=config.metrics_stale_s,
        timeout_s=config.metrics_timeout_s,
    )
