"""Round trips by UDP: an echo that never answers with more than it got."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from typing import Final, cast

ASK: Final = b"moorask1"
ANSWER: Final = b"mooransw"
NONCE_BYTES = 16
PACKET_BYTES = 320
"""Size of a question, zeros at its end; the answer holds at most a name of 253 characters."""

Address = tuple[str, int]


class Echo(asyncio.DatagramProtocol):
    """Answers questions with the node's name, and asks others.

    Args:
        node: name in the answers.
        sent: hears how many bytes were sent.
    """

    def __init__(self, node: str, sent: Callable[[int], None]) -> None:
        self._node = node.encode()
        self._sent = sent
        self._waiting: dict[bytes, tuple[str, asyncio.Future[tuple[float, str]]]] = {}
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the socket."""
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: Address) -> None:
        """Answer a question, or note an answer; anything else is dropped."""
        came_s = time.perf_counter()
        kind, nonce = data[: len(ASK)], data[len(ASK) : len(ASK) + NONCE_BYTES]
        if kind == ASK and len(data) == PACKET_BYTES:
            self._send(ANSWER + nonce + self._node, addr)
        elif kind == ANSWER and nonce in self._waiting:
            asked, answer = self._waiting[nonce]
            if asked == addr[0] and not answer.done():  # who was asked, and nobody else
                name = data[len(ASK) + NONCE_BYTES : PACKET_BYTES]
                answer.set_result((came_s, name.decode(errors="replace")))

    def error_received(self, exc: Exception) -> None:
        """Leave refused packets to the time-out."""

    async def ask(self, address: Address, timeout_s: float) -> tuple[float, str] | None:
        """Return the round trip in seconds and the peer's node; ``None`` without answer."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        answer: asyncio.Future[tuple[float, str]] = asyncio.get_running_loop().create_future()
        self._waiting[nonce] = (address[0], answer)
        began_s = time.perf_counter()
        try:
            self._send((ASK + nonce).ljust(PACKET_BYTES, b"\0"), address)
            came_s, name = await asyncio.wait_for(answer, timeout_s)
        except TimeoutError:
            return None
        finally:
            del self._waiting[nonce]
        return came_s - began_s, name

    def _send(self, data: bytes, address: Address) -> None:
        if self._transport is not None:
            self._transport.sendto(data, address)
            self._sent(len(data))
