"""The pods of all pools, trimmed: who they are, where they sit, what they hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from moorage_crds.convert import to_pod
from moorage_crds.names import (
    ACCELERATOR_CLASS_LABEL,
    POOL_LABEL,
    ROLE_LABEL,
    SERVING_LABEL,
)
from moorage_crds.objects import PodObject
from moorage_operator.manifests.names import LWS_GROUP_INDEX_LABEL, LWS_WORKER_INDEX_LABEL
from moorage_operator.services.pod_places import PodPlace, read_place
from moorage_policies.errors import BadInputError
from moorage_policies.ports import Reporter
from moorage_policies.state.events import PodChanged, PodDeleted, PodsListed
from moorage_policies.state.state import ClusterState
from moorage_policies.types import Pod

_LABELS = (
    POOL_LABEL,
    ROLE_LABEL,
    ACCELERATOR_CLASS_LABEL,
    LWS_GROUP_INDEX_LABEL,
    LWS_WORKER_INDEX_LABEL,
    SERVING_LABEL,
)
_MESSAGE_LIMIT = 500
_NO_PODS: Mapping[str, Pod] = {}

PoolKey = tuple[str, str]


class PoolPods:
    """Pods by pool; every change also goes into the cluster state.

    Args:
        state: takes the pods, so that room can be measured.
        wake: called with a pool of which a pod changed in a way that matters.
        freed: called when a pod left its node: room for those that wait.
        reporter: hears of pods that cannot be read.
    """

    def __init__(
        self,
        state: ClusterState,
        wake: Callable[[PoolKey], None],
        freed: Callable[[], None],
        reporter: Reporter,
    ) -> None:
        self._state = state
        self._wake = wake
        self._freed = freed
        self._reporter = reporter
        self._by_pool: dict[PoolKey, dict[str, Pod]] = {}
        self._refusals: dict[str, str] = {}
        self.places: dict[str, PodPlace] = {}
        """Where the pods that have an address show their metrics, by UID."""
        self._labels: dict[tuple[tuple[str, str], ...], dict[str, str]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._by_pool.values()))

    def of(self, key: PoolKey) -> tuple[Pod, ...]:
        """Return the live pods of a pool, finished ones left out."""
        return tuple(self._by_pool.get(key, _NO_PODS).values())

    def resting_of(self, pods: Iterable[Pod]) -> dict[str, float]:
        """Return since when those among the pods that are out of the Service are, by UID."""
        found = {}
        for pod in pods:
            place = self.places.get(pod.uid)
            if place is not None and place.resting_s is not None:
                found[pod.uid] = place.resting_s
        return found

    def refusals_of(self, pods: Iterable[Pod]) -> Mapping[str, str]:
        """Return what the scheduler says of those among the pods that it refused, by UID."""
        return {pod.uid: self._refusals[pod.uid] for pod in pods if pod.uid in self._refusals}

    def take_list(self, items: Iterable[PodObject]) -> None:
        """Take a whole list: pods that it does not name are gone."""
        pods = [pod for pod in map(self._read, items) if pod is not None]
        listed = {pod.uid for pod in pods}
        gone = [
            (key, uid) for key, held in self._by_pool.items() for uid in held if uid not in listed
        ]
        self._state.apply(PodsListed(tuple(pods)))
        for key, uid in gone:
            self._remove(key, uid)
        for pod in pods:
            self._keep(pod)

    def take_change(self, item: PodObject) -> None:
        """Take note of a pod."""
        pod = self._read(item)
        if pod is not None:
            self._state.apply(PodChanged(pod))
            self._keep(pod)

    def take_deletion(self, item: PodObject) -> None:
        """Forget a pod that is gone or left its pool."""
        self._state.apply(PodDeleted(item.metadata.uid))
        for key in [key for key, held in self._by_pool.items() if item.metadata.uid in held]:
            self._remove(key, item.metadata.uid)

    def _keep(self, pod: Pod) -> None:
        key = (pod.namespace, pod.labels.get(POOL_LABEL, ""))
        if pod.phase in ("Succeeded", "Failed"):
            self._remove(key, pod.uid)
            return
        held = self._by_pool.setdefault(key, {})
        if held.get(pod.uid) != pod:
            held[pod.uid] = pod
            self._wake(key)

    def _remove(self, key: PoolKey, uid: str) -> None:
        self._refusals.pop(uid, None)
        self.places.pop(uid, None)
        held = self._by_pool.get(key, {})
        pod = held.pop(uid, None)
        if pod is None:
            return
        if not held:
            del self._by_pool[key]
        self._wake(key)
        if pod.node is not None:
            self._freed()

    def _read(self, item: PodObject) -> Pod | None:
        place = read_place(item)
        self._trim(item)
        try:
            pod = to_pod(item)
        except BadInputError as error:
            self._reporter.report("pod.unreadable", pod=item.metadata.name, error=str(error))
            return None
        self._note_refusal(pod, item)
        if place.endpoint is not None or place.resting_s is not None:
            self.places[pod.uid] = place
        return pod

    def _trim(self, item: PodObject) -> None:
        """Drop what nothing here looks at, before it costs time and memory."""
        labels = {k: item.metadata.labels[k] for k in _LABELS if k in item.metadata.labels}
        item.metadata.labels = self._labels.setdefault(tuple(labels.items()), labels)
        item.metadata.annotations = {}
        spec = item.spec
        spec.node_selector, spec.affinity, spec.tolerations = {}, None, ()
        spec.topology_spread_constraints = ()

    def _note_refusal(self, pod: Pod, item: PodObject) -> None:
        self._refusals.pop(pod.uid, None)
        if pod.unschedulable and pod.node is None:
            for condition in item.status.conditions:
                if condition.type == "PodScheduled":
                    self._refusals[pod.uid] = condition.message[:_MESSAGE_LIMIT]
