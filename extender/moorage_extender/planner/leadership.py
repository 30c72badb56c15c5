"""Who plans: the extender beside the kube-scheduler that leads, or the holder of a Lease."""

from __future__ import annotations

import asyncio
import socket

from moorage_cluster.errors import NotFoundError
from moorage_cluster.lease import LeaderLease, to_record
from moorage_cluster.session import ApiSession
from moorage_crds.names import LEASES
from moorage_extender.config import Settings
from moorage_policies.errors import UnavailableError
from moorage_policies.ports import Reporter

LOOK_EVERY_S = 2.0


class Leadership:
    """Tells whether this process plans.

    Two that plan at once do no harm: plans are checked again before they begin, and only one of
    those that share a node runs.

    Args:
        session: the session.
        settings: how it is decided.
        reporter: hears of changes.
    """

    def __init__(self, session: ApiSession, settings: Settings, reporter: Reporter) -> None:
        self._session = session
        self._mode = settings.planner
        self._namespace, _, self._name = settings.planner_lease.partition("/")
        self._reporter = reporter
        self._leads = self._mode == "Always"

    @property
    def leads(self) -> bool:
        """Return whether this process plans now."""
        return self._leads

    async def run(self) -> None:
        """Follow the Lease until cancelled."""
        if self._mode == "WithScheduler":
            await self._follow()
        elif self._mode == "OwnLease":
            await self._compete()

    async def _follow(self) -> None:
        """Lead while a process of this host name holds the Lease, as containers of a pod share."""
        path = LEASES.path(self._namespace, self._name)
        own = socket.gethostname()
        while True:
            try:
                holder = to_record(await self._session.get_json(path)).holder
                self._set(leads=holder.rpartition("_")[0] == own)
            except NotFoundError:
                self._set(leads=False)
            except UnavailableError:
                pass  # it is not known to have changed
            await asyncio.sleep(LOOK_EVERY_S)

    async def _compete(self) -> None:
        lease = LeaderLease(self._session, self._namespace, self._name, reporter=self._reporter)
        while True:
            lost = asyncio.Event()
            async with lease.leading(lost.set):
                self._set(leads=True)
                try:
                    await lost.wait()
                finally:
                    self._set(leads=False)

    def _set(self, *, leads: bool) -> None:
        if leads != self._leads:
            self._reporter.report("planner.leads" if leads else "planner.rests")
        self._leads = leads
