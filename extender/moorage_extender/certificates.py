"""Certificates that are renewed while the verbs are served with them."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Final

import structlog

RENEW_EVERY_S: Final = 60.0

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


class Certificates:
    """The files of one TLS server; whoever renews them writes them anew in place.

    Args:
        certificate: that the server shows (PEM).
        key: of that certificate (PEM).
        client_authority: whose client certificates may call (PEM); a new one is trusted beside
            the old until the process ends.
    """

    def __init__(self, certificate: Path, key: Path, client_authority: Path) -> None:
        self._certificate = certificate
        self._key = key
        self._client_authority = client_authority
        self._known = self._digest()

    def renew(self, context: ssl.SSLContext) -> bool:
        """Return whether other files were there, which connections from now on are made with.

        Raises:
            OSError: a file cannot be read or, written only by half, used; call again later.
        """
        found = self._digest()
        if found == self._known:
            return False
        context.load_cert_chain(self._certificate, self._key)
        context.load_verify_locations(self._client_authority)
        self._known = found
        return True

    async def keep(self, context: Callable[[], ssl.SSLContext | None]) -> None:
        """Renew until cancelled; what cannot be used yet is tried again.

        Args:
            context: that connections are made with, ``None`` before there is one.
        """
        while True:
            await asyncio.sleep(RENEW_EVERY_S)
            using = context()
            try:
                if using is not None and self.renew(using):
                    log.info("certificate renewed", file=str(self._certificate))
            except OSError as error:  # SSLError is one
                log.warning("certificate unusable", file=str(self._certificate), error=str(error))

    def _digest(self) -> str:
        sum_ = sha256()
        for file in (self._certificate, self._key, self._client_authority):
            sum_.update(file.read_bytes())
        return sum_.hexdigest()
