"""Pods of pools that their kubelet refused: told of on the pool, then taken away."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence

from moorage_cluster.errors import ApiError
from moorage_cluster.events import Subject
from moorage_cluster.evict import Refused, evict
from moorage_cluster.pace import Sleep
from moorage_cluster.session import ApiSession
from moorage_crds.names import PODS, POOL_LABEL, POOLS
from moorage_crds.objects import PodObject
from moorage_operator.services.announcing import Tell
from moorage_operator.services.health_book import REFUSED_REASON
from moorage_operator.services.pool_pods import PoolKey
from moorage_policies.ports import Reporter

PAUSE_S = 2.0
"""Between two rounds: a kubelet that refuses whatever comes brings an event a round, not a pod."""
SHOWN_PODS = 5
NO_ROOM_PREFIX = "OutOf"
"""As in OutOfnvidia.com/gpu: other pods took the room first."""


class RefusedPods:
    """Removes failed pods that Kubernetes leaves where they are; its sinks are for reflectors.

    A refused pod never runs and its owner makes another, so that on a node that refuses every pod
    thousands gather. They go by way of evictions, which heed no budget for pods that failed, name
    the pod's UID, and need no further right.

    Args:
        session: the session.
        tell: writes warnings.
        pool_uid: returns the UID of a pool, ``None`` when it is gone.
        leads: whether this process leads right now; asked before every write.
        count_refused: called once for each pod that was refused.
        count_write: told the verb and the kind of every write.
        reporter: hears of pods that could not be removed.
        sleep: waits for a number of seconds.
    """

    def __init__(
        self,
        session: ApiSession,
        tell: Tell,
        pool_uid: Callable[[PoolKey], str | None],
        *,
        leads: Callable[[], bool],
        count_refused: Callable[[], None],
        count_write: Callable[[str, str], None],
        reporter: Reporter,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._session = session
        self._tell = tell
        self._pool_uid = pool_uid
        self._leads = leads
        self._count_refused = count_refused
        self._count_write = count_write
        self._reporter = reporter
        self._sleep = sleep
        self._known: set[str] = set()
        self._untold: dict[str, PodObject] = {}
        self._waiting: dict[str, PodObject] = {}
        self._came = asyncio.Event()

    def list_pods(self, pods: Iterable[PodObject]) -> None:
        """Take the whole list: pods that it does not name are gone."""
        refused = {pod.metadata.uid: pod for pod in pods if is_refused(pod)}
        for uid in self._known - refused.keys():
            self._forget(uid)
        for pod in refused.values():
            self.put_pod(pod)

    def put_pod(self, pod: PodObject) -> None:
        """Take note of a pod if its kubelet refused it and nobody deletes it yet."""
        uid, doomed = pod.metadata.uid, pod.metadata.deletion_timestamp is not None
        if doomed or uid in self._known or not is_refused(pod):
            return
        self._count_refused()
        self._known.add(uid)
        self._untold[uid] = self._waiting[uid] = pod
        self._came.set()

    def drop_pod(self, pod: PodObject) -> None:
        """Forget a pod that is gone."""
        self._forget(pod.metadata.uid)

    async def run(self) -> None:
        """Remove refused pods until cancelled; what fails is tried again in the next round."""
        while True:
            await self._came.wait()
            self._came.clear()
            try:
                await self.clear()
            except ApiError as error:
                self._reporter.report("refused-pods.failed", error=str(error))
            if self._waiting:
                self._came.set()
            await self._sleep(PAUSE_S)

    async def clear(self) -> None:
        """Tell of every pod that waits, then remove it; nothing is done while another leads.

        Raises:
            ApiError: a pod could not be removed; those after it wait, too.
        """
        untold, self._untold = self._untold, {}
        for (pool, node), pods in _by_pool_and_node(untold.values()):
            uid = self._pool_uid(pool)
            if uid is not None:
                subject = Subject(*pool, uid, POOLS.kind, POOLS.api_version)
                await self._tell(subject, "PodRefused", _describe(node, pods))
        for pod in list(self._waiting.values()):
            if self._leads():
                await self._remove(pod)

    async def _remove(self, pod: PodObject) -> None:
        meta = pod.metadata
        self._count_write("evict", PODS.kind)
        answer = await evict(self._session, meta.namespace, meta.name, meta.uid)
        if isinstance(answer, Refused):
            self._reporter.report("refused-pods.failed", error=answer.message)
        else:
            self._waiting.pop(meta.uid, None)

    def _forget(self, uid: str) -> None:
        self._known.discard(uid)
        self._untold.pop(uid, None)
        self._waiting.pop(uid, None)


def is_refused(pod: PodObject) -> bool:
    """Return whether the pod's kubelet refused it: no devices for it, or no room (OutOf...)."""
    reason = pod.status.reason
    refused = reason == REFUSED_REASON or reason.startswith(NO_ROOM_PREFIX)
    return pod.status.phase == "Failed" and refused


def _by_pool_and_node(
    pods: Iterable[PodObject],
) -> Iterator[tuple[tuple[PoolKey, str], list[PodObject]]]:
    groups: dict[tuple[PoolKey, str], list[PodObject]] = {}
    for pod in pods:
        pool = (pod.metadata.namespace, pod.metadata.labels.get(POOL_LABEL, ""))
        groups.setdefault((pool, pod.spec.node_name or ""), []).append(pod)
    yield from groups.items()


def _describe(node: str, pods: Sequence[PodObject]) -> str:
    names = ", ".join(pod.metadata.name for pod in pods[:SHOWN_PODS])
    more = f" and {len(pods) - SHOWN_PODS} more" if len(pods) > SHOWN_PODS else ""
    return f"the kubelet of {node} refused {names}{more}, removed: {pods[0].status.message}"
