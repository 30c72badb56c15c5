"""Leader election over a coordination.k8s.io Lease."""

from __future__ import annotations

import asyncio
import random
import socket
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from moorage_cluster import election
from moorage_cluster.election import LeaseParams, LeaseRecord, Read, View, Wait, Write
from moorage_cluster.errors import ApiError, ConflictError, NotFoundError
from moorage_cluster.pace import Sleep
from moorage_cluster.reporting import Silent
from moorage_cluster.session import ApiSession, Json
from moorage_crds.names import LEASES
from moorage_policies.ports import Clock, Reporter

_JITTER_RATIO = 0.2
_KIND = {"apiVersion": LEASES.api_version, "kind": LEASES.kind}


@dataclass(frozen=True, slots=True)
class FenceToken:
    """Names one term of leadership; later terms have larger ``transitions``."""

    transitions: int
    holder: str

    def __str__(self) -> str:
        return f"{self.transitions}/{self.holder}"


def boot_clock() -> float:
    """Return monotonic seconds that also pass while the machine is suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def own_identity() -> str:
    """Return a name that no other process ever has."""
    return f"{socket.gethostname()}_{uuid.uuid4()}"


class LeaderLease:
    """One candidate for one Lease; ``election`` says why there are never two leaders.

    ``held`` is judged by the clock when asked, so it is right even if the event loop was stalled or
    the process stopped. It still says nothing about a write already on its way: writes that matter
    carry a uid or resourceVersion precondition besides.

    Args:
        session: the session.
        namespace: the Lease's namespace.
        name: the Lease's name.
        identity: the holder name to write; must differ between processes.
        params: the timing.
        clock: monotonic seconds.
        sleep: waits for a number of seconds.
        uniform: random numbers in [0, 1), for the jitter between tries.
        wall: the time that is written for people to read.
        reporter: hears ``lease.acquired``, ``lease.lost``, ``lease.released``, ``lease.failed``.
    """

    def __init__(
        self,
        session: ApiSession,
        namespace: str,
        name: str,
        *,
        identity: str | None = None,
        params: LeaseParams | None = None,
        clock: Clock = boot_clock,
        sleep: Sleep = asyncio.sleep,
        uniform: Callable[[], float] = random.random,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
        reporter: Reporter | None = None,
    ) -> None:
        self._session = session
        self._namespace = namespace
        self._name = name
        self._collection = LEASES.path(namespace)
        self._path = LEASES.path(namespace, name)
        self._params = params or LeaseParams()
        self._clock = clock
        self._sleep = sleep
        self._uniform = uniform
        self._wall = wall
        self._reporter = reporter or Silent()
        self._view = View(identity or own_identity())
        self._object: Json = {}

    @property
    def identity(self) -> str:
        """Return the holder name that this candidate writes."""
        return self._view.identity

    @property
    def held(self) -> bool:
        """Return whether this candidate leads right now."""
        return self._view.holds(self._clock())

    @property
    def fence_token(self) -> FenceToken | None:
        """Return the name of the running term, ``None`` while this candidate does not lead."""
        record = self._view.record
        return FenceToken(record.transitions, record.holder) if record and self.held else None

    async def acquire(self) -> FenceToken:
        """Wait until this candidate leads and return its term; failed calls are tried again."""
        while True:
            await self._step()
            if token := self.fence_token:
                self._reporter.report("lease.acquired", lease=self._name, token=str(token))
                return token
            await self._pause(self._params.retry_period_s)

    async def keep(self, on_lost: Callable[[], None]) -> None:
        """Renew until leadership is lost, then call ``on_lost`` and return.

        The process should end then: what it still has in flight belongs to a term that is over.
        """
        while self.held:
            left_s = self._view.held_until_s - self._clock()
            await self._pause(min(self._params.retry_period_s, left_s))
            if self.held:
                await self._step()
        self._reporter.report("lease.lost", lease=self._name, identity=self.identity)
        on_lost()

    async def release(self) -> None:
        """Give up leadership now, so that a successor need not wait for the Lease to run out.

        Stop acting first: from here on ``held`` is false. When the call fails, the Lease runs out
        by itself.
        """
        was_held = self.held
        self._view = election.resigned(self._view)
        if not was_held:
            return
        try:
            await self._write_release()
        except ApiError as error:
            self._reporter.report("lease.failed", lease=self._name, error=str(error))
            return
        self._reporter.report("lease.released", lease=self._name, identity=self.identity)

    @asynccontextmanager
    async def leading(self, on_lost: Callable[[], None]) -> AsyncIterator[FenceToken]:
        """Lead while the block runs, renewing in a task of its own; release at its end."""
        token = await self.acquire()
        renewing = asyncio.create_task(self.keep(on_lost), name=f"lease-{self._name}")
        try:
            yield token
        finally:
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)
            await self.release()

    async def _step(self) -> None:
        """Do what the election wants until it wants to wait; a failed call ends the step."""
        try:
            while not isinstance(action := self._decide(), Wait):
                if isinstance(action, Read):
                    await self._read()
                else:
                    await self._write(action)
                    return
        except ApiError as error:
            self._view = election.unsure(self._view)
            self._reporter.report("lease.failed", lease=self._name, error=str(error))
        else:
            # The next step looks again: the holder may release or renew at any time.
            self._view = election.unsure(self._view)

    def _decide(self) -> Read | Wait | Write:
        return election.decide(self._view, self._clock(), self._params)

    async def _read(self) -> None:
        try:
            answer = await self._call("GET", self._path)
        except NotFoundError:
            self._object = {}
            self._view = election.read(self._view, None, self._clock())
            return
        self._object = answer
        self._view = election.read(self._view, to_record(answer), self._clock())

    async def _write(self, action: Write) -> None:
        body = self._body(action)
        sent_s = self._clock()
        if action.version is None:
            answer = await self._call("POST", self._collection, body)
        else:
            answer = await self._call("PUT", self._path, body)
        self._object = answer
        record = to_record(answer)
        self._view = election.wrote(self._view, record, sent_s, self._clock(), self._params)

    async def _write_release(self) -> None:
        try:
            await self._call("PUT", self._path, self._released_body())
        except ConflictError:  # a renewal of ours may have been committed without an answer
            self._object = await self._call("GET", self._path)
            if to_record(self._object).holder == self.identity:
                await self._call("PUT", self._path, self._released_body())

    async def _call(self, method: str, path: str, body: Json | None = None) -> Json:
        limit_s = self._params.call_timeout_s
        if self.held:  # a call that hangs must not outlive the term
            limit_s = min(limit_s, max(0.001, self._view.held_until_s - self._clock()))
        return await self._session.request_json(method, path, body=body, timeout_s=limit_s)

    def _body(self, action: Write) -> Json:
        now = _micro_time(self._wall())
        spec = {
            **self._object.get("spec", {}),
            "holderIdentity": self.identity,
            "leaseDurationSeconds": self._params.duration_s,
            "leaseTransitions": action.transitions,
            "renewTime": now,
        }
        if action.taking_over:
            spec["acquireTime"] = now
        metadata = self._object.get("metadata") or {
            "name": self._name,
            "namespace": self._namespace,
        }
        return {**self._object, **_KIND, "metadata": metadata, "spec": spec}

    def _released_body(self) -> Json:
        spec = {
            **self._object["spec"],
            "holderIdentity": "",
            "leaseDurationSeconds": 1,
            "renewTime": _micro_time(self._wall()),
        }
        return {**self._object, "spec": spec}

    async def _pause(self, seconds: float) -> None:
        await self._sleep(seconds * (1.0 - _JITTER_RATIO * self._uniform()))


def to_record(lease: Json) -> LeaseRecord:
    """Return what a Lease object says."""
    spec = lease.get("spec") or {}
    return LeaseRecord(
        holder=spec.get("holderIdentity") or "",
        transitions=spec.get("leaseTransitions") or 0,
        duration_s=float(spec.get("leaseDurationSeconds") or 0),
        version=lease["metadata"]["resourceVersion"],
    )


def _micro_time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
