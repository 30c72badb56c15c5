"""The cluster as Moorage knows it: events and assumptions in, immutable snapshots out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from moorage_policies.state.events import (
    Event,
    NodeChanged,
    NodeDeleted,
    NodesListed,
    PodChanged,
    PodDeleted,
    PodsListed,
)
from moorage_policies.state.groups import Groups
from moorage_policies.state.ledger import Ledger
from moorage_policies.state.shards import Shards, text_digest
from moorage_policies.state.snapshot import Snapshot
from moorage_policies.types import Node, Pod

Item = TypeVar("Item")

DEFAULT_ASSUME_TTL_S = 30.0
CHUNK = 50


@dataclass(frozen=True, slots=True)
class Assumption:
    """A pod that was told to bind to a node, and since when."""

    pod: Pod
    node: str
    since_s: float


class ClusterState:
    """Nodes, pods and assumptions with one writer; readers hold snapshots.

    Events of one object come in the order in which the API server made them, or again; events of
    different objects come in any order. A pod never leaves a node it is bound to and never comes
    back from Succeeded or Failed: an event that says so is an old one and is ignored.

    Args:
        assume_ttl_s: seconds after which an unconfirmed assumption is dropped by ``expire``.
    """

    __slots__ = (
        "_assumed",
        "_assumptions",
        "_generation",
        "_groups",
        "_ledger",
        "_nominated",
        "_pending",
        "_shown",
        "_snapshot",
        "_told",
        "_ttl_s",
    )

    def __init__(self, *, assume_ttl_s: float = DEFAULT_ASSUME_TTL_S) -> None:
        self._ttl_s = assume_ttl_s
        self._ledger = Ledger()
        self._groups = Groups()
        self._told: dict[str, Pod] = {}  # as the API server told, finished pods included
        self._assumptions: dict[str, Assumption] = {}
        self._shown: dict[str, Pod] = {}  # as readers see them: live, assumed nodes filled in
        self._pending: Shards[str, Pod] = Shards(text_digest)
        self._assumed: Shards[str, Pod] = Shards(text_digest)
        self._nominated: Shards[str, Pod] = Shards(text_digest)
        self._generation = 0
        self._snapshot: Snapshot | None = None

    def apply(self, event: Event) -> None:
        """Take in one event."""
        for _ in self.apply_in_steps(event):
            pass

    def apply_in_steps(self, event: Event, chunk: int = CHUNK) -> Iterator[None]:
        """Take in one event and pause after every ``chunk`` objects of a list.

        Lets an event loop breathe during a large list: drive it to the end before the next event.
        Snapshots taken in between are as consistent as between two watch events.
        """
        match event:
            case NodeChanged(node):
                self._put_node(node)
            case NodeDeleted(name):
                self._drop_node(name)
            case PodChanged(pod):
                self._put_pod(pod)
            case PodDeleted(uid):
                self._drop_pod(uid)
            case NodesListed(nodes):
                yield from self._list_nodes(nodes, chunk)
            case PodsListed(pods):
                yield from self._list_pods(pods, chunk)

    def assume(self, pod: Pod, node: str, now_s: float) -> None:
        """Count the pod on the node from now on, before the API server confirms it.

        A later assumption replaces an earlier one; what the API server said about a bound or
        finished pod stands.

        Args:
            pod: the pod as the caller knows it; used until the watch tells about it.
            node: where it was told to bind.
            now_s: seconds on the clock that ``expire`` uses.
        """
        told = self._told.get(pod.uid)
        if told is not None and (told.node is not None or _finished(told)):
            return
        self._assumptions[pod.uid] = Assumption(pod, node, now_s)
        self._settle(pod.uid)

    def forget(self, uid: str) -> None:
        """Drop the assumption about a pod (its binding failed); no-op when there is none."""
        if self._assumptions.pop(uid, None) is not None:
            self._settle(uid)

    def expire(self, now_s: float) -> tuple[str, ...]:
        """Drop assumptions older than the time to live and return their UIDs, oldest first."""
        late = [
            (assumption.since_s, uid)
            for uid, assumption in self._assumptions.items()
            if now_s - assumption.since_s >= self._ttl_s
        ]
        expired = tuple(uid for _, uid in sorted(late))
        for uid in expired:
            self.forget(uid)
        return expired

    def snapshot(self) -> Snapshot:
        """Return the cluster as it is now; the same object while nothing changed."""
        if self._snapshot is None or self._snapshot.generation != self._generation:
            view = self._ledger.view()
            self._snapshot = Snapshot(
                generation=self._generation,
                table=view.table,
                resources=view.resources,
                allocatable=view.allocatable,
                requested=view.requested,
                node_pods=view.node_pods,
                pending=self._pending.freeze(),
                assumed=self._assumed.freeze(),
                nominated=self._nominated.freeze(),
                groups=self._groups.freeze(),
                history=view.history,
            )
        return self._snapshot

    def _list_nodes(self, nodes: tuple[Node, ...], chunk: int) -> Iterator[None]:
        listed: set[str] = set()
        for some in _chunks(nodes, chunk):
            for node in some:
                listed.add(node.name)
                self._put_node(node)
            yield
        for names in _chunks(self._ledger.node_names(), chunk):
            for name in names:
                if name not in listed:
                    self._drop_node(name)
            yield

    def _list_pods(self, pods: tuple[Pod, ...], chunk: int) -> Iterator[None]:
        listed: set[str] = set()
        for some in _chunks(pods, chunk):
            for pod in some:
                listed.add(pod.uid)
                self._put_pod(pod)
            yield
        for uids in _chunks(tuple(self._told), chunk):
            for uid in uids:
                if uid not in listed:
                    self._drop_pod(uid)
            yield

    def _put_node(self, node: Node) -> None:
        if self._ledger.node(node.name) != node:
            self._ledger.put_node(node)
            self._generation += 1

    def _drop_node(self, name: str) -> None:
        if self._ledger.node(name) is not None:
            self._ledger.drop_node(name)
            self._generation += 1

    def _put_pod(self, pod: Pod) -> None:
        told = self._told.get(pod.uid)
        if told is not None and _is_older(pod, told):
            return
        self._told[pod.uid] = pod
        if pod.node is not None or _finished(pod):
            self._assumptions.pop(pod.uid, None)
        self._settle(pod.uid)

    def _drop_pod(self, uid: str) -> None:
        self._told.pop(uid, None)
        self._assumptions.pop(uid, None)
        self._settle(uid)

    def _settle(self, uid: str) -> None:
        """Bring what readers see of one pod in line with what was told and assumed."""
        old, new = self._shown.get(uid), self._effective(uid)
        if old == new and (uid in self._assumed) == (uid in self._assumptions):
            return
        self._generation += 1
        if old is not None:
            self._hide(old)
        if new is not None:
            self._show(new)

    def _effective(self, uid: str) -> Pod | None:
        assumption = self._assumptions.get(uid)
        pod = self._told.get(uid) or (assumption.pod if assumption else None)
        if pod is None or _finished(pod):
            return None
        return replace(pod, node=assumption.node) if assumption else pod

    def _hide(self, pod: Pod) -> None:
        del self._shown[pod.uid]
        if pod.node is not None:
            self._ledger.discharge(pod, pod.node)
            self._groups.count(pod, pod.node, -1)
        for index in (self._pending, self._assumed, self._nominated):
            index.drop(pod.uid)

    def _show(self, pod: Pod) -> None:
        self._shown[pod.uid] = pod
        if pod.node is not None:
            self._ledger.charge(pod, pod.node)
            self._groups.count(pod, pod.node, +1)
            if pod.uid in self._assumptions:
                self._assumed.put(pod.uid, pod)
            return
        self._pending.put(pod.uid, pod)
        if pod.nominated_node is not None:
            self._nominated.put(pod.uid, pod)


def snapshot_of(nodes: Iterable[Node], pods: Iterable[Pod] = ()) -> Snapshot:
    """Return the snapshot of a cluster that is known whole: for what-if, simulation and tests."""
    state = ClusterState()
    state.apply(NodesListed(tuple(nodes)))
    state.apply(PodsListed(tuple(pods)))
    return state.snapshot()


def _finished(pod: Pod) -> bool:
    return pod.phase in ("Succeeded", "Failed")


def _is_older(pod: Pod, told: Pod) -> bool:
    return (told.node is not None and pod.node is None) or (_finished(told) and not _finished(pod))


def _chunks(items: Sequence[Item], chunk: int) -> Iterator[Sequence[Item]]:
    return (items[start : start + chunk] for start in range(0, len(items), chunk))
