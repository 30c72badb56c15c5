"""Kopf logs in with the credentials of our own session."""

from __future__ import annotations

import aiohttp
import kopf

from moorage_operator.handlers.memo import Memo


async def log_in(memo: Memo, **_: object) -> kopf.AiohttpSession:
    """Return an HTTP session with the credentials that are valid now; asked again after a 401."""
    endpoint = await memo.credentials.endpoint()
    headers = {"Authorization": endpoint.authorization} if endpoint.authorization else {}
    connector = aiohttp.TCPConnector(
        ssl=endpoint.tls if endpoint.tls is not None else True, limit=0
    )
    session = aiohttp.ClientSession(
        connector=connector,
        headers=headers,
        proxy=endpoint.proxy,
        cookie_jar=aiohttp.DummyCookieJar(),
    )
    return kopf.AiohttpSession(server=endpoint.server.rstrip("/"), aiohttp_session=session)


def register(registry: kopf.OperatorRegistry) -> None:
    """Log in this way only."""
    kopf.on.login(registry=registry)(log_in)
