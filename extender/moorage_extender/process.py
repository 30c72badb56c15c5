"""The extender's life: from the first list to the last answer."""

from __future__ import annotations

import asyncio
import gc
import signal
import time
from collections.abc import Coroutine, Iterable, Iterator
from typing import Any

import structlog

from moorage_cluster.bind import Binding, bind
from moorage_cluster.session import ApiSession
from moorage_extender.app import make_health_app, make_verbs_app
from moorage_extender.config import Settings
from moorage_extender.context import Context
from moorage_extender.feed import Feed
from moorage_extender.health import Health
from moorage_extender.load_feed import LoadFeed
from moorage_extender.logs import LogReporter
from moorage_extender.planner.leadership import Leadership
from moorage_extender.planner.service import Planner
from moorage_extender.planner.voice import ApiVoice
from moorage_extender.probe_feed import ProbeFeed
from moorage_extender.server import (
    Server,
    make_health_server,
    make_verbs_server,
    open_socket,
    renew_certificates,
)
from moorage_extender.solver.link import SolverLink
from moorage_extender.verbs.bind import Binder, PodToNode

SWEEP_EVERY_S = 1.0

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


async def serve(settings: Settings) -> None:
    """Serve until a signal comes, then drain and return."""
    async with await ApiSession.connect(settings.kubeconfig, user_agent="moorage-extender") as api:

        async def tell(order: PodToNode) -> Binding:
            return await bind(api, order.namespace, order.name, order.uid, order.node)

        ctx = Context(settings, clock=time.monotonic, wall_clock=time.time)
        feed = Feed(
            api,
            ctx.state,
            ctx.budgets,
            ctx.kept_room,
            ctx.hints,
            ctx.migrations,
            ctx.policy,
            ctx.metrics,
            stale_after_s=settings.stale_after_s,
            reporter=LogReporter(),
        )
        ctx.why_not_ready, ctx.listed = feed.why_not_ready, feed.is_listed
        leadership = Leadership(api, settings, LogReporter())
        planner = Planner(
            ctx,
            SolverLink(settings.solver_socket),
            ApiVoice(api, settings.bell_namespace),
            lambda: leadership.leads,
            LogReporter(),
        )
        load = LoadFeed(api, ctx.state.snapshot, ctx.take_load, ctx.clock, LogReporter())
        planning = () if settings.planner == "Off" else (leadership.run(), planner.run())
        await _serve(ctx, feed, tell, (load.run(), *planning, *_network(ctx)))


async def _serve(
    ctx: Context, feed: Feed, binder: Binder, further: Iterable[Coroutine[Any, Any, None]]
) -> None:
    settings, health = ctx.settings, Health(ctx)
    _export_sizes(ctx)
    verbs = make_verbs_server(make_verbs_app(ctx, binder), settings, ctx.metrics)
    people = make_health_server(make_health_app(ctx, health))
    verbs_socket = open_socket(settings.host, settings.port, "port")
    people_socket = open_socket(settings.health_host, settings.health_port, "health_port")
    async with asyncio.TaskGroup() as tasks:
        background = [
            tasks.create_task(work)
            for work in (
                feed.run(),
                health.beat(),
                ctx.hints.run(),
                _sweep(ctx),
                _learn(ctx, feed),
                *renew_certificates(verbs, settings),
                *further,
            )
        ]
        serving = tasks.create_task(verbs.serve([verbs_socket]))
        showing = tasks.create_task(people.serve([people_socket]))
        log.info(
            "listening",
            verbs=verbs_socket.getsockname()[:2],
            health=people_socket.getsockname()[:2],
        )
        got = await _signal()
        health.drain()
        log.info("draining", signal=got.name)
        if got is signal.SIGTERM:  # whoever types Ctrl-C waits for nobody's endpoints
            await asyncio.sleep(settings.drain_s)
        await _end(verbs, serving)
        await _end(people, showing)
        ctx.decisions.settle()
        for task in background:
            task.cancel()


def _network(ctx: Context) -> Iterator[Coroutine[Any, Any, None]]:
    """Yield what runs for scores by the network."""
    settings = ctx.settings
    if ctx.network.is_on:
        yield ctx.network.run()
        if settings.network_probes:
            yield ProbeFeed(
                ctx.network, ctx.metrics, settings.network_probes, settings.network_poll_s
            ).run()


async def _signal() -> signal.Signals:
    """Return the first SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    came: asyncio.Future[signal.Signals] = loop.create_future()

    def note(number: signal.Signals) -> None:
        if not came.done():
            came.set_result(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, note, number)
    return await came


async def _end(server: Server, serving: asyncio.Task[None]) -> None:
    server.should_exit = True
    await serving


async def _sweep(ctx: Context) -> None:
    while True:
        await asyncio.sleep(SWEEP_EVERY_S)
        ctx.forget_old()


async def _learn(ctx: Context, feed: Feed) -> None:
    """Learn the request mix now and then; set the heap aside once the cluster is in it."""
    await feed.wait_listed()
    ctx.learn()
    gc.collect()
    gc.freeze()  # tens of thousands of pods that no collection needs to walk through again
    log.info("listed", nodes=len(ctx.state.snapshot().nodes))
    while True:
        await asyncio.sleep(ctx.settings.learn_every_s)
        ctx.learn()


def _export_sizes(ctx: Context) -> None:
    state = ctx.state
    ctx.metrics.watch(
        "moorage_extender_network_model_loaded",
        "Whether a usable model of the network was loaded.",
        lambda: float(ctx.network.has_model),
    )
    ctx.metrics.watch(
        "moorage_planner_ready",
        "Whether pods that fit nowhere are planned for: this process leads and its solver is warm.",
        lambda: float(ctx.answers.enabled),
    )
    for kind, count in {
        "nodes": lambda: len(state.snapshot().nodes),
        "placed-pods": lambda: sum(map(len, state.snapshot().node_pods)),
        "pending-pods": lambda: len(state.snapshot().pending),
        "assumed-pods": lambda: len(state.snapshot().assumed),
    }.items():
        ctx.metrics.watch(
            "moorage_extender_cache_objects",
            "Objects in the cluster state.",
            count,
            kind=kind,
        )
    ctx.metrics.watch(
        "moorage_extender_hints_known", "Hints whose meaning is remembered.", ctx.hints.book.__len__
    )
