"""Certificates are renewed in place: connections from then on show the new one."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme

from moorage_extender.certificates import Certificates


class Served:
    """A TLS server whose files can be written anew."""

    def __init__(self, folder: Path) -> None:
        self.authority = trustme.CA()
        self.files = [folder / name for name in ("tls.crt", "tls.key", "ca.crt")]
        self.write(self.authority)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(self.files[0], self.files[1])
        self.context.load_verify_locations(self.files[2])
        self.context.verify_mode = ssl.CERT_REQUIRED
        self.certificates = Certificates(*self.files)
        self.port = 0

    def write(self, authority: trustme.CA) -> None:
        made = self.authority.issue_cert("127.0.0.1")
        self.files[0].write_bytes(b"".join(part.bytes() for part in made.cert_chain_pems))
        self.files[1].write_bytes(made.private_key_pem.bytes())
        self.files[2].write_bytes(authority.cert_pem.bytes())

    async def shown(self, client_of: trustme.CA) -> str:
        """Return the serial number of the certificate that a new connection sees."""
        context = ssl.create_default_context()
        self.authority.configure_trust(context)
        client_of.issue_cert("kube-scheduler").configure_cert(context)
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=context)
        if await reader.read() != b"in":  # the server looks at our certificate after we sent it
            raise ConnectionResetError
        serial = writer.get_extra_info("peercert")["serialNumber"]
        writer.close()
        return str(serial)


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"in")
        await writer.drain()
        writer.close()

    made = Served(tmp_path)
    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=made.context)
    made.port = server.sockets[0].getsockname()[1]
    async with server:
        yield made


async def test_renewed_files_are_shown_on_new_connections(served: Served) -> None:
    before = await served.shown(served.authority)
    assert not served.certificates.renew(served.context)
    served.write(served.authority)
    assert await served.shown(served.authority) == before
    assert served.certificates.renew(served.context)
    assert await served.shown(served.authority) != before
    assert not served.certificates.renew(served.context)


async def test_a_new_authority_of_clients_is_trusted_beside_the_old(served: Served) -> None:
    other = trustme.CA()
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        await served.shown(other)
    served.write(other)
    assert served.certificates.renew(served.context)
    assert await served.shown(other) == await served.shown(served.authority)


async def test_files_that_do_not_match_yet_are_tried_again(served: Served) -> None:
    before = await served.shown(served.authority)
    key = served.files[1].read_bytes()
    served.write(served.authority)
    whole = served.files[1].read_bytes()
    served.files[1].write_bytes(key)
    for _ in range(2):
        with pytest.raises(ssl.SSLError):
            served.certificates.renew(served.context)
    served.files[1].write_bytes(whole)
    assert served.certificates.renew(served.context)
    assert await served.shown(served.authority) != before
