"""What stories about a running installation share: a namespace, its pods' history, its end."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Self, TypeVar

import msgspec

from moorage_cli.control_plane.api import ApiClient
from moorage_cli.control_plane.errors import RequestRefusedError
from moorage_cli.installation import Installation
from moorage_crds.convert import to_node, to_pod
from moorage_crds.names import DEPLOYMENTS, NODES, PLANS, PODS, POLICIES, POOLS
from moorage_crds.objects import NodeObject, PodObject
from moorage_policies.invariants import Act, Frame, History, Step, Violation, audit

T = TypeVar("T")
Json = dict[str, Any]
Events = list[tuple[str, Json]]
"""What a watch told, oldest first: the kind of change and the object."""
Eventually = Callable[..., Any]
"""Asks until a condition holds: ``eventually(look, what=..., within_s=...)``."""

UNLIMITED_MOVES: Final[Json] = {
    "apiVersion": POLICIES.api_version,
    "kind": POLICIES.kind,
    "metadata": {"name": "default"},
    "spec": {
        "disruption": {
            "maxMoves": 1000,
            "maxMovesPerOwner": 1000,
            "ownerCoolDownSeconds": 0,
            "podCoolDownSeconds": 0,
        }
    },
}
"""A PlacementPolicy under which plans wait for nothing but the cluster."""

SWIFT_PLANS: Final = {
    "MOORAGE_OPERATOR_SPACING_MS": "200",
    "MOORAGE_OPERATOR_PLAN_SETTLE_MS": "100",
    "MOORAGE_OPERATOR_PLAN_POLL_MS": "100",
}
"""Settings of an operator that looks at plans more often than a large cluster could bear."""


def eventually(
    look: Callable[[], T], *, what: str, within_s: float = 60.0, every_s: float = 0.05
) -> T:
    """Return the first truthy value of ``look``, asked until the deadline.

    Raises:
        AssertionError: it never was; with what it was last.
    """
    deadline = time.monotonic() + within_s
    pause = threading.Event()
    while True:
        value = look()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_s} s: {what} (last seen: {value!r})")
        pause.wait(every_s)


@dataclass
class Quarter:
    """One namespace of an installation.

    Args:
        installation: everything that runs.
        namespace: its name.
        eventually: asks until a condition holds.
    """

    installation: Installation
    namespace: str
    eventually: Eventually

    @classmethod
    def open(cls, installation: Installation, namespace: str, eventually: Eventually) -> Self:
        """Create the namespace; return once pods can be made in it."""
        api = installation.plane.api
        api.create("/api/v1/namespaces", {"metadata": {"name": namespace}})
        account = f"/api/v1/namespaces/{namespace}/serviceaccounts/default"
        eventually(lambda: api.answers(account), what="the namespace has its account")
        return cls(installation, namespace, eventually)

    @property
    def api(self) -> ApiClient:
        """Return the administrator's client."""
        return self.installation.plane.api

    def revision(self) -> str:
        """Return the revision from which on a history begins."""
        return str(self.api.get(PODS.path(self.namespace))["metadata"]["resourceVersion"])

    def history(self, since: str) -> Events:
        """Return every revision of the namespace's pods since then, in the server's order."""
        return _watch(self.api, PODS.path(self.namespace), since)

    def fewest_ready(self, before: Iterable[Json], since: str, label: str = "") -> int:
        """Return the least number of ready pods over every revision since then.

        Args:
            before: the pods at that time.
            since: the revision.
            label: only pods with this label are counted; empty: all.
        """
        events = [
            (kind, pod)
            for kind, pod in self.history(since)
            if not label or label in pod["metadata"].get("labels", {})
        ]
        return min(sum(map(is_ready, pods.values())) for pods in unfold(before, events))

    def violations(
        self, plans: Iterable[Json], before: Iterable[Json], events: Events
    ) -> tuple[Violation, ...]:
        """Return which promises the recorded history of the namespace's pods breaks.

        Args:
            plans: every plan of that time.
            before: the pods when it began.
            events: what happened to pods since.
        """
        steps = tuple(
            Step(plan["metadata"]["uid"], move["index"], move["pod"]["uid"])
            for plan in plans
            for move in plan["spec"]["moves"]
            if move["kind"] != "Place"
        )
        items = self.api.get(NODES.path())["items"]
        nodes = {n["metadata"]["name"]: to_node(msgspec.convert(n, NodeObject)) for n in items}
        pods = {p["metadata"]["uid"]: to_pod(msgspec.convert(p, PodObject)) for p in before}
        frames, acts = [Frame(0, 0.0, nodes, dict(pods), steps=steps)], []
        for number, (kind, item) in enumerate(events, 1):
            pod = to_pod(msgspec.convert(item, PodObject))
            was = pods.pop(pod.uid, None)
            if kind != "DELETED":
                pods[pod.uid] = pod
            if pod.terminating and not (was is None or was.terminating) and was_evicted(item):
                acts.append(Act(number - 1, float(number), "Evict", pod.uid))
            frames.append(Frame(number, float(number), nodes, dict(pods), steps=steps))
        return audit(History(frames, acts))

    def clear(self, plans: Iterable[str]) -> None:
        """Remove plans, pools and workloads; return when no pod is left."""
        api, namespace = self.api, self.namespace
        for plan in plans:
            api.delete(PLANS.path("", plan))
        for pool in api.get(POOLS.path(namespace))["items"]:
            api.delete(POOLS.path(namespace, pool["metadata"]["name"]))
        for deployment in api.get(DEPLOYMENTS.path(namespace))["items"]:
            with suppress(RequestRefusedError):  # one of a pool goes with it
                api.delete(DEPLOYMENTS.path(namespace, deployment["metadata"]["name"]))
        for pod in api.get(PODS.path(namespace))["items"]:
            with suppress(RequestRefusedError):  # one whose node is gone has no kubelet to end it
                api.delete(PODS.path(namespace, pod["metadata"]["name"]), gracePeriodSeconds="0")
        self.eventually(
            lambda: not api.get(PODS.path(namespace))["items"],
            what="the pods are gone",
            within_s=60,
        )


