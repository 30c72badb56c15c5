"""The cluster's resource metrics, fetched in batches off the verbs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

import msgspec
import numpy as np

from moorage_cluster.errors import ApiError, NotFoundError
from moorage_crds.names import NODE_METRICS
from moorage_crds.objects import ObjectMeta, Wire
from moorage_crds.quantities import to_millicores, to_units
from moorage_policies.errors import BadInputError
from moorage_policies.ports import Clock, Reporter
from moorage_policies.scoring.load import Utilisation, asked_ratio
from moorage_policies.state import Snapshot
from moorage_policies.types import CPU, MEMORY

EVERY_S = 15.0
ABSENT_EVERY_S = 300.0
"""Seconds between two looks where the cluster serves no metrics."""
CHUNK = 100


class NodeMetrics(Wire):
    """What one node uses (metrics.k8s.io/v1beta1)."""

    metadata: ObjectMeta = msgspec.field(default_factory=ObjectMeta)
    usage: dict[str, str] = msgspec.field(default_factory=dict)


class NodeMetricsList(Wire):
    """What all nodes use."""

    items: tuple[NodeMetrics, ...] = ()


_decode = msgspec.json.Decoder(NodeMetricsList).decode


class Requester(Protocol):
    """The part of a session that is needed."""

    async def request(self, method: str, path: str) -> bytes:
        """Return the body of a successful answer."""
        ...


class LoadFeed:
    """Fetches batches of measurements and hands them over.

    Args:
        api: the session to the API server.
        snapshot: tells the cluster as it is now.
        take: takes each batch.
        clock: when a batch was taken.
        reporter: hears of batches that could not be had.
    """

    __slots__ = ("_api", "_clock", "_reporter", "_snapshot", "_take")

    def __init__(
        self,
        api: Requester,
        snapshot: Callable[[], Snapshot],
        take: Callable[[Utilisation], None],
        clock: Clock,
        reporter: Reporter,
    ) -> None:
        self._api = api
        self._snapshot = snapshot
        self._take = take
        self._clock = clock
        self._reporter = reporter

    async def run(self) -> None:
        """Fetch batches until cancelled; where there are none, look again now and then."""
        while True:
            pause_s = await self.fetch()
            await asyncio.sleep(pause_s)

    async def fetch(self) -> float:
        """Fetch a batch if there is one; return the seconds until the next try."""
        try:
            body = await self._api.request("GET", NODE_METRICS.path())
            self._take(await self._read(_decode(body)))
        except NotFoundError:
            return ABSENT_EVERY_S
        except (ApiError, BadInputError, msgspec.DecodeError) as error:
            self._reporter.report("load-failed", error=str(error))
            return EVERY_S
        return EVERY_S

    async def _read(self, metrics: NodeMetricsList) -> Utilisation:
        snapshot, taken_s = self._snapshot(), self._clock()
        used = np.full((len(snapshot.nodes), 4), np.nan)
        columns = [snapshot.columns[CPU], snapshot.columns[MEMORY]]
        offered = np.maximum(snapshot.allocatable[:, columns], 1)
        for done, item in enumerate(metrics.items, 1):
            row = snapshot.node_index.get(item.metadata.name)
            if row is not None:
                amounts = (
                    to_millicores(item.usage.get("cpu", "0")),
                    to_units(item.usage.get("memory", "0")),
                )
                used[row, :2] = np.minimum(amounts / offered[row], 1.0)
            if done % CHUNK == 0:
                await asyncio.sleep(0)  # let verbs be answered in between
        return Utilisation(taken_s, snapshot.node_names, used, asked_ratio(snapshot))
