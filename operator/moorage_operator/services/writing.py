"""Every write of the operator, one by one: fenced by the Lease, counted, refusals told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec

from moorage_cluster.apply import without_nulls
from moorage_cluster.errors import ConflictError, NotFoundError
from moorage_crds.names import FIELD_MANAGER, ApiResource
from moorage_operator.children import Child, read_child
from moorage_operator.errors import NotLeadingError
from moorage_operator.manifests.objects import Manifest
from moorage_operator.manifests.templates import Json

_APPLY = "application/apply-patch+yaml"
_PARAMS = {"fieldManager": FIELD_MANAGER, "force": "true"}


class Requests(Protocol):
    """The one call that writing makes; ``ApiSession`` has it."""

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: dict[str, str] | None = None,
        body: object = None,
        content_type: str = "application/json",
    ) -> bytes:
        """Return the body of a successful answer."""
        ...


class Writer:
    """Reads and writes single objects for the pools service.

    Args:
        session: the session.
        leads: whether this process leads right now; asked before every write.
        count: told the verb and the kind of every write.
    """

    def __init__(
        self,
        session: Requests,
        leads: Callable[[], bool],
        count: Callable[[str, str], None],
    ) -> None:
        self._session = session
        self._leads = leads
        self._count = count

    async def read(self, resource: ApiResource, namespace: str, name: str) -> bytes | None:
        """Return an object as it is now, ``None`` when there is none."""
        try:
            return await self._session.request("GET", resource.path(namespace, name))
        except NotFoundError:
            return None

    async def apply(self, manifest: Manifest, live: Child | None) -> Child:
        """Return the object after applying the manifest.

        Where others may write too, it is applied only to the revision that was looked at.

        Raises:
            ApiError: the server refused it, or did not answer.
            NotLeadingError: another process leads.
        """
        guarded = live is not None and bool(manifest.shared)
        body = manifest.to_apply(live.resource_version if live and guarded else 0)
        answer = await self._write("PATCH", manifest.resource, manifest.path, body, "apply")
        return read_child(manifest.resource, answer)

    async def apply_status(
        self, resource: ApiResource, namespace: str, name: str, status: Json
    ) -> bytes:
        """Return the object after applying its status."""
        body = {
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": {"name": name, "namespace": namespace},
            "status": without_nulls(status),
        }
        path = resource.path(namespace, name, "status")
        return await self._write("PATCH", resource, path, body, "apply-status")

    async def remove(self, child: Child) -> None:
        """Delete a child, if it is still the one that was looked at; being gone is fine."""
        options = {"propagationPolicy": "Background", "preconditions": {"uid": child.uid}}
        path = child.resource.path(child.namespace, child.name)
        try:
            await self._write("DELETE", child.resource, path, options, "delete")
        except (NotFoundError, ConflictError):
            return

    async def _write(
        self, method: str, resource: ApiResource, path: str, body: Json, verb: str
    ) -> bytes:
        if not self._leads():
            raise NotLeadingError
        self._count(verb, resource.kind)
        if method == "DELETE":
            return await self._session.request(method, path, body=body)
        return await self._session.request(
            method, path, params=_PARAMS, body=msgspec.json.encode(body), content_type=_APPLY
        )
