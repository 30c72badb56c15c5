"""Two uvicorn servers in one event loop, which leave signals to us."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Coroutine, Iterator
from typing import Any

import uvicorn
from fastapi import FastAPI

from moorage_extender.certificates import Certificates
from moorage_extender.clients import admit_only
from moorage_extender.config import Settings
from moorage_extender.metrics import Metrics
from moorage_policies.errors import BadInputError

KEEP_ALIVE_S = 120
"""Longer than Go's 90 s: whoever closes an idle connection first, it must not be us."""

GRACE_S = 20
BACKLOG = 2048


class Server(uvicorn.Server):
    """A server that is told to end by ``should_exit`` alone."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone: two servers would each catch them for themselves."""
        yield


def open_socket(host: str, port: int, field: str) -> socket.socket:
    """Return a listening socket.

    Raises:
        BadInputError: the address or port cannot be had; ``field`` is the setting to change.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        message = f"cannot listen on {host} port {port} ({error.strerror}); choose another"
        raise BadInputError(message, field=field) from None


def make_verbs_server(app: FastAPI, settings: Settings, metrics: Metrics) -> Server:
    """Return the server that the scheduler calls, with client certificates when TLS is on.

    Args:
        app: the verbs.
        settings: which files and names TLS goes by.
        metrics: counts clients that have a certificate and no name that may call.
    """
    config = _config(app)
    if settings.tls_client_ca_file is not None:
        config.ssl_keyfile = settings.tls_key_file
        config.ssl_certfile = settings.tls_certificate_file
        config.ssl_ca_certs = str(settings.tls_client_ca_file)
        config.ssl_cert_reqs = ssl.CERT_REQUIRED
    if settings.tls_client_names:
        config.http = admit_only(settings.tls_client_names, metrics.refused_clients.inc)
    return Server(config)


def renew_certificates(server: Server, settings: Settings) -> Iterator[Coroutine[Any, Any, None]]:
    """Yield what keeps the certificates of the verbs' server fresh; nothing without TLS."""
    certificate, key = settings.tls_certificate_file, settings.tls_key_file
    if certificate and key and settings.tls_client_ca_file:
        files = Certificates(certificate, key, settings.tls_client_ca_file)
        yield files.keep(lambda: server.config.ssl)


def make_health_server(app: FastAPI) -> Server:
    """Return the server of health, metrics and records."""
    return Server(_config(app))


def _config(app: FastAPI) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        loop="none",
        http="httptools",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
    )