class Film:
    """Every revision of some objects from now on, in the server's order.

    It is recorded while things happen: the server forgets what is older than a while. ``before``
    are the objects at its beginning.

    Args:
        api: the administrator's client.
        path: of the objects.
    """

    def __init__(self, api: ApiClient, path: str) -> None:
        self._api, self._path = api, path
        listed = api.get(path)
        self.before: list[Json] = listed["items"]
        self._revision = str(listed["metadata"]["resourceVersion"])
        self._events: Events = []
        self._failure = "the recording broke off"
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._record, daemon=True)
        self._thread.start()

    def events(self) -> Events:
        """Return what happened up to now, and end the recording.

        Raises:
            AssertionError: something is missing in it.
        """
        self._ends.set()
        self._thread.join()
        assert not self._failure, self._failure
        return self._events

    def _record(self) -> None:
        is_last = False
        while not is_last:
            is_last = self._ends.is_set()
            for kind, item in _watch(self._api, self._path, self._revision):
                if kind == "ERROR":
                    self._failure = json.dumps(item)
                    return
                self._events.append((kind, item))
                self._revision = item["metadata"]["resourceVersion"]
        self._failure = ""


def _watch(api: ApiClient, path: str, since: str) -> Events:
    """Return what happened to the objects since a revision, at least a second's worth."""
    query = {"watch": "1", "resourceVersion": since, "timeoutSeconds": "1"}
    events = map(json.loads, filter(None, api.raw("GET", path, query=query).splitlines()))
    return [(event["type"], event["object"]) for event in events]


def unfold(before: Iterable[Json], events: Events) -> Iterator[Mapping[str, Json]]:
    """Yield the objects by UID as they were at first and after each event; read each in turn."""
    known = {item["metadata"]["uid"]: item for item in before}
    yield known
    for kind, item in events:
        if kind == "DELETED":
            known.pop(item["metadata"]["uid"], None)
        else:
            known[item["metadata"]["uid"]] = item
        yield known


def is_ready(pod: Json) -> bool:
    """Return whether a pod serves and is not about to go."""
    conditions = pod["status"].get("conditions", ())
    told = any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
    return told and "deletionTimestamp" not in pod["metadata"]


def was_evicted(pod: Json) -> bool:
    """Return whether the Eviction API ended the pod."""
    conditions = pod["status"].get("conditions", ())
    return any(
        c["type"] == "DisruptionTarget" and c["reason"] == "EvictionByEvictionAPI"
        for c in conditions
    )
