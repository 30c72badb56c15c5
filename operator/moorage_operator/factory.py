"""The only place that puts the operator's parts together."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass

from moorage_cluster.endpoint import Credentials
from moorage_cluster.lease import LeaderLease
from moorage_cluster.session import ApiSession
from moorage_operator.config import OperatorConfig
from moorage_operator.defragmentation.facts import ClusterFacts
from moorage_operator.defragmentation.searching import Search
from moorage_operator.defragmentation.service import DefragmentationService
from moorage_operator.handlers.memo import Memo
from moorage_operator.hinting import HintDoors, build_hints
from moorage_operator.metrics import Metrics
from moorage_operator.scaling_doors import build_scaling
from moorage_operator.services.announcing import make_tell
from moorage_operator.services.health import HealthService
from moorage_operator.services.health_book import HealthBook
from moorage_operator.services.health_moves import HealthMoves
from moorage_operator.services.health_writing import HealthWriter
from moorage_operator.services.plan_facts import PlanFacts
from moorage_operator.services.plan_writing import PlanWriter
from moorage_operator.services.plans import PlansService
from moorage_operator.services.pool_pods import PoolKey
from moorage_operator.services.pools import PoolsService
from moorage_operator.services.refused_pods import RefusedPods
from moorage_operator.services.runner import Runner
from moorage_operator.services.scaling import ScalingService
from moorage_operator.services.view import ClusterView
from moorage_operator.services.writing import Writer
from moorage_operator.signals.driver_errors import DriverErrors
from moorage_operator.wakeups import Wakeups
from moorage_operator.watches import Watches
from moorage_policies.ports import Reporter

PLAN_RETRY_CAP_S = 5.0
"""A running plan holds room back: it is tried again soon."""

HEALTH_RETRY_LOOKS = 6
"""Looks at the nodes' health between two tries to move pods off the same node."""


@dataclass(frozen=True, slots=True)
class Doors:
    """The parts of one operator process."""

    config: OperatorConfig
    session: ApiSession
    lease: LeaderLease
    metrics: Metrics
    reporter: Reporter
    view: ClusterView
    watches: Watches
    runner: Runner[PoolKey]
    plan_runner: Runner[str]
    hints: HintDoors
    health: HealthService
    refused: RefusedPods
    scaling: ScalingService
    defragmentation: DefragmentationService
    search: Search
    memo: Memo
    primed: asyncio.Event
    """Set once pools and role objects have been listed."""
    synced: asyncio.Event
    """Set once everything has been listed, so that reconciles may begin."""
    started_s: float
    """When the process started, monotonic seconds."""


def build_doors(
    config: OperatorConfig, session: ApiSession, credentials: Credentials, reporter: Reporter
) -> Doors:
    """Return the parts, wired and idle."""
    metrics = Metrics()
    lease = LeaderLease(session, config.lease_namespace, config.lease_name, reporter=reporter)
    wakeups: Wakeups[PoolKey] = Wakeups(
        time.monotonic,
        settle_s=config.settle_ms / 1000,
        spacing_s=config.spacing_ms / 1000,
    )
    plan_wakeups: Wakeups[str] = Wakeups(
        time.monotonic, settle_s=config.settle_ms / 1000, spacing_s=0.0
    )
    view = ClusterView(
        wakeups.wake,
        reporter,
        plan_wakeups.wake,
        pods_settle_s=config.pods_settle_ms / 1000,
    )
    writer = Writer(session, lambda: lease.held, metrics.count_write)
    hints = build_hints(config, session, lease, view, wakeups.wake, metrics, reporter)
    service = PoolsService(view, writer, time.time, hints.of_pools, patience_s=config.patience_s)
    runner = Runner(
        wakeups,
        service.reconcile,
        clock=time.monotonic,
        uniform=random.random,
        retry_cap_s=config.retry_cap_s,
        metrics=metrics,
        reporter=reporter,
    )
    plans = PlansService(
        view,
        PlanFacts(session, view, config),
        PlanWriter(session, lambda: lease.fence_token, metrics.count_write, time.time),
        time.time,
        reporter,
    )
    plan_runner = Runner(
        plan_wakeups,
        plans.reconcile,
        kind="plan",
        clock=time.monotonic,
        uniform=random.random,
        retry_cap_s=PLAN_RETRY_CAP_S,
        metrics=metrics,
        reporter=reporter,
    )
    book = HealthBook()
    health = _build_health(config, session, view, lease, metrics, book, reporter)
    refused = _build_refused(session, view, lease, metrics, reporter)
    watches = Watches(session, view, book, refused, hints.of_pods, reporter)
    search = Search()
    scaling = build_scaling(config, session, lease, view, writer, search, metrics, reporter)
    _watch_gauges(metrics, wakeups, view, watches)
    _watch_health(metrics, health)
    return Doors(
        config=config,
        session=session,
        lease=lease,
        metrics=metrics,
        reporter=reporter,
        view=view,
        watches=watches,
        runner=runner,
        plan_runner=plan_runner,
        hints=hints,
        health=health,
        refused=refused,
        scaling=scaling,
        defragmentation=_build_defragmentation(
            config, session, view, lease, metrics, search, reporter
        ),
        search=search,
        memo=Memo(view, credentials),
        primed=asyncio.Event(),
        synced=asyncio.Event(),
        started_s=time.monotonic(),
    )


