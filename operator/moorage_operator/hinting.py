"""Puts together what reads hints and answers them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from moorage_cluster.lease import LeaderLease
from moorage_cluster.session import ApiSession
from moorage_operator.config import OperatorConfig
from moorage_operator.metrics import Metrics
from moorage_operator.services.announcing import make_tell
from moorage_operator.services.hint_model import ChatModel, ModelParams
from moorage_operator.services.hint_reading import HintReader
from moorage_operator.services.pod_hints import PodHints
from moorage_operator.services.pool_hints import PoolHints
from moorage_operator.services.pool_pods import PoolKey
from moorage_operator.services.rate import Rates
from moorage_operator.services.view import ClusterView
from moorage_policies.ports import Reporter


@dataclass(frozen=True, slots=True)
class HintDoors:
    """Who reads hints, and who answers those of pools and of single pods."""

    reader: HintReader
    of_pools: PoolHints
    of_pods: PodHints


def build_hints(
    config: OperatorConfig,
    session: ApiSession,
    lease: LeaderLease,
    view: ClusterView,
    wake: Callable[[PoolKey], None],
    metrics: Metrics,
    reporter: Reporter,
) -> HintDoors:
    """Return the parts, wired and idle."""
    reader = _build_reader(config, metrics, reporter)
    warn = make_tell("Warning", session, lambda: lease.held, metrics.count_write, reporter)
    of_pools = PoolHints(
        reader,
        warn,
        is_off=lambda: view.surroundings.hints_are_off,
        wake=wake,
        count=metrics.count_hint,
    )
    of_pods = PodHints(
        session,
        warn,
        reader,
        is_off=lambda: view.surroundings.hints_are_off,
        leads=lambda: lease.held,
        schedulers=frozenset(config.schedulers),
        count=metrics.count_hint,
        reporter=reporter,
    )
    return HintDoors(reader, of_pools, of_pods)


def _build_reader(config: OperatorConfig, metrics: Metrics, reporter: Reporter) -> HintReader:
    if not config.hint_model_url:
        return HintReader(time.monotonic, metrics.count_model_call, reporter)
    model = ChatModel(
        ModelParams(
            url=config.hint_model_url,
            name=config.hint_model_name,
            key_file=config.hint_model_key_file,
            timeout_s=config.hint_model_timeout_s,
        )
    )
    rates = Rates(
        config.hint_model_calls_per_minute,
        config.hint_model_namespace_calls_per_minute,
        time.monotonic,
    )
    return HintReader(time.monotonic, metrics.count_model_call, reporter, model, rates)
