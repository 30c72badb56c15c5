"""The operator's process: wait for the Lease, act while it is held, give it back at the end."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import Coroutine
from typing import Any

from moorage_cluster.credentials import find_credentials
from moorage_cluster.errors import ApiError
from moorage_cluster.session import ApiSession
from moorage_cluster.settings import load_settings
from moorage_operator.config import OperatorConfig
from moorage_operator.factory import Doors, build_doors
from moorage_operator.kopf_runtime import run_kopf, wait_for_kinds
from moorage_operator.listener import Probes, listening
from moorage_operator.logs import LogReporter, set_up_logging
from moorage_operator.watches import sweep
from moorage_policies.errors import BadInputError

EXIT_BAD_INPUT = 2
EXIT_FAILED = 1
STALE_S = 120.0
STANDBY_AFTER_S = 3.0
DRAIN_S = 5.0
LEAVE_WITHIN_S = 5.0
FIRST_SWEEP_PAUSE_S = 1.0


def run() -> None:
    """Run the operator until it is told to end; the entry point ``moorage-operator``."""
    try:
        config = load_settings(OperatorConfig)
        set_up_logging(config.log_level, config.log_format)
        code = asyncio.run(_operate_and_leave(config))
    except BadInputError as error:
        for line in str(error).splitlines():
            sys.stderr.write(f"moorage-operator: {line}\n")
        code = EXIT_BAD_INPUT
    sys.exit(code)


async def _operate_and_leave(config: OperatorConfig) -> int:
    """Return the exit code, and see to it that the process ends whatever is left running."""
    code = await operate(config)
    leaving = threading.Timer(LEAVE_WITHIN_S, os._exit, [code])
    leaving.daemon = True
    leaving.start()
    return code


async def operate(config: OperatorConfig) -> int:
    """Return the exit code once the process was told to end, or cannot go on.

    Raises:
        BadInputError: there are no usable credentials.
    """
    credentials = find_credentials(config.kubeconfig, None)
    await credentials.endpoint()
    reporter = LogReporter()
    stop = asyncio.Event()
    _end_on_signals(stop)
    session = ApiSession(credentials, user_agent="moorage-operator", calls_per_s=config.calls_per_s)
    async with session:
        doors = build_doors(config, session, credentials, reporter)
        probes = Probes(alive=lambda: _not_alive(doors), ready=lambda: _not_ready(doors))
        registry = doors.metrics.registry
        find = doors.scaling.find_record
        async with listening(
            config.listen_host, config.listen_port, probes, registry, find
        ) as port:
            reporter.report("operator.listening", port=port, identity=doors.lease.identity)
            return await _serve_a_term(doors, stop)


async def _serve_a_term(doors: Doors, stop: asyncio.Event) -> int:
    """Wait for leadership, act until it ends or ``stop`` is set, and release it."""
    if await _first(doors.lease.acquire(), stop.wait()) == 1:
        return 0
    doors.metrics.leading.set(1)
    lost = asyncio.Event()
    renewing = asyncio.create_task(doors.lease.keep(lost.set))
    listening_to = asyncio.create_task(_listen(doors, stop))
    acting = asyncio.create_task(_act(doors))
    ended = await _first(
        asyncio.shield(acting), stop.wait(), lost.wait(), asyncio.shield(listening_to)
    )
    if ended == 1:
        drains = (doors.runner.drain(DRAIN_S), doors.plan_runner.drain(DRAIN_S))
        # kopf ends by itself when told to; cancelled in the middle of that it may hang
        await asyncio.gather(*drains, asyncio.wait({listening_to}, timeout=DRAIN_S))
    doors.metrics.leading.set(0)
    tasks = (acting, listening_to, renewing)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks, timeout=DRAIN_S)
    for task in tasks:
        if task.done() and not task.cancelled() and (error := task.exception()):
            doors.reporter.report("operator.failed", error=repr(error))
    await doors.search.close()
    await doors.lease.release()
    return 0 if ended == 1 else EXIT_FAILED


async def _act(doors: Doors) -> None:
    """Watch and reconcile until cancelled."""
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(doors.watches.run())
        tasks.create_task(doors.hints.reader.run())
        tasks.create_task(doors.hints.of_pods.run())
        tasks.create_task(_sweep_for_ever(doors))
        tasks.create_task(_reconcile(doors))


async def _listen(doors: Doors, stop: asyncio.Event) -> None:
    """Hear of pools and role objects through kopf, until ``stop`` is set."""
    await wait_for_kinds(doors.session, doors.reporter)
    await doors.synced.wait()  # one list at a time: their peaks would add up
    await run_kopf(doors.session, doors.memo, stop, lambda: _end_on_signals(stop), doors.reporter)


async def _reconcile(doors: Doors) -> None:
    await doors.watches.synced()
    await doors.primed.wait()
    doors.synced.set()
    doors.reporter.report("operator.synced", pools=len(doors.view.pools()))
    async with asyncio.TaskGroup() as running:
        running.create_task(doors.runner.run(doors.config.workers))
        running.create_task(doors.plan_runner.run(doors.config.workers))
        running.create_task(doors.health.run(doors.config.health_interval_s))
        running.create_task(doors.refused.run())
        interval_s = doors.config.defragmentation_interval_s
        running.create_task(doors.defragmentation.run(interval_s))
        running.create_task(doors.scaling.run())


async def _sweep_for_ever(doors: Doors) -> None:
    """Compare with fresh lists at the start, so that nothing is taken for missing, and later."""
    while True:
        try:
            await sweep(doors.session, doors.view)
            doors.primed.set()
        except ApiError as error:
            doors.reporter.report("sweep.failed", error=str(error))
        pause_s = doors.config.sweep_interval_s if doors.primed.is_set() else FIRST_SWEEP_PAUSE_S
        await asyncio.sleep(pause_s)


async def _first(*waits: Coroutine[Any, Any, Any] | asyncio.Future[Any]) -> int:
    """Return the place of what ended first; the others are cancelled."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    ended = next(place for place, task in enumerate(tasks) if task.done())
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return ended


def _end_on_signals(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)


def _not_alive(doors: Doors) -> str:
    stalled_s = max(doors.runner.stalled_s(), doors.plan_runner.stalled_s())
    limit_s = doors.config.stall_limit_s
    return f"a reconcile has taken {stalled_s:.0f} s" if stalled_s > limit_s else ""


def _not_ready(doors: Doors) -> str:
    if not doors.lease.held:
        waited_s = time.monotonic() - doors.started_s
        return "" if waited_s > STANDBY_AFTER_S else "not leading, and not yet standing by"
    stale = doors.watches.why_stale(STALE_S)
    if not stale and not doors.synced.is_set():
        return "the first lists are not complete"
    return stale