def _build_health(
    config: OperatorConfig,
    session: ApiSession,
    view: ClusterView,
    lease: LeaderLease,
    metrics: Metrics,
    book: HealthBook,
    reporter: Reporter,
) -> HealthService:
    facts = PlanFacts(session, view, config)
    writer = HealthWriter(session, lambda: lease.held, metrics.count_write, time.time)
    retry_s = HEALTH_RETRY_LOOKS * config.health_interval_s
    moves = HealthMoves(session, facts, view.plans, writer, time.time, retry_s, reporter)
    errors = DriverErrors(config.driver_errors_url, config.driver_errors_query, reporter)
    return HealthService(book, errors, facts, moves, writer, time.time, reporter)


def _build_refused(
    session: ApiSession,
    view: ClusterView,
    lease: LeaderLease,
    metrics: Metrics,
    reporter: Reporter,
) -> RefusedPods:
    def uid_of(key: PoolKey) -> str | None:
        pool = view.pool(key)
        return pool.uid if pool else None

    return RefusedPods(
        session,
        make_tell("Warning", session, lambda: lease.held, metrics.count_write, reporter),
        uid_of,
        leads=lambda: lease.held,
        count_refused=metrics.refused_pods.inc,
        count_write=metrics.count_write,
        reporter=reporter,
    )


def _build_defragmentation(
    config: OperatorConfig,
    session: ApiSession,
    view: ClusterView,
    lease: LeaderLease,
    metrics: Metrics,
    search: Search,
    reporter: Reporter,
) -> DefragmentationService:
    plan_facts = PlanFacts(session, view, config)
    return DefragmentationService(
        session,
        view,
        plan_facts,
        ClusterFacts(session, view, plan_facts),
        search.ask,
        lambda: lease.held,
        metrics.count_write,
        time.time,
        reporter,
    )


def _watch_health(metrics: Metrics, health: HealthService) -> None:
    metrics.watch(
        "moorage_operator_quarantined_nodes",
        "Nodes that are left out because their accelerators fail.",
        lambda: health.count(quarantined=True),
    )
    metrics.watch(
        "moorage_operator_sick_nodes",
        "Nodes whose accelerators fail and that are not left out: by policy or as too many.",
        lambda: health.count(quarantined=False),
    )


def _watch_gauges(
    metrics: Metrics, wakeups: Wakeups[PoolKey], view: ClusterView, watches: Watches
) -> None:
    metrics.watch("moorage_operator_queue_pools", "Pools that are due.", lambda: len(wakeups))
    metrics.watch("moorage_operator_pools", "Pools known.", lambda: len(view.pools()))
    metrics.watch("moorage_operator_plans", "Plans known.", lambda: len(view.plans))
    metrics.watch("moorage_operator_pods", "Pods of pools known.", lambda: len(view.pods))
    metrics.watch(
        "moorage_operator_unsettled_pools",
        "Pools that lack something.",
        lambda: len(view.unsettled),
    )
    metrics.watch(
        "moorage_operator_view_age_seconds",
        "Seconds since the oldest view was last proven fresh.",
        watches.age_s,
    )
