"""HTTP to the API server: credentials, rate, time limits, and failures as our errors."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

import aiohttp

from moorage_cluster.endpoint import Credentials, Endpoint
from moorage_cluster.errors import ClusterUnavailableError, Failure, to_error
from moorage_cluster.pace import RateLimit
from moorage_cluster.status import to_failure

# The Go server closes idle connections after 90 s; a client that keeps them longer loses a race.
_KEEP_ALIVE_S = 60.0
_CONNECT_TIMEOUT_S = 5.0
_UNAUTHORIZED = 401
_FIRST_FAILURE = 300


class SilentStreamError(ClusterUnavailableError):
    """A stream stayed open without a byte for longer than it may."""


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP call.

    ``total_s`` limits the whole call, ``None`` for a stream; ``silence_s`` limits the wait for the
    next byte.
    """

    method: str
    path: str
    params: Mapping[str, str] | None = None
    data: bytes | None = None
    content_type: str = "application/json"
    total_s: float | None = None
    silence_s: float | None = None


class Transport:
    """Sends calls over one pool of kept-alive connections."""

    def __init__(
        self, credentials: Credentials, rate: RateLimit, *, user_agent: str, connections: int
    ) -> None:
        self._credentials = credentials
        self._rate = rate
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=connections, keepalive_timeout=_KEEP_ALIVE_S),
            # Compression costs the server more than a cluster's own network does.
            headers={
                "User-Agent": user_agent,
                "Accept": "application/json",
                "Accept-Encoding": "identity",
            },
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def close(self) -> None:
        """Close every connection."""
        await self._http.close()

    @asynccontextmanager
    async def answer(self, call: Call) -> AsyncIterator[aiohttp.ClientResponse]:
        """Yield the successful answer to a call, its body unread.

        A 401 makes the credentials be read again and the call be repeated once: the server has
        done nothing yet.

        Raises:
            ApiError: the subclass for the status, ``ClusterUnavailableError`` without an answer.
        """
        endpoint = await self._credentials.endpoint()
        answer = await self._send(endpoint, call)
        if answer.status == _UNAUTHORIZED:
            answer.release()
            await self._credentials.renew(endpoint)
            answer = await self._send(await self._credentials.endpoint(), call)
        async with answer:
            if answer.status >= _FIRST_FAILURE:
                with translated(call):
                    text = await answer.read()
                failure = to_failure(call.method, call.path, answer.status, answer.headers, text)
                raise to_error(failure)
            yield answer

    async def _send(self, endpoint: Endpoint, call: Call) -> aiohttp.ClientResponse:
        headers = {}
        if call.data is not None:
            headers["Content-Type"] = call.content_type
        if endpoint.authorization:
            headers["Authorization"] = endpoint.authorization
        await self._rate.take()
        with translated(call):
            return await self._http.request(
                call.method,
                endpoint.server.rstrip("/") + call.path,
                params=call.params,
                data=call.data,
                headers=headers,
                timeout=aiohttp.ClientTimeout(
                    total=call.total_s, sock_connect=_CONNECT_TIMEOUT_S, sock_read=call.silence_s
                ),
                ssl=endpoint.tls if endpoint.tls is not None else True,
                proxy=endpoint.proxy,
                server_hostname=endpoint.server_name,
                allow_redirects=False,
            )


@contextmanager
def translated(call: Call) -> Iterator[None]:
    """Turn a network failure inside into ``ClusterUnavailableError``."""
    try:
        yield
    except aiohttp.SocketTimeoutError as error:
        raise SilentStreamError(_unanswered(call, "no byte within the time limit")) from error
    except TimeoutError as error:
        raise ClusterUnavailableError(_unanswered(call, "no answer in time")) from error
    except (aiohttp.ClientError, OSError) as error:
        text = str(error) or type(error).__name__
        raise ClusterUnavailableError(_unanswered(call, text)) from error


async def read_lines(call: Call, content: aiohttp.StreamReader) -> AsyncIterator[list[bytes]]:
    """Yield the complete lines of a body, as many at a time as have arrived.

    aiohttp's own line reader refuses lines above 128 KiB; a node with many images is longer. What
    follows the last line end is dropped: a connection that broke within a line.
    """
    parts: list[bytes] = []
    while True:
        with translated(call):
            chunk = await content.readany()
        if not chunk:
            return
        head, *tail = chunk.split(b"\n")
        parts.append(head)
        if tail:
            lines = [b"".join(parts), *tail[:-1]]
            parts = [tail[-1]]
            yield [line for line in lines if line]


def _unanswered(call: Call, message: str) -> Failure:
    return Failure(call.method, call.path, status=0, message=message)
