"""A fake API server and a session to it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from moorage_cluster.fake_api import FakeApi
from moorage_cluster.session import ApiSession


@pytest.fixture
async def api() -> AsyncIterator[FakeApi]:
    async with FakeApi() as server:
        yield server


@pytest.fixture
async def session(api: FakeApi) -> AsyncIterator[ApiSession]:
    async with api.session(timeout_s=5.0) as opened:
        yield opened
