"""Who may call the verbs: the names in a client's certificate, looked at once a connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

import structlog
from msgspec import json
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from moorage_extender.verbs.calls import send_json

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


def names_of(certificate: Mapping[str, Any]) -> frozenset[str]:
    """Return the common names and alternative names of a certificate, as ``ssl`` shows it."""
    subject = (pair for part in certificate.get("subject", ()) for pair in part)
    common = {value for key, value in subject if key == "commonName"}
    return frozenset(common | {value for _, value in certificate.get("subjectAltName", ())})


def admit_only(names: frozenset[str], count_refused: Callable[[], None]) -> type[asyncio.Protocol]:
    """Return the protocol that answers 403 on connections of clients with none of the names.

    The handshake has checked by then who issued the certificate; names are compared as they are,
    without wildcards.
    """

    class KnownClients(HttpToolsProtocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            presented = names_of(transport.get_extra_info("peercert") or {})
            if names.isdisjoint(presented):
                count_refused()
                log.warning("client refused", names=sorted(presented), field="tls_client_names")
                self.app = _refuse

    return KnownClients


async def _refuse(_scope: Scope, _receive: Receive, send: Send) -> None:
    error = "the client's certificate has none of the names in tls_client_names"
    body = json.encode({"error": error, "field": "tls_client_names"})
    await send_json(send, HTTPStatus.FORBIDDEN, body, (b"connection", b"close"))
