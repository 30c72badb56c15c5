"""Runs kopf while we lead: standalone, silent towards the cluster, restarted when it ends."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from typing import cast

import kopf

from moorage_cluster.backoff import Backoff
from moorage_cluster.errors import ApiError
from moorage_cluster.session import ApiSession
from moorage_crds.names import API_VERSION, PLANS, POOLS, ROLES
from moorage_operator.handlers import login, plans, pools, roles
from moorage_operator.handlers.memo import Memo
from moorage_policies.ports import Reporter

CHUNK = 50
IDLE_S = 0.1
LONGEST_PAUSE_S = 30.0


class EndlessPauses:
    """Pauses between tries of a request, for ever: a server that is down comes back."""

    def __iter__(self) -> Iterator[float]:
        backoff = Backoff(random.random, base_s=1.0, cap_s=LONGEST_PAUSE_S)
        while True:
            yield backoff.next_s()


class NoDiffs(kopf.DiffBaseStorage):
    """Keeps no former state: without change handlers nobody asks what changed.

    Kopf would copy and compare every object at every event all the same.
    """

    def build(self, **_: object) -> kopf.BodyEssence:
        """Return nothing to compare."""
        return cast("kopf.BodyEssence", {})

    def fetch(self, **_: object) -> kopf.BodyEssence | None:
        """Return no former state."""
        return None

    def store(self, **_: object) -> None:
        """Keep nothing."""


def make_settings() -> kopf.OperatorSettings:
    """Return settings under which kopf only reads: no events, no annotations, no peering."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True  # no watch of all CRDs and namespaces
    # kopf holds a listed object, decoded, until its worker has been idle for a while: with large
    # chunks and its default of 5 s, a thousand pools cost 20 MiB that are never given back
    settings.watching.chunk_size = CHUNK
    settings.queueing.idle_timeout = IDLE_S
    settings.persistence.diffbase_storage = NoDiffs()
    settings.networking.error_backoffs = EndlessPauses()
    # a failed run of kopf must not arm its SIGKILL: we start it again
    settings.process.ultimate_exiting_timeout = None
    return settings


def make_registry() -> kopf.OperatorRegistry:
    """Return the registry with our handlers and nothing else."""
    registry = kopf.OperatorRegistry()
    for module in (login, pools, roles, plans):
        module.register(registry)
    return registry


async def run_kopf(
    session: ApiSession,
    memo: Memo,
    stop: asyncio.Event,
    on_started: Callable[[], None],
    reporter: Reporter,
) -> None:
    """Run kopf until ``stop`` is set; after a failure it is started again, later and later.

    Args:
        session: asks whether our kinds are served.
        memo: what handlers are given.
        stop: ends the run.
        on_started: called after each start: kopf takes the signal handlers, we take them back.
        reporter: hears why a run ended.
    """
    backoff = Backoff(random.random, base_s=1.0, cap_s=LONGEST_PAUSE_S)
    while not stop.is_set():
        try:
            await wait_for_kinds(session, reporter)
            await _run_once(memo, stop, on_started)
        except Exception as error:  # noqa: BLE001 - whatever ended it, it is started again
            reporter.report("kopf.ended", error=f"{type(error).__name__}: {error}")
            await asyncio.sleep(backoff.next_s())


async def _run_once(memo: Memo, stop: asyncio.Event, on_started: Callable[[], None]) -> None:
    before = asyncio.all_tasks()
    tasks = await kopf.spawn_tasks(
        registry=make_registry(),
        settings=make_settings(),
        memo=memo,
        standalone=True,
        clusterwide=True,
        stop_flag=stop,
    )
    on_started()
    await kopf.run_tasks(tasks, ignored=before)


async def wait_for_kinds(session: ApiSession, reporter: Reporter) -> None:
    """Return when the API server serves our kinds: kopf looks for them only once."""
    backoff = Backoff(random.random, base_s=1.0, cap_s=LONGEST_PAUSE_S)
    wanted = {POOLS.plural, ROLES.plural, PLANS.plural}
    while True:
        try:
            served = await session.get_json(f"/apis/{API_VERSION}")
            missing = wanted - {resource["name"] for resource in served["resources"]}
        except ApiError as error:
            reporter.report("kinds.waiting", error=str(error))
        else:
            if not missing:
                return
            reporter.report("kinds.waiting", missing=sorted(missing))
        await asyncio.sleep(backoff.next_s())
