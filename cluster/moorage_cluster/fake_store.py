"""The objects of the fake API server: revisions, history, preconditions, bindings, evictions."""

from __future__ import annotations

import copy
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]

_PATH = re.compile(
    r"^(?P<root>/api/v1|/apis/[^/]+/[^/]+)(?:/namespaces/(?P<namespace>[^/]+))?"
    r"/(?P<plural>[^/]+)(?:/(?P<name>[^/]+))?(?:/(?P<subresource>[^/]+))?$"
)


class RefusalError(Exception):
    """An answer other than success."""

    def __init__(self, code: int, reason: str, message: str, **details: object) -> None:
        super().__init__(message)
        self.code = code
        self.body: Json = {
            "kind": "Status",
            "apiVersion": "v1",
            "status": "Failure",
            "code": code,
            "reason": reason,
            "message": message,
            "details": details,
        }


@dataclass(frozen=True, slots=True)
class Place:
    """What a path means; ``name`` and ``subresource`` may be empty."""

    collection: str
    namespace: str
    name: str
    subresource: str

    @property
    def key(self) -> tuple[str, str]:
        """Return the object's key in its collection."""
        return self.namespace, self.name


@dataclass(slots=True)
class Collection:
    """The objects of one kind and what happened to them: revision and watch event."""

    items: dict[tuple[str, str], Json] = field(default_factory=dict)
    events: list[tuple[int, Json]] = field(default_factory=list)


