"""What stories about a running installation share: a namespace, its pods' history, its end."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Self, TypeVar

from moorage_cli.control_plane.api import ApiClient
from moorage_cli.control_plane.errors import RequestRefusedError
from moorage_cli.installation import Installation
from moorage_crds.names import DEPLOYMENTS, PLANS, PODS, POLICIES, POOLS

T = TypeVar("T")
Json = dict[str, Any]
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

    def history(self, since: str) -> list[tuple[str, Json]]:
        """Return every revision of the namespace's pods since then, in the server's order."""
        query = {"watch": "1", "resourceVersion": since, "timeoutSeconds": "1"}
        body = self.api.raw("GET", PODS.path(self.namespace), query=query)
        events = [json.loads(line) for line in body.splitlines() if line]
        return [(event["type"], event["object"]) for event in events]

    def fewest_ready(self, before: Iterable[Json], since: str, label: str = "") -> int:
        """Return the least number of ready pods over every revision since then.

        Args:
            before: the pods at that time.
            since: the revision.
            label: only pods with this label are counted; empty: all.
        """
        known = {pod["metadata"]["uid"]: pod for pod in before}
        counts = [sum(map(is_ready, known.values()))]
        for kind, pod in self.history(since):
            if label and label not in pod["metadata"].get("labels", {}):
                continue
            if kind == "DELETED":
                known.pop(pod["metadata"]["uid"], None)
            else:
                known[pod["metadata"]["uid"]] = pod
            counts.append(sum(map(is_ready, known.values())))
        return min(counts)

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
