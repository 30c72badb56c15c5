"""Every write of the operator, one by one: fenced by the Lease, counted, refusals told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from moorage_cluster.apply import without_nulls
from moorage_cluster.errors import ConflictError, NotFoundError
from moorage_crds.names import FIELD_MANAGER, ApiResource
from moorage_operator.children import Child, read_child
from moorage_operator.errors import NotLeadingError
from moorage_operator.manifests.objects import Manifest
from moorage_operator.manifests.templates import Json

_APPLY = "application/apply-patch+yaml"
_FORCED = {"fieldManager": FIELD_MANAGER, "force": "true"}
_MODEST = {"fieldManager": FIELD_MANAGER, "force": "false"}


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

    async def create(self, manifest: Manifest) -> Child:
        """Return the object after applying a manifest for which no object is known.

        Nothing is taken from other writers, so that an object of this name that we do not know is
        not overwritten.

        Raises:
            ConflictError: there is such an object.
            ApiError: the server refused it, or did not answer.
            NotLeadingError: another process leads.
        """
        return await self._apply(manifest, manifest.to_apply(), _MODEST)

    async def change(self, manifest: Manifest, live: Child) -> Child:
        """Return the object after applying the manifest over it.

        Where others may write too, it is applied only to the revision that was looked at.

        Raises:
            ApiError: the server refused it, or did not answer.
            NotLeadingError: another process leads.
        """
        revision = live.resource_version if manifest.shared else 0
        return await self._apply(manifest, manifest.to_apply(revision), _FORCED)

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
        return await self._patch(resource, path, body, _FORCED, "apply-status")

    async def remove(self, child: Child) -> None:
        """Delete a child, if it is still the one that was looked at; being gone is fine."""
        options = {"propagationPolicy": "Background", "preconditions": {"uid": child.uid}}
        path = child.resource.path(child.namespace, child.name)
        self._take_note("delete", child.resource)
        try:
            await self._session.request("DELETE", path, body=options)
        except (NotFoundError, ConflictError):
            return

    async def _apply(self, manifest: Manifest, body: Json, params: dict[str, str]) -> Child:
        answer = await self._patch(manifest.resource, manifest.path, body, params, "apply")
        return read_child(manifest.resource, answer)

    async def _patch(
        self, resource: ApiResource, path: str, body: Json, params: dict[str, str], verb: str
    ) -> bytes:
        self._take_note(verb, resource)
        return await self._session.request(
            "PATCH", path, params=params, body=body, content_type=_APPLY
        )

    def _take_note(self, verb: str, resource: ApiResource) -> None:
        if not self._leads():
            raise NotLeadingError
        self._count(verb, resource.kind)
