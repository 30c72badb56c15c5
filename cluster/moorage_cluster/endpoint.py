"""An API server and the proof of who we are, and the seam that provides both."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One API server; ``tls`` is ``None`` only for plain HTTP (a local proxy)."""

    server: str
    tls: ssl.SSLContext | None = None
    authorization: str | None = field(default=None, repr=False)
    proxy: str | None = field(default=None, repr=False)
    server_name: str | None = None


class Credentials(Protocol):
    """Something that always knows a usable endpoint."""

    async def endpoint(self) -> Endpoint:
        """Return the endpoint with the credentials known now."""
        ...

    async def renew(self, refused: Endpoint) -> None:
        """Read the credentials again unless that has happened since ``refused`` was given out."""
        ...


class FixedCredentials:
    """An endpoint that never changes."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    async def endpoint(self) -> Endpoint:
        """Return the endpoint."""
        return self._endpoint

    async def renew(self, refused: Endpoint) -> None:
        """Do nothing."""


def build_tls(
    *,
    ca_file: str | None = None,
    certificate_file: str | None = None,
    key_file: str | None = None,
    verify: bool = True,
) -> ssl.SSLContext:
    """Return a TLS context for the API server."""
    tls = ssl.create_default_context(cafile=ca_file)
    # Newer Pythons refuse cluster CAs without an authority key identifier; Go's clients do not.
    tls.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if certificate_file:
        tls.load_cert_chain(certificate_file, key_file)
    if not verify:
        tls.check_hostname = False
        tls.verify_mode = ssl.CERT_NONE
    return tls