class FakeStore:
    """Objects in memory with etcd's revisions; it knows no schemas and no admission.

    ``budgets`` holds, per pod name, how many evictions are still allowed. ``stale_revision`` makes
    lists claim that revision. ``oldest`` is the first revision that a watch may start from.
    """

    def __init__(self) -> None:
        self.revision = 100
        self.oldest = 0
        self.stale_revision: int | None = None
        self.budgets: dict[str, int] = {}
        self._collections: dict[str, Collection] = {}
        self._lists: dict[str, tuple[int, list[Json]]] = {}

    def collection(self, place: Place) -> Collection:
        """Return the collection of a place."""
        return self._collections.setdefault(place.collection, Collection())

    def get(self, place: Place) -> Json:
        """Return a copy of one object."""
        try:
            return copy.deepcopy(self.collection(place).items[place.key])
        except KeyError:
            raise RefusalError(404, "NotFound", f"{place.name} not found") from None

    def listed(self, place: Place) -> list[Json]:
        """Return copies of the objects of a collection, or of one namespace of it."""
        return [
            copy.deepcopy(item)
            for (namespace, _), item in self.collection(place).items.items()
            if place.namespace in ("", namespace)
        ]

    def page(self, place: Place, query: Mapping[str, str]) -> Json:
        """Return a page of the list as it was at its first page."""
        token, limit = query.get("continue", ""), int(query.get("limit", "0"))
        key, _, start = token.partition(":")
        if not token:
            key, start = uuid.uuid4().hex, "0"
            self._lists[key] = (self.stale_revision or self.revision, self.listed(place))
        if key not in self._lists:
            raise RefusalError(410, "Expired", "the continue token is too old")
        revision, items = self._lists[key]
        end = int(start) + limit if limit else len(items)
        meta = {"resourceVersion": str(revision)}
        if end < len(items):
            meta["continue"] = f"{key}:{end}"
        return {"kind": "List", "metadata": meta, "items": items[int(start) : end]}

    def create(self, place: Place, item: Json) -> Json:
        """Store an object that must be new."""
        place = Place(place.collection, place.namespace, item["metadata"]["name"], "")
        if place.key in self.collection(place).items:
            raise RefusalError(409, "AlreadyExists", f"{place.name} already exists")
        return self.put(place, item)

    def replace(self, place: Place, item: Json) -> Json:
        """Store an object over the version that it names."""
        live = self.get(place)["metadata"]["resourceVersion"]
        if item["metadata"].get("resourceVersion") not in (None, live):
            raise RefusalError(409, "Conflict", "the object has been modified")
        return self.put(place, item)

    def put(self, place: Place, item: Json) -> Json:
        """Store an object whatever was there."""
        collection, item = self.collection(place), copy.deepcopy(item)
        self.revision += 1
        item["metadata"] = {
            "name": place.name,
            "namespace": place.namespace,
            "uid": str(uuid.uuid4()),
            **item.get("metadata", {}),
            "resourceVersion": str(self.revision),
        }
        kind = "MODIFIED" if place.key in collection.items else "ADDED"
        collection.items[place.key] = item
        self.record(place, kind, item)
        return copy.deepcopy(item)

    def merge(self, place: Place, change: Json) -> Json:
        """Store an object with a merge patch applied."""
        return self.put(place, merged(self.get(place), change))

    def drop(self, place: Place, preconditions: Mapping[str, Any] | None = None) -> Json:
        """Delete an object if the preconditions hold."""
        item = self.get(place)
        check(item, preconditions or {})
        del self.collection(place).items[place.key]
        self.revision += 1
        item["metadata"]["resourceVersion"] = str(self.revision)
        self.record(place, "DELETED", item)
        return {"kind": "Status", "status": "Success"}

    def record(self, place: Place, kind: str, item: Json) -> None:
        """Add an event at the present revision."""
        event = {"type": kind, "object": copy.deepcopy(item)}
        self.collection(place).events.append((self.revision, event))

    def bookmark(self) -> None:
        """Add a bookmark to every collection."""
        for collection in self._collections.values():
            meta = {"resourceVersion": str(self.revision)}
            event = {"type": "BOOKMARK", "object": {"metadata": meta}}
            collection.events.append((self.revision, event))

    def compact(self) -> None:
        """Forget the history and every list that is still being paged."""
        self.revision += 1
        self.oldest = self.revision
        self._lists.clear()

    def bind(self, place: Place, binding: Json) -> Json:
        """Set a pod's node as the binding subresource does."""
        pod = self.get(place)
        check(pod, {"uid": binding["metadata"].get("uid")})
        if node := pod["spec"].get("nodeName"):
            raise RefusalError(409, "Conflict", f"pod is already assigned to node {node}")
        pod["spec"]["nodeName"] = binding["target"]["name"]
        return self.put(place, pod)

    def evict(self, place: Place, eviction: Json) -> Json:
        """Delete a pod if its budget allows."""
        preconditions = eviction["deleteOptions"]["preconditions"]
        check(self.get(place), preconditions)
        allowed = self.budgets.get(place.name)
        if allowed == 0:
            cause = {"reason": "DisruptionBudget", "message": "needs 1 healthy pod"}
            message = "Cannot evict pod as it would violate the pod's disruption budget."
            raise RefusalError(429, "TooManyRequests", message, causes=[cause])
        if allowed is not None:
            self.budgets[place.name] = allowed - 1
        return self.drop(place)


def merged(value: Any, change: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Return a JSON value after a merge patch: null removes, maps merge, the rest replaces."""
    if not isinstance(change, dict):
        return change
    kept = dict(value) if isinstance(value, dict) else {}
    for key, inner in change.items():
        if inner is None:
            kept.pop(key, None)
        else:
            kept[key] = merged(kept.get(key), inner)
    return kept


def check(live: Json, preconditions: Mapping[str, Any]) -> None:
    """Refuse if a precondition does not hold."""
    for key, value in preconditions.items():
        if value is not None and live["metadata"][key] != value:
            raise RefusalError(409, "Conflict", f"Precondition failed: {key}")


def parse_place(path: str) -> Place:
    """Return what a path means."""
    match = _PATH.match(path)
    if match is None:
        raise RefusalError(404, "NotFound", "the server could not find the requested resource")
    parts = {key: value or "" for key, value in match.groupdict().items()}
    return Place(
        collection=f"{parts['root']}/{parts['plural']}",
        namespace=parts["namespace"],
        name=parts["name"],
        subresource=parts["subresource"],
    )
