"""A small blocking client of the API server, safe to share between threads."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlencode

import urllib3

from moorage_cli.control_plane.errors import RequestRefusedError
from moorage_cli.control_plane.pki import KeyPair
from moorage_cluster.credentials import find_credentials
from moorage_cluster.endpoint import build_tls

JSON: Final = "application/json"
MERGE_PATCH: Final = "application/merge-patch+json"
APPLY_PATCH: Final = "application/apply-patch+yaml"

_CONNECTIONS: Final = 32


class ApiClient:
    """Requests to one API server.

    Args:
        server: base address, ``https://127.0.0.1:port``.
        tls: trusts the server and holds the certificate to log in with; ``None`` for plain HTTP.
        authorization: header to log in with instead of a certificate.
        timeout_s: of each request.
    """

    def __init__(
        self,
        server: str,
        tls: ssl.SSLContext | None,
        authorization: str | None = None,
        *,
        timeout_s: float = 30.0,
    ) -> None:
        self.server = server
        self._headers = {"Authorization": authorization} if authorization else {}
        self._pool = urllib3.PoolManager(
            maxsize=_CONNECTIONS,
            block=True,
            ssl_context=tls,
            timeout=urllib3.Timeout(total=timeout_s),
            retries=False,
        )

    @classmethod
    def from_certificate(cls, server: str, authority: Path, client: KeyPair) -> Self:
        """Return a client that logs in with a certificate.

        Args:
            server: base address.
            authority: the certificate authority's file.
            client: the certificate to log in with.
        """
        tls = build_tls(
            ca_file=str(authority),
            certificate_file=str(client.certificate),
            key_file=str(client.key),
        )
        return cls(server, tls)

    @classmethod
    def from_kubeconfig(cls, kubeconfig: Path) -> Self:
        """Return a client for the current context of a kubeconfig.

        Raises:
            BadInputError: it cannot be used.
        """
        endpoint = asyncio.run(find_credentials(kubeconfig, None).endpoint())
        return cls(endpoint.server, endpoint.tls, endpoint.authorization)

    def get(self, path: str, **query: str) -> dict[str, Any]:
        """The decoded JSON at this path."""
        return _object(self.raw("GET", path, query=query))

    def create(self, path: str, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """POST an object; returns it as stored."""
        return _object(self.raw("POST", path, body=manifest))

    def patch(
        self, path: str, patch: Mapping[str, Any], content_type: str = MERGE_PATCH
    ) -> dict[str, Any]:
        """PATCH an object; returns it as stored."""
        return _object(self.raw("PATCH", path, body=patch, content_type=content_type))

    def apply(
        self, path: str, manifest: Mapping[str, Any], field_manager: str = "moorage"
    ) -> dict[str, Any]:
        """Server-side apply an object, taking fields over; returns it as stored."""
        query = {"fieldManager": field_manager, "force": "true"}
        answer = self.raw("PATCH", path, query=query, body=manifest, content_type=APPLY_PATCH)
        return _object(answer)

    def delete(self, path: str, **query: str) -> dict[str, Any]:
        """DELETE an object; returns the server's answer."""
        return _object(self.raw("DELETE", path, query=query))

    def raw(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        content_type: str = JSON,
    ) -> bytes:
        """The body of the answer.

        Raises:
            RequestRefusedError: on a status of 400 or above.
            urllib3.exceptions.HTTPError: when the server does not answer.
        """
        address = f"{self.server}{path}"
        if query:
            address = f"{address}?{urlencode(query)}"
        response = self._pool.request(
            method,
            address,
            body=json.dumps(body).encode() if body is not None else None,
            headers={
                "Content-Type": content_type,
                "Accept": "application/json, */*",
                **self._headers,
            },
        )
        if response.status >= HTTPStatus.BAD_REQUEST:
            raise RequestRefusedError(response.status, _message(response.data))
        return response.data

    def answers(self, path: str) -> bool:
        """Whether a GET of this path succeeds now."""
        try:
            self.raw("GET", path)
        except (RequestRefusedError, urllib3.exceptions.HTTPError):
            return False
        return True


def _object(body: bytes) -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads(body)
    return decoded


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return body.decode(errors="replace")[:2000]
