"""Finds the resource that serves a kind: from what we know, else by asking the server."""

from __future__ import annotations

from typing import Protocol

import msgspec

from moorage_cluster.decoding import decode_answer
from moorage_cluster.errors import Failure, NotFoundError
from moorage_crds import names
from moorage_crds.names import ApiResource

_KNOWN = (
    names.POOLS,
    names.ROLES,
    names.PLANS,
    names.POLICIES,
    names.NODES,
    names.PODS,
    names.SERVICES,
    names.DEPLOYMENTS,
    names.DISRUPTION_BUDGETS,
    names.PRIORITY_CLASSES,
    names.LEASES,
    names.LEADER_WORKER_SETS,
    names.CUSTOM_RESOURCE_DEFINITIONS,
)


class _ServedKind(msgspec.Struct):
    name: str
    kind: str
    namespaced: bool


class _ServedKinds(msgspec.Struct):
    resources: list[_ServedKind]


class Get(Protocol):
    """The one call that discovery needs; ``ApiSession.request`` is one."""

    async def __call__(self, method: str, path: str) -> bytes:
        """Return the body of a successful answer."""
        ...


class Kinds:
    """Kind to resource; what the server was asked once is remembered."""

    def __init__(self, get: Get) -> None:
        self._get = get
        self._found = {(r.api_version, r.kind): r for r in _KNOWN}

    async def find(self, api_version: str, kind: str) -> ApiResource:
        """Return the resource of a kind.

        Raises:
            NotFoundError: the server does not serve the kind: its CRD is not installed. It is
                asked again next time.
        """
        if (api_version, kind) not in self._found:
            await self._discover(api_version)
        try:
            return self._found[api_version, kind]
        except KeyError:
            message = f"no kind {kind} is served; install its CustomResourceDefinition"
            raise NotFoundError(Failure("GET", _root(api_version), 404, message)) from None

    async def _discover(self, api_version: str) -> None:
        path = _root(api_version)
        body = await self._get("GET", path)
        listed = decode_answer(body, _ServedKinds, method="GET", path=path, what="resource list")
        group, _, version = api_version.rpartition("/")
        for served in listed.resources:
            if "/" in served.name:
                continue  # a subresource
            resource = ApiResource(group, version, served.name, served.kind, served.namespaced)
            self._found.setdefault((api_version, served.kind), resource)


def _root(api_version: str) -> str:
    return f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
